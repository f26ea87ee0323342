/** Which instructions engines execute from definitions, and which go to the system side in plain TypeScript. */
import type { Instruction } from '../x86/instruction.ts';
import type { Definition } from './algebra.ts';
import { type Definitions, mmxKey } from './definition.ts';
import { systemHandler } from './system/execute.ts';

/** The definition of an instruction, or undefined for a system instruction. */
export function definitionOf(definitions: Definitions, i: Instruction): Definition | undefined {
  // Forms of one mnemonic may differ: MOV CR0, far CALL.
  if (systemHandler(i) !== undefined) return undefined;
  // Many mnemonics of SSE2 also exist with MMX registers.
  const mmx = i.operands.some((operand) => operand.kind === 'mmx');
  return definitions.get(mmx ? mmxKey(i.row.mnemonic) : i.row.mnemonic);
}
