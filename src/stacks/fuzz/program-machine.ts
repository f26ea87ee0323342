/** Runs generated programs on one engine: puts the initial state in, and reads the final state and the memory that changed. */
import { Cr4 } from '../../x86/control-registers.ts';
import { Decoder } from '../../x86/decode.ts';
import type { DecodeResult } from '../../x86/decode.ts';
import type { CodeMode } from '../../x86/instruction.ts';
import { OPCODE_ROWS } from '../../x86/opcode-table.ts';
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { OFFSET } from '../../cpu/state.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { INT3, type MappedRegion, USER_REGIONS, UserMachine } from '../vectors/user-machine.ts';
import { type FinalState, WORD } from './final-state.ts';
import { CODE_START, DATA_WINDOW, type InitialState, STACK_WINDOW } from './program.ts';

/** Counts the rows of what is decoded: with the reference engine, of what is executed. */
export class CountingDecoder extends Decoder {
  readonly counts = new Uint32Array(OPCODE_ROWS.length);

  override decode(bytes: Uint8Array, offset: number, available: number, mode: CodeMode): DecodeResult {
    const result = super.decode(bytes, offset, available, mode);
    if (typeof result !== 'string') (this.counts[result.row.id] as number)++;
    return result;
  }
}

/** What XCR0 enables: the components that the program's state has, x87, SSE and, where there is one, AVX. */
const X87_AND_SSE = 3n;
const AVX = 4n;

interface Region {
  readonly start: number;
  readonly executable: boolean;
  readonly actual: Uint32Array;
  readonly initial: Uint32Array;
  readonly initialBytes: Uint8Array;
  readonly background: number;
}

export class ProgramMachine {
  readonly mode: 64 | 32;
  private readonly machine: UserMachine;
  private readonly regions: readonly Region[];
  private readonly code: Region;
  private codeLength = 0;

  constructor(mode: 64 | 32, engine: EngineName, cpuid: CpuidModel, decoder?: Decoder) {
    this.mode = mode;
    const xsave = cpuid.features.has('XSAVE')
      ? { setCr4: Cr4.OSXSAVE, xcr0: cpuid.features.has('AVX') ? X87_AND_SSE | AVX : X87_AND_SSE }
      : {};
    this.machine = new UserMachine(mode, engine, { cpuid, ...xsave, ...(decoder && { decoder }) });
    this.regions = USER_REGIONS.map((region) => this.mapped(region));
    this.code = this.regions.find(({ executable }) => executable) as Region;
    for (const { start, initialBytes } of this.regions) this.machine.memory.writeBytes(start, initialBytes);
  }

  run(code: Uint8Array, initial: InitialState): FinalState | string {
    this.prepare(code, initial);
    const stop = this.machine.run();
    if (typeof stop === 'string') return stop;
    const { state } = this.machine.processor;
    const words = new BigUint64Array(WORD.COUNT);
    const copy = (field: 'gpr' | 'xmm' | 'st' | 'ymmHigh', at: number, count: number): void =>
      words.set(state.u64.subarray(OFFSET[field] >> 3, (OFFSET[field] >> 3) + count), at);
    copy('gpr', WORD.GPR, 16);
    copy('xmm', WORD.XMM, 32);
    copy('st', WORD.ST, 16);
    copy('ymmHigh', WORD.YMM, 32);
    // DEVIATION: INT1 is a trap (SDM 2A INT n), but silicon under a hypervisor was seen to leave RIP at it.
    words[WORD.RIP] = stop.kind === 'icebp' ? stop.rip - BigInt(stop.length) : stop.rip;
    words[WORD.RFLAGS] = state.get('rflags');
    words[WORD.VECTOR] = BigInt(stop.vector);
    words[WORD.ERROR] = BigInt(stop.errorCode);
    words[WORD.CR2] = stop.address ?? 0n;
    words[WORD.MXCSR] = state.get('mxcsr');
    words[WORD.FPU_CONTROL] = state.get('fpuControl');
    words[WORD.FPU_STATUS] = state.get('fpuStatus');
    words[WORD.FPU_TAG] = state.get('fpuTag');
    return { words, memory: this.changes() };
  }

  private mapped({ start, length, background, executable }: MappedRegion): Region {
    const { memory } = this.machine;
    const initialBytes = new Uint8Array(length).fill(background);
    const view = memory.frameView(start / 4096);
    return {
      start,
      executable,
      background,
      actual: new Uint32Array(view.buffer, view.byteOffset, length / 4),
      initial: new Uint32Array(initialBytes.buffer),
      initialBytes,
    };
  }

  private prepare(code: Uint8Array, initial: InitialState): void {
    const { memory, processor } = this.machine;
    const { state } = processor;
    const bytes = new Uint8Array(Math.max(code.length, this.codeLength)).fill(INT3);
    bytes.set(code);
    this.codeLength = code.length;
    this.put(CODE_START, bytes);
    this.put(DATA_WINDOW.start, initial.data);
    this.put(STACK_WINDOW.start, initial.stack);
    memory.writeBytes(CODE_START, bytes);
    this.machine.enterUserMode();
    state.u64.set(initial.gpr, OFFSET.gpr >> 3);
    state.u64.set(initial.xmm, OFFSET.xmm >> 3);
    state.u64.set(initial.ymmHigh, OFFSET.ymmHigh >> 3);
    state.u64.set(initial.st, OFFSET.st >> 3);
    state.set('rip', BigInt(CODE_START));
    state.set('rflags', BigInt(initial.rflags));
    state.set32('mxcsr', initial.mxcsr);
    state.set32('fpuControl', initial.fpuControl);
    state.set32('fpuStatus', initial.fpuStatus);
    state.set32('fpuTag', initial.fpuTag);
  }

  /** What memory holds before the run. */
  private put(address: number, bytes: Uint8Array): void {
    const region = this.regions.find(({ start, initialBytes }) => address >= start && address < start + initialBytes.length) as Region;
    region.initialBytes.set(bytes, address - region.start);
    if (region !== this.code) this.machine.memory.writeBytes(address, bytes);
  }

  /** Changed doublewords; puts the old ones back. */
  private changes(): number[] {
    const found: number[] = [];
    const { memory } = this.machine;
    for (const { start, actual, initial, executable, initialBytes } of this.regions) {
      for (let n = 0; n < initial.length; n++) {
        if (actual[n] === initial[n]) continue;
        found.push(start + n * 4, actual[n] as number);
        if (executable) memory.writeBytes(start + n * 4, initialBytes.subarray(n * 4, n * 4 + 4));
        else actual[n] = initial[n] as number;
      }
    }
    return found;
  }
}
