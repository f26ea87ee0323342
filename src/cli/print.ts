/** Lines of a report on stdout, in colour where a terminal reads them. */
import chalk from 'chalk';
import type { Line, Tone } from '../report/render-table.ts';

const STYLES: Readonly<Record<Tone, (text: string) => string>> = {
  plain: (text) => text,
  strong: chalk.bold,
  dim: chalk.dim,
  good: chalk.green,
  bad: chalk.red,
};

export function printLine(line: Line): void {
  process.stdout.write(
    `${line
      .map(({ text, tone }) => STYLES[tone](text))
      .join('')
      .trimEnd()}\n`,
  );
}

export function printText(text: string): void {
  process.stdout.write(`${text}\n`);
}
