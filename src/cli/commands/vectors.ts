/**
 * `paravane vectors DIR`: runs the golden vectors of a folder (`<family>.jsonl.gz`, test/vectors/README.md) on the
 * engines and prints what differs. The last line is `N passed, M failed`; the status is 1 when any failed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../base/errors.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { parseVectors, type Vector } from '../../stacks/vectors/vector.ts';
import { VectorMachine } from '../../stacks/vectors/vector-machine.ts';

const ENGINES: readonly EngineName[] = ['reference', 'interpreter', 'jit'];
const SUFFIX = '.jsonl.gz';

interface Options {
  readonly dir: string;
  readonly engine: EngineName | 'all';
  readonly family?: string;
  readonly mode?: number;
  readonly limit?: number;
  readonly show: number;
}

export function builder(y: Argv): Argv {
  return y
    .positional('dir', { type: 'string', demandOption: true, describe: 'folder with <family>.jsonl.gz files' })
    .option('engine', { choices: [...ENGINES, 'all'] as const, default: 'all', describe: 'engine to run on' })
    .option('family', { type: 'string', describe: 'families, separated by commas; all without this' })
    .option('mode', { choices: [64, 32] as const, describe: 'only vectors of this mode' })
    .option('limit', { type: 'number', describe: 'vectors of each family and mode, spread over it' })
    .option('show', { type: 'number', default: 20, describe: 'failures of each family to print' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const options = argv as unknown as Options;
  const engines = options.engine === 'all' ? ENGINES : [options.engine];
  const { limit } = options;
  if (limit !== undefined && !(Number.isInteger(limit) && limit > 0)) throw new ConfigError('--limit needs a positive number');
  const families = chosenFamilies(options);
  let passed = 0;
  let failed = 0;
  const machines = new Map<string, VectorMachine>();
  const machineFor = (engine: EngineName, mode: 64 | 32): VectorMachine => {
    const key = `${engine} ${mode}`;
    let machine = machines.get(key);
    if (machine === undefined) {
      machine = new VectorMachine(mode, engine);
      machines.set(key, machine);
    }
    return machine;
  };
  for (const family of families) {
    const vectors = selected(readVectors(join(options.dir, family + SUFFIX)), options);
    for (const engine of engines) {
      let good = 0;
      let shown = 0;
      for (const vector of vectors) {
        const machine = machineFor(engine, vector.mode);
        const differences = machine.run(vector);
        if (differences.length === 0) good++;
        else if (shown++ < options.show) printFailure(engine, machine, vector, differences);
      }
      process.stdout.write(`${family} on ${engine}: ${good} of ${vectors.length}\n`);
      passed += good;
      failed += vectors.length - good;
    }
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function chosenFamilies({ dir, family }: Options): string[] {
  const present = listFolder(dir)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .sort();
  if (present.length === 0) throw new ConfigError(`${dir} has no *${SUFFIX} files`);
  if (family === undefined) return present;
  const wanted = family.split(',');
  for (const name of wanted) if (!present.includes(name)) throw new ConfigError(`${dir} has no family ${name}`);
  return wanted;
}

function listFolder(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    throw new ConfigError(`cannot read the folder ${dir}`);
  }
}

function readVectors(path: string): Vector[] {
  try {
    return parseVectors(gunzipSync(readFileSync(path)).toString());
  } catch (error) {
    throw new ConfigError(`${path} is not a file of vectors: ${(error as Error).message}`);
  }
}

/** Vectors of the wanted mode; under a limit as many of each mode, at equal distances. */
function selected(vectors: Vector[], { mode, limit }: Options): Vector[] {
  return ([64, 32] as const).flatMap((each) => {
    if (mode !== undefined && mode !== each) return [];
    const all = vectors.filter((vector) => vector.mode === each);
    if (limit === undefined || all.length <= limit) return all;
    return Array.from({ length: limit }, (_, n) => all[Math.floor((n * all.length) / limit)]);
  });
}

function printFailure(engine: EngineName, machine: VectorMachine, vector: Vector, differences: string[]): void {
  process.stdout.write(`${vector.id} (${vector.name}) on ${engine}: ${machine.disassembly(vector).slice(0, 400)}\n`);
  for (const difference of differences) process.stdout.write(`  ${difference}\n`);
}
