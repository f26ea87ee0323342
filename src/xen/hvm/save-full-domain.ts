/** A full domain's own part in the save stream: its devices and parameters, and what a VMCS would hold of each vCPU. */

import type { SaveReader, SaveWriter } from '../../base/persist.ts';
import type { FullDomain, FullVcpu } from './full-domain.ts';

/** What is saved of a vCPU beside the core's part. Handlers are never on the stack then. */
interface SavedVcpu extends Pick<FullVcpu, 'upcallVector' | 'upcallRaised' | 'systemTimeArea' | 'timer' | 'halting' | 'flushDue'> {
  readonly requested: number[];
  readonly pendingInterrupt: number | undefined;
  readonly interruptWindow: boolean;
}

export function saveFullDomain(full: FullDomain, writer: SaveWriter): void {
  writer.u32(full.domain.id);
  writer.plain(full.devices.save());
  writer.plain({ params: full.params, output: full.output, exitCode: full.exitCode });
  writer.list(full.vcpus, ({ control, requested, upcallVector, upcallRaised, systemTimeArea, timer, halting, flushDue }) => {
    const { pendingInterrupt, interruptWindow } = control;
    const core = { pendingInterrupt, interruptWindow, requested, timer, halting, flushDue };
    const saved: SavedVcpu = { ...core, upcallVector, upcallRaised, systemTimeArea };
    writer.plain(saved);
  });
}

/** Into a new one; its number has been read. */
export function restoreFullDomain(full: FullDomain, reader: SaveReader): void {
  full.devices.restore(reader.plain());
  const { params, output, exitCode } = reader.plain<{ params: BigUint64Array; output: number[]; exitCode?: number }>();
  full.params.set(params);
  full.output.splice(0, full.output.length, ...output);
  full.exitCode = exitCode;
  const saved = reader.list(() => reader.plain<SavedVcpu>());
  full.vcpus.forEach((vcpu, i) => {
    const { pendingInterrupt, interruptWindow, requested, ...rest } = saved[i] as SavedVcpu;
    vcpu.timer = undefined; // left out of the record when there is none
    Object.assign(vcpu, rest);
    vcpu.requested.splice(0, vcpu.requested.length, ...requested);
    vcpu.control.pendingInterrupt = pendingInterrupt;
    vcpu.control.interruptWindow = interruptWindow;
  });
}
