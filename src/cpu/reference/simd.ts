/**
 * Vector operations of the algebra on two words, lane by lane with plain integers; names and meaning are those of
 * WebAssembly's SIMD instructions (core specification §4.3.2, integer operations by lane).
 */
import type { SimdOperation } from '../algebra.ts';

type Lanes = number[];

const MASKS: Readonly<Record<number, bigint>> = { 8: 0xffn, 16: 0xffffn, 32: 0xffff_ffffn };

function lanes(width: number, [low, high]: readonly [bigint, bigint], signed: boolean): Lanes {
  const result: Lanes = [];
  for (const word of [low, high]) {
    for (let at = 0; at < 64; at += width) {
      const lane = (word >> BigInt(at)) & MASKS[width];
      result.push(Number(signed ? BigInt.asIntN(width, lane) : lane));
    }
  }
  return result;
}

function words(width: number, values: Lanes): [bigint, bigint] {
  const half = 64 / width;
  const word = (from: number): bigint => {
    let result = 0n;
    for (let n = half - 1; n >= 0; n--) result = (result << BigInt(width)) | (BigInt(values[from + n]) & MASKS[width]);
    return result;
  };
  return [word(0), word(half)];
}

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
const saturate = (value: number, width: number, signed: boolean): number =>
  signed ? clamp(value, -(2 ** (width - 1)), 2 ** (width - 1) - 1) : clamp(value, 0, 2 ** width - 1);

const quadword = (bits: boolean): bigint => (bits ? 0xffff_ffff_ffff_ffffn : 0n);

function quadwords(name: string, a: readonly [bigint, bigint], b: readonly [bigint, bigint]): [bigint, bigint] {
  const one = (x: bigint, y: bigint): bigint => {
    switch (name) {
      case 'add':
        return BigInt.asUintN(64, x + y);
      case 'sub':
        return BigInt.asUintN(64, x - y);
      case 'eq':
        return quadword(x === y);
      default:
        return quadword(BigInt.asIntN(64, x) > BigInt.asIntN(64, y));
    }
  };
  return [one(a[0], b[0]), one(a[1], b[1])];
}

/** One lane of an operation that treats lanes alone; `signed` lanes when the name ends in _s. */
function lane(name: string, width: number, x: number, y: number): number {
  switch (name) {
    case 'add':
      return x + y;
    case 'sub':
      return x - y;
    case 'add_sat_s':
    case 'add_sat_u':
      return saturate(x + y, width, name.endsWith('_s'));
    case 'sub_sat_s':
    case 'sub_sat_u':
      return saturate(x - y, width, name.endsWith('_s'));
    case 'min_s':
    case 'min_u':
      return Math.min(x, y);
    case 'max_s':
    case 'max_u':
      return Math.max(x, y);
    case 'avgr_u':
      return (x + y + 1) >>> 1;
    case 'eq':
      return x === y ? -1 : 0;
    case 'gt_s':
      return x > y ? -1 : 0;
    case 'mul':
      return Math.imul(x, y);
    default:
      throw new Error(`no vector operation ${name}`);
  }
}

export function evaluateSimd(operation: SimdOperation, a: readonly [bigint, bigint], b: readonly [bigint, bigint]): [bigint, bigint] {
  const [shape, name] = operation.split('.') as [string, string];
  if (shape === 'i64x2') return quadwords(name, a, b);
  const width = Number.parseInt(shape.slice(1), 10);
  const signed = name.endsWith('_s');
  if (name.startsWith('narrow')) {
    const wide = [...lanes(width * 2, a, true), ...lanes(width * 2, b, true)];
    return words(
      width,
      wide.map((value) => saturate(value, width, signed)),
    );
  }
  if (name.startsWith('extmul')) {
    const from = name.includes('high') ? 4 : 0;
    const x = lanes(16, a, signed);
    const y = lanes(16, b, signed);
    return words(
      32,
      [0, 1, 2, 3].map((n) => x[from + n] * y[from + n]),
    );
  }
  if (name === 'dot_i16x8_s') {
    const x = lanes(16, a, true);
    const y = lanes(16, b, true);
    return words(
      32,
      [0, 2, 4, 6].map((n) => x[n] * y[n] + x[n + 1] * y[n + 1]),
    );
  }
  const x = lanes(width, a, signed);
  const y = lanes(width, b, signed);
  if (name === 'swizzle')
    return words(
      8,
      y.map((index) => x[index] ?? 0),
    );
  return words(
    width,
    x.map((value, n) => lane(name, width, value, y[n])),
  );
}
