/**
 * The commands that go over all objects: scrub, repair, drain, migrate. Where a walk has come to is kept in a register of
 * the array, so that the same command goes on after an interruption, on any machine; --restart begins anew.
 */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { RacsArray } from '../../../racs/array.ts';
import { isStoreError } from '../../../racs/object-store.ts';
import type { WalkOptions, WalkReport } from '../../../racs/repair.ts';
import { printText } from '../../print.ts';
import { formatBytes, showProgress } from '../../progress.ts';
import { configOption, failed, notice } from './with-array.ts';

/** A place is kept at most so often; losing a few seconds of a walk is cheap. */
const savePlaceMs = 2000;

export function walkOptions(y: Argv): Argv {
  return configOption(y)
    .option('prefix', { type: 'string', default: '', describe: 'only objects whose names begin so' })
    .option('restart', { type: 'boolean', default: false, describe: 'begin anew instead of where the last one stopped' })
    .option('json', { type: 'boolean', default: false, describe: 'print the report as JSON' });
}

/** @param what the operation and what it depends on: a place is only taken up by the very same. */
export async function runWalk(
  array: RacsArray,
  argv: ArgumentsCamelCase,
  what: string,
  walk: (options: WalkOptions) => Promise<WalkReport>,
): Promise<number> {
  const prefix = String(argv.prefix);
  const place = new Place(array, `${what} ${prefix}`);
  const after = argv.restart ? '' : await place.read();
  if (after !== '') notice(`going on after ${JSON.stringify(after)}; --restart begins anew`);
  const progress = showProgress(what, (objects) => `${Math.round(objects)} objects`);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  let saved = performance.now();
  let report: WalkReport;
  try {
    report = await walk({
      prefix,
      ...(after !== '' && { after }),
      signal: stop.signal,
      onProgress: (key, { objects }) => {
        progress.update(objects);
        if (performance.now() - saved < savePlaceMs) return;
        saved = performance.now();
        place.save(key);
      },
    });
    await place.finish();
  } catch (error) {
    await place.settle();
    if (!isStoreError(error, 'ABORTED')) throw error;
    progress.end();
    notice(`${what} was interrupted; the same command goes on`);
    return failed;
  } finally {
    progress.end();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, onSignal);
  }
  if (argv.json) printText(JSON.stringify(report, null, 2));
  else printReport(report);
  return report.unreadable.length > 0 ? failed : 0;
}

function printReport({ objects, shares, bad, written, skipped, unreadable, read }: WalkReport): void {
  const reads = Object.entries(read).map(([id, bytes]) => `${formatBytes(bytes)} from ${id}`);
  printText(`${objects} objects, ${shares} shares: ${bad} bad, ${written} written; ${skipped} objects changed meanwhile`);
  if (reads.length > 0) printText(`read: ${reads.join(', ')}`);
  for (const key of unreadable) printText(`lost: ${JSON.stringify(key)} has too few good shares`);
}

class Place {
  readonly #register: ReturnType<RacsArray['registers']>;
  readonly #name: string;
  #writing: Promise<void> = Promise.resolve();

  constructor(array: RacsArray, name: string) {
    this.#register = array.registers('operations');
    this.#name = name;
  }

  async read(): Promise<string> {
    const { value } = await this.#register.read(this.#name);
    return value === null ? '' : new TextDecoder().decode(value);
  }

  /** In the background; a failure only costs a longer repetition. */
  save(key: string): void {
    this.#writing = this.#writing.then(() => this.#write(key)).catch(() => {});
  }

  async finish(): Promise<void> {
    this.save('');
    await this.#writing;
  }

  settle(): Promise<void> {
    return this.#writing;
  }

  async #write(key: string): Promise<void> {
    for (;;) {
      const { version } = await this.#register.read(this.#name);
      const set = await this.#register.set(this.#name, version, new TextEncoder().encode(key));
      if (set.done) return;
    }
  }
}
