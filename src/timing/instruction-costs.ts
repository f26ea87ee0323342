/**
 * What an instruction costs by itself: one row for each cost class of the opcode rows (x86/opcodes, `cost=`), and what
 * an operand form adds. Throughput, since kernels are not one chain of dependences; latency for divide and root, which
 * double div measures in a chain, and there the worst case, as its operands fill the quotient.
 *
 * Classes that stand for events (system call, IRET, control registers, ...) cost nothing here: the processor charges
 * their hardware row where it executes them.
 * Sources: AGNER = Agner Fog, instruction tables, 2021-08-17, Nehalem (Westmere class).
 */

import { assumed, type CostRow, sourced } from './cost-row.ts';
import type { CostModel } from './model.ts';

const agner = 'AGNER, Nehalem';
const third = 1 / 3;

export const instructionCosts: readonly CostRow[] = [
  sourced('instruction', 'alu', third, [third, 1], `${agner}: simple ALU, three ports`),
  sourced('instruction', 'mov', third, [third, 1], `${agner}: register move`),
  sourced('instruction', 'lea', third, [third, 1], `${agner}: LEA 1; kernels mix one- and two-component forms`),
  sourced('instruction', 'load', 1, [1, 1], `${agner}: one load port`),
  sourced('instruction', 'store', 1, [1, 1], `${agner}: one store port`),
  sourced('instruction', 'taken_branch', 2, [1, 2], `${agner}: taken branch, reciprocal throughput 2`),
  sourced('instruction', 'branch', third, [third, 1], `${agner}: branch not taken`),
  sourced('instruction', 'call', 0, [0, 2], `${agner}: near CALL 2, which is its taken branch`),
  sourced('instruction', 'ret', 0, [0, 2], `${agner}: near RET 2, which is its taken branch`),
  sourced('instruction', 'mul', 3, [1, 3], `${agner}: IMUL r64 latency 3`),
  assumed('instruction', 'div8', 28, [11, 28], 'as r32'),
  assumed('instruction', 'div16', 28, [17, 28], 'as r32'),
  sourced('instruction', 'div32', 28, [17, 28], `${agner}: DIV r32 17-28`),
  sourced('instruction', 'div64', 90, [28, 90], `${agner}: DIV r64 28-90`),
  assumed('instruction', 'idiv8', 28, [11, 28], 'as r32'),
  assumed('instruction', 'idiv16', 28, [17, 28], 'as r32'),
  sourced('instruction', 'idiv32', 28, [17, 28], `${agner}: IDIV r32 17-28`),
  sourced('instruction', 'idiv64', 100, [37, 100], `${agner}: IDIV r64 37-100`),
  sourced('instruction', 'divsd', 22, [7, 22], `${agner}: DIVSD latency 7-22; a full quotient takes 22`),
  sourced('instruction', 'divss', 14, [7, 14], `${agner}: DIVSS latency 7-14`),
  sourced('instruction', 'mulsd', 5, [1, 5], `${agner}: MULSD latency 5`),
  sourced('instruction', 'mulss', 4, [1, 4], `${agner}: MULSS latency 4`),
  assumed('instruction', 'addsd', 3, [1, 3], 'general knowledge: ADDSD latency 3 on this core'),
  sourced('instruction', 'sqrtsd', 32, [7, 32], `${agner}: SQRTSD 7-32`),
  assumed('instruction', 'sqrtss', 18, [7, 18], 'as SQRTSD, in the proportion of DIVSS to DIVSD'),
  assumed('instruction', 'sse', third, [third, 3], `${agner}: register moves and logic 1/3; conversions up to 3`),
  assumed('instruction', 'x87', 1, [1, 5], 'as scalar SSE; no benchmark uses it'),
  sourced('instruction', 'xchg', third * 2, [third * 2, 2], `${agner}: XCHG r,r, three micro-operations`),
  sourced('instruction', 'locked', 20, [18, 25], `${agner}: XCHG r,m 20 (implicit lock); other locked forms alike`),
  assumed('instruction', 'string', third, [third, 5], 'one element without a repeat prefix: its load and store, and the pointer step'),
  assumed('instruction', 'string_startup', 32, [15, 50], 'repeated string instruction (timing model: page zero, page copy)'),
  assumed('instruction', 'string_element_8', 1 / 12, [1 / 12, 1], 'REP element: 1 cycle per 16 bytes is .75 of a twelfth, rounded up'),
  assumed('instruction', 'string_element_16', 2 / 12, [1 / 12, 1], 'REP element: 1 cycle per 16 bytes is 1.5 twelfths, rounded up'),
  assumed('instruction', 'string_element_32', 3 / 12, [1 / 12, 1], 'REP element: 1 cycle per 16 bytes'),
  assumed('instruction', 'string_element_64', 6 / 12, [3 / 12, 1], 'REP element: 1 cycle per 16 bytes'),
  sourced('instruction', 'rdtsc', 24, [24, 28], `${agner}: RDTSC 24`),
  assumed('instruction', 'other', 9, [1, 100], `${agner}: PAUSE 9; segment loads and the rest are rare`),
];

/** Cost classes that the processor charges by a hardware row when it executes the instruction. */
const chargedElsewhere = new Set(['syscall', 'iret', 'int', 'cr', 'msr', 'invlpg', 'io', 'cpuid', 'hlt']);

/** What the cost of an instruction depends on, in the shape of x86/instruction.ts. */
export interface InstructionForm {
  readonly row: { readonly cost: string; readonly mnemonic: string; readonly access: readonly string[] };
  readonly operands: readonly { readonly kind: string }[];
  readonly lock: boolean;
  readonly repeat: string;
}

/** Memory accesses that a mnemonic makes besides its operands, as [loads, stores]. CALL and RET include theirs. */
const implicitAccesses: Readonly<Record<string, readonly [number, number]>> = {
  PUSH: [0, 1],
  PUSHF: [0, 1],
  PUSHFD: [0, 1],
  PUSHFQ: [0, 1],
  PUSHA: [0, 8],
  PUSHAD: [0, 8],
  POP: [1, 0],
  POPF: [1, 0],
  POPFD: [1, 0],
  POPFQ: [1, 0],
  POPA: [8, 0],
  POPAD: [8, 0],
  LEAVE: [1, 0],
  ENTER: [0, 1],
};

/**
 * Constant cost of an instruction form, in twelfths of a cycle. Taken branches and elements of repeated string
 * instructions come on top, charged as they happen (`taken_branch`, `string_startup`, `string_element_64`).
 */
export function instructionTwelfths(costs: CostModel, form: InstructionForm): number {
  const { cost, mnemonic, access } = form.row;
  if (chargedElsewhere.has(cost)) return 0;
  // Under a repeat prefix the start and each element are charged as they happen.
  if (cost === 'string' && form.repeat !== '') return 0;
  let [loads, stores] = implicitAccesses[mnemonic] ?? [0, 0];
  form.operands.forEach((operand, i) => {
    if (operand.kind !== 'memory') return;
    const way = access[i] ?? '';
    if (way.includes('r')) loads += 1;
    if (way.includes('w')) stores += 1;
  });
  const inMemory = loads + stores > 0;
  if (inMemory && (form.lock || cost === 'xchg')) return costs.cost('locked');
  // A move to or from memory is its load or store.
  const base = cost === 'mov' && inMemory ? 0 : costs.cost(cost);
  return base + loads * costs.cost('load') + stores * costs.cost('store');
}

/** Every cost class is a row or charged elsewhere: for the test that reads the opcode rows. */
export function isCostClass(name: string): boolean {
  return chargedElsewhere.has(name) || instructionCosts.some((row) => row.name === name);
}
