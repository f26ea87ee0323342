import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exactFunctions } from '../../../src/cpu/float/exact-functions.ts';
import type { Vector } from '../../../src/stacks/vectors/vector.ts';
import { VectorMachine } from '../../../src/stacks/vectors/vector-machine.ts';
import { Cr0, Cr4 } from '../../../src/x86/control-registers.ts';

const exact = exactFunctions();
const hex = (value: bigint | number): string => value.toString(16);

/** `op xmm0, xmm1` with the operands in the low elements. */
function scalarVector(opcode: string, a: bigint, b: bigint, mxcsr: number): Omit<Vector, 'final'> {
  const initial = { rip: '10000', xmm: { 0: hex(a), 1: hex(b) }, mxcsr: hex(mxcsr) };
  return { id: 'own', name: 'own', mode: 64, bytes: opcode, initial, fault: null, undefinedFlags: '0' };
}

const operations = [
  ['add', '58'],
  ['sub', '5c'],
  ['mul', '59'],
  ['div', '5e'],
  ['sqrt', '51'],
  ['min', '5d'],
  ['max', '5f'],
] as const;

/** Encodings with exponents at the edges and few or many significant bits, so that all kinds of result occur. */
function encodings(width: 32 | 64): fc.Arbitrary<bigint> {
  const fraction = width === 64 ? 52 : 23;
  const top = width === 64 ? 2047 : 255;
  const middle = top >> 1;
  const exponents = [0, 1, 2, middle - fraction - 1, middle - 1, middle, middle + 1, middle + fraction, top - 1, top];
  const exponent = fc.oneof(fc.constantFrom(...exponents), fc.integer({ min: 0, max: top }));
  const significand = fc
    .tuple(fc.bigInt({ min: 0n, max: (1n << BigInt(fraction)) - 1n }), fc.integer({ min: 0, max: fraction }))
    .map(([bits, zeros]) => (bits >> BigInt(zeros)) << BigInt(zeros));
  return fc
    .tuple(fc.boolean(), exponent, significand)
    .map(([sign, e, f]) => (BigInt(sign ? 1 : 0) << BigInt(width - 1)) | (BigInt(e) << BigInt(fraction)) | f);
}

/** All exceptions masked; rounding, DAZ, FZ and the flags vary. */
const environments = fc
  .tuple(fc.constantFrom(0, 0, 0, 1, 2, 3), fc.constantFrom(0, 0x40, 0x8000, 0x8040), fc.integer({ min: 0, max: 63 }))
  .map(([rounding, modes, flags]) => 0x1f80 | (rounding << 13) | modes | flags);

describe.each(['reference', 'interpreter', 'jit'] as const)('scalar arithmetic on the %s engine', (engine) => {
  const machine = new VectorMachine(64, engine);
  const runs = engine === 'reference' ? 150 : 600;

  it.each(operations)('%s gives the exact result and flags, on whatever path', (name, opcode) => {
    for (const [width, prefix] of [
      [64, 'f2'],
      [32, 'f3'],
    ] as const) {
      fc.assert(
        fc.property(encodings(width), encodings(width), environments, (a, b, mxcsr) => {
          const [x, y] = name === 'sqrt' ? [b, b] : [a, b];
          const result = exact[`f${width}.${name}`](x, y, BigInt(mxcsr));
          const flags = exact[`f${width}.${name}.flags`](x, y, BigInt(mxcsr));
          const vector = scalarVector(`${prefix}0f${opcode}c1`, a, b, mxcsr);
          const final = { rip: '10004', xmm: { 0: hex(result) }, mxcsr: hex(BigInt(mxcsr) | flags) };
          expect(machine.run({ ...vector, final })).toEqual([]);
        }),
        { numRuns: runs },
      );
    }
  });
});

describe('SSE instructions', () => {
  /** divsd xmm0, xmm1: one by zero, with ZE unmasked. */
  const division = scalarVector('f20f5ec1', 0x3ffn << 52n, 0n, 0x1d80);
  const unchanged = { rip: '10000' };
  const faulting = (vector: number, mxcsr?: string): Vector => ({
    ...division,
    final: mxcsr === undefined ? unchanged : { ...unchanged, mxcsr },
    fault: { vector, error: '0' },
  });

  it('raise #XM for an unmasked exception, with its flag set and nothing else changed', () => {
    expect(new VectorMachine(64, 'interpreter').run(faulting(19, '1d84'))).toEqual([]);
  });

  it.each([
    ['#UD for it without CR4.OSXMMEXCPT', { clearCr4: Cr4.OSXMMEXCPT }, faulting(6, '1d84')],
    ['#UD without CR4.OSFXSR', { clearCr4: Cr4.OSFXSR }, faulting(6)],
    ['#UD with CR0.EM', { setCr0: Cr0.EM | Cr0.TS }, faulting(6)],
    ['#NM with CR0.TS', { setCr0: Cr0.TS }, faulting(7)],
  ])('raise %s (SDM 2A §2.4)', (_, controls, vector) => {
    expect(new VectorMachine(64, 'reference', controls).run(vector)).toEqual([]);
    expect(new VectorMachine(64, 'interpreter', controls).run(vector)).toEqual([]);
  });
});
