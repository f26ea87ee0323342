/**
 * Loads and stores of elements that a mask chooses, and gathers (SDM 1 §14.1.1, §14.6.2). What the mask leaves out is not
 * accessed and cannot fault. Masked moves do all or nothing. A gather is restartable: elements that arrived before a fault
 * are in the destination, and their mask elements are cleared (SDM 2C VGATHERDPS).
 * DEVIATION: what a fault leaves in later mask elements is as AMD's processors do; the manual has them filled with their sign.
 */
import type { Algebra, Definition, Facts, VectorWord } from '../algebra.ts';
import type { Family } from '../definition.ts';
import type { Operand } from '../../x86/instruction.ts';
import type { ElementWidth } from './sse-state.ts';
import { avxDefine, clearUpper, lowElements, readElements, writeElements } from './vector-operands.ts';

/** The sign of an element is set. */
function chosen<V, B>(k: Algebra<V, B>, width: ElementWidth, element: V): B {
  return k.ltS(k.sext(width, element), k.constant(0));
}

function inAddressSize<V, B>(k: Algebra<V, B>, i: Facts, address: V): V {
  return i.addressSize === 64 ? address : k.and(address, k.constant((1n << BigInt(i.addressSize)) - 1n));
}

function maskedMove(width: ElementWidth): Definition {
  return (k, i) => {
    const [destination, mask, source] = i.operands;
    const conditions = readElements(k, i, mask, width).map((element) => chosen(k, width, element));
    const start = k.effectiveAddress();
    const at = (n: number) => inAddressSize(k, i, k.add(start, k.constant((n * width) / 8)));
    if (destination.kind !== 'memory') {
      const zero = k.constant(0);
      const loaded = conditions.map((condition, n) =>
        k.choose(
          condition,
          () => k.load(width, 'operand', at(n)),
          () => zero,
        ),
      );
      writeElements(k, i, destination, width, loaded);
      return;
    }
    const values = readElements(k, i, source, width);
    for (const [n, condition] of conditions.entries()) k.when(condition, () => k.probeStore(width, 'operand', at(n)));
    for (const [n, condition] of conditions.entries()) k.when(condition, () => k.store(width, 'operand', at(n), values[n]));
  };
}

/** Replaces one element of a register and nothing else. */
function setElement<V, B>(k: Algebra<V, B>, register: Operand, width: ElementWidth, n: number, value: V): void {
  const word = ((n * width) >> 6) as VectorWord;
  if (width === 64) {
    k.writeXmm(register, word, value);
    return;
  }
  const upper = n % 2 === 1;
  const kept = k.and(k.readXmm(register, word), k.constant(upper ? 0xffff_ffffn : 0xffff_ffff_0000_0000n));
  k.writeXmm(register, word, k.or(kept, upper ? k.shl(value, k.constant(32)) : value));
}

/** Clears a register from a bit on. */
function clearFrom<V, B>(k: Algebra<V, B>, i: Facts, register: Operand, bit: number): void {
  for (let word = bit >> 6; word < 2; word++) k.writeXmm(register, word as VectorWord, k.constant(0));
  if (bit <= 128) clearUpper(k, i, register);
}

function gather(indexWidth: ElementWidth, width: ElementWidth): Definition {
  return (k, i) => {
    const [destination, , mask, index] = i.operands;
    const count = Math.min(destination.width / width, index.width / indexWidth);
    const indices = lowElements(k, i, index, indexWidth, count).map((element) => k.sext(indexWidth, element));
    const conditions = lowElements(k, i, mask, width, count).map((element) => chosen(k, width, element));
    const start = k.effectiveAddress();
    const scale = k.constant(i.memory?.scale ?? 0);
    for (const [n, condition] of conditions.entries()) {
      k.when(condition, () => {
        const value = k.load(width, 'operand', inAddressSize(k, i, k.add(start, k.shl(indices[n], scale))));
        setElement(k, destination, width, n, value);
      });
      setElement(k, mask, width, n, k.constant(0));
    }
    clearFrom(k, i, destination, count * width);
    clearFrom(k, i, mask, 0);
  };
}

export const avxMemory: Family = (plain) => {
  const define = avxDefine(plain);
  define('VMASKMOVPS VPMASKMOVD', maskedMove(32));
  define('VMASKMOVPD VPMASKMOVQ', maskedMove(64));
  define('VGATHERDPS VPGATHERDD', gather(32, 32));
  define('VGATHERDPD VPGATHERDQ', gather(32, 64));
  define('VGATHERQPS VPGATHERQD', gather(64, 32));
  define('VGATHERQPD VPGATHERQQ', gather(64, 64));
};
