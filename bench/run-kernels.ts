/**
 * Runs the kernels of guests/bench on one engine in a process of its own, and measures each in CPU seconds of that whole
 * process, compilers and all, since the machine may be shared. Every engine prints `K name p=PASS cs=CHECKSUM ...` when a
 * kernel ends; paravane and the native program add `cpu=` (nanoseconds) themselves, for QEMU the scheduler's account of
 * its threads is read.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const IMAGE = fileURLToPath(new URL('../guests/bench/bench64.mb.elf', import.meta.url));
const SOURCES = fileURLToPath(new URL('../guests/bench', import.meta.url));
const GUEST_MIB = 128;
const QEMU_PASSES = 10;

export interface KernelRun {
  readonly checksum: string;
  readonly cpuSeconds: number;
  /** Guest instructions, where the engine counts them. */
  readonly instructions: number | undefined;
}

export interface PassResult {
  readonly kernels: ReadonlyMap<string, KernelRun>;
  /** Resident memory less the guest's, for paravane. */
  readonly residentBytes?: number;
}

/** Runs kernels once, or says why it cannot. */
export type KernelEngine = { readonly missing: string } | { run(kernels: readonly string[]): Promise<PassResult> };

/** paravane, in a process that measures itself (paravane-guest.ts). */
export function paravane(engine: string): KernelEngine {
  const program = fileURLToPath(new URL('./paravane-guest.ts', import.meta.url));
  return {
    run: (kernels) =>
      runSelfMeasured(process.execPath, [program, engine, String(GUEST_MIB), `passes=1 only=${kernels.join(',')}`], kernels),
  };
}

/** The same C as a Linux process; it runs all its kernels, wanted or not. */
export function native(): KernelEngine {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  const program = join(directory, 'native64');
  spawnSync('sh', ['-c', `cp ${SOURCES}/*.c ${SOURCES}/bench.h ${SOURCES}/Makefile ${directory} && make -C ${directory} native64`]);
  if (!existsSync(program)) return { missing: 'gcc and make are needed to build native64' };
  return { run: (kernels) => runSelfMeasured(program, ['1'], kernels) };
}

/**
 * QEMU: a process a kernel, which is several passes long; afterwards the guest halts and QEMU is idle, so its account can
 * be read at leisure. What a process without a kernel takes is subtracted.
 */
export function qemuTcg(): KernelEngine {
  if (spawnSync('qemu-system-x86_64', ['--version']).status !== 0) return { missing: 'qemu-system-x86_64 is not installed' };
  const once = async (kernel: string): Promise<{ seconds: number; checksum: string }> => {
    const machine = ['-accel', 'tcg', '-cpu', 'max', '-m', String(GUEST_MIB), '-display', 'none', '-monitor', 'none', '-serial', 'stdio'];
    const guest = ['-kernel', IMAGE, '-append', `passes=${QEMU_PASSES} only=${kernel}`];
    const child = spawn('qemu-system-x86_64', [...machine, ...guest], { stdio: ['ignore', 'pipe', 'ignore'] });
    let checksum = '';
    let seconds = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      checksum = /^K .* cs=([0-9a-f]+)/.exec(line)?.[1] ?? checksum;
      if (line.trim() !== 'DONE') continue;
      seconds = processCpuSeconds(child.pid as number);
      child.kill();
    }
    return { seconds, checksum };
  };
  let start = Number.POSITIVE_INFINITY;
  return {
    async run(kernels) {
      start = Math.min(start, (await once('none')).seconds);
      const runs = new Map<string, KernelRun>();
      for (const kernel of kernels) {
        const { seconds, checksum } = await once(kernel);
        runs.set(kernel, { checksum, cpuSeconds: (seconds - start) / QEMU_PASSES, instructions: undefined });
      }
      return { kernels: runs };
    },
  };
}

async function runSelfMeasured(command: string, args: readonly string[], kernels: readonly string[]): Promise<PassResult> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const runs = new Map<string, KernelRun>();
  let resident: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const [kind, name, ...rest] = line.trim().split(' ');
    if (kind === 'M') resident = name;
    if (kind !== 'K' || !kernels.includes(name)) continue;
    const value = (key: string): string | undefined => rest.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
    const instructions = value('instructions');
    runs.set(name, {
      checksum: value('cs') ?? '',
      cpuSeconds: Number(value('cpu')) / 1e9,
      instructions: instructions === undefined ? undefined : Number(instructions),
    });
  }
  return resident === undefined ? { kernels: runs } : { kernels: runs, residentBytes: Number(resident) };
}

/** All threads of a running process, in nanoseconds' resolution (Linux: first number of schedstat). */
function processCpuSeconds(pid: number): number {
  let nanoseconds = 0;
  const tasks = `/proc/${pid}/task`;
  for (const task of readdirSync(tasks)) nanoseconds += Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]);
  return nanoseconds / 1e9;
}
