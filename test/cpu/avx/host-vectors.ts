/** The host's processor for single vector instructions: builds guests/native-oracle/vectors.c and runs cases in batches. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../../architecture/source-graph.ts';

export const WINDOW = { start: 0x20e00, length: 0x400 } as const;
export const TAIL = { start: 0x23fc0, length: 64 } as const;
const CODE_BYTES = 64;
const REQUEST = { mode: 0, codeLength: 4, gpr: 8, rflags: 136, mxcsr: 144, ymm: 152, window: 664, code: 664 + WINDOW.length } as const;
const REQUEST_BYTES = REQUEST.code + CODE_BYTES;
const ANSWER = { gpr: 0, rip: 128, rflags: 136, vector: 144, error: 152, cr2: 160, mxcsr: 168, ymm: 176, window: 688 } as const;
const ANSWER_TAIL = ANSWER.window + WINDOW.length;
const ANSWER_BYTES = ANSWER_TAIL + TAIL.length;

export interface Case {
  readonly mode: 64 | 32;
  readonly code: Uint8Array;
  readonly gpr: BigUint64Array;
  readonly rflags: number;
  readonly mxcsr: number;
  /** Four words a register. */
  readonly ymm: BigUint64Array;
  readonly window: Uint8Array;
}

/** State after the instruction; the vector is 3 when it raised nothing. */
export interface Outcome {
  readonly gpr: BigUint64Array;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly vector: number;
  readonly error: number;
  readonly cr2: bigint;
  readonly mxcsr: number;
  readonly ymm: BigUint64Array;
  readonly window: Uint8Array;
  readonly tail: Uint8Array;
}

/** Why the host cannot be asked, or undefined. */
export function hostVectorsMissing(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return `the host is ${process.platform} on ${process.arch}`;
  if (!/\bavx2\b.*/.test(readFileSync('/proc/cpuinfo', 'utf8'))) return 'the host has no AVX2';
  return spawnSync('gcc', ['--version']).status === 0 ? undefined : 'there is no gcc';
}

export class HostVectors {
  private readonly folder = mkdtempSync(join(tmpdir(), 'paravane-vectors-'));
  private readonly program = join(this.folder, 'vectors');

  constructor() {
    execFileSync('gcc', ['-O2', '-o', this.program, join(repositoryRoot, 'guests/native-oracle/vectors.c')]);
  }

  close(): void {
    rmSync(this.folder, { recursive: true });
  }

  run(cases: readonly Case[]): Outcome[] {
    const input = Buffer.alloc(cases.length * REQUEST_BYTES);
    for (const [n, one] of cases.entries()) {
      const part = input.subarray(n * REQUEST_BYTES, (n + 1) * REQUEST_BYTES);
      part.writeUInt32LE(one.mode, REQUEST.mode);
      part.writeUInt32LE(one.code.length, REQUEST.codeLength);
      for (let r = 0; r < 16; r++) part.writeBigUInt64LE(one.gpr[r]!, REQUEST.gpr + r * 8);
      part.writeBigUInt64LE(BigInt(one.rflags), REQUEST.rflags);
      part.writeBigUInt64LE(BigInt(one.mxcsr), REQUEST.mxcsr);
      for (let w = 0; w < 64; w++) part.writeBigUInt64LE(one.ymm[w]!, REQUEST.ymm + w * 8);
      part.set(one.window, REQUEST.window);
      part.set(one.code, REQUEST.code);
    }
    const { stdout, status, signal } = spawnSync(this.program, { input, maxBuffer: cases.length * ANSWER_BYTES + 1 });
    if (status !== 0 || stdout.length !== cases.length * ANSWER_BYTES) {
      throw new Error(`the host's oracle ended with ${signal ?? status} after ${Math.floor(stdout.length / ANSWER_BYTES)} cases`);
    }
    return cases.map((_, n) => outcome(stdout.subarray(n * ANSWER_BYTES, (n + 1) * ANSWER_BYTES)));
  }
}

function outcome(part: Buffer): Outcome {
  const words = (at: number, count: number): BigUint64Array =>
    BigUint64Array.from({ length: count }, (_, n) => part.readBigUInt64LE(at + n * 8));
  return {
    gpr: words(ANSWER.gpr, 16),
    rip: part.readBigUInt64LE(ANSWER.rip),
    rflags: part.readBigUInt64LE(ANSWER.rflags),
    vector: Number(part.readBigUInt64LE(ANSWER.vector)),
    error: Number(part.readBigUInt64LE(ANSWER.error)),
    cr2: part.readBigUInt64LE(ANSWER.cr2),
    mxcsr: Number(part.readBigUInt64LE(ANSWER.mxcsr)),
    ymm: words(ANSWER.ymm, 64),
    window: new Uint8Array(part.subarray(ANSWER.window, ANSWER_TAIL)),
    tail: new Uint8Array(part.subarray(ANSWER_TAIL, ANSWER_BYTES)),
  };
}
