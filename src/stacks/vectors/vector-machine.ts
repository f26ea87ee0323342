/**
 * The machine that vectors run on: user code on the processor model that the vectors were recorded on. What would be
 * delivered through an IDT is what the vector's `fault` names. One machine serves all vectors of a mode.
 * Source: test/vectors/README.md.
 */
import { ZEN3 } from '../../cpu/cpuid/models.ts';
import type { Processor } from '../../cpu/processor.ts';
import type { EngineName } from '../../machine/bare-machine.ts';
import { Decoder } from '../../x86/decode.ts';
import { disassemble } from '../../x86/disassemble.ts';
import { Vector as ExceptionVector } from '../../x86/exceptions.ts';
import { compareState, type Ending } from './compare.ts';
import { MemoryImage } from './memory-image.ts';
import { INT3, type Stop, UserMachine, type UserMachineOptions } from './user-machine.ts';
import { hexBytes, hexWord, type Vector } from './vector.ts';

const CODE_END = 0x12000;

const REGISTERS_64 = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const REGISTERS_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

export class VectorMachine {
  readonly mode: 64 | 32;
  readonly registerNames: readonly string[];
  private readonly machine: UserMachine;
  private readonly decoder = new Decoder(ZEN3.features);
  private readonly image = new MemoryImage();

  constructor(mode: 64 | 32, engine: EngineName, options: UserMachineOptions = {}) {
    this.mode = mode;
    this.registerNames = mode === 64 ? REGISTERS_64 : REGISTERS_32;
    this.machine = new UserMachine(mode, engine, options);
  }

  get processor(): Processor {
    return this.machine.processor;
  }

  /** Runs a vector; what differs from its final state, a line each. */
  run(vector: Vector): string[] {
    this.prepare(vector);
    const stop = this.machine.run();
    if (typeof stop === 'string') return [stop];
    this.image.apply(vector.final);
    return compareState(this.processor.state, this.registerNames, this.machine.memory, this.image, vector, this.endingOf(stop));
  }

  /** The vector's instructions as text. */
  disassembly(vector: Vector): string {
    const bytes = hexBytes(vector.bytes);
    const padded = new Uint8Array(bytes.length + 16).fill(INT3);
    padded.set(bytes);
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; ) {
      const decoded = this.decoder.decode(padded, at, padded.length - at, this.mode);
      if (typeof decoded === 'string') {
        lines.push(`(${decoded})`);
        break;
      }
      lines.push(disassemble(decoded, hexWord(vector.initial.rip) + BigInt(at)));
      at += decoded.length;
    }
    return lines.join('; ');
  }

  private prepare({ initial, bytes }: Vector): void {
    const { state } = this.processor;
    this.image.reset();
    this.image.apply(initial);
    const rip = Number.parseInt(initial.rip, 16);
    // Some instructions reach beyond the end of the code: those bytes are nowhere.
    this.image.put(rip, hexBytes(bytes).subarray(0, CODE_END - rip));
    this.image.writeTo(this.machine.memory);
    this.machine.enterUserMode();
    for (let n = 0; n < 16; n++) {
      const value = initial.regs?.[this.registerNames[n]];
      state.set('gpr', value === undefined ? 0n : hexWord(value), n);
      const xmm = hexWord(initial.xmm?.[n] ?? '0');
      state.set('xmm', BigInt.asUintN(64, xmm), n * 2);
      state.set('xmm', xmm >> 64n, n * 2 + 1);
    }
    state.set('rip', BigInt(rip));
    state.set('rflags', hexWord(initial.flags ?? '202'));
    state.set32('mxcsr', Number.parseInt(initial.mxcsr ?? '1f80', 16));
    state.set32('fpuControl', Number.parseInt(initial.x87?.cw ?? '37f', 16));
    state.set32('fpuStatus', Number.parseInt(initial.x87?.sw ?? '0', 16));
    state.set32('fpuTag', Number.parseInt(initial.x87?.tw ?? '0', 16));
    for (let n = 0; n < 8; n++) {
      const value = hexWord(initial.x87?.r?.[n] ?? '0');
      state.set('st', BigInt.asUintN(64, value), n * 2);
      state.set('st', value >> 64n, n * 2 + 1);
    }
  }

  /** Every vector ends at an int3, which is no fault, or at what its `fault` names. */
  private endingOf({ kind, vector, errorCode, address, rip, length }: Stop): Ending {
    const start = rip - BigInt(length);
    if (vector === ExceptionVector.BP && this.machine.memory.readU8(Number(start)) === INT3) return { rip: start, fault: undefined };
    // DEVIATION: INT1 is a trap (SDM 2A INT n), but all its vectors were recorded with RIP still at it.
    return { rip: kind === 'icebp' ? start : rip, fault: { vector, errorCode, address } };
  }
}
