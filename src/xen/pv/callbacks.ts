/**
 * Where the guest wants to be entered: trap table, event, failsafe, syscall, sysenter and NMI callbacks, kernel stack.
 * Errors: -EFAULT pointer, -EINVAL address not canonical or a callback that cannot be unregistered, -ENOSYS unknown type
 * or command.
 * Sources: Xen public/arch-x86/xen.h struct trap_info, public/callback.h, public/nmi.h.
 */
import { EFAULT, EINVAL, ENOSYS } from '../../xen-abi/errno.ts';
import { trap_info } from '../../xen-abi/vcpu.ts';
import { guestRangeOk, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { PvEntry, PvTrap, PvVcpu, Vcpu } from '../vcpu.ts';
import { isCanonical } from './guest-walk.ts';

const TRAP_INFO_BYTES = 16;
const TI_DPL = 3;
const TI_MASK_EVENTS = 4;

/** One trap_info. Code selectors of 64-bit guests have RPL 3. */
export function setTrap(trap: PvTrap, flags: number, cs: number, address: bigint): void {
  trap.cs = cs | 3;
  trap.address = address;
  trap.dpl = flags & TI_DPL;
  trap.maskEvents = (flags & TI_MASK_EVENTS) !== 0;
}

export function clearTraps(pv: PvVcpu): void {
  for (const trap of pv.traps) {
    trap.cs = 0;
    trap.address = 0n;
    trap.dpl = 0;
    trap.maskEvents = false;
  }
}

/** HYPERVISOR_set_trap_table (0): entries up to one with address 0; those before an error stay. NULL clears all. */
export function setTrapTable(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint): number {
  const pv = vcpu.pv as PvVcpu;
  if (pointer === 0n) {
    clearTraps(pv);
    return 0;
  }
  for (let address = pointer; ; address += BigInt(TRAP_INFO_BYTES)) {
    if (!guestRangeOk(vcpu, address, BigInt(TRAP_INFO_BYTES))) return -EFAULT;
    const bytes = loadFromGuest(hypervisor, vcpu, address, TRAP_INFO_BYTES);
    if (bytes === undefined) return -EFAULT;
    const entry = trap_info.read(bytes);
    if (entry.address === 0n) return 0;
    if (!isCanonical(entry.address)) return -EINVAL;
    setTrap(pv.traps[entry.vector] as PvTrap, entry.flags, entry.cs, entry.address);
    // A list without an end covers memory again and again: it is as long as an array of all vectors can be useful.
    if (address - pointer >= 0x10_0000n) return -EFAULT;
  }
}

const CALLBACK_REGISTER = 0;
const CALLBACK_UNREGISTER = 1;
const CALLBACKF_MASK_EVENTS = 1;
const CallbackType = { event: 0, failsafe: 1, syscall: 2, nmi: 4, sysenter: 5, syscall32: 7 } as const;

function entryOf(pv: PvVcpu, type: number): PvEntry | undefined {
  switch (type) {
    case CallbackType.event:
      return pv.eventCallback;
    case CallbackType.failsafe:
      return pv.failsafeCallback;
    case CallbackType.syscall:
      return pv.syscallCallback;
    case CallbackType.nmi:
      return pv.nmiCallback;
    case CallbackType.sysenter:
      return pv.sysenterCallback;
    case CallbackType.syscall32:
      return pv.syscall32Callback;
    default:
      return undefined;
  }
}

/** HYPERVISOR_callback_op (30). */
export function callbackOp(hypervisor: Hypervisor, vcpu: Vcpu, command: number, pointer: bigint): number {
  const pv = vcpu.pv as PvVcpu;
  if (command === CALLBACK_UNREGISTER) {
    const bytes = loadFromGuest(hypervisor, vcpu, pointer, 4);
    if (bytes === undefined) return -EFAULT;
    const type = (bytes[0] as number) | ((bytes[1] as number) << 8);
    if (type !== CallbackType.nmi) return entryOf(pv, type) === undefined ? -ENOSYS : -EINVAL;
    return setNmiCallback(pv, 0n);
  }
  if (command !== CALLBACK_REGISTER) return -ENOSYS;
  const bytes = loadFromGuest(hypervisor, vcpu, pointer, 16);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const type = view.getUint16(0, true);
  const flags = view.getUint16(2, true);
  const address = view.getBigUint64(8, true);
  const entry = entryOf(pv, type);
  if (entry === undefined) return -ENOSYS;
  if (!isCanonical(address)) return -EINVAL;
  if (type === CallbackType.nmi) return setNmiCallback(pv, address);
  entry.address = address;
  entry.maskEvents = type === CallbackType.event || (flags & CALLBACKF_MASK_EVENTS) !== 0;
  return 0;
}

/** NMIs always mask events. */
export function setNmiCallback(pv: PvVcpu, address: bigint): number {
  if (!isCanonical(address)) return -EINVAL;
  pv.nmiCallback.address = address;
  pv.nmiCallback.maskEvents = true;
  return 0;
}

/** HYPERVISOR_set_callbacks (4): errors are swallowed. */
export function setCallbacks(pv: PvVcpu, event: bigint, failsafe: bigint, syscall: bigint): void {
  if (isCanonical(event)) {
    pv.eventCallback.address = event;
    pv.eventCallback.maskEvents = true;
  }
  if (isCanonical(failsafe)) pv.failsafeCallback.address = failsafe;
  if (isCanonical(syscall)) pv.syscallCallback.address = syscall;
}
