/**
 * The code's matrix: n rows of k coefficients, of which the first k are the identity (systematic), and any k rows are
 * independent (MDS), so that any k shares give the data back.
 *
 * Parity row r, data column i:
 *   n - k <= 3: 1, 2^i, 2^-i. After scaling columns, any square part of these rows is a Vandermonde matrix in distinct
 *     2^i or 4^i; rows of powers need no multiplication in the kernels, only doubling and halving.
 *   n - k >= 4: Cauchy, 1 / (x_r + y_i) with x_r = r and y_i = n - k + i, scaled by columns and then rows so that the
 *     first row and column are ones. Any square part of a Cauchy matrix is invertible, and scaling keeps that.
 * So the first parity share is always the XOR of the data.
 * Sources: Rizzo 1997, "Effective erasure codes", §3; Plank and Xu 2006, "Optimizing Cauchy Reed-Solomon codes", §3.
 */

import { assert } from '../../base/errors.ts';
import { inverse, multiply, powerOfTwo } from './galois.ts';

/** Rows of coefficients. */
export type Matrix = number[][];

/** k shares of data, n in all. */
export interface Coding {
  k: number;
  n: number;
}

export const maxShares = 32;

export function isCoding({ k, n }: Coding): boolean {
  return Number.isInteger(k) && Number.isInteger(n) && k >= 1 && k <= n && n <= maxShares;
}

/** The n - k rows below the identity. */
export function parityRows({ k, n }: Coding): Matrix {
  assert(isCoding({ k, n }), () => `no code (${k}, ${n})`);
  const count = n - k;
  const columns = Array.from({ length: k }, (_, i) => i);
  if (count <= 3) return [1, 2, 3].slice(0, count).map((row) => columns.map((i) => powerOfTwo(row === 1 ? 0 : row === 2 ? i : -i)));
  const cauchy = (r: number, i: number): number => inverse(r ^ (count + i));
  const rows = Array.from({ length: count }, (_, r) => columns.map((i) => multiply(cauchy(r, i), inverse(cauchy(0, i)))));
  return rows.map((row) => row.map((c) => multiply(c, inverse(row[0]!))));
}

/** Row `share` of the whole matrix. */
export function codeRow(coding: Coding, share: number): number[] {
  if (share >= coding.k) return parityRows(coding)[share - coding.k]!;
  return Array.from({ length: coding.k }, (_, i) => (i === share ? 1 : 0));
}

/** The inverse by Gauss and Jordan, or null when there is none. */
export function invert(matrix: Matrix): Matrix | null {
  const size = matrix.length;
  const rows = matrix.map((row, r) => [...row, ...row.map((_, i) => (i === r ? 1 : 0))]);
  for (let column = 0; column < size; column++) {
    const pivot = rows.findIndex((row, r) => r >= column && row[column] !== 0);
    if (pivot < 0) return null;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const scale = inverse(rows[column]![column]!);
    rows[column] = rows[column]!.map((c) => multiply(c, scale));
    for (let r = 0; r < size; r++) {
      const factor = rows[r]![column]!;
      if (r === column || factor === 0) continue;
      rows[r] = rows[r]!.map((c, i) => c ^ multiply(factor, rows[column]![i]!));
    }
  }
  return rows.map((row) => row.slice(size));
}

export function multiplyMatrices(a: Matrix, b: Matrix): Matrix {
  return a.map((row) => b[0]!.map((_, column) => row.reduce((sum, c, i) => sum ^ multiply(c, b[i]![column]!), 0)));
}
