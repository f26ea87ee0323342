/**
 * Arithmetic and comparison in binary32 and binary64 under MXCSR, as subroutines `(a, b, MXCSR) -> (bits, flags)`: what
 * SSE instructions do when the fast path of their definition does not hold. Flags are those of the masked response; the
 * definition decides whether one of them is unmasked.
 * Sources: SDM 1 §4.8.3.5 Table 4-7 (NaN operands), §11.5.2 (exception conditions and priorities), SDM 2 (MINSD, MAXSD,
 * CMPSD).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { Mxcsr, MxcsrFlag } from './binary-format.ts';
import { type Exact, exactProduct, exactQuotient, exactRoot, exactSum } from './exact.ts';
import {
  type Apart,
  apart,
  indefiniteBits,
  infinityBits,
  isClass,
  isNumber,
  SHORT_ROUTINES,
  type ShortRoutines,
  shortResult,
  signBit,
} from './short-format.ts';

/** What a comparison found: bits of its result. */
export const Relation = { LESS: 1, EQUAL: 2, GREATER: 4, UNORDERED: 8 } as const;

type Body = <V, B>(k: Computation<V, B>, a: Apart<V>, b: Apart<V>, mxcsr: V, set: (result: readonly V[]) => void) => void;

const invalid = <V, B>(k: Computation<V, B>, { format }: ShortRoutines): V[] => [
  k.constant(indefiniteBits(format)),
  k.constant(MxcsrFlag.IE),
];
function denormalFlag<V, B>(k: Computation<V, B>, ...operands: Apart<V>[]): V {
  const any = operands.map((operand) => isClass(k, operand, 'DENORMAL')).reduce((all, one) => k.either(all, one));
  return k.select(any, k.constant(MxcsrFlag.DE), k.constant(0));
}

export function arithmetic(width: 32 | 64): Readonly<Record<string, Subroutine>> {
  const shared = SHORT_ROUTINES[width];
  const { format, pack, propagate } = shared;
  const zeroOf = <V, B>(k: Computation<V, B>, sign: V): V => k.shl(sign, k.constant(width - 1));
  const infinityOf = <V, B>(k: Computation<V, B>, sign: V): V => k.or(zeroOf(k, sign), k.constant(infinityBits(format)));

  /** Operands that are numbers go to `body`; what it computes without IE or ZE raises DE besides. */
  const operation = (name: string, body: Body): Subroutine =>
    subroutine(`f${width}.${name}`, 3, 2, (k, aBits, bBits, mxcsr) => {
      const a = apart(k, shared, aBits, mxcsr);
      const b = apart(k, shared, bBits, mxcsr);
      const result = shortResult(k);
      k.when(
        k.both(isNumber(k, a), isNumber(k, b)),
        () => {
          body(k, a, b, mxcsr, result.set);
          const [bits, flags] = result.get();
          const early = k.ne(k.and(flags, k.constant(MxcsrFlag.IE | MxcsrFlag.ZE)), k.constant(0));
          result.set([bits, k.or(flags, k.select(early, k.constant(0), denormalFlag(k, a, b)))]);
        },
        () => result.set(k.call(propagate, aBits, bBits)),
      );
      return result.get();
    });
  const packed = <V, B>(k: Computation<V, B>, { sign, exponent, high, low }: Exact<V>, mxcsr: V): V[] =>
    k.call(pack, sign, exponent, high, low, mxcsr);

  const sum = (name: string, subtract: number): Subroutine =>
    operation(name, (k, a, given, mxcsr, set) => {
      const zero = k.constant(0);
      const b = { ...given, sign: k.xor(given.sign, k.constant(subtract)) };
      const is = (operand: typeof a, kind: 'ZERO' | 'INFINITE') => isClass(k, operand, kind);
      const down = k.word(k.eq(k.and(mxcsr, k.constant(Mxcsr.RC)), k.constant(0x2000)));
      const differ = k.ne(a.sign, b.sign);
      k.when(
        k.either(is(a, 'INFINITE'), is(b, 'INFINITE')),
        () =>
          k.when(
            k.both(k.both(is(a, 'INFINITE'), is(b, 'INFINITE')), differ),
            () => set(invalid(k, shared)),
            () => set([infinityOf(k, k.select(is(a, 'INFINITE'), a.sign, b.sign)), zero]),
          ),
        () =>
          k.when(
            k.either(is(a, 'ZERO'), is(b, 'ZERO')),
            () =>
              k.when(
                k.both(is(a, 'ZERO'), is(b, 'ZERO')),
                () => set([zeroOf(k, k.select(differ, down, a.sign)), zero]),
                () => {
                  const pick = (part: 'sign' | 'exponent' | 'significand') => k.select(is(a, 'ZERO'), b[part], a[part]);
                  set(k.call(pack, pick('sign'), pick('exponent'), pick('significand'), zero, mxcsr));
                },
              ),
            () => {
              const exact = exactSum(k, a, b);
              k.when(
                k.eq(exact.high, zero),
                () => set([zeroOf(k, down), zero]),
                () => set(packed(k, exact, mxcsr)),
              );
            },
          ),
      );
    });

  const multiply = operation('mul', (k, a, b, mxcsr, set) => {
    const zero = k.either(isClass(k, a, 'ZERO'), isClass(k, b, 'ZERO'));
    const infinite = k.either(isClass(k, a, 'INFINITE'), isClass(k, b, 'INFINITE'));
    const sign = k.xor(a.sign, b.sign);
    k.when(
      k.both(zero, infinite),
      () => set(invalid(k, shared)),
      () =>
        k.when(
          k.either(zero, infinite),
          () => set([k.select(zero, zeroOf(k, sign), infinityOf(k, sign)), k.constant(0)]),
          () => set(packed(k, exactProduct(k, a, b), mxcsr)),
        ),
    );
  });

  const divide = operation('div', (k, a, b, mxcsr, set) => {
    const none = k.constant(0);
    const sign = k.xor(a.sign, b.sign);
    const zero = k.either(isClass(k, a, 'ZERO'), isClass(k, b, 'INFINITE'));
    const infinite = k.either(isClass(k, a, 'INFINITE'), isClass(k, b, 'ZERO'));
    k.when(
      k.both(zero, infinite),
      // 0 / 0 and infinity / infinity.
      () => set(invalid(k, shared)),
      () =>
        k.when(
          k.either(zero, infinite),
          () => {
            const byZero = k.both(isClass(k, b, 'ZERO'), k.negate(isClass(k, a, 'INFINITE')));
            const flags = k.select(byZero, k.constant(MxcsrFlag.ZE), none);
            set([k.select(zero, zeroOf(k, sign), infinityOf(k, sign)), flags]);
          },
          () => set(packed(k, exactQuotient(k, a, b), mxcsr)),
        ),
    );
  });

  /** Of a; b is not looked at. */
  const squareRoot = subroutine(`f${width}.sqrt`, 3, 2, (k, bits, _b, mxcsr) => {
    const a = apart(k, shared, bits, mxcsr);
    const result = shortResult(k);
    const negative = k.ne(a.sign, k.constant(0));
    k.when(
      isNumber(k, a),
      () =>
        k.when(
          k.either(isClass(k, a, 'ZERO'), k.both(isClass(k, a, 'INFINITE'), k.negate(negative))),
          () => result.set([a.bits, k.constant(0)]),
          () =>
            k.when(
              negative,
              () => result.set(invalid(k, shared)),
              () => {
                const [root, flags] = packed(k, exactRoot(k, a), mxcsr);
                result.set([root, k.or(flags, denormalFlag(k, a))]);
              },
            ),
        ),
      () => result.set(k.call(propagate, bits, bits)),
    );
    return result.get();
  });

  /** a < b and a = b, of two numbers. */
  const ordered = <V, B>(k: Computation<V, B>, a: Apart<V>, b: Apart<V>): { less: B; equal: B } => {
    const zero = k.constant(0);
    // Encodings of one sign are ordered as integers.
    const key = (x: Apart<V>): V => k.select(k.eq(x.sign, zero), x.bits, k.sub(zero, k.xor(x.bits, k.constant(signBit(format)))));
    const bothZero = k.both(isClass(k, a, 'ZERO'), isClass(k, b, 'ZERO'));
    const [x, y] = [key(a), key(b)];
    return { less: k.both(k.ltS(x, y), k.negate(bothZero)), equal: k.either(bothZero, k.eq(x, y)) };
  };

  /** The second operand is the result when one is a NaN or both are equal, as zeros are. */
  const extreme = (name: 'min' | 'max'): Subroutine =>
    subroutine(`f${width}.${name}`, 3, 2, (k, aBits, bBits, mxcsr) => {
      const a = apart(k, shared, aBits, mxcsr);
      const b = apart(k, shared, bBits, mxcsr);
      const numbers = k.both(isNumber(k, a), isNumber(k, b));
      const { less, equal } = ordered(k, a, b);
      const wanted = name === 'min' ? less : k.negate(k.either(less, equal));
      const first = k.both(numbers, wanted);
      const flags = k.select(numbers, denormalFlag(k, a, b), k.constant(MxcsrFlag.IE));
      return [k.select(first, a.bits, b.bits), flags];
    });

  /** Bits 63:32 of the MXCSR argument: quiet NaNs are invalid too. Result: a {@link Relation}. */
  const compare = subroutine(`f${width}.compare`, 3, 2, (k, aBits, bBits, mxcsr) => {
    const zero = k.constant(0);
    const a = apart(k, shared, aBits, mxcsr);
    const b = apart(k, shared, bBits, mxcsr);
    const numbers = k.both(isNumber(k, a), isNumber(k, b));
    const { less, equal } = ordered(k, a, b);
    const unequal = k.select(less, k.constant(Relation.LESS), k.constant(Relation.GREATER));
    const relation = k.select(equal, k.constant(Relation.EQUAL), unequal);
    const signaling = k.either(isClass(k, a, 'SIGNALING'), isClass(k, b, 'SIGNALING'));
    const raises = k.either(signaling, k.ne(k.shr(mxcsr, k.constant(32)), zero));
    const flags = k.select(numbers, denormalFlag(k, a, b), k.select(raises, k.constant(MxcsrFlag.IE), zero));
    return [k.select(numbers, relation, k.constant(Relation.UNORDERED)), flags];
  });

  return {
    add: sum('add', 0),
    sub: sum('sub', 1),
    mul: multiply,
    div: divide,
    sqrt: squareRoot,
    min: extreme('min'),
    max: extreme('max'),
    compare,
  };
}
