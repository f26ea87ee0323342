/**
 * `paravane run IMAGE`: one guest in one stack. The guest's console goes to stdout, everything else to stderr.
 * Exit status: 0 powered off, or the expression was seen; 1 crashed, or powered off without the expression; 2 bad usage
 * or input; 3 the instruction limit; 4 deadlock.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../base/errors.ts';
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { CPUID_MODELS } from '../../cpu/cpuid/models.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import type { ReadOnlyMedium } from '../../devices/virtio/overlay-image.ts';
import { buildStack } from '../../stacks/build-stack.ts';
import { describeHypercall } from '../../stacks/guest-report.ts';
import { STACK_NAMES, type Stack, type StackEnd, type StackName, type StackObserver } from '../../stacks/stack.ts';
import { openDisk } from '../disk-file.ts';

const TRACES = ['hypercalls', 'events', 'exits', 'unknown'] as const;
type Trace = (typeof TRACES)[number];

/** Instructions between two looks at signals from outside. */
const SLICE = 2_000_000n;

const EXIT = { ok: 0, crashed: 1, limit: 3, deadlock: 4 } as const;

export function builder(y: Argv): Argv {
  return y
    .positional('image', { type: 'string', describe: 'kernel image: multiboot, Linux or PVH, or ELF with Xen notes for PV' })
    .option('kernel', { type: 'string', describe: 'the same as IMAGE' })
    .option('ramdisk', { type: 'string', describe: 'initial ramdisk of a Linux or PVH kernel' })
    .option('disk', {
      type: 'string',
      array: true,
      nargs: 1,
      describe: '[NAME=]FILE: a virtio disk; what the guest writes lasts as long as the run (not PV)',
    })
    .option('net', { type: 'boolean', default: false, describe: 'a network card; 10.0.2.2 answers DHCP, ping, TCP 7 and 9 (not PV)' })
    .option('vcpus', { type: 'number', default: 1, describe: 'processors of the guest (not PV)' })
    .option('seed', { type: 'number', default: 0, describe: 'of all chance: entropy, placement of pages' })
    .option('epoch', { type: 'number', describe: 'Unix time in seconds at the start' })
    .option('on', { choices: STACK_NAMES, default: 'baseline', describe: 'what the guest runs on' })
    .option('memory', { type: 'number', default: 64, describe: 'memory of the guest in MiB' })
    .option('append', { type: 'string', default: '', describe: 'command line of the guest' })
    .option('cpu', { choices: [...CPUID_MODELS.keys()], default: 'westmere', describe: 'model of the processors' })
    .option('engine', { choices: ['reference', 'interpreter', 'jit'], default: 'interpreter', describe: 'execution engine' })
    .option('until', { type: 'string', describe: 'stop with status 0 when a console line matches this expression' })
    .option('max-instructions', { type: 'number', describe: 'stop with status 3 after so many instructions' })
    .option('trace', { type: 'string', describe: `comma-separated: ${TRACES.join(', ')}` })
    .option('json', { type: 'string', describe: 'write a summary of the run to this file' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  if ((argv.image === undefined) === (argv.kernel === undefined)) throw new ConfigError('one kernel is expected: IMAGE or --kernel FILE');
  const path = String(argv.image ?? argv.kernel);
  const vcpus = Number(argv.vcpus);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > 16) throw new ConfigError(`--vcpus ${argv.vcpus}: 1 to 16`);
  if (argv.epoch !== undefined && !Number.isSafeInteger(Number(argv.epoch))) throw new ConfigError(`--epoch ${argv.epoch}: whole seconds`);
  const memoryMiB = Number(argv.memory);
  if (!Number.isInteger(memoryMiB) || memoryMiB < 4 || memoryMiB > 2048)
    throw new ConfigError(`--memory ${argv.memory}: whole MiB from 4 to 2048`);
  const limit = argv.maxInstructions === undefined ? undefined : positive('--max-instructions', Number(argv.maxInstructions));
  const until = argv.until === undefined ? undefined : expression(String(argv.until));
  const traces = parseTraces(argv.trace === undefined ? '' : String(argv.trace));

  let line = '';
  let seen = false;
  const decoder = new TextDecoder('latin1');
  const output = new ConsoleOutput();
  const stack = buildStack({
    stack: argv.on as StackName,
    image: readImage(path),
    imageName: basename(path),
    commandLine: String(argv.append),
    memoryMiB,
    vcpus,
    ...(argv.ramdisk !== undefined && { ramdisk: readImage(String(argv.ramdisk)) }),
    network: argv.net === true,
    disks: parseDisks((argv.disk as string[] | undefined) ?? []),
    seed: BigInt(wholeNumber('--seed', Number(argv.seed))),
    ...(argv.epoch !== undefined && { epoch: BigInt(Number(argv.epoch)) }),
    cpuid: CPUID_MODELS.get(String(argv.cpu)) as CpuidModel,
    engine: argv.engine as EngineName,
    observer: tracer(traces),
    console: (bytes) => {
      output.write(bytes);
      if (until === undefined || seen) return;
      line += decoder.decode(bytes);
      if (until.test(line)) {
        seen = true;
        stack.stop();
      }
      line = line.slice(line.lastIndexOf('\n') + 1);
    },
  });
  const started = performance.now();
  const end = await runInSlices(stack, limit);
  output.flush();
  const status = statusOf(end, until !== undefined, seen);
  report(stack, end, seen);
  if (argv.json !== undefined) {
    const summary = {
      stack: stack.name,
      end: seen ? 'matched' : end.reason,
      status,
      instructions: stack.instructions,
      cycles: stack.guestProcessor.cycles,
      hostSeconds: (performance.now() - started) / 1000,
      stateHash: stack.stateHash(),
    };
    const text = JSON.stringify(summary, (_name, value) => (typeof value === 'bigint' ? Number(value) : value), 2);
    writeFileSync(String(argv.json), `${text}\n`);
  }
  return status;
}

function readImage(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}

/** `NAME=FILE`, or FILE with the names disk0, disk1, ... */
function parseDisks(texts: readonly string[]): { name: string; medium: ReadOnlyMedium }[] {
  return texts.map((text, n) => {
    const at = text.indexOf('=');
    return { name: at < 0 ? `disk${n}` : text.slice(0, at), medium: openDisk(text.slice(at + 1)) };
  });
}

function positive(name: string, value: number): bigint {
  if (!Number.isSafeInteger(value) || value <= 0) throw new ConfigError(`${name} ${value}: a positive whole number is expected`);
  return BigInt(value);
}

function wholeNumber(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new ConfigError(`${name} ${value}: a whole number is expected`);
  return value;
}

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new ConfigError(`--until ${text}: not a regular expression`);
  }
}

function parseTraces(text: string): Set<Trace> {
  const names = text.split(',').filter((name) => name !== '');
  for (const name of names) {
    if (!TRACES.includes(name as Trace)) throw new ConfigError(`--trace ${name}: one of ${TRACES.join(', ')} is expected`);
  }
  return new Set(names as Trace[]);
}

/** Runs until an end; between slices the event loop may see Ctrl-C. */
async function runInSlices(stack: Stack, limit: bigint | undefined): Promise<StackEnd> {
  let interrupted = false;
  const onInterrupt = (): void => {
    interrupted = true;
  };
  process.once('SIGINT', onInterrupt);
  try {
    for (;;) {
      const next = stack.instructions + SLICE;
      const end = stack.run(limit !== undefined && limit < next ? limit : next);
      if (end.reason !== 'limit') return end;
      if (limit !== undefined && stack.instructions >= limit) return end;
      await new Promise((resolve) => setImmediate(resolve));
      if (interrupted) return { reason: 'crash', report: `interrupted\n${stack.report()}` };
    }
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}

function statusOf(end: StackEnd, wanted: boolean, seen: boolean): number {
  if (seen) return EXIT.ok;
  switch (end.reason) {
    case 'power-off':
    case 'stopped':
      return wanted ? EXIT.crashed : EXIT.ok;
    case 'crash':
      return EXIT.crashed;
    case 'limit':
      return EXIT.limit;
    case 'deadlock':
      return EXIT.deadlock;
  }
}

function report(stack: Stack, end: StackEnd, seen: boolean): void {
  const what = seen ? 'the expression was seen' : end.reason === 'crash' ? 'crashed' : end.reason;
  process.stderr.write(
    `paravane: ${stack.name}: ${what} after ${stack.instructions} instructions, ${stack.guestProcessor.cycles} cycles\n`,
  );
  if (end.reason === 'crash') process.stderr.write(`${end.report}\n`);
  if (end.reason === 'limit' || end.reason === 'deadlock') process.stderr.write(`${stack.report()}\n`);
}

function tracer(traces: ReadonlySet<Trace>): StackObserver {
  const print = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  return {
    ...(traces.has('hypercalls') && {
      hypercall: (e) => print(describeHypercall(e)),
      operation: (e) => print(`layer ${e.layer} d${e.domain}v${e.vcpu} ${e.name}`),
    }),
    ...(traces.has('events') && {
      event: (e) => print(`layer ${e.layer} d${e.domain} event on port ${e.port}${e.detail === '' ? '' : ` (${e.detail})`}`),
    }),
    ...(traces.has('exits') && { exit: (e) => print(`layer ${e.layer} d${e.domain} exit: ${e.reason}`) }),
    ...(traces.has('unknown') && { unknown: (e) => print(`layer ${e.layer} unknown ${e.kind}: ${e.detail}`) }),
    log: (e) => print(`(layer ${e.layer}) ${e.line}`),
  };
}

/** Collects small writes, so that a console of single bytes does not become as many system calls. */
class ConsoleOutput {
  private pending: Uint8Array[] = [];
  private size = 0;

  write(bytes: Uint8Array): void {
    this.pending.push(bytes);
    this.size += bytes.length;
    if (this.size >= 4096 || bytes.includes(10)) this.flush();
  }

  flush(): void {
    if (this.size === 0) return;
    process.stdout.write(Buffer.concat(this.pending));
    this.pending = [];
    this.size = 0;
  }
}
