/**
 * The processor of the host as an oracle: builds guests/native-oracle/oracle.c with the host's gcc in a scratch folder and
 * talks to it over pipes, in batches. Only where the host is Linux on x86-64, on a processor of the maker of the programs'
 * model with all that they use.
 * The layout of requests and answers is explained in oracle.c.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../base/errors.ts';
import { FUZZ_MODEL } from '../stacks/fuzz/model.ts';
import { type FinalState, WORD } from '../stacks/fuzz/final-state.ts';
import { CODE_BYTES, DATA_WINDOW, type InitialState, STACK_WINDOW } from '../stacks/fuzz/program.ts';

const SOURCE = fileURLToPath(new URL('../../guests/native-oracle/oracle.c', import.meta.url));

const FX_BYTES = 512;
const REQUEST = { mode: 0, codeLength: 4, gpr: 8, rflags: 136, fx: 144 } as const;
const YMM_BYTES = 256;
const REQUEST_YMM = REQUEST.fx + FX_BYTES;
const REQUEST_DATA = REQUEST_YMM + YMM_BYTES;
const REQUEST_STACK = REQUEST_DATA + DATA_WINDOW.length;
const REQUEST_CODE = REQUEST_STACK + STACK_WINDOW.length;
const REQUEST_BYTES = REQUEST_CODE + CODE_BYTES;
const ANSWER = { gpr: 0, rip: 128, rflags: 136, vector: 144, error: 152, cr2: 160, fx: 168 } as const;
const ANSWER_YMM = ANSWER.fx + FX_BYTES;
const ANSWER_BYTES = ANSWER_YMM + YMM_BYTES;

export interface HostRequest {
  readonly mode: 64 | 32;
  readonly code: Uint8Array;
  readonly initial: InitialState;
}

/** Words of Linux's list of flags that say whether the host has what programs use, where it is not every 64-bit processor. */
const FLAGS = `pni ssse3 sse4_1 sse4_2 sse4a popcnt abm movbe bmi1 bmi2 adx aes pclmulqdq sha_ni avx avx2 fma f16c fsgsbase rdtscp
  clflushopt clwb cx16 misalignsse`;

/** Makers differ in what they leave open, and the programs' model is one of AMD's. */
function hostDiffers(): string | undefined {
  let text: string;
  try {
    text = readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return 'the host does not tell its processor';
  }
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? '';
  const vendor = field('vendor_id');
  if (vendor !== FUZZ_MODEL.vendor) return `the host's processor is of ${vendor}, the programs' of ${FUZZ_MODEL.vendor}`;
  const flags = new Set(field('flags').split(' '));
  const absent = FLAGS.split(/\s+/).filter((flag) => !flags.has(flag));
  return absent.length === 0 ? undefined : `the host's processor is without ${absent.join(', ')}`;
}

/** Why the host cannot be one, or undefined. */
export function hostProcessorMissing(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return `the host is ${process.platform} on ${process.arch}`;
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
  } catch {
    return 'there is no gcc';
  }
  return hostDiffers();
}

export class HostProcessor {
  private readonly folder: string;
  private readonly child: ChildProcessWithoutNullStreams;
  private received: Buffer[] = [];
  private receivedBytes = 0;
  private wake: (() => void) | undefined;
  private ended: string | undefined;

  constructor() {
    const missing = hostProcessorMissing();
    if (missing !== undefined) throw new ConfigError(`no host processor to compare with: ${missing}`);
    this.folder = mkdtempSync(join(tmpdir(), 'paravane-oracle-'));
    const path = join(this.folder, 'oracle');
    try {
      execFileSync('gcc', ['-O2', '-o', path, SOURCE], { stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (error) {
      rmSync(this.folder, { recursive: true });
      throw new ConfigError(`${SOURCE} cannot be built: ${(error as Error).message}`);
    }
    this.child = spawn(path, { stdio: 'pipe' });
    this.child.stdout.on('data', (chunk: Buffer) => {
      this.received.push(chunk);
      this.receivedBytes += chunk.length;
      this.wake?.();
    });
    let message = '';
    this.child.stderr.on('data', (chunk: Buffer) => {
      message += chunk.toString();
    });
    this.child.stdin.on('error', () => {});
    this.child.on('close', (code, signal) => {
      this.ended = `the host's oracle ended with ${signal ?? code} ${message}`.trim();
      this.wake?.();
    });
  }

  close(): void {
    this.child.stdin.end();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs the programs in order. */
  async run(requests: readonly HostRequest[]): Promise<FinalState[]> {
    const bytes = new Uint8Array(4 + requests.length * REQUEST_BYTES);
    new DataView(bytes.buffer).setUint32(0, requests.length, true);
    requests.forEach((request, n) => void writeRequest(bytes.subarray(4 + n * REQUEST_BYTES, 4 + (n + 1) * REQUEST_BYTES), request));
    this.child.stdin.write(bytes);
    const answers: FinalState[] = [];
    while (answers.length < requests.length) {
      const head = await this.take(4 + ANSWER_BYTES);
      const changes = await this.take(head.readUInt32LE(0) * 8);
      answers.push(readAnswer(head.subarray(4), changes));
    }
    return answers;
  }

  private async take(length: number): Promise<Buffer> {
    while (this.receivedBytes < length) {
      if (this.ended !== undefined) throw new Error(this.ended);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (length === 0) return Buffer.alloc(0);
    if ((this.received[0] as Buffer).length < length) this.received = [Buffer.concat(this.received)];
    const first = this.received[0] as Buffer;
    this.receivedBytes -= length;
    if (first.length === length) this.received.shift();
    else this.received[0] = first.subarray(length);
    return first.subarray(0, length);
  }
}

function writeRequest(into: Uint8Array, { mode, code, initial }: HostRequest): void {
  if (code.length > CODE_BYTES) throw new Error(`a program of ${code.length} bytes is too long`);
  const view = new DataView(into.buffer, into.byteOffset);
  view.setUint32(REQUEST.mode, mode, true);
  view.setUint32(REQUEST.codeLength, code.length, true);
  initial.gpr.forEach((value, n) => void view.setBigUint64(REQUEST.gpr + n * 8, value, true));
  view.setBigUint64(REQUEST.rflags, BigInt(initial.rflags), true);
  view.setUint16(REQUEST.fx, initial.fpuControl, true);
  view.setUint16(REQUEST.fx + 2, initial.fpuStatus, true);
  view.setUint8(REQUEST.fx + 4, initial.fpuTag);
  view.setUint32(REQUEST.fx + 24, initial.mxcsr, true);
  const top = (initial.fpuStatus >> 11) & 7;
  for (let n = 0; n < 8; n++) {
    const physical = (top + n) & 7;
    view.setBigUint64(REQUEST.fx + 32 + n * 16, initial.st[physical * 2] as bigint, true);
    view.setBigUint64(REQUEST.fx + 40 + n * 16, initial.st[physical * 2 + 1] as bigint, true);
  }
  initial.xmm.forEach((value, n) => void view.setBigUint64(REQUEST.fx + 160 + n * 8, value, true));
  initial.ymmHigh.forEach((value, n) => void view.setBigUint64(REQUEST_YMM + n * 8, value, true));
  into.set(initial.data, REQUEST_DATA);
  into.set(initial.stack, REQUEST_STACK);
  into.fill(0xcc, REQUEST_CODE);
  into.set(code, REQUEST_CODE);
}

function readAnswer(bytes: Buffer, changes: Buffer): FinalState {
  const words = new BigUint64Array(WORD.COUNT);
  const word = (at: number): bigint => bytes.readBigUInt64LE(at);
  for (let n = 0; n < 16; n++) words[WORD.GPR + n] = word(ANSWER.gpr + n * 8);
  words[WORD.RIP] = word(ANSWER.rip);
  words[WORD.RFLAGS] = word(ANSWER.rflags);
  words[WORD.VECTOR] = word(ANSWER.vector);
  words[WORD.ERROR] = word(ANSWER.error);
  words[WORD.CR2] = word(ANSWER.cr2);
  words[WORD.MXCSR] = BigInt(bytes.readUInt32LE(ANSWER.fx + 24));
  words[WORD.FPU_CONTROL] = BigInt(bytes.readUInt16LE(ANSWER.fx));
  const status = bytes.readUInt16LE(ANSWER.fx + 2);
  words[WORD.FPU_STATUS] = BigInt(status);
  words[WORD.FPU_TAG] = BigInt(bytes.readUInt8(ANSWER.fx + 4));
  for (let n = 0; n < 8; n++) {
    const physical = ((status >> 11) + n) & 7;
    words[WORD.ST + physical * 2] = word(ANSWER.fx + 32 + n * 16);
    words[WORD.ST + physical * 2 + 1] = BigInt(bytes.readUInt16LE(ANSWER.fx + 40 + n * 16));
  }
  for (let n = 0; n < 32; n++) words[WORD.XMM + n] = word(ANSWER.fx + 160 + n * 8);
  for (let n = 0; n < 32; n++) words[WORD.YMM + n] = word(ANSWER_YMM + n * 8);
  const memory: number[] = [];
  for (let at = 0; at < changes.length; at += 4) memory.push(changes.readUInt32LE(at));
  return { words, memory };
}
