/**
 * HYPERVISOR_sched_op (29) and its predecessor (6): giving up the processor, waiting, and ending the domain.
 * A wait is state of the vCPU: the call has its result already, and the way out of the hypervisor chooses another vCPU.
 * Source: Xen public/sched.h.
 */

import { EFAULT, EINVAL, ENOSPC, ENOSYS, EPERM, ESRCH } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/sched.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import { shutdownDomain } from '../domain-lifecycle.ts';
import { validPort } from '../event-channel.ts';
import { isPending } from '../event-delivery.ts';
import { guestArrayOk, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { sleep, timersChanged, yieldTurn } from '../scheduler.ts';
import { setUpcallMask, upcallDeliverable } from '../shared-info.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct } from './arguments.ts';
import { type Hypercall, type HypercallResult, result, subOperation } from './table.ts';

export const schedOp: Hypercall = {
  number: 29,
  name: 'sched_op',
  argumentCount: 2,
  suffix: subOperation(abi.schedOpNames),
  handler(hypervisor, vcpu, args) {
    const [command = 0n, pointer = 0n] = args;
    const { domain } = vcpu;
    switch (Number(BigInt.asUintN(32, command))) {
      case abi.SCHEDOP_yield:
        yieldTurn(hypervisor, vcpu);
        return 0n;
      case abi.SCHEDOP_block:
        block(hypervisor, vcpu);
        return 0n;
      case abi.SCHEDOP_shutdown: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.sched_shutdown);
        if (request === undefined) return faultResult;
        shutdownDomain(hypervisor, domain, request.reason);
        return 0n;
      }
      case abi.SCHEDOP_poll:
        return poll(hypervisor, vcpu, pointer);
      case abi.SCHEDOP_remote_shutdown: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.sched_remote_shutdown);
        if (request === undefined) return faultResult;
        const target = request.domain_id === DOMID_SELF ? undefined : hypervisor.domains.get(request.domain_id);
        if (target === undefined) return BigInt(-ESRCH);
        if (!domain.privileged) return BigInt(-EPERM);
        if (target === domain) return BigInt(-EINVAL);
        shutdownDomain(hypervisor, target, request.reason);
        return 0n;
      }
      case abi.SCHEDOP_shutdown_code: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.sched_shutdown);
        if (request === undefined) return faultResult;
        if (!domain.shutDown) domain.shutdownCode = request.reason & 0xff;
        return 0n;
      }
      case abi.SCHEDOP_watchdog: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.sched_watchdog);
        if (request === undefined) return faultResult;
        return result(watchdog(hypervisor, vcpu, request.id, request.timeout));
      }
      case abi.SCHEDOP_pin_override: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.sched_pin_override);
        if (request === undefined) return faultResult;
        if (domain.id !== 0) return BigInt(-EPERM);
        // Every vCPU is pinned already: only the cpu that it has can be asked for, or the end of the override.
        if (request.pcpu >= hypervisor.platform.cpus.length) return BigInt(-EINVAL);
        return request.pcpu < 0 || request.pcpu === vcpu.processor ? 0n : BigInt(-EINVAL);
      }
      default:
        hypervisor.unknown(domain, 'sub-operation', `sched_op.${command}`);
        return BigInt(-ENOSYS);
    }
  },
};

/** The old call: three commands, and the shutdown reason is the argument itself, whatever its low byte holds. */
export const schedOpCompat: Hypercall = {
  number: 6,
  name: 'sched_op_compat',
  argumentCount: 2,
  callers: 'pv',
  suffix: subOperation(abi.schedOpNames.slice(0, 3)),
  handler(hypervisor, vcpu, args) {
    const [command = 0n, argument = 0n] = args;
    switch (Number(BigInt.asUintN(32, command))) {
      case abi.SCHEDOP_yield:
        yieldTurn(hypervisor, vcpu);
        return 0n;
      case abi.SCHEDOP_block:
        block(hypervisor, vcpu);
        return 0n;
      case abi.SCHEDOP_shutdown:
        shutdownDomain(hypervisor, vcpu.domain, Number(argument & 0xffn));
        return 0n;
      default:
        hypervisor.unknown(vcpu.domain, 'sub-operation', `sched_op_compat.${command}`);
        return BigInt(-ENOSYS);
    }
  },
};

/** Takes events, and sleeps until one is deliverable. */
export function block(hypervisor: Hypervisor, vcpu: Vcpu): void {
  setUpcallMask(hypervisor, vcpu, false);
  if (upcallDeliverable(hypervisor, vcpu)) return;
  vcpu.blocked = true;
  sleep(hypervisor, vcpu);
}

/** Sleeps until one of the ports is pending, whether masked or not; pending bits and the upcall mask stay as they are. */
function poll(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.sched_poll);
  if (request === undefined) return faultResult;
  if (request.nr_ports > abi.SCHED_POLL_MAX_PORTS) return BigInt(-EINVAL);
  if (!guestArrayOk(vcpu, request.ports, BigInt(request.nr_ports), 4)) return BigInt(-EFAULT);
  const bytes = loadFromGuest(hypervisor, vcpu, request.ports, request.nr_ports * 4);
  if (bytes === undefined) return BigInt(-EFAULT);
  if (upcallDeliverable(hypervisor, vcpu)) return 0n;
  const view = new DataView(bytes.buffer);
  const ports = Array.from({ length: request.nr_ports }, (_, i) => view.getUint32(i * 4, true));
  for (const port of ports) {
    if (validPort(vcpu.domain, port) === undefined) return BigInt(-EINVAL);
    if (isPending(hypervisor, vcpu.domain, port)) return 0n;
  }
  if (request.timeout !== 0n) {
    if (request.timeout <= hypervisor.now(hypervisor.cpuOf(vcpu))) return 0n;
    vcpu.pollTimeout = request.timeout;
    timersChanged(hypervisor, vcpu);
  }
  vcpu.blocked = true;
  vcpu.polling = ports;
  sleep(hypervisor, vcpu);
  return 0n;
}

/** id 0 takes a free watchdog and returns its number; otherwise its time-out is set again, or 0 gives it back. */
function watchdog(hypervisor: Hypervisor, vcpu: Vcpu, id: number, seconds: number): number {
  const { watchdogs } = vcpu.domain;
  const now = hypervisor.now(hypervisor.cpuOf(vcpu));
  const deadline = seconds === 0 ? undefined : now + BigInt(seconds) * 1_000_000_000n;
  if (id > watchdogs.length) return -EINVAL;
  const first = vcpu.domain.vcpus[0] ?? vcpu;
  if (id === 0) {
    if (deadline === undefined) return -EINVAL;
    const free = watchdogs.indexOf(undefined);
    if (free < 0) return -ENOSPC;
    watchdogs[free] = deadline;
    timersChanged(hypervisor, first);
    return free + 1;
  }
  if (watchdogs[id - 1] === undefined) return -EINVAL;
  watchdogs[id - 1] = deadline;
  timersChanged(hypervisor, first);
  return 0;
}
