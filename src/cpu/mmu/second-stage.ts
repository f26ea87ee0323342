/**
 * Exits that second stages of translation cause, and the drop of cached translations when a stage changes.
 *
 * A violation runs the guest's onExit in the middle of an instruction. The hypervisor may map the frame (the access is
 * then tried again), answer `mmio` (a device), or do neither: reads are then all ones and writes go nowhere, as on a bus
 * where nobody answers. It must not replace the register context there; `GuestControl.onBoundary` follows at the end of
 * the instruction for that.
 * Sources: SDM 3C §28.3.3 (EPT violations), §27.2 (recording).
 */
import type { SecondStage, VmExit } from '../../platform/virtualization.ts';
import type { Processor } from '../processor.ts';
import { flushLookup } from './lookup-table.ts';

/** Charges a hardware exit and entry and calls the hypervisor, in the middle of an instruction. */
export function exitInsideInstruction(processor: Processor, exit: VmExit): void {
  const { control } = processor;
  if (control === undefined) throw new Error(`exit '${exit.reason}' in root operation`);
  processor.insideInstruction += 1;
  try {
    runExit(processor, exit);
  } finally {
    processor.insideInstruction -= 1;
  }
  processor.boundaryDue = true;
  processor.breakRun();
}

/** Charges a hardware exit and entry and calls the hypervisor, between two instructions. */
export function runExit(processor: Processor, exit: VmExit): void {
  const { control, translation } = processor;
  if (control === undefined) throw new Error(`exit '${exit.reason}' in root operation`);
  processor.charge('vm_exit');
  translation.transition(0);
  control.onExit(processor.exitCpu, exit);
  translation.transition(processor.state.get32('vpid'));
  syncSecondStages(processor);
  processor.breakRun();
}

export function secondStageViolation(
  processor: Processor,
  guestPhysical: number,
  access: 'read' | 'write' | 'fetch',
  mmio: { size: number; value: bigint } | undefined,
): void {
  if (processor.control === undefined) return; // host code looks through the tables of a guest that is not running
  exitInsideInstruction(processor, {
    reason: 'second-stage-violation',
    guestPhysical,
    access,
    ...(mmio === undefined ? {} : { mmio }),
  });
}

function generationOf(stages: readonly SecondStage[]): number {
  let sum = 0;
  for (const stage of stages) sum += stage.generation;
  return sum;
}

/** Drops cached translations when a second stage has changed since the last look. */
export function syncSecondStages(processor: Processor): void {
  if (processor.secondStages.length === 0) return;
  const generation = generationOf(processor.secondStages);
  if (generation === processor.secondStageGeneration) return;
  processor.secondStageGeneration = generation;
  flushLookup(processor);
  processor.translation.flushSecondStage(processor.state.get32('vpid'));
}

export function setSecondStages(processor: Processor, stages: readonly SecondStage[]): void {
  processor.secondStages = stages;
  processor.secondStageGeneration = generationOf(stages);
  flushLookup(processor);
}
