/** The reference engine: fetches, decodes and evaluates one instruction at a time. Slow and plain. */
import type { CostModel } from '../../timing/model.ts';
import type { Decoder } from '../../x86/decode.ts';
import type { Instruction } from '../../x86/instruction.ts';
import type { Definitions } from '../definition.ts';
import { definitionOf } from '../dispatch.ts';
import { type Engine, Status } from '../engine.ts';
import { fetchInstruction } from '../fetch.ts';
import { InstructionCosts } from '../instruction-cost.ts';
import type { Processor } from '../processor.ts';
import { OFFSET } from '../state.ts';
import { executeSystem } from '../system/execute.ts';
import { Evaluator, FAULT } from './evaluator.ts';

export class ReferenceEngine implements Engine {
  readonly name = 'reference';
  private readonly definitions: Definitions;
  private readonly decoder: Decoder;
  private readonly costs: InstructionCosts;
  private readonly evaluator = new Evaluator();

  constructor(definitions: Definitions, decoder: Decoder, costs: CostModel) {
    this.definitions = definitions;
    this.decoder = decoder;
    this.costs = new InstructionCosts(costs);
  }

  execute(processor: Processor): Status {
    const { state } = processor;
    for (;;) {
      if (state.i64[OFFSET.cycles >> 3] >= state.i64[OFFSET.deadline >> 3]) return Status.DEADLINE;
      const status = this.step(processor);
      if (status !== Status.CONTINUE) return status;
    }
  }

  step(processor: Processor): Status {
    const { state } = processor;
    const instruction = fetchInstruction(processor, this.decoder);
    if (instruction === undefined) return Status.FAULT;
    const start = state.get('rip');
    state.set('cycles', state.get('cycles') + BigInt(this.costs.of(instruction)));
    state.set('rip', start + BigInt(instruction.length));
    // Counted before it is executed, as on every engine: who looks on the way (the ledger) sees the same.
    state.set('instructions', state.get('instructions') + 1n);
    const status = this.evaluate(processor, instruction);
    if (status === Status.FAULT || status === Status.REPEAT) {
      state.set('rip', start);
      state.set('instructions', state.get('instructions') - 1n);
    }
    return status;
  }

  invalidateCode(): void {
    // Nothing is kept.
  }

  private evaluate(processor: Processor, instruction: Instruction): Status {
    const definition = definitionOf(this.definitions, instruction);
    if (definition === undefined) return executeSystem(processor, instruction);
    this.evaluator.begin(processor, instruction);
    try {
      definition(this.evaluator, instruction);
    } catch (reason) {
      if (reason === FAULT) return Status.FAULT;
      throw reason;
    }
    return this.evaluator.stoppedBetweenElements ? Status.REPEAT : Status.CONTINUE;
  }
}
