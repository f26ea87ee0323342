/**
 * Every VEX row with vectors on both engines against the host's processor. More cases a row: PARAVANE_VECTOR_CASES, other
 * ones: PARAVANE_VECTOR_SEED.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { ZEN3_AVX } from '../../../src/cpu/cpuid/models.ts';
import { pick, SeededChoices } from '../../../src/stacks/fuzz/choices.ts';
import { Decoder } from '../../../src/x86/decode.ts';
import { disassemble } from '../../../src/x86/disassemble.ts';
import { Vector } from '../../../src/x86/exceptions.ts';
import { OPCODE_ROWS } from '../../../src/x86/opcode-table.ts';
import { type Case, HostVectors, hostVectorsMissing, WINDOW } from './host-vectors.ts';
import { drawCase, isVectorRow } from './vector-cases.ts';
import { differences, loosenessOf, VectorRunner } from './vector-runner.ts';

const CASES = Number(process.env['PARAVANE_VECTOR_CASES'] ?? 8);
const SEED = Number(process.env['PARAVANE_VECTOR_SEED'] ?? 1);
const ROWS = OPCODE_ROWS.filter(isVectorRow);
const BATCH = 4000;

const missing = hostVectorsMissing();

describe.skipIf(missing !== undefined)(`vector instructions on the host's processor${missing === undefined ? '' : `: ${missing}`}`, () => {
  const host = missing === undefined ? new HostVectors() : undefined;
  afterAll(() => host?.close());
  const decoder = new Decoder(ZEN3_AVX.features);

  it.each([64, 32] as const)('and on both engines end alike in %i-bit code', { timeout: 600_000 }, (mode) => {
    const engines = (['reference', 'interpreter'] as const).map((name) => ({ name, runner: new VectorRunner(mode, name, ZEN3_AVX) }));
    const rows = ROWS.filter((row) => row.modes === 'all' || (row.modes === '64') === (mode === 64));
    const cases = rows.flatMap((row) => {
      const choices = new SeededChoices(SEED, row.id + mode);
      return Array.from({ length: CASES }, () => drawCase(row, choices, mode));
    });
    const failures: string[] = [];
    const reached = new Set<number>();
    for (let from = 0; from < cases.length; from += BATCH) {
      const batch = cases.slice(from, from + BATCH);
      for (const [n, theirs] of host!.run(batch).entries()) {
        const one = batch[n]!;
        const decoded = decode(decoder, one);
        if (typeof decoded !== 'string') reached.add(decoded.row.id);
        for (const { name, runner } of engines) {
          const lines = differences(runner.run(one), theirs, typeof decoded === 'string' ? {} : loosenessOf(decoded.row.mnemonic));
          const text = typeof decoded === 'string' ? decoded : disassemble(decoded, 0x10000n);
          if (lines.length > 0) failures.push(`${name} ${Buffer.from(one.code).toString('hex')} ${text}: ${lines.slice(0, 6).join(', ')}`);
        }
      }
    }
    expect(failures.slice(0, 60)).toEqual([]);
    expect(rows.filter(({ id }) => !reached.has(id)).map(({ opcode, mnemonic }) => `${opcode} ${mnemonic}`)).toEqual([]);
  });

  it.each([64, 32] as const)('refuses what the host refuses of changed encodings in %i-bit code', { timeout: 600_000 }, (mode) => {
    const runner = new VectorRunner(mode, 'reference', ZEN3_AVX);
    const rows = ROWS.filter((row) => row.modes === 'all' || (row.modes === '64') === (mode === 64));
    const cases = rows.flatMap((row) => {
      const choices = new SeededChoices(SEED, row.id + 3);
      const one = drawCase(row, choices, mode);
      return changedEncodings(one.code, mode).map((code) => ({ ...one, code }));
    });
    const failures: string[] = [];
    for (let from = 0; from < cases.length; from += BATCH) {
      const batch = cases.slice(from, from + BATCH);
      for (const [n, theirs] of host!.run(batch).entries()) {
        const one = batch[n]!;
        const decoded = decode(decoder, one);
        if (typeof decoded === 'string' && theirs.vector !== Vector.UD && mayBeMoreThere(one.code)) continue;
        const ours = runner.run(one);
        if ((ours.vector === Vector.UD) !== (theirs.vector === Vector.UD)) {
          const text = typeof decoded === 'string' ? decoded : disassemble(decoded, 0x10000n);
          failures.push(`${Buffer.from(one.code).toString('hex')} ${text}: ${ours.vector} | ${theirs.vector}`);
        }
      }
    }
    expect(failures.slice(0, 60)).toEqual([]);
  });

  it.each([64, 32] as const)('saves and restores upper halves as the host does in %i-bit code', (mode) => {
    const choices = new SeededChoices(SEED, mode);
    const vaddps = OPCODE_ROWS.find(({ mnemonic }) => mnemonic === 'VADDPS')!;
    const cases = Object.entries(STATE_INSTRUCTIONS).flatMap(([name, code]) =>
      [2n, 4n, 6n, 6n, 6n].map((components) => {
        const one = drawCase(vaddps, choices, mode);
        one.gpr[RBX] = BigInt(WINDOW.start);
        one.gpr[RAX] = components;
        one.gpr[RDX] = 0n;
        // Some registers are in their initial configuration.
        const half = choices.below(3) * 2;
        if (half < 4) for (let n = 0; n < 64; n++) if ((n & 2) === half) one.ymm[n] = 0n;
        const header = new BigUint64Array(one.window.buffer, 512, 8);
        header.fill(0n);
        header[0] = pick(choices, [0n, 2n, 4n, 6n]);
        if (name === 'compacted') header[1] = (1n << 63n) | 6n;
        new DataView(one.window.buffer).setUint32(24, 0x1fa0, true);
        return { ...one, code };
      }),
    );
    const answers = host!.run(cases);
    expect(new Set(answers.map(({ vector }) => vector))).toEqual(new Set([Vector.BP]));
    for (const engine of ['reference', 'interpreter'] as const) {
      const runner = new VectorRunner(mode, engine, ZEN3_AVX);
      const found = cases.map((one, n) => [Buffer.from(one.code).toString('hex'), ...differences(runner.run(one), answers[n]!)]);
      expect(found.filter((lines) => lines.length > 1)).toEqual([]);
    }
  });
});

const [RAX, RDX, RBX] = [0, 2, 3];
/** With [rBX]: XSAVE, XSAVEOPT, XSAVEC, XRSTOR of both formats. */
const STATE_INSTRUCTIONS: Readonly<Record<string, Uint8Array>> = {
  save: Uint8Array.of(0x0f, 0xae, 0x23),
  optimized: Uint8Array.of(0x0f, 0xae, 0x33),
  saveCompacted: Uint8Array.of(0x0f, 0xc7, 0x23),
  restore: Uint8Array.of(0x0f, 0xae, 0x2b),
  compacted: Uint8Array.of(0x0f, 0xae, 0x2b),
};

/**
 * Map, L and opcode of what later processors have: VAES and VPCLMULQDQ with 256 bits; and VPERMQ and VPERMPD, whose W AMD
 * ignores where the manual says W1.
 */
const MORE_THERE = /^(?:2\.1\.d[cdef]|3\.1\.(?:44|0|1))$/;

function mayBeMoreThere(code: Uint8Array): boolean {
  const start = code.indexOf(0xc4);
  return start >= 0 && MORE_THERE.test(`${code[start + 1]! & 31}.${(code[start + 2]! >> 2) & 1}.${code[start + 3]!.toString(16)}`);
}

/** The instruction with other values of L, W, pp and vvvv, and behind prefixes that VEX does not bear. */
function changedEncodings(code: Uint8Array, mode: 64 | 32): Uint8Array[] {
  const start = code[0] === 0x2e || code[0] === 0x3e ? 1 : 0;
  const at = code[start] === 0xc4 ? start + 2 : start + 1;
  const flipped = (offset: number, bits: number): Uint8Array => code.map((byte, n) => (n === offset ? byte ^ bits : byte));
  const changed = [flipped(at, 4), flipped(at, 0x08), flipped(at, 0x20), flipped(at, 1), flipped(at, 2), flipped(at, 0x44)];
  if (code[start] === 0xc4) changed.push(flipped(at, 0x80), flipped(at, 0x84));
  const prefixes = mode === 64 ? [0xf0, 0x66, 0xf2, 0xf3, 0x40] : [0xf0, 0x66, 0xf2, 0xf3];
  return [...changed, ...prefixes.map((prefix) => Uint8Array.from([prefix, ...code]))];
}

function decode(decoder: Decoder, { code, mode }: Case) {
  const padded = new Uint8Array(32);
  padded.set(code);
  return decoder.decode(padded, 0, padded.length, mode);
}
