/**
 * Status flags of generated code, kept so that making them is cheap and each can be had by itself. Three words of the
 * processor's state:
 *   flagResult    the last result, sign-extended: ZF when zero, SF from bit 63, PF from the low byte
 *   flagCarry     CF in bit 0; bit 1 inverts SF, bits 8 to 15 are added to the byte that PF counts (both zero but after
 *                 flags came from elsewhere, POPF and the like, which may disagree with any result)
 *   flagCarries   the carry into each bit: AF is bit 4, and OF the carry into the sign (in bit 63) against CF
 * The formulas agree with flags.ts.
 */
import type { FlagOperation, Width } from '../algebra.ts';
import { CF } from '../flags.ts';
import type { ComputationEmitter, Condition, Word } from './computation-emitter.ts';

const CARRY_BIT = 1;
const AF_BIT = 0x10;
const SIGN = 1n << 63n;
const SIGN_TO_CARRY_SHIFT = 63;
const INVERT_SIGN_SHIFT = 62;
const OF_SHIFT = 11;

export class DeferredFlags {
  private readonly k: ComputationEmitter;

  constructor(k: ComputationEmitter) {
    this.k = k;
  }

  // --- making -----------------------------------------------------------------------------------------------------

  set(operation: FlagOperation, width: Width, a: Word, b: Word, result: Word): void {
    const { k } = this;
    const zero = k.constant(0);
    this.write(width, result);
    if (operation === 'logic') {
      k.setField('flagCarry', 0, zero);
      k.setField('flagCarries', 0, zero);
      return;
    }
    const carries = this.toTop(width, k.xor(k.xor(a, b), result));
    if (operation === 'inc' || operation === 'dec') {
      // CF is kept, and OF is the carry into the sign against the carry out, not against CF.
      const kept = k.and(k.field('flagCarry'), k.constant(CARRY_BIT));
      const out = k.word(k.eq(operation === 'inc' ? result : a, zero));
      k.setField('flagCarry', 0, kept);
      k.setField('flagCarries', 0, k.xor(carries, k.shl(k.xor(out, kept), k.constant(SIGN_TO_CARRY_SHIFT))));
      return;
    }
    k.setField('flagCarries', 0, carries);
    k.setField('flagCarry', 0, this.carryOut(operation, width, a, b, result));
  }

  private carryOut(operation: FlagOperation, width: Width, a: Word, b: Word, result: Word): Word {
    const { k } = this;
    if (operation === 'add') return k.word(k.ltU(result, a));
    if (operation === 'sub') return k.word(k.ltU(a, b));
    // With a carry in: as flags.ts has it, from the top bit.
    const out =
      operation === 'adc'
        ? k.or(k.and(a, b), k.and(k.or(a, b), k.not(result)))
        : k.or(k.and(k.not(a), b), k.and(k.or(k.not(a), b), result));
    return k.and(k.shr(out, k.constant(width - 1)), k.constant(CARRY_BIT));
  }

  setShift(width: Width, result: Word, carry: Word, overflow: Word): void {
    const { k } = this;
    this.write(width, result);
    const auxiliary = k.and(k.field('flagCarries'), k.constant(AF_BIT));
    k.setField('flagCarry', 0, carry);
    k.setField('flagCarries', 0, k.or(auxiliary, k.shl(k.xor(carry, overflow), k.constant(SIGN_TO_CARRY_SHIFT))));
  }

  /** From bits in the places of RFLAGS; all other flags are kept. */
  setCarryAndOverflow(bits: Word): void {
    const { k } = this;
    const carry = k.and(bits, k.constant(CF));
    this.replaceCarry(carry);
    const into = k.xor(k.shr(bits, k.constant(OF_SHIFT)), carry);
    const others = k.and(k.field('flagCarries'), k.constant(~SIGN));
    k.setField('flagCarries', 0, k.or(others, k.shl(into, k.constant(SIGN_TO_CARRY_SHIFT))));
  }

  setCarry(bits: Word): void {
    const { k } = this;
    const carry = k.and(bits, k.constant(CF));
    const change = k.shl(k.xor(k.field('flagCarry'), carry), k.constant(SIGN_TO_CARRY_SHIFT));
    k.setField('flagCarries', 0, k.xor(k.field('flagCarries'), change));
    this.replaceCarry(carry);
  }

  private replaceCarry(carry: Word): void {
    const { k } = this;
    k.setField('flagCarry', 0, k.or(k.and(k.field('flagCarry'), k.constant(~BigInt(CARRY_BIT))), carry));
  }

  private write(width: Width, result: Word): void {
    this.k.setField('flagResult', 0, this.k.sext(width, result));
  }

  /** A copy of bit `width - 1` in bit 63, with bit 4 in its place. */
  private toTop(width: Width, carries: Word): Word {
    const { k } = this;
    return width === 64 ? carries : k.or(carries, k.shl(carries, k.constant(64 - width)));
  }

  // --- using ------------------------------------------------------------------------------------------------------

  CF(): Condition {
    const { k } = this;
    return k.ne(this.carry(), k.constant(0));
  }
  ZF(): Condition {
    const { k } = this;
    return k.eq(k.field('flagResult'), k.constant(0));
  }
  SF(): Condition {
    return this.negative(this.sign());
  }
  OF(): Condition {
    return this.negative(this.overflow());
  }
  AF(): Condition {
    const { k } = this;
    return k.ne(k.and(k.field('flagCarries'), k.constant(AF_BIT)), k.constant(0));
  }
  PF(): Condition {
    const { k } = this;
    return k.eq(this.odd(), k.constant(0));
  }

  /** Condition code 0..15. */
  condition(code: number): Condition {
    const { k } = this;
    const less = (): Condition => this.negative(k.xor(this.sign(), this.overflow()));
    const test = (): Condition => {
      switch (code >> 1) {
        case 0:
          return this.OF();
        case 1:
          return this.CF();
        case 2:
          return this.ZF();
        case 3:
          return k.either(this.CF(), this.ZF());
        case 4:
          return this.SF();
        case 5:
          return this.PF();
        case 6:
          return less();
        default:
          return k.either(less(), this.ZF());
      }
    };
    const condition = test();
    return (code & 1) === 1 ? k.negate(condition) : condition;
  }

  private carry(): Word {
    const { k } = this;
    return k.and(k.field('flagCarry'), k.constant(CARRY_BIT));
  }
  /** SF in bit 63. */
  private sign(): Word {
    const { k } = this;
    return k.xor(k.field('flagResult'), k.shl(k.field('flagCarry'), k.constant(INVERT_SIGN_SHIFT)));
  }
  /** OF in bit 63. */
  private overflow(): Word {
    const { k } = this;
    return k.xor(k.field('flagCarries'), k.shl(k.field('flagCarry'), k.constant(SIGN_TO_CARRY_SHIFT)));
  }
  /** 1 when PF is clear. */
  private odd(): Word {
    const { k } = this;
    const byte = k.and(k.xor(k.field('flagResult'), k.shr(k.field('flagCarry'), k.constant(8))), k.constant(0xff));
    return k.and(k.popcnt(byte), k.constant(1));
  }
  private negative(word: Word): Condition {
    return this.k.ltS(word, this.k.constant(0));
  }

  // --- RFLAGS -----------------------------------------------------------------------------------------------------

  /** The status flags in their places. */
  pack(): Word {
    const { k } = this;
    const place = (flag: Condition, bit: number): Word => k.shl(k.word(flag), k.constant(bit));
    let bits = this.carry();
    for (const flag of [place(this.PF(), 2), place(this.AF(), 4), place(this.ZF(), 6), place(this.SF(), 7), place(this.OF(), OF_SHIFT)]) {
      bits = k.or(bits, flag);
    }
    return bits;
  }

  unpack(flags: Word): void {
    const { k } = this;
    const one = k.constant(1);
    const bit = (index: number): Word => k.and(k.shr(flags, k.constant(index)), one);
    const carry = bit(0);
    const zero = bit(6);
    // A result of 0 has even parity and one of 1 odd, so PF by itself would equal ZF.
    const parity = k.shl(k.xor(bit(2), zero), k.constant(8));
    k.setField('flagResult', 0, k.xor(zero, one));
    k.setField('flagCarry', 0, k.or(k.or(carry, parity), k.shl(bit(7), one)));
    const into = k.shl(k.xor(bit(OF_SHIFT), carry), k.constant(SIGN_TO_CARRY_SHIFT));
    k.setField('flagCarries', 0, k.or(k.and(flags, k.constant(AF_BIT)), into));
  }
}
