/** Runs single vector instructions on an engine, and says where the state after it differs from another's. */
import type { CpuidModel } from '../../../src/cpu/cpuid/model.ts';
import { OFFSET } from '../../../src/cpu/state.ts';
import type { EngineName } from '../../../src/machine/bare-machine.ts';
import { UserMachine } from '../../../src/stacks/vectors/user-machine.ts';
import { Cr4 } from '../../../src/x86/control-registers.ts';
import { type Case, type Outcome, TAIL, WINDOW } from './host-vectors.ts';

const CODE = 0x10000;
const STATUS_FLAGS = 0x8d5n;

export class VectorRunner {
  private readonly machine: UserMachine;

  constructor(mode: 64 | 32, engine: EngineName, cpuid: CpuidModel, xcr0 = 7n) {
    this.machine = new UserMachine(mode, engine, { cpuid, setCr4: Cr4.OSXSAVE, xcr0 });
  }

  run(one: Case): Outcome {
    const { memory, processor } = this.machine;
    const { state } = processor;
    const code = new Uint8Array(64).fill(0xcc);
    code.set(one.code);
    memory.writeBytes(CODE, code);
    memory.writeBytes(0x20000, new Uint8Array(0x4000));
    memory.writeBytes(WINDOW.start, one.window);
    this.machine.enterUserMode();
    state.u64.set(one.gpr, OFFSET.gpr >> 3);
    for (let n = 0; n < 64; n++) state.set((n & 2) === 0 ? 'xmm' : 'ymmHigh', one.ymm[n]!, (n >> 2) * 2 + (n & 1));
    state.set('rip', BigInt(CODE));
    state.set('rflags', BigInt(one.rflags));
    state.set('mxcsr', BigInt(one.mxcsr));
    const stop = this.machine.run();
    if (typeof stop === 'string') throw new Error(stop);
    return {
      gpr: state.u64.slice(OFFSET.gpr >> 3, (OFFSET.gpr >> 3) + 16),
      rip: stop.rip,
      rflags: state.get('rflags'),
      vector: stop.vector,
      error: stop.errorCode,
      cr2: stop.address ?? 0n,
      mxcsr: Number(state.get('mxcsr')),
      ymm: BigUint64Array.from({ length: 64 }, (_, n) => state.get((n & 2) === 0 ? 'xmm' : 'ymmHigh', (n >> 2) * 2 + (n & 1))),
      window: memory.readBytes(WINDOW.start, WINDOW.length).slice(),
      tail: memory.readBytes(TAIL.start, TAIL.length).slice(),
    };
  }
}

/** Relative error of RCPPS and RSQRTPS (SDM 2B), of which processors of different makers and ages differ. */
const ESTIMATE_ERROR = 1.5 * 2 ** -12;

function singlesAgree(a: bigint, b: bigint): boolean {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigUint64(0, a);
  view.setBigUint64(8, b);
  return [0, 4].every((at) => {
    const [x, y] = [view.getFloat32(at), view.getFloat32(at + 8)];
    return view.getUint32(at) === view.getUint32(at + 8) || Math.abs(x - y) <= 2 * ESTIMATE_ERROR * Math.abs(y);
  });
}

/** What is compared loosely for an instruction. */
export interface Looseness {
  /** Single-precision numbers are close to one another. */
  readonly estimate?: boolean;
  /** Processors differ in which of several bytes that fault they name: the page is the same. */
  readonly faultPage?: boolean;
}

export function loosenessOf(mnemonic: string): Looseness {
  return { estimate: /^VR(CP|SQRT)/.test(mnemonic), faultPage: /MASKMOVDQU/.test(mnemonic) };
}

/** Differences, a line each; `ours` first. */
export function differences(ours: Outcome, theirs: Outcome, { estimate, faultPage }: Looseness = {}): string[] {
  const lines: string[] = [];
  const hex = (value: bigint | number): string => value.toString(16);
  const compare = (name: string, a: bigint | number, b: bigint | number): void => {
    if (a !== b) lines.push(`${name} ${hex(a)} | ${hex(b)}`);
  };
  compare('vector', ours.vector, theirs.vector);
  compare('error', ours.error, theirs.error);
  const named = (address: bigint): bigint => (faultPage ? address >> 12n : address);
  compare('cr2', named(ours.cr2), named(theirs.cr2));
  compare('rip', ours.rip, theirs.rip);
  compare('flags', ours.rflags & STATUS_FLAGS, theirs.rflags & STATUS_FLAGS);
  compare('mxcsr', ours.mxcsr, theirs.mxcsr);
  for (let n = 0; n < 16; n++) compare(`gpr${n}`, ours.gpr[n]!, theirs.gpr[n]!);
  for (let n = 0; n < 64; n++)
    if (!estimate || !singlesAgree(ours.ymm[n]!, theirs.ymm[n]!)) compare(`ymm${n >> 2}[${n & 3}]`, ours.ymm[n]!, theirs.ymm[n]!);
  for (let n = 0; n < WINDOW.length; n++) compare(`[${hex(WINDOW.start + n)}]`, ours.window[n]!, theirs.window[n]!);
  for (let n = 0; n < TAIL.length; n++) compare(`[${hex(TAIL.start + n)}]`, ours.tail[n]!, theirs.tail[n]!);
  return lines;
}
