/** Fused multiplication and addition against exact integers, where operands nearly cancel and at the borders of the fast paths. */
import { describe, expect, it } from 'vitest';
import { HASWELL } from '../../../src/cpu/cpuid/models.ts';
import { BINARY32, BINARY64, type BinaryFormat, type Outcome, roundAndPack, unpack, zero } from '../../../src/cpu/float/binary-format.ts';
import { type Choices, oneIn, pick, SeededChoices } from '../../../src/stacks/fuzz/choices.ts';
import { VectorRunner } from './vector-runner.ts';

const RUNS = { reference: 400, interpreter: 4000 } as const;
const DOWN = 0x2000;

/** a * b + c of finite numbers, rounded once. */
function exactFused(format: BinaryFormat, bits: readonly bigint[], mxcsr: number): Outcome {
  const [a, b, c] = bits.map((one) => unpack(format, one, mxcsr)) as [
    ReturnType<typeof unpack>,
    ReturnType<typeof unpack>,
    ReturnType<typeof unpack>,
  ];
  const flags = [a, b, c].some(({ denormal }) => denormal) ? 2 : 0;
  const exponent = Math.min(a.exponent + b.exponent, c.exponent);
  const signed = (negative: boolean, significand: bigint, at: number): bigint =>
    (negative ? -significand : significand) << BigInt(at - exponent);
  const productNegative = a.negative !== b.negative;
  const sum =
    signed(productNegative, a.significand * b.significand, a.exponent + b.exponent) + signed(c.negative, c.significand, c.exponent);
  if (sum === 0n) {
    const noneLeft = productNegative !== c.negative;
    return { bits: zero(format, noneLeft ? (mxcsr & 0x6000) === DOWN : c.negative), flags };
  }
  const outcome = roundAndPack(format, sum < 0n, sum < 0n ? -sum : sum, exponent, mxcsr);
  return { bits: outcome.bits, flags: outcome.flags | flags };
}

function drawNumber(choices: Choices, format: BinaryFormat): bigint {
  const fractionBits = BigInt(format.precision - 1);
  const bias = format.maximumExponent;
  const near = oneIn(choices, 2)
    ? [0, 1, -1, 2, format.precision, -format.precision]
    : [250, -250, 249, -251, 600, -600, -bias + 1, bias, -bias];
  const unbiased = Math.max(-bias, Math.min(bias, oneIn(choices, 4) ? choices.below(2 * bias) - bias : pick(choices, near)));
  const random = (BigInt(choices.u32()) << 32n) | BigInt(choices.u32());
  const kept = Math.min(pick(choices, [0, 1, 3, 12, 24, 53]), format.precision - 1);
  const fraction = (random >> BigInt(64 - kept)) << (fractionBits - BigInt(kept));
  const sign = oneIn(choices, 2) ? 1n << BigInt(format.width - 1) : 0n;
  return sign | (BigInt(unbiased + bias) << fractionBits) | BigInt.asUintN(Number(fractionBits), fraction ^ (oneIn(choices, 3) ? 1n : 0n));
}

/** Also an addend that takes away nearly all of the product. */
function drawOperands(choices: Choices, format: BinaryFormat): bigint[] {
  const [a, b] = [drawNumber(choices, format), drawNumber(choices, format)];
  if (oneIn(choices, 2)) return [a, b, drawNumber(choices, format)];
  const product = exactFused(format, [a, b, 0n], 0x1f80).bits ^ (1n << BigInt(format.width - 1));
  const infinite = unpack(format, product, 0).kind !== 'finite';
  return [a, b, infinite ? 0n : BigInt.asUintN(format.width, product + BigInt(choices.below(5) - 2))];
}

describe.each(['reference', 'interpreter'] as const)('FMA on the %s engine', (engine) => {
  it.each([
    ['single', BINARY32, 'c4 e2 71 a9 c2'], // vfmadd213ss xmm0, xmm1, xmm2
    ['double', BINARY64, 'c4 e2 f1 a9 c2'], // vfmadd213sd xmm0, xmm1, xmm2
  ] as const)('rounds once in %s precision', (_, format, hex) => {
    const runner = new VectorRunner(64, engine, HASWELL);
    const choices = new SeededChoices(3, format.width);
    const code = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    for (let n = 0; n < RUNS[engine]; n++) {
      const operands = drawOperands(choices, format);
      if (operands.some((bits) => !['finite', 'zero'].includes(unpack(format, bits, 0).kind))) continue;
      const fast = !oneIn(choices, 4);
      const mxcsr = fast ? 0x1fa0 : 0x1f80 | (choices.below(4) << 13) | pick(choices, [0, 0x40, 0x8000, 0x8040]);
      const ymm = new BigUint64Array(64);
      ymm[0] = operands[1]!;
      ymm[4] = operands[0]!;
      ymm[8] = operands[2]!;
      const outcome = runner.run({ mode: 64, code, gpr: new BigUint64Array(16), rflags: 0x202, mxcsr, ymm, window: new Uint8Array(0x400) });
      const exact = exactFused(format, operands, mxcsr);
      const text = `${operands.map((bits) => bits.toString(16)).join(' ')} under ${mxcsr.toString(16)}`;
      expect(`${text}: ${outcome.ymm[0]!.toString(16)} ${outcome.mxcsr.toString(16)}`).toBe(
        `${text}: ${exact.bits.toString(16)} ${(mxcsr | exact.flags).toString(16)}`,
      );
    }
  });
});
