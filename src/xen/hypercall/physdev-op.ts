/**
 * HYPERVISOR_physdev_op (33): what a domain without devices uses of it, its virtual I/O privilege. The rest is about
 * interrupts and PCI devices, which no domain has.
 * Source: Xen public/physdev.h.
 */

import { EINVAL, ENOSYS, EPERM } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/physdev.ts';
import { FrameFlag, PageType } from '../frame-table.ts';
import { faultResult, loadStruct } from './arguments.ts';
import { type Hypercall, result, subOperation } from './table.ts';

const largestPortCount = 65536;

export const physdevOp: Hypercall = {
  number: 33,
  name: 'physdev_op',
  argumentCount: 2,
  suffix: subOperation(abi.physdevOpNames),
  handler(hypervisor, vcpu, args) {
    const [command = 0n, pointer = 0n] = args;
    const { domain, pv } = vcpu;
    switch (Number(BigInt.asUintN(32, command))) {
      case abi.PHYSDEVOP_set_iopl: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.physdev_set_iopl);
        if (request === undefined) return faultResult;
        if (request.iopl > 3 || pv === undefined) return BigInt(-EINVAL);
        pv.iopl = request.iopl;
        return 0n;
      }
      case abi.PHYSDEVOP_set_iobitmap: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.physdev_set_iobitmap);
        if (request === undefined) return faultResult;
        if (request.nr_ports > largestPortCount || pv === undefined) return BigInt(-EINVAL);
        pv.ioBitmap = { address: request.bitmap, ports: request.nr_ports };
        return 0n;
      }
      case abi.PHYSDEVOP_irq_status_query: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.physdev_irq_status_query);
        if (request === undefined) return faultResult;
        if (!domain.privileged) return BigInt(-EPERM);
        return BigInt(-EINVAL); // no interrupt lines
      }
      case abi.PHYSDEVOP_pirq_eoi_gmfn_v2: {
        // A page in which the hypervisor would mark interrupts that need an EOI: there are none, the page stays zero.
        const request = loadStruct(hypervisor, vcpu, pointer, abi.physdev_pirq_eoi_gmfn);
        if (request === undefined) return faultResult;
        const frame = Number(request.gmfn);
        const { frames } = hypervisor;
        if (frames.getPageAndType(frame, domain.id, PageType.writable) < 0) return BigInt(-EINVAL);
        const allocated = frames.has(frame, FrameFlag.allocated);
        frames.putPageAndType(frame);
        return allocated ? 0n : BigInt(-EINVAL);
      }
      case abi.PHYSDEVOP_apic_read:
      case abi.PHYSDEVOP_apic_write:
      case abi.PHYSDEVOP_alloc_irq_vector:
      case abi.PHYSDEVOP_eoi:
      case abi.PHYSDEVOP_map_pirq:
      case abi.PHYSDEVOP_unmap_pirq:
        if (!domain.privileged) return BigInt(-EPERM);
        hypervisor.unknown(domain, 'sub-operation', `physdev_op.${command}`);
        return BigInt(-ENOSYS);
      default:
        hypervisor.unknown(domain, 'sub-operation', `physdev_op.${command}`);
        return result(-ENOSYS);
    }
  },
};
