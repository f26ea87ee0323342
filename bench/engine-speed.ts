/**
 * The speed of paravane's engines on integer kernels in 64-bit code, beside QEMU TCG's and the processor's own: best of 3 by
 * CPU time, the engines in turn on the same machine. MIPS are guest instructions as paravane counts them, for all engines.
 * Then what a second start costs (compile cache warm) up to the first guest instruction, and resident memory after the
 * kernels less the guest's own.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EngineName } from '../src/machine/bare-machine.ts';
import { IMAGE, type KernelRun, type KernelEngine, native, paravane, qemuTcg } from './run-kernels.ts';

const KERNELS = ['alu', 'alu64', 'sieve', 'fib', 'crc', 'idiv', 'interp', 'sort', 'rand4m'];
const ROUNDS = 3;

interface Result {
  readonly name: string;
  readonly bits: 64;
  readonly engine: string;
  readonly cpuSeconds: number;
  readonly instructions: number;
  readonly mips: number;
  readonly checksum: string;
}

/** Runs everything; as text, or JSON. Ratios are to the first of the subjects. */
export async function engineSpeed(subjects: readonly EngineName[], json: boolean): Promise<string> {
  const [subject] = subjects;
  const own = Object.fromEntries(subjects.map((name) => [name, paravane(name)]));
  const engines: Record<string, KernelEngine> = { ...own, 'QEMU TCG': qemuTcg(), native: native() };
  const best = new Map<string, KernelRun>();
  const missing: Record<string, string> = {};
  let residentBytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, engine] of Object.entries(engines)) {
      if ('missing' in engine) {
        missing[name] = engine.missing;
        continue;
      }
      const pass = await engine.run(KERNELS);
      residentBytes = Math.max(residentBytes, pass.residentBytes ?? 0);
      for (const [kernel, run] of pass.kernels) {
        const known = best.get(`${name} ${kernel}`);
        if (known === undefined || run.cpuSeconds < known.cpuSeconds) best.set(`${name} ${kernel}`, run);
      }
    }
  }

  const present = Object.keys(engines).filter((engine) => missing[engine] === undefined);
  const kernels = present.flatMap((engine) => KERNELS.map((name) => result(best, subject, engine, name)));
  const geomeans = Object.fromEntries(
    present.map((engine) => [engine, geometricMean(kernels.filter((kernel) => kernel.engine === engine).map(({ mips }) => mips))]),
  );
  const startSeconds = secondStart();
  const residentMiB = residentBytes / 2 ** 20;
  const wrong = wrongChecksums(kernels);
  if (wrong.length > 0) process.exitCode = 1;
  if (json) return `${JSON.stringify({ kernels, geomeans, missing, wrongChecksums: wrong, startSeconds, residentMiB }, null, 2)}\n`;

  const mips = (engine: string, name: string): string =>
    kernels.find((k) => k.engine === engine && k.name === name)?.mips.toFixed(1) ?? '-';
  const row = (cells: readonly string[]): string => cells.map((cell, n) => (n === 0 ? cell.padEnd(16) : cell.padStart(12))).join('');
  const ratio = (engine: string): string => ((geomeans[engine] as number) / (geomeans[subject] as number)).toFixed(2);
  return [
    `guest MIPS, 64-bit code, best of ${ROUNDS} by CPU time`,
    row(['kernel', ...present]),
    ...KERNELS.map((name) => row([name, ...present.map((engine) => mips(engine, name))])),
    row(['geometric mean', ...present.map((engine) => (geomeans[engine] as number).toFixed(1))]),
    row([`to ${subject}`, ...present.map(ratio)]),
    ...Object.entries(missing).map(([engine, why]) => `${engine}: missing, ${why}`),
    wrong.length === 0 ? 'checksums: all right' : `checksums: WRONG for ${wrong.join(', ')}`,
    `second start to the first guest instruction: ${startSeconds.toFixed(3)} s of CPU`,
    `resident memory less guest memory: ${residentMiB.toFixed(1)} MiB`,
    '',
  ].join('\n');
}

function result(best: ReadonlyMap<string, KernelRun>, subject: string, engine: string, name: string): Result {
  const run = best.get(`${engine} ${name}`);
  const instructions = best.get(`${subject} ${name}`)?.instructions;
  if (run === undefined || instructions === undefined) throw new Error(`${engine} printed no result for ${name}`);
  const { cpuSeconds, checksum } = run;
  return { name, bits: 64, engine, cpuSeconds, instructions, mips: instructions / cpuSeconds / 1e6, checksum };
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** `engine kernel` of each checksum that is not the one in guests/bench/checksums.txt. */
function wrongChecksums(kernels: readonly Result[]): string[] {
  const text = readFileSync(new URL('../guests/bench/checksums.txt', import.meta.url), 'utf8');
  const right = new Map(text.split('\n').map((line) => line.split(' ') as [string, string]));
  return kernels.filter(({ name, checksum }) => right.get(name) !== checksum).map(({ name, engine }) => `${engine} ${name}`);
}

/** CPU seconds of the command up to its first guest instruction: the least of some starts behind one that warms the cache. */
function secondStart(): number {
  const launcher = fileURLToPath(new URL('../src/cli/launcher.js', import.meta.url));
  const usage = new URL('./report-usage.ts', import.meta.url).href;
  let least = Number.POSITIVE_INFINITY;
  for (let start = 0; start <= ROUNDS; start++) {
    const { stderr } = spawnSync(process.execPath, ['--import', usage, launcher, 'run', IMAGE, '--max-instructions', '1'], {
      encoding: 'utf8',
    });
    const seconds = Number(/^cpu=([\d.]+)$/m.exec(stderr)?.[1]);
    if (start > 0 && seconds < least) least = seconds;
  }
  return least;
}
