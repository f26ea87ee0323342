/**
 * A domain kind for tests of the hypervisor's core alone: paravirtual domains without page typing of their own. Guest
 * memory is reached through tables that the test builds as plain writable frames; hypercalls are SYSCALLs by registers.
 */

import { GNTST_okay } from '../../src/xen-abi/grant-table.ts';
import { cpu_user_regs, vcpu_guest_context, vcpu_guest_context_64 } from '../../src/xen-abi/vcpu.ts';
import type { DomainKind } from '../../src/xen/domain-kind.ts';
import { dispatchHypercall } from '../../src/xen/hypercall/dispatch.ts';
import type { Hypercall } from '../../src/xen/hypercall/table.ts';
import { newPvVcpu, type PvVcpu } from '../../src/xen/vcpu.ts';

export interface CoreKind extends DomainKind {
  /** `domain.vcpu` of every upcall that was delivered. */
  readonly deliveries: string[];
  readonly faults: number[];
}

export function coreKind(hypercalls: readonly Hypercall[] = []): CoreKind {
  const deliveries: string[] = [];
  const faults: number[] = [];
  return {
    name: 'pv',
    hypercalls,
    deliveries,
    faults,
    start() {},
    createDomain: () => 0,
    createVcpu(_hypervisor, vcpu) {
      vcpu.pv = newPvVcpu();
    },
    setContext(hypervisor, vcpu, image) {
      const frame = Number(vcpu_guest_context_64.read(image).ctrlreg3 >> 12n);
      if (!hypervisor.frames.getPage(frame, vcpu.domain.id)) return -22;
      const registers = cpu_user_regs.read(vcpu_guest_context.read(image).user_regs);
      (vcpu.pv as PvVcpu).guestTable = frame;
      vcpu.context.cr3 = BigInt(frame) << 12n;
      vcpu.context.rip = registers.rip;
      vcpu.context.rflags = registers.rflags;
      return 0;
    },
    getContext: () => new Uint8Array(vcpu_guest_context.size()),
    relinquish(hypervisor, domain) {
      for (const vcpu of domain.vcpus) {
        const pv = vcpu.pv as PvVcpu;
        if (pv.guestTable !== 0) hypervisor.frames.putPage(pv.guestTable);
        pv.guestTable = 0;
      }
    },
    exception(_hypervisor, _vcpu, _cpu, event) {
      faults.push(event.vector);
    },
    syscall: dispatchHypercall,
    sysenter() {},
    exitToGuest(hypervisor, vcpu) {
      const at = vcpu.infoFrame * 4096 + vcpu.infoOffset;
      const { memory } = hypervisor;
      if (memory.readU8(at) === 0 || memory.readU8(at + 1) !== 0) return;
      memory.writeU8(at + 1, 1);
      deliveries.push(`${vcpu.domain.id}.${vcpu.id}`);
    },
    switchIn() {},
    switchOut() {},
    // The page-table side is pv/'s and is tested there: here a mapping is its references.
    mapGrant: () => GNTST_okay,
    unmapGrant: () => GNTST_okay,
  };
}
