/**
 * `npm run -s bench -- [WORD...]`: runs every bench/*.bench.ts, or those whose name contains a word, one after the other.
 * A bench file's default export takes an empty tinybench Bench and adds its cases; names follow lmbench where it has one.
 * Prints unit, repetitions, median and spread of host time. Simulated time is the table's business, not this one's.
 *
 * `npm run -s bench -- NAME [--json]`: when there is a bench/comparisons/NAME.ts, runs that alone. It compares paravane with
 * other emulators and takes minutes, so it never runs unasked. Its default export takes `json` and returns the text.
 */

import { existsSync, readdirSync } from 'node:fs';
import { Bench } from 'tinybench';

const words = process.argv.slice(2).filter((word) => word !== '--json');
const json = process.argv.includes('--json');
const comparison = new URL(`./comparisons/${words[0] ?? ''}.ts`, import.meta.url);

if (words.length === 1 && existsSync(comparison)) {
  const { default: compare } = (await import(comparison.href)) as { default: (json: boolean) => Promise<string> };
  process.stdout.write(await compare(json));
} else {
  await runBenches();
}

async function runBenches(): Promise<void> {
  const files = readdirSync(new URL('.', import.meta.url))
    .filter((file) => file.endsWith('.bench.ts'))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
  if (files.length === 0) {
    process.stderr.write(`bench: no bench file is called like ${words.join(' or ')}\n`);
    process.exitCode = 2;
  }
  for (const file of files) {
    const { default: addCases } = (await import(`./${file}`)) as { default: (bench: Bench) => void };
    const bench = new Bench({ name: file.replace('.bench.ts', ''), time: 500 });
    addCases(bench);
    await bench.run();
    for (const task of bench.tasks) {
      const { result } = task;
      if (!('latency' in result)) {
        process.stdout.write(`${bench.name}  ${task.name}: ${result.state}\n`);
        process.exitCode = 1;
        continue;
      }
      const { p50, mad, samplesCount } = result.latency;
      process.stdout.write(
        `${bench.name}  ${task.name}: ${p50.toFixed(4)} ms host, spread ${mad.toFixed(4)} ms, ${samplesCount} repetitions\n`,
      );
    }
  }
}
