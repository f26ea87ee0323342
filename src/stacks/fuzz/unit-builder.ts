/** Collects the pieces of one unit: what is done before the row's instruction, the instruction, and what is done after it. */
import type { Choices } from './choices.ts';
import { append, type Fixup, type Piece } from './encode-row.ts';

const RSP = 4;

export class UnitBuilder {
  readonly mode: 64 | 32;
  readonly choices: Choices;
  readonly pieces: Piece[] = [];
  /** Registers that have been loaded for the instruction and may not be loaded again. */
  readonly loaded = new Set<number>([RSP]);
  main = -1;

  constructor(mode: 64 | 32, choices: Choices) {
    this.mode = mode;
    this.choices = choices;
  }

  raw(...bytes: number[]): void {
    this.pieces.push({ bytes, fixups: [] });
  }

  with(bytes: number[], fixups: Fixup[]): void {
    this.pieces.push({ bytes, fixups });
  }

  /** The row's own instruction. */
  instruction(piece: Piece): void {
    this.main = this.pieces.length;
    this.pieces.push(piece);
  }

  /** A general register that nothing needs; one of the first eight when `low`. */
  freeRegister(low = false): number {
    const count = this.mode === 64 && !low ? 16 : 8;
    let register = this.choices.below(count);
    while (this.loaded.has(register)) register = (register + 1) % count;
    return register;
  }

  /** MOV r32, imm32: the upper half becomes zero. */
  load(register: number, value: number): void {
    this.loaded.add(register);
    const bytes = register > 7 ? [0x41, 0xb8 | (register & 7)] : [0xb8 | register];
    append(bytes, BigInt(value), 32);
    this.raw(...bytes);
  }

  /** A signed value in the mode's full width. */
  loadSigned(register: number, value: number): void {
    if (this.mode === 32) {
      this.load(register, value);
      return;
    }
    this.loaded.add(register);
    const bytes = [register > 7 ? 0x49 : 0x48, 0xc7, 0xc0 | (register & 7)];
    append(bytes, BigInt(value), 32);
    this.raw(...bytes);
  }

  /** MOV r64, imm64. */
  loadWide(register: number, value: bigint): void {
    this.loaded.add(register);
    const bytes = [register > 7 ? 0x49 : 0x48, 0xb8 | (register & 7)];
    append(bytes, value, 64);
    this.raw(...bytes);
  }

  /** The address of the unit's target. */
  loadTarget(register: number): void {
    this.load(register, 0);
    const piece = this.pieces.pop() as Piece;
    this.with(piece.bytes, [{ at: piece.bytes.length - 4, kind: 'absolute', address: 0 }]);
  }

  private absolute(opcode: readonly number[], reg: number, address: number): number[] {
    const bytes = [...opcode, (reg << 3) | (this.mode === 64 ? 4 : 5)];
    if (this.mode === 64) bytes.push(0x25);
    append(bytes, BigInt(address), 32);
    return bytes;
  }

  /** MOV dword [address], imm32. */
  store(address: number, value: number): void {
    const bytes = this.absolute([0xc7], 0, address);
    append(bytes, BigInt(value), 32);
    this.raw(...bytes);
  }

  storeWord(address: number, value: number): void {
    const bytes = this.absolute([0x66, 0xc7], 0, address);
    append(bytes, BigInt(value), 16);
    this.raw(...bytes);
  }

  storeTarget(address: number): void {
    this.store(address, 0);
    const piece = this.pieces.pop() as Piece;
    this.with(piece.bytes, [{ at: piece.bytes.length - 4, kind: 'absolute', address: 0 }]);
  }

  /** An instruction with a memory operand at a fixed address. */
  atAddress(opcode: readonly number[], reg: number, address: number): void {
    this.raw(...this.absolute(opcode, reg, address));
  }

  /** PUSH imm32, sign-extended. */
  push(value: number): void {
    const bytes = [0x68];
    append(bytes, BigInt(value), 32);
    this.raw(...bytes);
  }

  pushTarget(): void {
    this.with([0x68, 0, 0, 0, 0], [{ at: 1, kind: 'absolute', address: 0 }]);
  }

  /** Words of `bytes` bytes at the top of the stack, the first at the top; 'target' is the unit's target. */
  frame(size: 4 | 8, words: readonly (number | 'target')[]): void {
    const total = size * words.length;
    this.raw(...(this.mode === 64 ? [0x48] : []), 0x8d, 0x64, 0x24, 0x100 - total);
    words.forEach((word, n) => {
      this.with([0xc7, 0x44, 0x24, n * size, 0, 0, 0, 0], word === 'target' ? [{ at: 4, kind: 'absolute', address: 0 }] : []);
      if (word !== 'target') {
        const piece = this.pieces.at(-1) as Piece;
        for (let k = 0; k < 4; k++) piece.bytes[4 + k] = (word >>> (8 * k)) & 0xff;
      }
      if (size === 8) this.raw(0xc7, 0x44, 0x24, n * size + 4, 0, 0, 0, 0);
    });
  }
}
