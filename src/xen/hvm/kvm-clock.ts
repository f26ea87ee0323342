/**
 * KVM's paravirtual clock: two MSRs by which a guest names memory for its wall clock and its system time. The time stamp
 * counter runs at one rate on all processors, so a record never changes after it was written: system time is the counter,
 * scaled, from its zero on.
 * Source: Linux Documentation/virt/kvm/x86/msr.rst (MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW), facts of the interface.
 */
import type { ExitContext } from './exit-context.ts';
import { GuestPhysicalMemory } from './guest-physical-memory.ts';

export const MSR_KVM_WALL_CLOCK = 0x4b56_4d00;
export const MSR_KVM_SYSTEM_TIME = 0x4b56_4d01;

const ENABLED = 1n;
const STABLE = 1;
const RECORD_BYTES = 32;
const NANOSECONDS = 1_000_000_000n;

export function isKvmClockMsr(index: number): boolean {
  return index === MSR_KVM_WALL_CLOCK || index === MSR_KVM_SYSTEM_TIME;
}

export function readKvmClockMsr({ state }: ExitContext, index: number): bigint {
  return index === MSR_KVM_SYSTEM_TIME ? state.systemTimeArea : 0n;
}

/** False for #GP(0): an address that is not aligned to 4 bytes. What is no memory is not written. */
export function writeKvmClockMsr({ hypervisor, full, state }: ExitContext, index: number, value: bigint): boolean {
  const memory = new GuestPhysicalMemory(hypervisor.memory, full.physmap);
  if (index === MSR_KVM_WALL_CLOCK) {
    if ((value & 3n) !== 0n) return false;
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    const epoch = hypervisor.epoch + full.domain.timeOffsetSeconds * NANOSECONDS;
    view.setUint32(0, 2, true); // an even version: complete
    view.setUint32(4, Number((epoch / NANOSECONDS) & 0xffff_ffffn), true);
    view.setUint32(8, Number(epoch % NANOSECONDS), true);
    memory.writeVirtual(value, bytes);
    return true;
  }
  if ((value & 2n) !== 0n) return false;
  state.systemTimeArea = value;
  if ((value & ENABLED) === 0n) return true;
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 2, true);
  // tsc_timestamp at 8 and system_time at 16 are zero.
  view.setUint32(24, hypervisor.time.multiplier, true);
  view.setInt8(28, hypervisor.time.shift);
  view.setUint8(29, STABLE);
  memory.writeVirtual(value & ~ENABLED, bytes);
  return true;
}
