import { describe, expect, it } from 'vitest';
import { acceptance, boundOf, type CellValue } from '../../src/report/acceptance.ts';
import { ablations, findAblation } from '../../src/report/ablations.ts';
import { CostTable } from '../../src/timing/cost-model.ts';
import { priorValues } from '../../src/timing/parameters.ts';
import { lecture2012, publishedValue, type Stack, type TableRow } from '../../src/timing/published.ts';

const published: CellValue = (row, stack) => publishedValue(lecture2012, row, stack);
const fitted = [
  'null call on baseline',
  'fork proc on baseline',
  'null call on pv',
  'fork proc on pv',
  'fork proc on kvm',
  'fork proc on hvm',
];
const changed =
  (row: TableRow, stack: Stack, value: number | undefined): CellValue =>
  (r, s) =>
    r === row && s === stack ? value : published(r, s);
const failing = (value: CellValue) =>
  acceptance(value, fitted)
    .filter(({ holds }) => holds === false)
    .map(({ check }) => check);

describe('acceptance', () => {
  it('holds for the published table itself, in all 23 checks', () => {
    const verdicts = acceptance(published, fitted);
    expect(verdicts.map(({ holds }) => holds)).toEqual(Array(23).fill(true));
  });

  it.each<[string, TableRow, Stack, number, string[]]>([
    ['a fitted cell is off by 3 %', 'null call', 'baseline', 0.19 * 1.03, ['null call on baseline']],
    ['double div is off by 8 %', 'double div', 'hvm', 7.61 * 1.08, ['double div on hvm']],
    ['a checked null call is off by 11 %', 'null call', 'kvm', 0.2 * 1.11, ['null call on kvm']],
    ['a nested null call leaves PV by .035 us', 'null call', 'pv/kvm', 0.405, ['null call on pv/kvm against PV']],
    ['nesting costs nothing', 'fork proc', 'pv/hvm', 250.5, ['fork proc: pv/hvm over PV']],
    ['nested fork is 16 % too dear', 'fork proc', 'pv/kvm', 337 * 1.16, ['fork proc on pv/kvm']],
    ['KVM comes out below HVM', 'fork proc', 'kvm', 78, ['order of fork proc']],
  ])('finds that %s', (_, row, stack, value, checks) => {
    expect(failing(changed(row, stack, value))).toEqual(checks);
  });

  it('has no verdict on cells that were not run', () => {
    const verdicts = acceptance(changed('fork proc', 'pv', undefined), fitted);
    expect(verdicts.filter(({ holds }) => holds === undefined).map(({ check }) => check)).toEqual([
      'fork proc on pv',
      'fork proc: pv/kvm over PV',
      'fork proc: pv/hvm over PV',
      'order of fork proc',
    ]);
  });

  it('holds fitted cells tighter, but for the two that share a parameter', () => {
    expect([boundOf('fork proc', 'pv', true), boundOf('fork proc', 'kvm', true), boundOf('fork proc', 'pv/kvm', false)]).toEqual([
      0.02, 0.15, 0.15,
    ]);
  });
});

describe('ablations', () => {
  it('have a name each, columns, and settings that change something', () => {
    expect(new Set(ablations.map(({ name }) => name)).size).toBe(ablations.length);
    for (const { stacks, settings } of ablations) expect([stacks.length > 0, Object.keys(settings).length]).toEqual([true, 1]);
  });

  it('name cost rows that there are', () => {
    for (const { settings } of ablations) expect(() => new CostTable(priorValues, settings.costs)).not.toThrow();
  });

  it('are found by name only', () => {
    expect(findAblation('pge-toggle').settings).toEqual({ nestedFlush: 'cr4-pge' });
    expect(() => findAblation('no-gravity')).toThrow('no ablation is named no-gravity; there are pge-toggle, ');
  });
});
