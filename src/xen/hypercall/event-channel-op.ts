/**
 * HYPERVISOR_event_channel_op (32) and its predecessor (16), whose structure holds command and arguments together.
 * Source: Xen public/event_channel.h.
 */

import { EFAULT, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/event-channel.ts';
import type { Fields, Struct, Values } from '../../xen-abi/layout.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import * as channel from '../event-channel.ts';
import { copyToGuest, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import { targetDomain } from './arguments.ts';
import { type Hypercall, result, subOperation } from './table.ts';

/** A handler changes `request` where the structure has results, and returns a port (for those) or 0 or -errno. */
interface Operation<F extends Fields> {
  readonly type: Struct<F>;
  readonly run: (hypervisor: Hypervisor, vcpu: Vcpu, request: Values<F>) => number;
  /** The structure is written back after success. */
  readonly output: boolean;
}

function operation<F extends Fields>(type: Struct<F>, output: boolean, run: Operation<F>['run']): Operation<Fields> {
  return { type, run, output } as unknown as Operation<Fields>;
}

const self = (vcpu: Vcpu, domid: number): number => (domid === DOMID_SELF ? vcpu.domain.id : domid);

/** Fills `request.port` with a new port, or passes the error on. */
function newPort(request: { port: number }, port: number): number {
  if (port < 0) return port;
  request.port = port;
  return 0;
}

const operations: readonly Operation<Fields>[] = [
  operation(abi.evtchn_bind_interdomain, true, (hypervisor, vcpu, request) => {
    const remote = self(vcpu, request.remote_dom);
    const port = channel.bindInterdomain(hypervisor, vcpu.domain, remote, request.remote_port);
    if (port < 0) return port;
    request.local_port = port;
    return 0;
  }),
  operation(abi.evtchn_bind_virq, true, (_, vcpu, request) => newPort(request, channel.bindVirq(vcpu.domain, request.virq, request.vcpu))),
  operation(abi.evtchn_bind_pirq, true, (_, vcpu, request) => newPort(request, channel.bindPirq(vcpu.domain))),
  operation(abi.evtchn_close, false, (hypervisor, vcpu, { port }) => channel.closePort(hypervisor, vcpu.domain, port)),
  operation(abi.evtchn_send, false, (hypervisor, vcpu, { port }) => channel.sendEvent(hypervisor, vcpu.domain, port)),
  operation(abi.evtchn_status, true, (hypervisor, vcpu, request) => {
    const target = targetDomain(hypervisor, vcpu, request.dom);
    if (typeof target === 'number') return target;
    const port = channel.validPort(target, request.port);
    if (port === undefined) return -EINVAL;
    request.status = port.state;
    request.vcpu = port.vcpu;
    if (port.state === channel.PortState.interdomain) request.u_port = port.remotePort;
    const bound = port.state === channel.PortState.unbound || port.state === channel.PortState.interdomain;
    if (bound) request.u = port.remoteDomain;
    else if (port.state === channel.PortState.virq || port.state === channel.PortState.pirq) request.u = port.source;
    return 0;
  }),
  operation(abi.evtchn_alloc_unbound, true, (hypervisor, vcpu, request) => {
    const target = targetDomain(hypervisor, vcpu, request.dom);
    if (typeof target === 'number') return target;
    return newPort(request, channel.allocateUnbound(target, self(vcpu, request.remote_dom)));
  }),
  operation(abi.evtchn_bind_ipi, true, (_, vcpu, request) => newPort(request, channel.bindIpi(vcpu.domain, request.vcpu))),
  operation(abi.evtchn_bind_vcpu, false, (_, vcpu, request) => channel.bindVcpu(vcpu.domain, request.port, request.vcpu)),
  operation(abi.evtchn_unmask, false, (hypervisor, vcpu, { port }) => channel.unmask(hypervisor, vcpu.domain, port)),
  operation(abi.evtchn_reset, false, (hypervisor, vcpu, { dom }) => {
    const target = targetDomain(hypervisor, vcpu, dom);
    if (typeof target === 'number') return target;
    if (target !== vcpu.domain && target.controllerPauses === 0) return -EINVAL;
    channel.closeAllPorts(hypervisor, target);
    return 0;
  }),
  // FIFO event channels: arguments are checked, then -ENOSYS makes guests stay with the 2-level ABI.
  operation(abi.evtchn_init_control, false, (hypervisor, vcpu, request) => {
    const controlBlockBytes = 72;
    if (vcpu.domain.vcpus[request.vcpu] === undefined) return -ENOENT;
    if (request.offset % 8 !== 0 || request.offset > 4096 - controlBlockBytes) return -EINVAL;
    const frame = Number(request.control_gfn);
    if (!hypervisor.frames.getPage(frame, vcpu.domain.id)) return -EINVAL;
    hypervisor.frames.putPage(frame);
    return -ENOSYS;
  }),
  operation(abi.evtchn_expand_array, false, () => -EOPNOTSUPP),
  operation(abi.evtchn_set_priority, false, (_hypervisor, vcpu, { port }) =>
    channel.validPort(vcpu.domain, port) === undefined ? -EINVAL : -ENOSYS,
  ),
];

/** Sub-operations of the old call. */
const compatOperations = 10;

export const eventChannelOp: Hypercall = {
  number: 32,
  name: 'event_channel_op',
  argumentCount: 2,
  suffix: subOperation(abi.eventChannelOpNames),
  handler(hypervisor, vcpu, args) {
    const command = BigInt.asUintN(32, args[0] ?? 0n);
    return result(run(hypervisor, vcpu, Number(command), args[1] ?? 0n, operations.length));
  },
};

export const eventChannelOpCompat: Hypercall = {
  number: 16,
  name: 'event_channel_op_compat',
  argumentCount: 1,
  callers: 'pv',
  handler(hypervisor, vcpu, args) {
    const pointer = args[0] ?? 0n;
    const bytes = loadFromGuest(hypervisor, vcpu, pointer, abi.evtchn_op_compat.size());
    if (bytes === undefined) return BigInt(-EFAULT);
    const { cmd } = abi.evtchn_op_compat.read(bytes);
    const union = BigInt(abi.evtchn_op_compat.offset('u'));
    return result(run(hypervisor, vcpu, cmd, pointer + union, compatOperations));
  },
};

function run(hypervisor: Hypervisor, vcpu: Vcpu, command: number, pointer: bigint, count: number): number {
  const found = command < count ? operations[command] : undefined;
  if (found === undefined) {
    hypervisor.unknown(vcpu.domain, 'sub-operation', `event_channel_op.${command}`);
    return -ENOSYS;
  }
  const bytes = loadFromGuest(hypervisor, vcpu, pointer, found.type.size());
  if (bytes === undefined) return -EFAULT;
  const request = found.type.read(bytes);
  const outcome = found.run(hypervisor, vcpu, request);
  if (outcome < 0 || !found.output) return outcome;
  return copyToGuest(hypervisor, vcpu, pointer, found.type.write(request, bytes));
}
