import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Measure, runFit } from '../../src/timing/fit.ts';
import { cellKey, type FitPlan, findPlan, fitPlans, parseFitColumns, restrictPlan, targetValue } from '../../src/timing/fit-plan.ts';
import { fitted } from '../../src/timing/fitted.ts';
import { renderFittedFile } from '../../src/timing/fitted-file.ts';
import { parameterNames, type ParameterValues, priorValues } from '../../src/timing/parameters.ts';
import { cyclesOf, eurosys2012, lecture2012, publishedValue, stacks } from '../../src/timing/published.ts';
import { type LinearCell, predictCycles, solveParameters } from '../../src/timing/solve.ts';

const singleColumns = ['baseline', 'pv', 'kvm', 'hvm'];
const none = { k_sys: 0, k_fork: 0, k_entry: 0, k_mmu: 0, k_ept: 0 };

/** A world in which every cell is linear, and which the plan's targets describe exactly. */
function worldOf(plan: FitPlan, truth: ParameterValues, slopesOf: (cell: string) => ParameterValues): Map<string, LinearCell> {
  const cells = new Map<string, LinearCell>();
  for (const { targets } of plan.solves) {
    for (const target of targets) {
      cells.set(cellKey(target), { cycles: cyclesOf(target.row, targetValue(target)), at: truth, slopes: slopesOf(cellKey(target)) });
    }
  }
  return cells;
}

/** Slopes as in the table: the system call is in every cell, Xen only under PV, second stages only in full domains. */
function triangular(scale: (index: number) => number): (cell: string) => ParameterValues {
  return (cell) => ({
    k_sys: cell.startsWith('null call') ? scale(0) : 3 * scale(0),
    k_fork: cell.startsWith('fork proc') ? scale(1) : 0,
    k_entry: cell.endsWith(' pv') ? 500 * scale(2) : 0,
    k_mmu: cell === 'fork proc on pv' ? 400_000 * scale(3) : cell === 'null call on pv' ? 0.5 : 0,
    k_ept: cell.endsWith('kvm') ? 60_000 * scale(4) : cell.endsWith('hvm') ? 40_000 * scale(4) : 0,
  });
}

describe('solving for the parameters', () => {
  const plan = findPlan('lecture');
  const truthOf = fc.record({
    k_sys: fc.double({ min: 10, max: 900, noNaN: true }),
    k_fork: fc.double({ min: 1000, max: 200_000, noNaN: true }),
    k_entry: fc.double({ min: 0.05, max: 2, noNaN: true }),
    k_mmu: fc.double({ min: 0.1, max: 3, noNaN: true }),
    k_ept: fc.double({ min: 0.5, max: 2, noNaN: true }),
  });

  it('finds the parameters of any world in which all targets can be met', () => {
    fc.assert(
      fc.property(truthOf, fc.array(fc.double({ min: 0.2, max: 5, noNaN: true }), { minLength: 5, maxLength: 5 }), (truth, scales) => {
        const cells = worldOf(
          plan,
          truth,
          triangular((i) => scales[i]!),
        );
        const found = solveParameters(plan, cells, priorValues);
        for (const name of parameterNames) expect(found[name] / truth[name]).toBeCloseTo(1, 6);
      }),
    );
  });

  it('takes least squares of the logarithms where two columns disagree: the product of the ratios is near 1', () => {
    const cells = worldOf(
      plan,
      { ...priorValues, k_ept: 1 },
      triangular(() => 1),
    );
    const kvm = cells.get('fork proc on kvm')!;
    cells.set('fork proc on kvm', { ...kvm, cycles: kvm.cycles * 1.1 });
    const found = solveParameters(plan, cells, priorValues);
    expect(found.k_ept).toBeLessThan(1);
    const error = (k: number) =>
      ['kvm', 'hvm'].reduce((sum, stack) => {
        const cell = cells.get(`fork proc on ${stack}`)!;
        const target = cyclesOf('fork proc', stack === 'kvm' ? 87 : 79);
        return sum + Math.log(predictCycles(cell, { ...found, k_ept: k }) / target) ** 2;
      }, 0);
    for (const other of [0.9, 0.99, 1.01, 1.1]) expect(error(found.k_ept)).toBeLessThan(error(found.k_ept * other));
  });

  it('stays within the physical bounds', () => {
    const cells = worldOf(
      plan,
      { ...priorValues, k_entry: 2 },
      triangular(() => 1),
    );
    const pv = cells.get('null call on pv')!;
    cells.set('null call on pv', { ...pv, cycles: pv.cycles * 100 });
    expect(solveParameters(plan, cells, priorValues).k_entry).toBe(0.01);
  });

  it('refuses a parameter that its cells do not depend on', () => {
    const cells = worldOf(
      plan,
      priorValues,
      triangular((i) => (i === 3 ? 0 : 1)),
    );
    expect(() => solveParameters(plan, cells, priorValues)).toThrow('fit: k_mmu has no effect on fork proc on pv');
  });
});

describe('the columns of a fit', () => {
  it.each(['pv/kvm', 'pv/hvm'])('may not be %s', (stack) => {
    expect(() => parseFitColumns(['baseline', stack])).toThrow(`the fit may not look at ${stack}: nested columns are predicted`);
  });

  it('must be columns', () => {
    expect(() => parseFitColumns(['vmware'])).toThrow('no column is named vmware');
  });

  it('are single-layer ones in every plan, so that no plan can see a nested cell', () => {
    for (const plan of fitPlans) expect(() => restrictPlan(plan, singleColumns)).not.toThrow();
    const seen = fitPlans.flatMap(({ solves }) => solves.flatMap(({ targets }) => targets.map(({ stack }) => stack)));
    expect([...new Set(seen)].sort()).toEqual(['baseline', 'hvm', 'kvm', 'pv']);
  });

  it('take six of the twelve single-layer cells, none of them double div', () => {
    const targets = findPlan('lecture').solves.flatMap((solve) => solve.targets.map(cellKey));
    expect(targets.sort()).toEqual([
      'fork proc on baseline',
      'fork proc on hvm',
      'fork proc on kvm',
      'fork proc on pv',
      'null call on baseline',
      'null call on pv',
    ]);
  });
});

describe('the fit', () => {
  const truth: ParameterValues = { k_sys: 320, k_fork: 54_300, k_entry: 0.42, k_mmu: 0.71, k_ept: 1.3 };
  const plan = findPlan('lecture');
  const world = worldOf(
    plan,
    truth,
    triangular(() => 1),
  );
  const exact: Measure = (cell, values) => ({ cycles: predictCycles(world.get(cellKey(cell))!, values), slopes: {} });

  it('finds the parameters by secants when the runs give no slopes, and meets the cells', async () => {
    const found = await runFit({ plan, columns: singleColumns, start: priorValues, measure: exact });
    for (const name of parameterNames) expect(found.values[name] / truth[name]).toBeCloseTo(1, 4);
    expect(found.residuals.map(({ ratio }) => Math.abs(ratio - 1) < 0.001)).toEqual(Array(6).fill(true));
    expect(found.warnings).toEqual([]);
  });

  it('measures again and corrects itself where the time has steps, as by timer ticks', async () => {
    const ticking: Measure = (cell, values) => {
      const cycles = predictCycles(world.get(cellKey(cell))!, values);
      return { cycles: cycles + 40 * Math.floor(cycles / 2930), slopes: {} };
    };
    const found = await runFit({ plan, columns: singleColumns, start: priorValues, measure: ticking });
    for (const residual of found.residuals.slice(0, 4)) expect(Math.abs(residual.ratio - 1)).toBeLessThan(0.02);
  });

  it('never measures a cell outside the columns that it may use', async () => {
    const seen = new Set<string>();
    const watched: Measure = (cell, values) => {
      seen.add(cell.stack);
      return exact(cell, values);
    };
    const found = await runFit({ plan, columns: ['baseline', 'pv'], start: priorValues, measure: watched });
    expect([...seen].sort()).toEqual(['baseline', 'pv']);
    expect(found.fittedNames).toEqual(['k_sys', 'k_fork', 'k_entry', 'k_mmu']);
    expect(found.warnings).toEqual(['k_ept is not fitted: no column that may be used tells it; 1 is its prior value']);
  });

  it('refuses nested columns before it measures anything', async () => {
    const never: Measure = () => {
      throw new Error('measured');
    };
    await expect(runFit({ plan, columns: ['baseline', 'pv/kvm'], start: priorValues, measure: never })).rejects.toThrow(
      'nested columns are predicted',
    );
  });

  it('goes on without a cell that a parameter does not move, and says so', async () => {
    const idle = worldOf(plan, truth, (cell) => ({ ...triangular(() => 1)(cell), ...(cell.endsWith('hvm') ? { k_ept: 0 } : {}) }));
    const measure: Measure = (cell, values) => ({ cycles: predictCycles(idle.get(cellKey(cell))!, values), slopes: {} });
    const found = await runFit({ plan, columns: singleColumns, start: priorValues, measure });
    expect(found.warnings).toEqual(['k_ept has no effect on fork proc on hvm: nothing of what it scales was counted there']);
    expect(found.values.k_ept / truth.k_ept).toBeCloseTo(1, 4);
    expect(found.residuals.map(cellKey)).not.toContain('fork proc on hvm');
  });

  it('warns of a value outside its expected range', async () => {
    const odd = worldOf(
      plan,
      { ...truth, k_mmu: 1.8 },
      triangular(() => 1),
    );
    const measure: Measure = (cell, values) => ({ cycles: predictCycles(odd.get(cellKey(cell))!, values), slopes: {} });
    const found = await runFit({ plan, columns: singleColumns, start: priorValues, measure });
    expect(found.warnings).toHaveLength(1);
    expect(found.warnings[0]).toContain('k_mmu = 1.8 is outside its expected range 0.4 to 1');
  });

  it('writes a file that reads back as what was found', async () => {
    const found = await runFit({ plan, columns: singleColumns, start: priorValues, measure: exact });
    const text = renderFittedFile({ ...found, warnings: ["it's odd"] });
    const body = text.slice(text.indexOf('= {') + 2, text.lastIndexOf(';'));
    const read = new Function(`return (${body})`)() as typeof found;
    expect(read.plan).toBe('lecture');
    expect(read.warnings).toEqual(["it's odd"]);
    for (const name of parameterNames) expect(read.values[name] / found.values[name]).toBeCloseTo(1, 5);
    expect(read.residuals.map(({ row, stack }) => `${row} ${stack}`)).toEqual(found.residuals.map(({ row, stack }) => `${row} ${stack}`));
  });
});

describe('published tables', () => {
  it('have a column for each stack in the lecture, and four in EuroSys', () => {
    expect(lecture2012.columns.map(({ stack }) => stack)).toEqual([...stacks]);
    expect(eurosys2012.columns.map(({ id }) => id)).toEqual([
      'eurosys2012.native',
      'eurosys2012.hvm',
      'eurosys2012.pv',
      'eurosys2012.blanket',
    ]);
    expect(Object.keys(eurosys2012.columns[0]!.values)).toHaveLength(24);
  });

  it('differ by up to 14 % where both have a cell, the published noise', () => {
    const ratio = (row: string, stack: (typeof stacks)[number]) =>
      publishedValue(lecture2012, row, stack)! / publishedValue(eurosys2012, row, stack)!;
    expect(['baseline', 'hvm', 'pv', 'pv/hvm'].map((stack) => ratio('fork proc', stack as 'pv').toFixed(2))).toEqual([
      '0.97',
      '0.92',
      '1.14',
      '1.09',
    ]);
    expect(ratio('null call', 'pv').toFixed(2)).toBe('1.03');
  });

  it('turn into cycles of the one clock: fork on Baseline is 190 k, null call 557', () => {
    expect(Math.round(cyclesOf('fork proc', 65) / 1000)).toBe(190);
    expect(Math.round(cyclesOf('null call', 0.19))).toBe(557);
    expect(cyclesOf('double div', 7.5)).toBeCloseTo(21.975, 6);
  });

  it('have no value where nothing was printed', () => {
    expect(publishedValue(eurosys2012, 'double div', 'pv')).toBeUndefined();
    expect(publishedValue(eurosys2012, 'fork proc', 'kvm')).toBeUndefined();
  });
});

describe('the committed values', () => {
  it('name a plan that there is, or none, and single-layer columns', () => {
    if (fitted.plan !== 'none') expect(fitPlans.map(({ name }) => name)).toContain(fitted.plan);
    expect(() => parseFitColumns(fitted.columns)).not.toThrow();
    expect(Object.keys(fitted.values).sort()).toEqual(Object.keys(none).sort());
  });

  it('are written as the fit writes them', () => {
    expect(renderFittedFile(fitted)).toContain(`k_entry: ${fitted.values.k_entry}`);
  });
});
