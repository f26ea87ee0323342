/**
 * FXSAVE and FXRSTOR: the image of fxsave.ts to and from the memory operand, which is aligned to 16 bytes. All of it is
 * checked before anything is written or loaded. Without CR4.OSFXSR the XMM part is transferred all the same.
 * Source: SDM 2A FXSAVE, FXRSTOR.
 */
import { Cr0 } from '../../x86/control-registers.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Status } from '../engine.ts';
import { privilegeOf, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import type { Processor } from '../processor.ts';
import { FXSAVE_BYTES, FXSAVE_WRITTEN_32, FXSAVE_WRITTEN_64, loadFxImage, saveFxImage } from './fxsave.ts';
import { type Handler, operandAddress } from './operand.ts';

const ALIGNMENT_MASK = 15n;

/** Linear address of the image after the checks that come before paging; undefined: a fault is recorded. */
function imageAddress(processor: Processor, instruction: Parameters<Handler>[1], write: boolean): bigint | undefined {
  if ((processor.state.get32('cr0') & (Cr0.EM | Cr0.TS)) !== 0) {
    processor.fault(Vector.NM);
    return undefined;
  }
  const linear = operandAddress(processor, instruction, FXSAVE_BYTES, write);
  if (linear === undefined || (linear & ALIGNMENT_MASK) === 0n) return linear;
  processor.faultWithCode(Vector.GP, 0);
  return undefined;
}

/** Code outside 64-bit mode has eight XMM registers. */
function extent(processor: Processor): { bytes: number; xmmRegisters: number } {
  if (processor.state.get32('codeMode') === 64) return { bytes: FXSAVE_WRITTEN_64, xmmRegisters: 16 };
  return { bytes: FXSAVE_WRITTEN_32, xmmRegisters: 8 };
}

const fxsave: Handler = (processor, instruction) => {
  const linear = imageAddress(processor, instruction, true);
  if (linear === undefined) return Status.FAULT;
  const who = privilegeOf(processor.state.get32('cpl'));
  if (!probeWrite(processor, linear, FXSAVE_BYTES, who)) return Status.FAULT;
  const { bytes, xmmRegisters } = extent(processor);
  const image = new DataView(new ArrayBuffer(FXSAVE_BYTES));
  saveFxImage(processor.state, new Uint8Array(image.buffer), xmmRegisters);
  for (let at = 0; at < bytes; at += 8) {
    if (!writeLinear(processor, linear + BigInt(at), 8, image.getBigUint64(at, true), who)) return Status.FAULT;
  }
  return Status.CONTINUE;
};

const fxrstor: Handler = (processor, instruction) => {
  const linear = imageAddress(processor, instruction, false);
  if (linear === undefined) return Status.FAULT;
  const who = privilegeOf(processor.state.get32('cpl'));
  const image = new DataView(new ArrayBuffer(FXSAVE_BYTES));
  for (let at = 0; at < FXSAVE_BYTES; at += 8) {
    const word = readLinear(processor, linear + BigInt(at), 8, who);
    if (word === undefined) return Status.FAULT;
    image.setBigUint64(at, word, true);
  }
  const { xmmRegisters } = extent(processor);
  if (!loadFxImage(processor.state, new Uint8Array(image.buffer), xmmRegisters)) return processor.faultWithCode(Vector.GP, 0);
  return Status.CONTINUE;
};

export const FX_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  FXSAVE: fxsave,
  FXSAVE64: fxsave,
  FXRSTOR: fxrstor,
  FXRSTOR64: fxrstor,
};
