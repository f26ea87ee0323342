/** A progress bar on stderr where a terminal reads it; nothing elsewhere, so that logs stay clean. */

import chalk from 'chalk';

export interface Progress {
  /** So much is done; `total` may become known, or grow, on the way. */
  update(done: number, total?: number): void;
  /** Takes the bar away. */
  end(): void;
}

const barWidth = 30;
const redrawMs = 100;

/** @param format how an amount is written, bytes by default. */
export function showProgress(label: string, format: (amount: number) => string = formatBytes): Progress {
  const { stderr } = process;
  if (!stderr.isTTY) return { update: () => {}, end: () => {} };
  const started = performance.now();
  let [drawn, known] = [0, 0];
  return {
    update: (done, total = known) => {
      known = total;
      const now = performance.now();
      if (now - drawn < redrawMs && done !== total) return;
      drawn = now;
      const rate = done / Math.max(0.001, (now - started) / 1000);
      const share = total > 0 ? Math.min(1, done / total) : 0;
      const filled = Math.round(share * barWidth);
      const bar =
        total > 0
          ? `${chalk.green('━'.repeat(filled))}${chalk.dim('━'.repeat(barWidth - filled))} ${`${Math.floor(share * 100)}%`.padStart(4)} `
          : '';
      const left = total > 0 && rate > 0 ? `, ${formatSeconds((total - done) / rate)} left` : '';
      stderr.write(`\r\x1b[K${label} ${bar}${format(done)}${total > 0 ? ` of ${format(total)}` : ''}, ${format(rate)}/s${left}`);
    },
    end: () => {
      stderr.write('\r\x1b[K');
    },
  };
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [amount, unit] = [bytes, 0];
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[unit]}`;
}

function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return whole >= 3600
    ? `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`
    : whole >= 60
      ? `${Math.floor(whole / 60)}m${whole % 60}s`
      : `${whole}s`;
}
