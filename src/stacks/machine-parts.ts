/** What every stack's machine is made of: costs, translation models, the CPUID model, the clock; and the guest's ledger. */
import type { EngineName } from '../machine/bare-machine.ts';
import { WESTMERE } from '../cpu/cpuid/models.ts';
import type { Engine } from '../cpu/engine.ts';
import type { CpuidModel } from '../cpu/cpuid/model.ts';
import type { Processor } from '../cpu/processor.ts';
import { CostTable } from '../timing/cost-model.ts';
import { fitted } from '../timing/fitted.ts';
import { Ledger } from '../timing/ledger.ts';
import { clockGhz } from '../timing/parameters.ts';
import { ModelledTlb } from '../timing/translation-model.ts';
import type { StackOptions } from './stack.ts';

/** 2012-04-10, when EuroSys 2012 began. */
export const DEFAULT_EPOCH = 1334016000n;

export interface MachineParts {
  readonly costs: CostTable;
  readonly machine: {
    readonly engine: EngineName;
    readonly wrapEngine?: (engine: Engine) => Engine;
    readonly costs: CostTable;
    readonly newTranslation: () => ModelledTlb;
    readonly cpuid: CpuidModel;
    readonly tscKhz: number;
  };
  /** Begins to account for one processor. */
  attachLedger(processor: Processor): Ledger;
}

export function machineParts(options: StackOptions): MachineParts {
  const costs = new CostTable(options.parameters ?? fitted.values, options.settings?.costs);
  return {
    costs,
    machine: {
      engine: options.engine ?? 'interpreter',
      ...(options.wrapEngine && { wrapEngine: options.wrapEngine }),
      costs,
      newTranslation: () => new ModelledTlb(costs, options.settings?.tlb),
      cpuid: options.cpuid ?? WESTMERE,
      tscKhz: Math.round(clockGhz * 1e6),
    },
    attachLedger(processor) {
      const ledger = new Ledger(costs, processor.translation as ModelledTlb);
      ledger.start(processor.state.get('cycles'), processor.state.get('instructions'), processor.state.get32('cpl') === 3);
      processor.ledger = ledger;
      return ledger;
    },
  };
}
