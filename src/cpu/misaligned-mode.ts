/**
 * Misaligned SSE mode of AMD processors: with MXCSR.MM set, instructions that compute with a 16-byte operand in memory read
 * it wherever it lies; the aligned moves (VEX forms too) and all stores keep their #GP. On models without it the bit cannot
 * be set.
 * Source: AMD APM 1 §4.3.2 (MXCSR.MM), APM 4 (exception tables: "while MXCSR.MM = 0").
 */
import type { Instruction } from '../x86/instruction.ts';

export const MISALIGNED_MASK = 0x2_0000n;

const ALIGNED_MOVES: ReadonlySet<string> = new Set(['MOVAPS', 'MOVAPD', 'MOVDQA', 'MOVNTDQA']);

/** Whether a read of this instruction passes under MXCSR.MM. */
export function obeysMisalignedMode({ row }: Instruction): boolean {
  return !ALIGNED_MOVES.has(row.vex ? row.mnemonic.slice(1) : row.mnemonic);
}
