/** Floating-point comparisons of SSE and SSE2 (SDM 1 §5.5.1.3, §5.6.1.4): CMPxx makes masks, (U)COMISx sets flags. */
import type { Algebra, Definition, Facts } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CF, PF, STATUS_FLAGS, ZF } from '../flags.ts';
import { Relation } from '../float/arithmetic.ts';
import { magnitude, ordinary } from './sse-arithmetic.ts';
import { compute, type Element, type ElementWidth, readScalar } from './sse-state.ts';
import { readElements, rolesOf, vectorDefine, writeElements, writeLowest } from './vector-operands.ts';

/** For predicates 0..3 (EQ LT LE UNORD) the relations that satisfy them, a nibble each. 4..7 are their negations. */
const SATISFYING = Relation.EQUAL | (Relation.LESS << 4) | ((Relation.LESS | Relation.EQUAL) << 8) | (Relation.UNORDERED << 12);

/** The value of the element is a {@link Relation}. `signaling` is 1 when quiet NaNs are invalid. */
function relation<V, B>(k: Algebra<V, B>, width: ElementWidth, a: V, b: V, signaling: V): Element<V, B> {
  const fast = k.both(ordinary(k, width, magnitude(k, width, a)), ordinary(k, width, magnitude(k, width, b)));
  const wide = (x: V): V => (width === 64 ? x : k.f32ToF64(x));
  const { less, equal } = k.f64ltOrEq(wide(a), wide(b));
  const notLess = k.select(equal, k.constant(Relation.EQUAL), k.constant(Relation.GREATER));
  const value = k.select(less, k.constant(Relation.LESS), notLess);
  return { fast, value, exact: `f${width}.compare`, a, b, control: signaling };
}

/**
 * All ones or zeros by predicate, which is the immediate and so known at run time only. Bit 3, of VEX alone, has unordered
 * operands satisfy what they do not satisfy without it.
 */
function masks<V, B>(k: Algebra<V, B>, i: Facts, relations: V[]): V[] {
  const predicate = k.immediate();
  const basic = k.shr(k.constant(SATISFYING), k.shl(k.and(predicate, k.constant(3)), k.constant(2)));
  const wanted = i.row.vex ? k.xor(basic, k.and(predicate, k.constant(Relation.UNORDERED))) : basic;
  const zero = k.constant(0);
  const inverted = k.sub(zero, k.and(k.shr(predicate, k.constant(2)), k.constant(1)));
  return relations.map((found) => {
    const holds = k.sub(zero, k.word(k.ne(k.and(k.and(wanted, k.constant(15)), found), zero)));
    return k.xor(holds, inverted);
  });
}

/** LT, LE and their negations; bit 4, of VEX alone, turns it round. */
function signalingPredicate<V, B>(k: Algebra<V, B>, i: Facts): V {
  const predicate = k.immediate();
  const basic = k.shr(k.add(predicate, k.constant(1)), k.constant(1));
  return k.and(i.row.vex ? k.xor(basic, k.shr(predicate, k.constant(4))) : basic, k.constant(1));
}

function compareScalar(width: ElementWidth): Definition {
  return (k, i) => {
    const { first, second } = rolesOf(i);
    const b = readScalar(k, second, width);
    const a = readScalar(k, first, width);
    const one = relation(k, width, a, b, signalingPredicate(k, i));
    compute(k, k.field('mxcsr'), [one], (found) => writeLowest(k, i, width, masks(k, i, found)[0]));
  };
}

function comparePacked(width: ElementWidth): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const b = readElements(k, i, second, width);
    const a = readElements(k, i, first, width);
    const signaling = signalingPredicate(k, i);
    const elements = a.map((x, n) => relation(k, width, x, b[n], signaling));
    compute(k, k.field('mxcsr'), elements, (found) => writeElements(k, i, destination, width, masks(k, i, found)));
  };
}

function compareIntoFlags(width: ElementWidth, signaling: boolean): Definition {
  return (k, i) => {
    const b = readScalar(k, i.operands[1], width);
    const a = readScalar(k, i.operands[0], width);
    const one = relation(k, width, a, b, k.constant(signaling ? 1 : 0));
    compute(k, k.field('mxcsr'), [one], ([found]) => {
      const flagsOf = (mask: number, flags: bigint): typeof found =>
        k.select(k.ne(k.and(found, k.constant(mask)), k.constant(0)), k.constant(flags), k.constant(0));
      const unordered = flagsOf(Relation.UNORDERED, ZF | PF | CF);
      k.setFlags(STATUS_FLAGS, k.or(unordered, k.or(flagsOf(Relation.LESS, CF), flagsOf(Relation.EQUAL, ZF))));
    });
  };
}

export const sseComparison: Family = (plain) => {
  const define = vectorDefine(plain);
  define('CMPSS', compareScalar(32));
  define('CMPSD', compareScalar(64));
  define('CMPPS', comparePacked(32));
  define('CMPPD', comparePacked(64));
  define('UCOMISS', compareIntoFlags(32, false));
  define('UCOMISD', compareIntoFlags(64, false));
  define('COMISS', compareIntoFlags(32, true));
  define('COMISD', compareIntoFlags(64, true));
};
