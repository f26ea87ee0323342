/**
 * A report as lines of text for people. Lines are made of segments with a tone, so that the command line may colour them
 * and a page may style them; nothing here knows how. Digits are no more than the published ones and one.
 */

import type { Part } from '../timing/ledger.ts';
import { stacks } from '../timing/published.ts';
import { type ReportCell, rowsOf, type TableReport } from './table-report.ts';

export type Tone = 'plain' | 'strong' | 'dim' | 'good' | 'bad';

export interface Segment {
  readonly text: string;
  readonly tone: Tone;
}

export type Line = readonly Segment[];

const plain = (text: string): Segment => ({ text, tone: 'plain' });
const dim = (text: string): Segment => ({ text, tone: 'dim' });
const strong = (text: string): Segment => ({ text, tone: 'strong' });

/** The line without its tones. */
export const textOf = (line: Line): string => line.map(({ text }) => text).join('');

const labelWidth = 18;
const columnWidth = 10;

/** Measured, published and ratio for each row and column, with the class of the cell. */
export function renderTable(report: TableReport): Line[] {
  const columns = stacks.filter((stack) => report.cells.some((cell) => cell.stack === stack));
  const lines: Line[] = [[plain(''.padEnd(labelWidth)), ...columns.map((stack) => strong(stack.padStart(columnWidth)))]];
  for (const row of rowsOf(report)) {
    const cells = columns.map((stack) => report.cells.find((cell) => cell.row === row && cell.stack === stack));
    const unit = cells.find((cell) => cell !== undefined)!.unit;
    lines.push([strong(`${row} (${unit})`)]);
    const line = (label: string, text: (cell: ReportCell) => string, tone: (cell: ReportCell) => Tone = () => 'plain'): Line => [
      plain(`  ${label}`.padEnd(labelWidth)),
      ...cells.map((cell): Segment => {
        const shown = cell === undefined ? '-' : text(cell);
        return { text: shown.padStart(columnWidth), tone: cell === undefined ? 'dim' : tone(cell) };
      }),
    ];
    lines.push(
      line(
        'measured',
        (cell) => number(cell.measured),
        () => 'strong',
      ),
    );
    lines.push(line('published', (cell) => optional(cell.published, number)));
    lines.push(
      line(
        'ratio',
        (cell) => optional(cell.ratio, ratio),
        (cell) => verdictTone(report, cell),
      ),
    );
    lines.push(
      line(
        'kind',
        (cell) => cell.kind,
        () => 'dim',
      ),
    );
    const clocked = cells.some((cell) => cell?.ratioAtColumnClock !== undefined && row !== 'double div');
    if (clocked)
      lines.push(
        line(
          'ratio at its clock',
          (cell) => optional(cell.ratioAtColumnClock, ratio),
          () => 'dim',
        ),
      );
  }
  return lines;
}

/** For each predicted cell: the increment over PV beside the published one, the null models, the interval. */
export function renderPredictions(report: TableReport): Line[] {
  const lines: Line[] = [];
  for (const cell of report.cells.filter(({ kind }) => kind === 'predicted')) {
    lines.push([strong(`${cell.row} on ${cell.stack}: `), plain(`${number(cell.measured)} ${cell.unit}`), dim(publishedText(cell))]);
    if (cell.overPv !== undefined) {
      const { measured, published, ratio: of } = cell.overPv;
      lines.push([
        plain(
          `  over PV: ${signed(measured)} ${cell.unit}, published ${signed(published)} ${cell.unit}${of === undefined ? '' : `: ${ratio(of)}`}`,
        ),
      ]);
    }
    if (cell.nullModels !== undefined) {
      const models = cell.nullModels.map(({ name, value, ratio: of }) => `${name} = ${number(value)} (${percent(of - 1)})`);
      lines.push([dim(`  without any emulator: ${models.join('; ')}`)]);
    }
    if (cell.sensitivity !== undefined) {
      const { oneAtATime, combined } = cell.sensitivity;
      lines.push([
        plain(`  one input at a time: ${number(oneAtATime[0])} to ${number(oneAtATime[1])} ${cell.unit}; `),
        plain(`all as independent: ${number(combined[0])} to ${number(combined[1])} ${cell.unit}`),
      ]);
    }
  }
  return lines;
}

/** Where the time of a cell went, per operation; the cycles sum to the cell. Then the tornado. */
export function renderExplanation(cell: ReportCell, tornadoLength = 10): Line[] {
  const cycles = cell.twelfths / cell.operations / 12;
  const lines: Line[] = [
    [
      strong(`${cell.row} on ${cell.stack}: `),
      plain(`${number(cell.measured)} ${cell.unit} = ${number(cycles)} cycles`),
      dim(` (${cell.kind})`),
    ],
    [dim(`  ${'count'.padStart(12)} ${'cycles'.padStart(12)}      %  part`)],
  ];
  let layer = '';
  for (const part of [...cell.parts].sort((a, b) => layerRank(a) - layerRank(b))) {
    if (part.layer !== layer) {
      layer = part.layer;
      const total = sum(cell.parts.filter((other) => other.layer === layer)) / cell.operations / 12;
      lines.push([strong(`  ${layer}: ${number(total)} cycles`)]);
    }
    const own = part.twelfths / cell.operations / 12;
    const share = cell.twelfths === 0 ? 0 : (100 * part.twelfths) / cell.twelfths;
    lines.push([
      plain(`  ${number(part.count / cell.operations).padStart(12)} ${number(own).padStart(12)} ${share.toFixed(1).padStart(6)}  `),
      plain(part.name),
    ]);
  }
  lines.push([plain(`  ${''.padStart(12)} ${number(sum(cell.parts) / cell.operations / 12).padStart(12)}  100.0  sum of the parts`)]);
  if (cell.sensitivity !== undefined && cell.sensitivity.entries.length > 0) {
    lines.push([dim(`  ${'at low'.padStart(12)} ${'at high'.padStart(12)}         input and its range, the fit solved again each time`)]);
    for (const entry of cell.sensitivity.entries.slice(0, tornadoLength)) {
      lines.push([
        plain(`  ${number(entry.atLow).padStart(12)} ${number(entry.atHigh).padStart(12)}         ${entry.input} `),
        dim(`${number(entry.range[0])} to ${number(entry.range[1])}, ${entry.class}: ${entry.source}`),
      ]);
    }
  }
  return lines;
}

export function renderParameters(report: TableReport): Line[] {
  const lines = report.parameters.map((parameter): Line => {
    const value = `${parameter.name} = ${number(parameter.value)} ${parameter.unit}`;
    const state = parameter.fitted ? 'fitted' : 'not fitted, prior';
    return [
      { text: value.padEnd(40), tone: parameter.inRange ? 'plain' : 'bad' },
      plain(`${state}; expected ${number(parameter.range[0])} to ${number(parameter.range[1])}`),
      dim(`  ${parameter.meaning}`),
    ];
  });
  return [...lines, ...report.warnings.map((warning): Line => [{ text: `warning: ${warning}`, tone: 'bad' }])];
}

/** One line per check; `all`: also those that hold. */
export function renderVerdicts(report: TableReport, all = false): Line[] {
  const run = report.verdicts.filter(({ holds }) => holds !== undefined);
  const failed = run.filter(({ holds }) => holds === false);
  const lines = (all ? run : failed).map(
    ({ check, bound, holds, detail }): Line => [
      { text: holds ? 'holds  ' : 'misses ', tone: holds ? 'good' : 'bad' },
      plain(`${check}: ${detail}`),
      dim(` (${bound})`),
    ],
  );
  lines.push([{ text: `${run.length - failed.length} of ${run.length} checks hold`, tone: failed.length === 0 ? 'good' : 'bad' }]);
  return lines;
}

function verdictTone(report: TableReport, cell: ReportCell): Tone {
  const verdict = report.verdicts.find(({ check }) => check === `${cell.row} on ${cell.stack}`);
  if (verdict?.holds === undefined) return 'plain';
  return verdict.holds ? 'good' : 'bad';
}

/** Users, kernel, hypervisors from the bottom up; within a layer parts stay as they come. */
const layerRank = ({ layer }: Part): number => (layer === 'user' ? 0 : layer === 'kernel' ? 1 : 2 + Number(layer.split(' ')[1]));
const sum = (parts: readonly Part[]): number => parts.reduce((total, part) => total + part.twelfths, 0);
const optional = (value: number | undefined, show: (value: number) => string): string => (value === undefined ? '-' : show(value));
const ratio = (value: number): string => value.toFixed(2);
const percent = (value: number): string => `${value < 0 ? '-' : '+'}${Math.abs(100 * value).toFixed(0)} %`;
const signed = (value: number): string => `${value < 0 ? '-' : '+'}${number(Math.abs(value))}`;
const publishedText = (cell: ReportCell): string =>
  cell.published === undefined ? '' : `, published ${number(cell.published)} ${cell.unit}`;

/** Two or three digits: no decimals beyond the noise. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 0.1 || value === 0 ? value.toFixed(2) : value.toFixed(3);
}
