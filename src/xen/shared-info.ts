/**
 * The memory that the hypervisor shares with a domain: shared_info, and the vcpu_info of each vCPU, inside it or where
 * the guest moved it. All access is by machine address and follows the domain's ABI size.
 * Sources: Xen public/xen.h struct shared_info, vcpu_info, vcpu_time_info; arch-x86/xen.h.
 */

import { LEGACY_MAX_VCPUS, shared_info, vcpu_info, vcpu_time_info, XEN_PVCLOCK_TSC_STABLE_BIT } from '../xen-abi/xen.ts';
import type { Domain } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { Vcpu } from './vcpu.ts';

export const frameBytes = 4096;
const vcpuInfoBytes = vcpu_info.size();
const upcallPending = vcpu_info.offset('evtchn_upcall_pending');
const upcallMask = vcpu_info.offset('evtchn_upcall_mask');
const timeRecord = vcpu_info.offset('time');

/** Gives a new vCPU its place in shared_info; vCPUs from 32 on have none until VCPUOP_register_vcpu_info. */
export function placeVcpuInfo(vcpu: Vcpu): void {
  if (vcpu.id >= LEGACY_MAX_VCPUS) return;
  vcpu.infoFrame = vcpu.domain.sharedInfoFrame;
  vcpu.infoOffset = vcpu.id * vcpuInfoBytes;
}

/** Machine address of a vCPU's vcpu_info, or -1. */
export function vcpuInfoAddress(vcpu: Vcpu): number {
  return vcpu.infoFrame < 0 ? -1 : vcpu.infoFrame * frameBytes + vcpu.infoOffset;
}

export function upcallIsPending(hypervisor: Hypervisor, vcpu: Vcpu): boolean {
  const address = vcpuInfoAddress(vcpu);
  return address >= 0 && hypervisor.memory.readU8(address + upcallPending) !== 0;
}

/** evtchn_upcall_mask of the guest: its virtual interrupt flag, inverted. A vCPU without vcpu_info takes no events. */
export function upcallIsMasked(hypervisor: Hypervisor, vcpu: Vcpu): boolean {
  const address = vcpuInfoAddress(vcpu);
  return address < 0 || hypervisor.memory.readU8(address + upcallMask) !== 0;
}

export function setUpcallMask(hypervisor: Hypervisor, vcpu: Vcpu, masked: boolean): void {
  const address = vcpuInfoAddress(vcpu);
  if (address >= 0) hypervisor.memory.writeU8(address + upcallMask, masked ? 1 : 0);
}

export function setUpcallPending(hypervisor: Hypervisor, vcpu: Vcpu, pending: boolean): void {
  const address = vcpuInfoAddress(vcpu);
  if (address >= 0) hypervisor.memory.writeU8(address + upcallPending, pending ? 1 : 0);
}

/** Whether an upcall would be taken now. */
export function upcallDeliverable(hypervisor: Hypervisor, vcpu: Vcpu): boolean {
  return upcallIsPending(hypervisor, vcpu) && !upcallIsMasked(hypervisor, vcpu);
}

/** vcpu_info.arch.cr2: the address of the last page fault. */
export function writeCr2(hypervisor: Hypervisor, vcpu: Vcpu, value: bigint): void {
  const address = vcpuInfoAddress(vcpu);
  if (address < 0) return;
  const abi = vcpu.domain.addressSize;
  const at = address + vcpu_info.offset('cr2', abi);
  if (abi === 32) hypervisor.memory.writeU32(at, Number(value & 0xffff_ffffn));
  else hypervisor.memory.writeU64(at, value);
}

/** Writes the time record of a vCPU for the cycle count `cycles`; odd version while it changes. */
export function updateTimeRecord(hypervisor: Hypervisor, vcpu: Vcpu, cycles: bigint): void {
  const address = vcpuInfoAddress(vcpu);
  if (address < 0) return;
  const { memory, time } = hypervisor;
  const at = address + timeRecord;
  const version = memory.readU32(at) | 1;
  memory.writeU32(at, version >>> 0);
  const record = vcpu_time_info.write({
    version: version >>> 0,
    tsc_timestamp: cycles,
    system_time: time.at(cycles),
    tsc_to_system_mul: time.multiplier,
    tsc_shift: time.shift,
    flags: XEN_PVCLOCK_TSC_STABLE_BIT,
  });
  memory.writeBytes(at, record);
  memory.writeU32(at, (version + 1) >>> 0);
}

/** Writes wc_*: Unix time of system time 0, moved by the domain's offset. */
export function updateWallClock(hypervisor: Hypervisor, domain: Domain): void {
  const { memory } = hypervisor;
  const abi = domain.addressSize;
  const base = domain.sharedInfoFrame * frameBytes;
  const at = (field: 'wc_version' | 'wc_sec' | 'wc_nsec' | 'wc_sec_hi'): number => base + shared_info.offset(field, abi);
  const epoch = hypervisor.epoch + domain.timeOffsetSeconds * 1_000_000_000n;
  const seconds = epoch / 1_000_000_000n;
  const version = (memory.readU32(at('wc_version')) | 1) >>> 0;
  memory.writeU32(at('wc_version'), version);
  memory.writeU32(at('wc_sec'), Number(seconds & 0xffff_ffffn));
  memory.writeU32(at('wc_sec_hi'), Number((seconds >> 32n) & 0xffff_ffffn));
  memory.writeU32(at('wc_nsec'), Number(epoch % 1_000_000_000n));
  memory.writeU32(at('wc_version'), (version + 1) >>> 0);
}

/** shared_info.arch.max_pfn of a PV domain: what it says is the length of its P2M list. */
export function guestMaxPfn(hypervisor: Hypervisor, domain: Domain): bigint {
  const at = domain.sharedInfoFrame * frameBytes + shared_info.offset('max_pfn', domain.addressSize);
  return domain.addressSize === 32 ? BigInt(hypervisor.memory.readU32(at)) : hypervisor.memory.readU64(at);
}
