/**
 * HYPERVISOR_vcpu_op (24): vCPUs of the calling domain, their timers, and the memory in which the hypervisor reports on
 * them.
 * Source: Xen public/vcpu.h.
 */

import { EEXIST, EINVAL, ENOENT, ENOSYS } from '../../xen-abi/errno.ts';
import * as abi from '../../xen-abi/vcpu.ts';
import { SHUTDOWN_poweroff } from '../../xen-abi/sched.ts';
import { vcpu_info } from '../../xen-abi/xen.ts';
import { shutdownDomain } from '../domain-lifecycle.ts';
import { PageType } from '../frame-table.ts';
import { copyToGuest, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { kick, runstateTimes, sleep, timersChanged, unblock, wake } from '../scheduler.ts';
import { updateRunstateArea, updateTimeArea } from '../reported-areas.ts';
import { frameBytes, vcpuInfoAddress } from '../shared-info.ts';
import type { Vcpu } from '../vcpu.ts';
import { faultResult, loadStruct, loadWord, storeStruct } from './arguments.ts';
import { type Hypercall, type HypercallResult, result, subOperation } from './table.ts';
import { setSingleshot } from './timer-op.ts';

const shortestPeriod = 1_000_000n;

export const vcpuOp: Hypercall = {
  number: 24,
  name: 'vcpu_op',
  argumentCount: 3,
  suffix: subOperation(abi.vcpuOpNames),
  handler(hypervisor, vcpu, args) {
    const [command = 0n, id = 0n, pointer = 0n] = args;
    const target = vcpu.domain.vcpus[Number(BigInt.asUintN(32, id))];
    if (target === undefined) return BigInt(-ENOENT);
    switch (Number(BigInt.asUintN(32, command))) {
      case abi.VCPUOP_initialise:
        return initialise(hypervisor, vcpu, target, pointer);
      case abi.VCPUOP_up:
        if (!target.initialised) return BigInt(-EINVAL);
        if (target.down) {
          target.down = false;
          wake(hypervisor, target);
        }
        return 0n;
      case abi.VCPUOP_down:
        return down(hypervisor, target);
      case abi.VCPUOP_is_up:
        return target.down ? 0n : 1n;
      case abi.VCPUOP_get_runstate_info: {
        const info = {
          state: target.runstate.state,
          state_entry_time: target.runstate.entryTime,
          time: new Uint8Array(runstateTimes(hypervisor, target).buffer),
        };
        return result(storeStruct(hypervisor, vcpu, pointer, abi.vcpu_runstate_info, info));
      }
      case abi.VCPUOP_register_runstate_memory_area: {
        const area = loadWord(hypervisor, vcpu, pointer);
        if (area === undefined) return faultResult;
        target.runstateArea = area;
        if (target === vcpu) updateRunstateArea(hypervisor, vcpu);
        return 0n;
      }
      case abi.VCPUOP_set_periodic_timer: {
        const request = loadStruct(hypervisor, vcpu, pointer, abi.vcpu_set_periodic_timer);
        if (request === undefined) return faultResult;
        if (request.period_ns < shortestPeriod) return BigInt(-EINVAL);
        setPeriodic(hypervisor, target, request.period_ns);
        return 0n;
      }
      case abi.VCPUOP_stop_periodic_timer:
        setPeriodic(hypervisor, target, 0n);
        return 0n;
      case abi.VCPUOP_set_singleshot_timer: {
        if (target !== vcpu) return BigInt(-EINVAL);
        const request = loadStruct(hypervisor, vcpu, pointer, abi.vcpu_set_singleshot_timer);
        if (request === undefined) return faultResult;
        setSingleshot(hypervisor, vcpu, request.timeout_abs_ns);
        return 0n;
      }
      case abi.VCPUOP_stop_singleshot_timer:
        if (target !== vcpu) return BigInt(-EINVAL);
        setSingleshot(hypervisor, vcpu, undefined);
        return 0n;
      case abi.VCPUOP_register_vcpu_info:
        return registerInfo(hypervisor, vcpu, target, pointer);
      case abi.VCPUOP_send_nmi:
        if (target.pv === undefined) return BigInt(-ENOSYS);
        target.pv.nmiPending = true;
        unblock(hypervisor, target);
        kick(hypervisor, target);
        return 0n;
      case abi.VCPUOP_get_physid: {
        if (vcpu.domain.id !== 0) return BigInt(-EINVAL);
        const bytes = new Uint8Array(8);
        new DataView(bytes.buffer).setBigUint64(0, (BigInt(target.processor) << 32n) | BigInt(target.processor), true);
        return result(copyToGuest(hypervisor, vcpu, pointer, bytes));
      }
      case abi.VCPUOP_register_vcpu_time_memory_area: {
        const area = loadWord(hypervisor, vcpu, pointer);
        if (area === undefined) return faultResult;
        target.timeArea = area;
        if (target === vcpu) updateTimeArea(hypervisor, vcpu);
        return 0n;
      }
      default:
        hypervisor.unknown(vcpu.domain, 'sub-operation', `vcpu_op.${command}`);
        return BigInt(-ENOSYS);
    }
  },
};

/** 0n stops it. */
export function setPeriodic(hypervisor: Hypervisor, vcpu: Vcpu, period: bigint): void {
  vcpu.periodicPeriod = period;
  vcpu.periodicNext = hypervisor.now(hypervisor.cpuOf(vcpu)) + period;
  timersChanged(hypervisor, vcpu);
}

function initialise(hypervisor: Hypervisor, vcpu: Vcpu, target: Vcpu, pointer: bigint): HypercallResult {
  if (vcpuInfoAddress(target) < 0) return BigInt(-EINVAL);
  if (target.initialised) return BigInt(-EEXIST);
  const image = loadFromGuest(hypervisor, vcpu, pointer, contextBytes(hypervisor, target));
  if (image === undefined) return faultResult;
  return result(applyContext(hypervisor, target, image, false));
}

/** Size of what {@link applyContext} takes. */
export function contextBytes(hypervisor: Hypervisor, target: Vcpu): number {
  return hypervisor.kind(target.domain).contextBytes ?? abi.vcpu_guest_context.size(target.domain.addressSize);
}

/**
 * Gives a vCPU its first context (VCPUOP_initialise, setvcpucontext). 0 or a negative errno.
 * `online`: whether the vCPU starts where the context does not say it.
 */
export function applyContext(hypervisor: Hypervisor, target: Vcpu, image: Uint8Array, online = true): number {
  const kind = hypervisor.kind(target.domain);
  const outcome = kind.setContext(hypervisor, target, image);
  if (outcome < 0) return outcome;
  const starts =
    kind.contextBytes === undefined
      ? (abi.vcpu_guest_context.read(image, target.domain.addressSize).flags & BigInt(abi.VGCF_online)) !== 0n
      : online;
  target.initialised = true;
  target.down = !starts;
  wake(hypervisor, target);
  return 0;
}

/** The last vCPU that goes down takes the domain with it. */
function down(hypervisor: Hypervisor, target: Vcpu): HypercallResult {
  const { domain } = target;
  if (domain.vcpus.every((vcpu) => vcpu === target || vcpu.down)) {
    shutdownDomain(hypervisor, domain, SHUTDOWN_poweroff);
    return 0n;
  }
  if (!target.down) {
    target.down = true;
    sleep(hypervisor, target);
  }
  return 0n;
}

/** Moves a vcpu_info to a page of the guest's choice, once, and marks everything pending so that nothing is lost. */
function registerInfo(hypervisor: Hypervisor, vcpu: Vcpu, target: Vcpu, pointer: bigint): HypercallResult {
  const request = loadStruct(hypervisor, vcpu, pointer, abi.vcpu_register_vcpu_info);
  if (request === undefined) return faultResult;
  const { frames, memory } = hypervisor;
  const frame = Number(request.mfn);
  const size = vcpu_info.size();
  if (request.offset > frameBytes - size || target.infoRegistered) return BigInt(-EINVAL);
  if (target !== vcpu && !target.down) return BigInt(-EINVAL);
  const machineFrame = target.domain.p2m === undefined ? frame : (target.domain.p2m[frame] ?? -1);
  const taken = frames.getPageAndType(machineFrame, target.domain.id, PageType.writable);
  if (taken < 0) return BigInt(-EINVAL);
  const old = vcpuInfoAddress(target);
  const at = machineFrame * frameBytes + request.offset;
  if (old >= 0) memory.writeBytes(at, memory.readBytes(old, size));
  target.infoFrame = machineFrame;
  target.infoOffset = request.offset;
  target.infoRegistered = true;
  const abiSize = target.domain.addressSize;
  memory.writeU8(at, 1);
  memory.writeBytes(at + vcpu_info.offset('evtchn_pending_sel', abiSize), new Uint8Array(abiSize / 8).fill(0xff));
  return 0n;
}
