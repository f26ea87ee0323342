/**
 * What MMX instructions have in common: whether they may execute, entering MMX state, words as vectors of elements.
 * A register is the low 64 bits of a physical x87 register; every MMX instruction sets TOP to 0 and all tags to valid,
 * and a write fills sign and exponent with ones. Sources: SDM 1 §9.2.1, §9.5 (aliasing), SDM 3A §12.1 (emulation), §12.2.
 */
import type { Algebra, Definition, Width } from '../algebra.ts';
import { type Family, mmxKey } from '../definition.ts';
import { checkPending, setStatus } from './x87-state.ts';

const INVALID_OPCODE = 6;
const DEVICE_NOT_AVAILABLE = 7;
const CR0_EM = 4;
const CR0_TS = 8;
const TOP = 0x3800;
const ALL_VALID = 0xff;

export type Define = Parameters<Family>[0];

/** #UD with CR0.EM, #NM with CR0.TS, #MF for a pending x87 exception. */
export function checkMmx<V, B>(k: Algebra<V, B>): void {
  const zero = k.constant(0);
  const off = k.and(k.field('cr0'), k.constant(CR0_EM | CR0_TS));
  k.when(k.ne(off, zero), () => {
    k.when(k.ne(k.and(off, k.constant(CR0_EM)), zero), () => k.fault(INVALID_OPCODE));
    k.fault(DEVICE_NOT_AVAILABLE);
  });
  checkPending(k);
}

/** After everything that can fault, before registers are written. */
export function enterMmx<V, B>(k: Algebra<V, B>): void {
  setStatus(k, TOP, k.constant(0));
  k.setField('fpuTag', 0, k.constant(ALL_VALID));
}

/** A `define` for the forms of mnemonics with an MMX register. */
export const mmxDefine =
  (define: Define): Define =>
  (mnemonics, body) => {
    for (const mnemonic of mnemonics.split(' ')) {
      define(mmxKey(mnemonic), (k, i) => {
        checkMmx(k);
        body(k, i);
      });
    }
  };

/** Body for `destination = f(destination, source)`. */
export function wordOperation(f: <V, B>(k: Algebra<V, B>, a: V, b: V) => V): Definition {
  return (k, i) => {
    const [destination, source] = i.operands;
    const b = k.read(source);
    const a = k.read(destination);
    enterMmx(k);
    k.write(destination, f(k, a, b));
  };
}

/** Elements of a word, lowest first, zero-extended. */
export function partsOf<V, B>(k: Algebra<V, B>, width: Width, word: V): V[] {
  return Array.from({ length: 64 / width }, (_, n) => k.zext(width, k.shr(word, k.constant(n * width))));
}

/** A word of elements, whose bits above the width are ignored. */
export function joined<V, B>(k: Algebra<V, B>, width: Width, parts: readonly V[]): V {
  return parts
    .map((part, n) => k.shl(n === parts.length - 1 ? part : k.zext(width, part), k.constant(n * width)))
    .reduce((all, one) => k.or(all, one));
}
