/**
 * binary32 and binary64 as SSE treats them, as subroutines: taking numbers apart under MXCSR.DAZ, rounding under RC and
 * FZ, NaNs. Control is MXCSR, and flags are at their places there, which are those of the x87 status word too.
 * Sources: SDM 1 §4.8 (formats, NaNs), §4.9 (exceptions), §10.2.3 (MXCSR), §11.5 (masked responses).
 */
import type { Computation } from '../algebra.ts';
import { subroutine, type Subroutine } from '../subroutine.ts';
import { Mxcsr, MxcsrFlag } from './binary-format.ts';
import { NumberClass } from './extended-format.ts';
import { roundToFormat } from './rounding.ts';

export interface ShortFormat {
  readonly width: 32 | 64;
  readonly fractionBits: number;
  readonly bias: number;
}
export const SINGLE: ShortFormat = { width: 32, fractionBits: 23, bias: 127 };
export const DOUBLE: ShortFormat = { width: 64, fractionBits: 52, bias: 1023 };

const TOP_BIT = 1n << 63n;

export const signBit = ({ width }: ShortFormat): bigint => 1n << BigInt(width - 1);
export const infinityBits = ({ bias, fractionBits }: ShortFormat): bigint => BigInt(2 * bias + 1) << BigInt(fractionBits);
export const quietBit = ({ fractionBits }: ShortFormat): bigint => 1n << BigInt(fractionBits - 1);
/** The QNaN of masked invalid operations. */
export const indefiniteBits = (format: ShortFormat): bigint => signBit(format) | infinityBits(format) | quietBit(format);

/** RC and the exception masks of MXCSR at their places in the x87 control word, as {@link roundToFormat} takes them. */
export function controlOf<V, B>(k: Computation<V, B>, mxcsr: V): V {
  const rounding = k.and(k.shr(mxcsr, k.constant(3)), k.constant(0xc00));
  return k.or(rounding, k.and(k.shr(mxcsr, k.constant(7)), k.constant(0x3f)));
}

export interface Apart<V> {
  /** A {@link NumberClass}; denormals under DAZ are zeros. */
  readonly kind: V;
  readonly sign: V;
  /** Exponent and normalized significand of a finite number that is not zero. */
  readonly exponent: V;
  readonly significand: V;
  /** The encoding, after DAZ. */
  readonly bits: V;
}
export type ShortResult<V> = [bits: V, flags: V];

export interface ShortRoutines {
  readonly format: ShortFormat;
  /** (bits, MXCSR) -> class, sign, exponent, significand, bits after DAZ. */
  readonly unpack: Subroutine;
  /** (sign, exponent, high, low, MXCSR) -> bits, flags. */
  readonly pack: Subroutine;
  /** (a, b) -> bits, flags, one of them being a NaN: the first operand if it is one. */
  readonly propagate: Subroutine;
}

function routines(format: ShortFormat): ShortRoutines {
  const { width, fractionBits, bias } = format;
  const name = `f${width}`;
  const isNotANumber = <V, B>(k: Computation<V, B>, bits: V): B =>
    k.ltU(k.constant(infinityBits(format)), k.and(bits, k.constant(signBit(format) - 1n)));

  const unpack = subroutine(`${name}.unpack`, 2, 5, (k, bits, mxcsr) => {
    const zero = k.constant(0);
    const all = k.constant(2 * bias + 1);
    const stored = k.and(k.shr(bits, k.constant(fractionBits)), all);
    const fraction = k.shl(bits, k.constant(64 - fractionBits));
    const sign = k.and(k.shr(bits, k.constant(width - 1)), k.constant(1));
    const kind = k.variable(k.constant(NumberClass.NORMAL));
    const exponent = k.variable(k.sub(stored, k.constant(bias)));
    const significand = k.variable(k.or(k.shr(fraction, k.constant(1)), k.constant(TOP_BIT)));
    const after = k.variable(bits);
    const c = (which: keyof typeof NumberClass) => k.constant(NumberClass[which]);
    k.when(k.eq(stored, zero), () => {
      const ignored = k.ne(k.and(mxcsr, k.constant(Mxcsr.DAZ)), zero);
      const isZero = k.either(ignored, k.eq(fraction, zero));
      kind.set(k.select(isZero, c('ZERO'), c('DENORMAL')));
      const places = k.clz(fraction);
      significand.set(k.shl(fraction, places));
      exponent.set(k.sub(k.constant(-bias), places));
      after.set(k.select(isZero, k.shl(sign, k.constant(width - 1)), bits));
    });
    k.when(k.eq(stored, all), () => {
      const nan = k.select(k.ltS(fraction, zero), c('QUIET'), c('SIGNALING'));
      kind.set(k.select(k.eq(fraction, zero), c('INFINITE'), nan));
    });
    return [kind.get(), sign, exponent.get(), significand.get(), after.get()];
  });

  const pack = subroutine(`${name}.pack`, 5, 2, (k, sign, exponent, high, low, mxcsr) => {
    const zero = k.constant(0);
    const control = controlOf(k, mxcsr);
    const dropped = k.constant(63 - fractionBits);
    const [nearby, scale, raised] = k.call(
      roundToFormat,
      sign,
      exponent,
      high,
      low,
      dropped,
      k.constant(1 - bias),
      k.constant(bias),
      control,
    );
    const normal = k.ltS(nearby, zero);
    const biased = k.select(normal, k.add(scale, k.constant(bias)), zero);
    const fraction = k.shr(k.shl(nearby, k.constant(1)), k.constant(64 - fractionBits));
    const signAt = k.shl(sign, k.constant(width - 1));
    const bits = k.variable(k.or(signAt, k.or(k.shl(biased, k.constant(fractionBits)), fraction)));
    const flags = k.variable(k.and(raised, k.constant(0x3f)));
    const tiny = k.either(k.negate(normal), k.ne(k.and(raised, k.constant(MxcsrFlag.UE)), zero));
    const flushing = k.constant(Mxcsr.FZ | (MxcsrFlag.UE << 7));
    const flushes = k.eq(k.and(mxcsr, flushing), flushing);
    k.when(k.both(tiny, flushes), () => {
      bits.set(signAt);
      flags.set(k.constant(MxcsrFlag.UE | MxcsrFlag.PE));
    });
    return [k.zext(width, bits.get()), flags.get()];
  });

  const propagate = subroutine(`${name}.propagate`, 2, 2, (k, a, b) => {
    const signaling = (bits: typeof a) => k.both(isNotANumber(k, bits), k.eq(k.and(bits, k.constant(quietBit(format))), k.constant(0)));
    const either = k.word(k.either(signaling(a), signaling(b)));
    return [k.or(k.select(isNotANumber(k, a), a, b), k.constant(quietBit(format))), k.mul(either, k.constant(MxcsrFlag.IE))];
  });
  return { format, unpack, pack, propagate };
}

export const SHORT_ROUTINES: Readonly<Record<32 | 64, ShortRoutines>> = { 32: routines(SINGLE), 64: routines(DOUBLE) };

export function apart<V, B>(k: Computation<V, B>, { unpack }: ShortRoutines, bits: V, mxcsr: V): Apart<V> {
  const [kind, sign, exponent, significand, after] = k.call(unpack, bits, mxcsr);
  return { kind, sign, exponent, significand, bits: after };
}

export const isClass = <V, B>(k: Computation<V, B>, { kind }: Apart<V>, name: keyof typeof NumberClass): B =>
  k.eq(kind, k.constant(NumberClass[name]));
export const isNumber = <V, B>(k: Computation<V, B>, { kind }: Apart<V>): B => k.ltU(kind, k.constant(NumberClass.QUIET));

/** A variable for a result. */
export function shortResult<V, B>(k: Computation<V, B>): { get(): ShortResult<V>; set(result: readonly V[]): void } {
  const bits = k.variable(k.constant(0));
  const flags = k.variable(k.constant(0));
  return {
    get: () => [bits.get(), flags.get()],
    set: (result) => {
      bits.set(result[0]);
      flags.set(result[1]);
    },
  };
}
