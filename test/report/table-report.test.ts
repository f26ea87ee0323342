import { beforeAll, describe, expect, it } from 'vitest';
import {
  number,
  renderExplanation,
  renderParameters,
  renderPredictions,
  renderTable,
  renderVerdicts,
  textOf,
} from '../../src/report/render-table.ts';
import { kindOf, type ReportCell, rowsOf, type TableReport, tableReport } from '../../src/report/table-report.ts';
import type { MeasuredCell } from '../../src/timing/decomposition.ts';
import type { FittedFile } from '../../src/timing/fitted-file.ts';
import { type Row, type Stack, stacks } from '../../src/timing/published.ts';
import { fitWorld, runCell, runTable } from './worlds.ts';

let fitted: FittedFile;
let cells: MeasuredCell[];
let report: TableReport;
beforeAll(async () => {
  fitted = await fitWorld();
  cells = runTable(fitted.values);
  report = tableReport({ cells, fitted });
});
const cellOf = (row: Row, stack: Stack): ReportCell => report.cells.find((cell) => cell.row === row && cell.stack === stack)!;

describe('the report of a table', () => {
  it('puts each of the 18 cells in its class', () => {
    const kinds = Object.fromEntries(
      stacks.map((stack) => [stack, (['null call', 'fork proc'] as const).map((row) => cellOf(row, stack).kind)]),
    );
    expect(kinds).toEqual({
      baseline: ['fitted', 'fitted'],
      pv: ['fitted', 'fitted'],
      kvm: ['checked', 'fitted'],
      'pv/kvm': ['predicted', 'predicted'],
      hvm: ['checked', 'fitted'],
      'pv/hvm': ['predicted', 'predicted'],
    });
    expect(stacks.map((stack) => cellOf('double div', stack).kind)).toEqual(Array(6).fill('sourced'));
  });

  it('calls no nested cell fitted, whatever a fit claims to have used', () => {
    expect(kindOf('fork proc', 'pv/kvm', ['fork proc on pv/kvm'])).toBe('predicted');
  });

  it('meets the fitted cells within 2 %', () => {
    for (const [row, stack] of [
      ['null call', 'baseline'],
      ['null call', 'pv'],
      ['fork proc', 'baseline'],
      ['fork proc', 'pv'],
    ] as const) {
      expect(Math.abs(cellOf(row, stack).ratio! - 1)).toBeLessThan(0.02);
    }
  });

  it('measures in the unit of the row, and keeps parts that sum to the cell', () => {
    expect(cellOf('double div', 'pv').measured).toBeCloseTo(22.3 / 2.93, 3);
    for (const cell of report.cells) expect(cell.parts.reduce((sum, part) => sum + part.twelfths, 0)).toBe(cell.twelfths);
  });

  it('sets the increment over PV beside the published one', () => {
    const { overPv, measured } = cellOf('fork proc', 'pv/kvm');
    expect(overPv!.published).toBe(87);
    expect(overPv!.measured).toBeCloseTo(measured - cellOf('fork proc', 'pv').measured, 9);
    expect(overPv!.ratio).toBeCloseTo(overPv!.measured / 87, 9);
    expect(cellOf('null call', 'pv/hvm').overPv!.ratio).toBeUndefined();
    expect(cellOf('fork proc', 'kvm').overPv).toBeUndefined();
  });

  it("divides a published cell by its own column's clock for a second ratio: 1 for a double div of 22 cycles", () => {
    expect(cellOf('double div', 'kvm').ratioAtColumnClock).toBeCloseTo(22.3 / 22, 3);
    const { ratio, ratioAtColumnClock } = cellOf('fork proc', 'baseline');
    expect(ratioAtColumnClock! / ratio!).toBeCloseTo((2.93 * 7.19) / 22, 9);
  });

  it('has no published value for cells that nobody published', () => {
    const [held] = tableReport({ cells: [runCell('page fault', 'kvm', fitted.values)], fitted }).cells;
    expect([held!.published, held!.ratio, held!.kind]).toEqual([undefined, undefined, 'checked']);
  });

  it('refuses a cell that is given twice', () => {
    expect(() => tableReport({ cells: [cells[0]!, cells[0]!], fitted })).toThrow('a cell was given twice');
  });

  it('is plain data', () => {
    expect(JSON.parse(JSON.stringify(report))).toBeTruthy();
    expect(structuredClone(report)).toEqual(report);
  });
});

describe('the sensitivity of a predicted cell', () => {
  const sensitivity = () => cellOf('fork proc', 'pv/kvm').sensitivity!;

  it('lists inputs by effect, largest first, and holds the value inside its intervals', () => {
    const { entries, oneAtATime, combined } = sensitivity();
    const swings = entries.map(({ atLow, atHigh }) => Math.abs(atHigh - atLow));
    expect(swings).toEqual([...swings].sort((a, b) => b - a));
    const { measured } = cellOf('fork proc', 'pv/kvm');
    expect(oneAtATime[0]).toBeLessThanOrEqual(measured);
    expect(oneAtATime[1]).toBeGreaterThanOrEqual(measured);
    expect(combined[0]).toBeLessThanOrEqual(oneAtATime[0] + 1e-9);
    expect(combined[1]).toBeGreaterThanOrEqual(oneAtATime[1] - 1e-9);
  });

  it('solves the fit again: an exit of the nested stack counts in full, a cost of the single-layer cells hardly', () => {
    const effect = (input: string) => {
      const entry = sensitivity().entries.find((each) => each.input === input);
      return entry === undefined ? 0 : entry.atHigh - entry.atLow;
    };
    // One interrupt exit per fork, 1,500 to 64,000 cycles.
    expect(effect('vm_handle_interrupt')).toBeCloseTo(62_500 / 2930, 6);
    // IRET moves by 90 cycles in 51 faults, but Baseline is held at its published value by k_fork.
    expect(Math.abs(effect('iret'))).toBeLessThan((90 * 51) / 2930);
  });

  it('finds what the run itself finds under other costs', async () => {
    const { linearCell } = await import('../../src/timing/decomposition.ts');
    const { predictCycles } = await import('../../src/timing/solve.ts');
    const { guestSlopes } = await import('./worlds.ts');
    const cell = cells.find(({ row, stack }) => row === 'fork proc' && stack === 'pv/kvm')!;
    const other = { k_sys: 500, k_fork: 70_000, k_entry: 0.5, k_mmu: 0.9, k_ept: 1.7 };
    const again = runCell('fork proc', 'pv/kvm', other);
    const predicted = predictCycles(linearCell(cell, fitted.values, guestSlopes, { rows: {}, instructions: 1 }), other);
    expect(predicted / (again.twelfths / again.operations / 12)).toBeCloseTo(1, 4);
  });

  it('is left out when a cell of the fit was not run, or was not asked for', () => {
    const without = cells.filter(({ stack }) => stack !== 'pv');
    expect(tableReport({ cells: without, fitted }).cells.every((cell) => cell.sensitivity === undefined)).toBe(true);
    expect(tableReport({ cells, fitted, brief: true }).cells.every((cell) => cell.sensitivity === undefined)).toBe(true);
  });
});

describe('the printed report', () => {
  it('shows measured, published and ratio in columns of the stacks', () => {
    const lines = renderTable(report).map(textOf);
    expect(lines[0]!.trim().split(/\s+/)).toEqual([...stacks]);
    const published = lines.filter((line) => line.startsWith('  published')).map((line) => line.trim().split(/\s+/).slice(1));
    expect(published).toEqual([
      ['7.19', '7.55', '7.41', '7.35', '7.61', '7.57'],
      ['0.19', '0.37', '0.20', '0.38', '0.21', '0.37'],
      ['65.0', '250', '87.0', '337', '79.0', '280'],
    ]);
    expect(lines.filter((line) => line.startsWith('  kind'))).toHaveLength(3);
  });

  it('shows null models beside every predicted cell', () => {
    const text = renderPredictions(report).map(textOf).join('\n');
    expect(text).toContain('nested = PV = 250 (-26 %); PV + (full - native) = 272 (-19 %); PV x full / native = 335 (-1 %)');
    expect(text).toContain('published +87.0 us');
  });

  it('explains a cell by layers, with parts that sum to it', () => {
    const cell = cellOf('fork proc', 'pv/kvm');
    const lines = renderExplanation(cell).map(textOf);
    expect(lines.some((line) => line.includes('91.0') && line.endsWith('xen.update_va_mapping'))).toBe(true);
    expect(lines.find((line) => line.endsWith('sum of the parts'))).toContain(number(cell.twelfths / cell.operations / 12));
  });

  it('names each layer once, users first, in whatever order the parts come', () => {
    const cell = cellOf('fork proc', 'pv/kvm');
    const lines = renderExplanation({ ...cell, parts: [...cell.parts].reverse() }).map(textOf);
    expect(lines.flatMap((line) => /^ {2}(user|kernel|hypervisor \d):/.exec(line)?.[1] ?? [])).toEqual(['kernel', 'hypervisor 0']);
  });

  it('prints parameters with their ranges, and warnings', () => {
    const odd: FittedFile = { ...fitted, values: { ...fitted.values, k_mmu: 1.8 }, warnings: ['k_mmu is high'] };
    const lines = renderParameters(tableReport({ cells: [], fitted: odd }));
    expect(lines.map(textOf).find((line) => line.startsWith('k_mmu = 1.80'))).toContain('expected 0.40 to 1.00');
    expect(lines.at(-1)).toEqual([{ text: 'warning: k_mmu is high', tone: 'bad' }]);
  });

  it('counts the checks that hold, and names those that do not', () => {
    const lines = renderVerdicts(report).map(textOf);
    expect(lines.at(-1)).toMatch(/^\d+ of 23 checks hold$/);
    expect(renderVerdicts(report, true)).toHaveLength(24);
  });

  it('lists table rows before held-out ones', () => {
    const more = tableReport({ cells: [runCell('page fault', 'pv', fitted.values), ...cells], fitted, brief: true });
    expect(rowsOf(more)).toEqual(['double div', 'null call', 'fork proc', 'page fault']);
  });
});
