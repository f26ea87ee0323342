/**
 * Memory of its own in which a guest is told about a vCPU: the runstate area and the second time record. Written when
 * the vCPU is switched in, through its own tables.
 * Sources: Xen public/vcpu.h VCPUOP_register_runstate_memory_area, _vcpu_time_memory_area; public/xen.h vm_assist.
 */

import { vcpu_runstate_info, XEN_RUNSTATE_UPDATE } from '../xen-abi/vcpu.ts';
import { vcpu_info, vcpu_time_info, VMASST_TYPE_runstate_update_flag } from '../xen-abi/xen.ts';
import type { Vcpu } from './domain.ts';
import { copyToGuest } from './guest-access.ts';
import type { Hypervisor } from './hypervisor.ts';
import { vcpuInfoAddress } from './shared-info.ts';

/** Copies the runstate to the area that the guest registered; the vCPU must be able to reach its memory. */
export function updateRunstateArea(hypervisor: Hypervisor, vcpu: Vcpu): void {
  if (vcpu.runstateArea === 0n) return;
  const { domain, runstate } = vcpu;
  const abi = domain.addressSize;
  const flagged = (domain.vmAssist & (1n << BigInt(VMASST_TYPE_runstate_update_flag))) !== 0n;
  const image = vcpu_runstate_info.write(
    {
      state: runstate.state,
      state_entry_time: runstate.entryTime | (flagged ? XEN_RUNSTATE_UPDATE : 0n),
      time: new Uint8Array(runstate.time.slice().buffer),
    },
    undefined,
    abi,
  );
  if (copyToGuest(hypervisor, vcpu, vcpu.runstateArea, image) !== 0 || !flagged) return;
  const entryTime = vcpu_runstate_info.offset('state_entry_time', abi);
  vcpu_runstate_info.write({ state_entry_time: runstate.entryTime }, image, abi);
  copyToGuest(hypervisor, vcpu, vcpu.runstateArea + BigInt(entryTime), image.subarray(entryTime, entryTime + 8));
}

/** Copies the time record to the second place; the vCPU must be able to reach its memory. */
export function updateTimeArea(hypervisor: Hypervisor, vcpu: Vcpu): void {
  const address = vcpuInfoAddress(vcpu);
  if (vcpu.timeArea === 0n || address < 0) return;
  const record = hypervisor.memory.readBytes(address + vcpu_info.offset('time'), vcpu_time_info.size());
  const view = new DataView(record.buffer, record.byteOffset);
  const version = view.getUint32(0, true);
  view.setUint32(0, (version - 1) >>> 0, true);
  if (copyToGuest(hypervisor, vcpu, vcpu.timeArea, record) !== 0) return;
  view.setUint32(0, version, true);
  copyToGuest(hypervisor, vcpu, vcpu.timeArea, record.subarray(0, 4));
}
