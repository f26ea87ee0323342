/** Which instructions engines execute from definitions, and which go to the system side in plain TypeScript. */
import type { Instruction } from '../x86/instruction.ts';
import type { Definition } from './algebra.ts';
import type { Definitions } from './definition.ts';

/** The definition of an instruction, or undefined for a system instruction. */
export function definitionOf(definitions: Definitions, i: Instruction): Definition | undefined {
  for (const operand of i.operands) {
    // MOV, PUSH and POP of these registers load hidden state or need privilege. PUSH of a selector is a plain store.
    if (operand.kind === 'segment' || operand.kind === 'control' || operand.kind === 'debug') return undefined;
    // Many mnemonics of SSE2 also exist with MMX registers.
    if (operand.kind === 'mmx') return undefined;
  }
  return definitions.get(i.row.mnemonic);
}
