/** Made-up measurements for the tests of reports: cells built from counts of cost rows, as a run would give them. */

import { CostTable } from '../../src/timing/cost-model.ts';
import { cyclesPerOperation, factorSlopes, type GuestSlopes, type MeasuredCell } from '../../src/timing/decomposition.ts';
import { runFit } from '../../src/timing/fit.ts';
import { findPlan } from '../../src/timing/fit-plan.ts';
import type { FittedFile } from '../../src/timing/fitted-file.ts';
import type { Part } from '../../src/timing/ledger.ts';
import { type ParameterValues, priorValues } from '../../src/timing/parameters.ts';
import { type Row, type Stack, stacks } from '../../src/timing/published.ts';

const cyclesPerStandIn = 0.9;
export const guestSlopes: GuestSlopes = {
  'null call': { k_sys: cyclesPerStandIn, k_fork: 0 },
  'fork proc': { k_sys: 3 * cyclesPerStandIn, k_fork: cyclesPerStandIn },
};

/** Counts per operation: hardware and hypervisor events that the stacks have in common with real ones. */
function countsOf(row: Row, stack: Stack): Record<string, number> {
  const pv = stack.startsWith('pv');
  const bottom = stack.endsWith('kvm') ? 'kvm' : stack.endsWith('hvm') ? 'hvm' : 'none';
  if (row === 'double div') return {};
  if (row === 'null call')
    return { iret: 1, syscall: 1, ...(pv ? { 'xen.syscall_bounce': 1, 'xen.iret': 1, mov_cr3: 2, 'walk.guest.near': 8 } : {}) };
  const secondStage = bottom === 'none' ? 0 : (bottom === 'kvm' ? 900 : 600) * (pv ? 3 : 1);
  return {
    exception_delivery: 51,
    iret: 51,
    mov_cr3: pv ? 30 : 3,
    'walk.guest.far': pv ? 1500 : 350,
    ...(secondStage > 0 ? { 'walk.second_stage.far': secondStage } : {}),
    ...(pv
      ? {
          'xen.update_va_mapping': 91,
          'xen.validate_l1': 7,
          'xen.validate_l2': 4,
          'xen.free_l1': 11,
          'xen.user_fault_bounce': 48,
          'xen.iret': 53,
        }
      : {}),
    ...(pv && bottom !== 'none' ? { vm_exit: 1, vm_handle_interrupt: 1 } : {}),
  };
}

/** A run of one cell at parameter values; 1,000 operations. */
export function runCell(row: Row, stack: Stack, values: ParameterValues): MeasuredCell {
  const operations = 1000;
  const costs = new CostTable(values);
  const counts = countsOf(row, stack);
  const parts: Part[] = Object.entries(counts).map(([name, count]) => ({
    layer: name.startsWith('xen') ? 'hypervisor 0' : 'kernel',
    kind: name.startsWith('walk') ? 'walk' : name.startsWith('xen') ? 'hypervisor' : name.startsWith('vm') ? 'exit' : 'hardware',
    name,
    count: count * operations,
    twelfths: count * operations * costs.cost(name),
  }));
  const slopes = guestSlopes[row];
  const base = row === 'double div' ? 22.3 : row === 'null call' ? 60 : 30_000;
  const instructionCycles = base + (slopes?.k_sys ?? 0) * values.k_sys + (slopes?.k_fork ?? 0) * values.k_fork;
  parts.unshift({
    layer: 'kernel',
    kind: 'instructions',
    name: 'instructions',
    count: Math.round(instructionCycles * operations),
    twelfths: Math.round(instructionCycles * operations * 12),
  });
  return { row, stack, operations, twelfths: parts.reduce((sum, part) => sum + part.twelfths, 0), parts };
}

export function fitWorld(): Promise<FittedFile> {
  return runFit({
    plan: findPlan('lecture'),
    columns: ['baseline', 'pv', 'kvm', 'hvm'],
    start: priorValues,
    measure: ({ row, stack }, values) => {
      const cell = runCell(row, stack, values);
      return { cycles: cyclesPerOperation(cell), slopes: factorSlopes(cell) };
    },
  });
}

export function runTable(values: ParameterValues): MeasuredCell[] {
  return (['double div', 'null call', 'fork proc'] as const).flatMap((row) => stacks.map((stack) => runCell(row, stack, values)));
}
