/**
 * Rounding of an exact value into a binary format, as subroutines: the common end of all soft floating point. The
 * value is (-1)^sign * high:low / 2^127 * 2^exponent with the top bit of high set, the lowest bit of low standing for
 * anything beyond. Formats differ in how many bits of the high word they drop and in their exponents.
 *
 * Control and flags are in the places of the x87 control and status words.
 * Sources: SDM 1 §4.8.4 (rounding), §4.9.1.5 (tininess after rounding), §8.5.4-8.5.6 (masked and unmasked responses).
 */
import type { Computation } from '../algebra.ts';
import { subroutine } from '../subroutine.ts';
import { shiftRightJam } from './wide.ts';

/** Exceptions in the x87 status word; masks have the same places in the control word. C1 here: rounded away from zero. */
export const X87Flag = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 0x10, PE: 0x20, SF: 0x40, C1: 0x200 } as const;

/** RC, bits 11:10 of the control word. */
export const RoundingControl = { NEAREST: 0, DOWN: 1, UP: 2, ZERO: 3 } as const;

const TOP_BIT = 1n << 63n;
/** Added to or taken from the exponent for handlers of unmasked underflow and overflow (SDM 1 §8.5.4, §8.5.5). */
const BIAS_ADJUSTMENT = 24576;

/**
 * Rounds a significand: (0 when it carried out; 1 when rounded up; 1 when inexact). In line, for routines that end with
 * it; {@link roundSignificand} is the same as a subroutine.
 */
export function rounded<V, B>(k: Computation<V, B>, sign: V, high: V, low: V, dropped: V, control: V): [V, V, V] {
  const zero = k.constant(0);
  const one = k.constant(1);
  const fraction = k.or(k.shl(high, k.sub(zero, dropped)), k.word(k.ne(low, zero)));
  const rest = k.select(k.eq(dropped, zero), low, fraction);
  const kept = k.shr(high, dropped);
  const inexact = k.ne(rest, zero);
  const rounding = k.and(k.shr(control, k.constant(10)), k.constant(3));
  const nearest = k.either(k.ltU(k.constant(TOP_BIT), rest), k.both(k.eq(rest, k.constant(TOP_BIT)), k.ne(k.and(kept, one), zero)));
  const away = k.both(k.eq(rounding, k.sub(k.constant(RoundingControl.UP), sign)), inexact);
  const up = k.word(k.either(k.both(k.eq(rounding, zero), nearest), away));
  return [k.shl(k.add(kept, up), dropped), up, k.word(inexact)];
}

/** Flags of a rounding. */
export function inexactFlags<V, B>(k: Computation<V, B>, up: V, inexact: V): V {
  return k.or(k.shl(inexact, k.constant(5)), k.shl(up, k.constant(9)));
}

/** (sign, high, low, bits dropped, control), as {@link rounded}. */
export const roundSignificand = subroutine('float.roundSignificand', 5, 3, (k, sign, high, low, dropped, control) =>
  rounded(k, sign, high, low, dropped, control),
);

/**
 * (sign, exponent, high, low, bits dropped, lowest and highest exponent, control) -> (significand, exponent, flags).
 * A denormal result has its top bit clear and the lowest exponent; infinity has 2^63 and the highest exponent + 1.
 */
export const roundToFormat = subroutine('float.round', 8, 3, (k, sign, exponent, high, low, dropped, lowest, highest, control) => {
  const zero = k.constant(0);
  const masked = (flag: number) => k.ne(k.and(control, k.constant(flag)), zero);
  const [nearby, up, inexact] = k.call(roundSignificand, sign, high, low, dropped, control);
  const carried = k.eq(nearby, zero);
  const significand = k.variable(k.select(carried, k.constant(TOP_BIT), nearby));
  const top = k.add(exponent, k.word(carried));
  const scale = k.variable(top);
  const flags = k.variable(inexactFlags(k, up, inexact));
  k.when(k.ltS(highest, top), () => {
    k.when(
      masked(X87Flag.OE),
      () => {
        const rounding = k.and(k.shr(control, k.constant(10)), k.constant(3));
        const infinite = k.either(k.eq(rounding, zero), k.eq(rounding, k.sub(k.constant(RoundingControl.UP), sign)));
        significand.set(k.select(infinite, k.constant(TOP_BIT), k.shl(k.constant(-1), dropped)));
        scale.set(k.add(highest, k.word(infinite)));
        flags.set(k.or(k.constant(X87Flag.OE | X87Flag.PE), k.select(infinite, k.constant(X87Flag.C1), zero)));
      },
      () => {
        // FSCALE reaches farther than the adjustment: infinity then, and zero below.
        const adjusted = k.sub(top, k.constant(BIAS_ADJUSTMENT));
        const beyond = k.ltS(highest, adjusted);
        scale.set(k.select(beyond, k.add(highest, k.constant(1)), adjusted));
        significand.set(k.select(beyond, k.constant(TOP_BIT), significand.get()));
        const lost = k.select(beyond, k.constant(X87Flag.PE | X87Flag.C1), zero);
        flags.set(k.or(flags.get(), k.or(lost, k.constant(X87Flag.OE))));
      },
    );
  });
  k.when(k.ltS(top, lowest), () => {
    k.when(
      masked(X87Flag.UE),
      () => {
        const [h, l] = k.call(shiftRightJam, high, low, k.sub(lowest, exponent));
        const [denormal, upwards, lost] = k.call(roundSignificand, sign, h, l, dropped, control);
        significand.set(denormal);
        scale.set(lowest);
        flags.set(k.or(inexactFlags(k, upwards, lost), k.mul(lost, k.constant(X87Flag.UE))));
      },
      () => {
        const adjusted = k.add(top, k.constant(BIAS_ADJUSTMENT));
        scale.set(adjusted);
        const below = k.ltS(adjusted, lowest);
        significand.set(k.select(below, zero, significand.get()));
        flags.set(k.or(k.select(below, k.constant(X87Flag.PE), flags.get()), k.constant(X87Flag.UE)));
      },
    );
  });
  return [significand.get(), scale.get(), flags.get()];
});
