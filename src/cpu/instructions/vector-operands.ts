/**
 * Operands of vector instructions in both encodings, so that a definition serves both: legacy SSE names the destination
 * and the first source once and keeps bits 255:128 of it; VEX names them apart, has one or two lanes of 128 bits, clears
 * what lies above, and wants no alignment in memory but of moves that say so.
 * Sources: SDM 1 §14.1.2 (three operands), §14.9 (alignment), SDM 2A §2.3.10 (upper bits), §2.4 (exception types).
 */
import type { Operand } from '../../x86/instruction.ts';
import type { Algebra, Definition, Facts, Width } from '../algebra.ts';
import { checkSse, type Define, elementsOf, type ElementWidth, faultUnavailable, type Vector, vectorOf } from './sse-state.ts';

const CR0_TS = 8;
const CR4_OSXSAVE = 0x40000;
const XCR0_SSE_AND_AVX = 6;

/** #UD unless CR4.OSXSAVE and both bits of vector state in XCR0 are on, then #NM with CR0.TS. */
export function checkAvx<V, B>(k: Algebra<V, B>): void {
  const off = k.or(k.and(k.not(k.field('cr4')), k.constant(CR4_OSXSAVE)), k.and(k.not(k.field('xcr0')), k.constant(XCR0_SSE_AND_AVX)));
  faultUnavailable(k, off, k.and(k.field('cr0'), k.constant(CR0_TS)));
}

/** A `define` whose bodies begin with {@link checkAvx}. */
export const avxDefine =
  (define: Define): Define =>
  (mnemonics, body) =>
    define(mnemonics, (k, i) => {
      checkAvx(k);
      body(k, i);
    });

/** Defines the SSE instructions of these names, and under the same names with a V their VEX forms. */
export const vectorDefine =
  (define: Define): Define =>
  (mnemonics, body) => {
    define(mnemonics, (k, i) => {
      checkSse(k);
      body(k, i);
    });
    avxDefine(define)(mnemonics.replaceAll(/\b(?=\w)/g, 'V'), body);
  };

/** Destination and sources of an instruction with two sources. */
export function rolesOf({ operands, row }: Facts): { destination: Operand; first: Operand; second: Operand } {
  const [destination, next, last] = operands;
  return row.vex ? { destination, first: next, second: last } : { destination, first: destination, second: next };
}

/** The lanes of a register or of memory; `aligned` for memory operands of legacy encodings, or always when given. */
export function readLanes<V, B>(k: Algebra<V, B>, i: Facts, operand: Operand, aligned = !i.row.vex): Vector<V>[] {
  if (operand.width < 256) return [k.read128(operand, aligned)];
  const [a, b, c, d] = k.read256(operand, aligned);
  return [
    [a, b],
    [c, d],
  ];
}

export function clearUpper<V, B>(k: Algebra<V, B>, i: Facts, register: Operand): void {
  if (!i.row.vex) return;
  k.writeXmm(register, 2, k.constant(0));
  k.writeXmm(register, 3, k.constant(0));
}

/** Writes a register. */
export function writeLanes<V, B>(k: Algebra<V, B>, i: Facts, register: Operand, [lower, upper]: readonly Vector<V>[]): void {
  if (upper !== undefined) {
    k.write256(register, [...lower, ...upper], false);
    return;
  }
  k.write128(register, lower[0], lower[1], false);
  clearUpper(k, i, register);
}

/** Elements of all lanes, lowest first, zero-extended. */
export function readElements<V, B>(k: Algebra<V, B>, i: Facts, operand: Operand, width: Width): V[] {
  return readLanes(k, i, operand).flatMap((lane) => elementsOf(k, width, lane));
}

export function writeElements<V, B>(k: Algebra<V, B>, i: Facts, register: Operand, width: Width, elements: readonly V[]): void {
  const count = 128 / width;
  const lanes: Vector<V>[] = [];
  for (let at = 0; at < elements.length; at += count) lanes.push(vectorOf(k, width, elements.slice(at, at + count)));
  writeLanes(k, i, register, lanes);
}

/** The lowest `bits` of a register, or a memory operand that has no more: one, two or four words. */
export function readLow<V, B>(k: Algebra<V, B>, i: Facts, operand: Operand, bits: number): V[] {
  if (bits > 128) return k.read256(operand, false);
  if (bits > 64) return k.read128(operand, !i.row.vex);
  return [operand.kind === 'memory' ? k.read(operand) : k.readXmm(operand, 0)];
}

/** The lowest `count` elements of a register, or a memory operand that has no more. */
export function lowElements<V, B>(k: Algebra<V, B>, i: Facts, operand: Operand, width: Width, count: number): V[] {
  const elements: V[] = [];
  for (const word of readLow(k, i, operand, width * count)) {
    for (let at = 0; at < 64 && elements.length < count; at += width) elements.push(k.zext(width, k.shr(word, k.constant(at))));
  }
  return elements;
}

/** Replaces the lowest element of the first source by `value`, into the destination. */
export function writeLowest<V, B>(k: Algebra<V, B>, i: Facts, width: ElementWidth, value: V): void {
  const { destination, first } = rolesOf(i);
  const low = (): V => (width === 64 ? value : k.or(k.and(k.readXmm(first, 0), k.constant(0xffff_ffff_0000_0000n)), k.zext(32, value)));
  if (i.row.vex) writeLanes(k, i, destination, [[low(), k.readXmm(first, 1)]]);
  else k.writeXmm(destination, 0, low());
}

type LaneFunction = <V, B>(k: Algebra<V, B>, a: Vector<V>, b: Vector<V>, lane: number) => Vector<V>;

/** Body for `destination = f(first, second)` lane by lane; `aligned`: whether legacy memory operands have to be. */
export function lanewise(f: LaneFunction, aligned = true): Definition {
  return (k, i) => {
    const { destination, first, second } = rolesOf(i);
    const b = readLanes(k, i, second, aligned && !i.row.vex);
    const a = readLanes(k, i, first);
    writeLanes(
      k,
      i,
      destination,
      a.map((lane, n) => f(k, lane, b[n], n)),
    );
  };
}

/** Body for `destination = f(source)` lane by lane. */
export function lanewiseUnary(f: <V, B>(k: Algebra<V, B>, a: Vector<V>, lane: number) => Vector<V>): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const lanes = readLanes(k, i, source);
    writeLanes(
      k,
      i,
      destination,
      lanes.map((lane, n) => f(k, lane, n)),
    );
  };
}
