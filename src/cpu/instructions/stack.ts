/** Near stack accesses: the stack pointer's width is the stack segment's (64, or 32/16 by SS.B), not the operand's. */
import type { Algebra, Width } from '../algebra.ts';

const RSP = 4;

/** Replaces the part of RSP that the stack width covers. */
export function setStackPointer<V, B>(k: Algebra<V, B>, value: V): void {
  const mask = k.stackMask();
  k.setRegister(RSP, 64, k.or(k.and(k.register(RSP), k.not(mask)), k.and(value, mask)));
}

export function push<V, B>(k: Algebra<V, B>, width: Width, value: V): void {
  const below = k.sub(k.register(RSP), k.constant(width / 8));
  k.store(width, 'SS', k.and(below, k.stackMask()), value);
  setStackPointer(k, below);
}

/** Loads the word at the top; the caller commits with {@link dropStack} when nothing can fault any more. */
export function stackTop<V, B>(k: Algebra<V, B>, width: Width): V {
  return k.load(width, 'SS', k.and(k.register(RSP), k.stackMask()));
}

export function dropStack<V, B>(k: Algebra<V, B>, bytes: V): void {
  setStackPointer(k, k.add(k.register(RSP), bytes));
}
