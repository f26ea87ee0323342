/**
 * What one instruction costs before anything that depends on run-time values, by its form: timing/instruction-costs.ts
 * has the table and the rule, this keeps the answers. Under a repeat prefix a string instruction charges its start and
 * each element itself.
 */
import { instructionTwelfths } from '../timing/instruction-costs.ts';
import type { CostModel } from '../timing/model.ts';
import type { Instruction } from '../x86/instruction.ts';

export class InstructionCosts {
  private readonly costs: CostModel;
  private readonly known = new Map<number, number>();

  constructor(costs: CostModel) {
    this.costs = costs;
  }

  /** In twelfths of a cycle. */
  of(i: Instruction): number {
    if (i.repeat !== '') return 0;
    const memory = i.operands.some((operand) => operand.kind === 'memory');
    const key = (i.row.id * 2 + (memory ? 1 : 0)) * 2 + (i.lock ? 1 : 0);
    let cost = this.known.get(key);
    if (cost === undefined) {
      cost = instructionTwelfths(this.costs, i);
      this.known.set(key, cost);
    }
    return cost;
  }
}
