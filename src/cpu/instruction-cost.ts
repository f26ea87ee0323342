/**
 * What one instruction costs before anything that depends on run-time values: its class, and a load or store for a
 * memory operand. Rows that cost their own event (SYSCALL, IRET, MOV CR, ...) are charged where they are executed.
 */
import type { CostModel } from '../timing/model.ts';
import type { Instruction } from '../x86/instruction.ts';

/** Classes of opcode rows that are charged here; all others are events of the system side. */
const CLASSES: ReadonlySet<string> = new Set([
  'alu', 'mov', 'lea', 'mul', 'div8', 'div16', 'div32', 'div64', 'idiv8', 'idiv16', 'idiv32', 'idiv64', 'branch', 'call',
  'ret', 'string', 'xchg', 'divsd', 'divss', 'mulsd', 'addsd', 'sqrtsd', 'sqrtss', 'sse', 'rdtsc', 'other',
]);

/** Stack accesses that are not memory operands. */
const IMPLIED_ACCESS: Readonly<Record<string, 'load' | 'store'>> = {
  PUSH: 'store', POP: 'load', CALL: 'store', RET: 'load', LEAVE: 'load', PUSHF: 'store', PUSHFD: 'store', PUSHFQ: 'store', POPF: 'load', POPFD: 'load', POPFQ: 'load',
};

export class InstructionCosts {
  private readonly costs: CostModel;
  private readonly known = new Map<number, number>();

  constructor(costs: CostModel) {
    this.costs = costs;
  }

  /** In twelfths of a cycle. */
  of(i: Instruction): number {
    const memory = i.memory !== undefined && i.operands.some((operand) => operand.kind === 'memory');
    const key = (i.row.id * 2 + (memory ? 1 : 0)) * 2 + (i.repeat === '' ? 0 : 1);
    let cost = this.known.get(key);
    if (cost === undefined) {
      cost = this.compute(i, memory);
      this.known.set(key, cost);
    }
    return cost;
  }

  private compute(i: Instruction, memory: boolean): number {
    const { row } = i;
    // Under a repeat prefix the instruction charges its start and each element itself.
    if (row.cost === 'string') return i.repeat === '' ? this.costs.cost('load') + this.costs.cost('store') : 0;
    let cost = 0;
    if (memory) {
      i.operands.forEach((operand, n) => {
        if (operand.kind !== 'memory') return;
        const access = row.access[n] ?? '';
        if (access.includes('r')) cost += this.costs.cost('load');
        if (access.includes('w')) cost += this.costs.cost('store');
      });
    }
    const implied = IMPLIED_ACCESS[row.mnemonic];
    if (implied !== undefined) cost += this.costs.cost(implied);
    // A move to or from memory is the access itself.
    const isAccess = row.cost === 'mov' && cost > 0;
    if (!isAccess && CLASSES.has(row.cost)) cost += this.costs.cost(row.cost);
    return cost;
  }
}
