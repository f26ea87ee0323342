/**
 * Writes a WebAssembly SIMD function for one coefficient matrix: outputs are sums of sources times constants.
 *
 * A share is a row of groups of 128 bytes, and a group is 8 planes of 16 bytes: bit b of byte t of plane p is bit p of
 * the field element (t, b). In this form adding is XOR of planes, doubling is a renaming of planes and 3 XORs, and no
 * constant needs a table, where nibble tables take two shuffles per constant (WebAssembly has 16-byte vectors and, in
 * V8, no cheap 16-byte constants). Data shares are the user's bytes as they are; only parity depends on the form.
 *
 * Per row the generator takes the cheapest of: XOR; powers of two with rising or falling exponents, by Horner's rule;
 * otherwise each constant as an 8 x 8 matrix of bits. Sources are read again for each row: they are in the first cache.
 * Sources: Blömer et al. 1995, "An XOR-based erasure-resilient coding scheme", §3; Uezato 2021, "Accelerating XOR-based
 * erasure coding using program optimization techniques", §1-4.
 */

import { FunctionBody } from '../../wasm/function-body.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { logarithm, multiply, powerOfTwo } from './galois.ts';
import type { Matrix } from './matrix.ts';

/** Lengths are multiples of this. */
export const groupBytes = 128;
const planes = 8;
const planeBytes = 16;

/** What a kernel computes, in share slots: output o is the sum over j of rows[o][j] times source j. No slot is in both. */
export interface KernelPlan {
  sources: readonly number[];
  outputs: readonly number[];
  rows: Matrix;
}

/** Slot s begins at `base + s * stride`; `length` bytes of each slot are read or written. */
export type Kernel = (base: number, stride: number, length: number) => void;

/** The module of a plan; imports `racs.memory`, exports `code`. */
export function buildKernel(plan: KernelPlan): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('racs', 'memory', { minimum: 0 });
  const type = module.type(['i32', 'i32', 'i32'], []);
  const rowFunctions = plan.rows.map((row, o) => ({ row, output: plan.outputs[o]!, func: module.func(type) }));
  const body = new FunctionBody();
  for (const { row, output, func } of rowFunctions) {
    writeRow(body, plan.sources, row, output);
    module.code(func, body);
  }
  const driver = module.func(type);
  writeDriver(
    body,
    rowFunctions.map(({ func }) => func),
  );
  module.code(driver, body);
  module.exportFunction('code', driver);
  return module.build();
}

/** Bytes of each source that all rows go over before the next, so that they stay in the first cache. */
const chunkBytes = 1024;

const [base, stride, length] = [0, 1, 2];

/** Calls every row's function for each chunk. */
function writeDriver(body: FunctionBody, rows: number[]): void {
  body.reset(['i32', 'i32', 'i32']);
  const end = body.local('i32');
  const step = body.local('i32');
  get(body, base, length);
  body.emit('i32.add');
  body.local_set(end);
  const exit = body.block();
  const loop = body.loop();
  get(body, base, end);
  body.emit('i32.ge_u');
  body.br_if(exit);
  // step = min(chunkBytes, end - base)
  body.i32_const(chunkBytes);
  get(body, end, base);
  body.emit('i32.sub');
  body.local_tee(step);
  body.i32_const(chunkBytes);
  body.local_get(step);
  body.emit('i32.lt_u');
  body.select();
  body.local_set(step);
  for (const func of rows) {
    get(body, base, stride, step);
    body.call(func);
  }
  get(body, base, step);
  body.emit('i32.add');
  body.local_set(base);
  body.br(loop);
  body.end();
  body.end();
}

function writeRow(body: FunctionBody, sources: readonly number[], row: readonly number[], output: number): void {
  body.reset(['i32', 'i32', 'i32']);
  const address = body.local('i32');
  const at = body.local('i32');
  const terms = row.flatMap((coefficient, j) => (coefficient === 0 ? [] : [{ coefficient, source: sources[j]! }]));
  const begins = new Map<number, number>();
  for (const slot of new Set([...terms.map(({ source }) => source), output])) {
    const begin = body.local('i32');
    begins.set(slot, begin);
    body.local_get(base);
    body.local_get(stride);
    body.i32_const(slot);
    body.emit('i32.mul');
    body.emit('i32.add');
    body.local_set(begin);
  }
  const sum = Array.from({ length: planes }, () => body.local('v128'));
  const exit = body.block();
  const loop = body.loop();
  get(body, at, length);
  body.emit('i32.ge_u');
  body.br_if(exit);
  const pointTo = (slot: number): void => {
    get(body, begins.get(slot)!, at);
    body.emit('i32.add');
    body.local_set(address);
  };
  const load = (plane: number): void => {
    body.local_get(address);
    body.load('v128.load', plane * planeBytes);
  };
  const horner = hornerOrder(terms);
  const result = horner ? writeHorner(body, horner, sum, pointTo, load) : writeBitMatrices(body, terms, sum, pointTo, load);
  pointTo(output);
  for (let p = 0; p < planes; p++) {
    body.local_get(address);
    if (terms.length === 0) body.v128_const_i64x2(0n, 0n);
    else body.local_get(result[p]!);
    body.store('v128.store', p * planeBytes);
  }
  body.local_get(at);
  body.i32_const(groupBytes);
  body.emit('i32.add');
  body.local_set(at);
  body.br(loop);
  body.end();
  body.end();
}

interface Term {
  coefficient: number;
  source: number;
}

/**
 * Terms as powers of two in an order where Horner's rule needs few steps, each with the doublings (or, negative,
 * halvings) that the sum needs after it; null when bit matrices are cheaper.
 */
function hornerOrder(terms: readonly Term[]): { source: number; shift: number }[] | null {
  if (terms.length === 0) return [];
  const exponents = terms.map(({ coefficient, source }) => ({ source, e: ((logarithm(coefficient) + 127) % 255) - 127 }));
  const candidates = [1, -1].map((sign) => {
    const ordered = [...exponents].sort((a, b) => sign * (b.e - a.e));
    const order = ordered.map(({ source, e }, i) => ({ source, shift: e - (ordered[i + 1]?.e ?? 0) }));
    return { order, steps: order.reduce((sum, { shift }) => sum + Math.abs(shift), 0) };
  });
  const best = candidates[0]!.steps <= candidates[1]!.steps ? candidates[0]! : candidates[1]!;
  // A step is 3 XORs; a constant as a matrix of bits takes about 24 XORs more than adding.
  return best.steps * 3 <= terms.length * 24 ? best.order : null;
}

function writeHorner(
  body: FunctionBody,
  order: readonly { source: number; shift: number }[],
  sum: number[],
  pointTo: (slot: number) => void,
  load: (plane: number) => void,
): number[] {
  let names = [...sum];
  const addPlane = (to: number, plus: number): void => {
    get(body, to, plus);
    body.emit('v128.xor');
    body.local_set(to);
  };
  order.forEach(({ source, shift }, i) => {
    pointTo(source);
    for (let p = 0; p < planes; p++) {
      if (i > 0) body.local_get(names[p]!);
      load(p);
      if (i > 0) body.emit('v128.xor');
      body.local_set(names[p]!);
    }
    for (let s = 0; s < shift; s++) {
      // x^8 = x^4 + x^3 + x^2 + 1: plane 7 goes to 0 and is added to 2, 3 and 4.
      const top = names[7]!;
      names = [top, ...names.slice(0, 7)];
      for (const p of [2, 3, 4]) addPlane(names[p]!, top);
    }
    for (let s = 0; s > shift; s--) {
      const bottom = names[0]!;
      for (const p of [2, 3, 4]) addPlane(names[p]!, bottom);
      names = [...names.slice(1), bottom];
    }
  });
  return names;
}

/** Each coefficient c as a matrix of bits: plane q of c times d is the sum of the planes p of d with bit q in c * 2^p. */
function writeBitMatrices(
  body: FunctionBody,
  terms: readonly Term[],
  sum: number[],
  pointTo: (slot: number) => void,
  load: (plane: number) => void,
): number[] {
  const source = Array.from({ length: planes }, () => body.local('v128'));
  const written = new Set<number>();
  for (const term of terms) {
    pointTo(term.source);
    for (let p = 0; p < planes; p++) {
      load(p);
      body.local_set(source[p]!);
    }
    const columns = Array.from({ length: planes }, (_, p) => multiply(term.coefficient, powerOfTwo(p)));
    for (let q = 0; q < planes; q++) {
      let first = !written.has(q);
      if (!first) body.local_get(sum[q]!);
      for (let p = 0; p < planes; p++) {
        if (!((columns[p]! >> q) & 1)) continue;
        body.local_get(source[p]!);
        if (first) first = false;
        else body.emit('v128.xor');
      }
      body.local_set(sum[q]!);
      written.add(q);
    }
  }
  for (const local of source) body.free(local);
  return sum;
}

function get(body: FunctionBody, ...locals: number[]): void {
  for (const local of locals) body.local_get(local);
}
