/**
 * RCPSS and RSQRTSS: estimates with a relative error below 1.5 * 2^-12, which raise nothing. Every processor has its own
 * tables; here the estimate is the exact value, rounded to the format.
 * Source: SDM 2B RCPPS, RSQRTPS (operation on special values: denormal operands count as zeros, tiny results become zeros).
 */
import { BINARY32, indefinite, infinity, isNaNClass, Mxcsr, quieted, unpack, zero } from './binary-format.ts';

function rounded(value: number): bigint {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}

function asNumber(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

export function reciprocalEstimate(bits: bigint): bigint {
  const a = unpack(BINARY32, bits, Mxcsr.DAZ);
  if (isNaNClass(a)) return quieted(BINARY32, bits);
  if (a.kind === 'zero') return infinity(BINARY32, a.negative);
  if (a.kind === 'infinity') return zero(BINARY32, a.negative);
  const value = 1 / asNumber(bits);
  return Math.abs(value) < 2 ** BINARY32.minimumExponent ? zero(BINARY32, a.negative) : rounded(value);
}

export function reciprocalRootEstimate(bits: bigint): bigint {
  const a = unpack(BINARY32, bits, Mxcsr.DAZ);
  if (isNaNClass(a)) return quieted(BINARY32, bits);
  if (a.kind === 'zero') return infinity(BINARY32, a.negative);
  if (a.negative) return indefinite(BINARY32);
  return a.kind === 'infinity' ? 0n : rounded(1 / Math.sqrt(asNumber(bits)));
}
