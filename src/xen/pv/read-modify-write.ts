/**
 * What instructions that write memory do to one value: the new value and the status flags, for the emulated writes to
 * page tables. Pure.
 * Sources: SDM 2 ADD, ADC, SUB, SBB, AND, OR, XOR, INC, DEC, NEG, NOT, BTS, BTR, BTC; SDM 1 §3.4.3.1 (status flags).
 */
import { Flag } from '../../x86/eflags.ts';

const { CF, PF, AF, ZF, SF, OF } = Flag;
const ALL = CF | PF | AF | ZF | SF | OF;

export interface ModifyResult {
  readonly value: bigint;
  /** New status flags, and which of them the instruction changes. */
  readonly flags: number;
  readonly changed: number;
}

const parity = (value: bigint): number => {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  return ((0x9669 >> (byte & 15)) & 1) === 1 ? PF : 0;
};

function resultFlags(value: bigint, width: number): number {
  return (value === 0n ? ZF : 0) | ((value >> BigInt(width - 1)) & 1n ? SF : 0) | parity(value);
}

/** a + b + carry, with the flags of ADD and ADC. */
export function add(a: bigint, b: bigint, carry: bigint, width: number): ModifyResult {
  const value = BigInt.asUintN(width, a + b + carry);
  const overflow = ((a ^ value) & (b ^ value)) >> BigInt(width - 1);
  const flags =
    resultFlags(value, width) | ((a + b + carry) >> BigInt(width) ? CF : 0) | ((a ^ b ^ value) & 16n ? AF : 0) | (overflow & 1n ? OF : 0);
  return { value, flags, changed: ALL };
}

/** a - b - borrow, with the flags of SUB, SBB and CMP. */
export function subtract(a: bigint, b: bigint, borrow: bigint, width: number): ModifyResult {
  const value = BigInt.asUintN(width, a - b - borrow);
  const overflow = ((a ^ b) & (a ^ value)) >> BigInt(width - 1);
  const flags = resultFlags(value, width) | (a < b + borrow ? CF : 0) | ((a ^ b ^ value) & 16n ? AF : 0) | (overflow & 1n ? OF : 0);
  return { value, flags, changed: ALL };
}

function logical(value: bigint, width: number): ModifyResult {
  return { value, flags: resultFlags(value, width), changed: ALL };
}

/**
 * `memory` OP `operand` for instructions whose memory operand is read and written, by mnemonic; undefined for others.
 * For BTS, BTR, BTC `operand` is the bit number.
 */
export function modify(mnemonic: string, memory: bigint, operand: bigint, width: number, carryIn: boolean): ModifyResult | undefined {
  const carry = carryIn ? 1n : 0n;
  switch (mnemonic) {
    case 'ADD':
    case 'XADD':
      return add(memory, operand, 0n, width);
    case 'ADC':
      return add(memory, operand, carry, width);
    case 'SUB':
      return subtract(memory, operand, 0n, width);
    case 'SBB':
      return subtract(memory, operand, carry, width);
    case 'AND':
      return logical(memory & operand, width);
    case 'OR':
      return logical(memory | operand, width);
    case 'XOR':
      return logical(memory ^ operand, width);
    case 'INC':
      return { ...add(memory, 1n, 0n, width), changed: ALL & ~CF };
    case 'DEC':
      return { ...subtract(memory, 1n, 0n, width), changed: ALL & ~CF };
    case 'NEG':
      return subtract(0n, memory, 0n, width);
    case 'NOT':
      return { value: BigInt.asUintN(width, ~memory), flags: 0, changed: 0 };
    case 'BTS':
    case 'BTR':
    case 'BTC': {
      const bit = 1n << (operand & BigInt(width - 1));
      const value = mnemonic === 'BTS' ? memory | bit : mnemonic === 'BTR' ? memory & ~bit : memory ^ bit;
      return { value, flags: memory & bit ? CF : 0, changed: CF };
    }
    default:
      return undefined;
  }
}
