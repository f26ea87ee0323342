/**
 * The decoder and the disassembler against the GNU disassembler: first every row of the table in every mode, then real
 * code. A difference means that one of two independent readings of the manual is wrong.
 */

import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import type { CodeMode } from '../../src/x86/instruction.ts';
import { ALL_ROW_FEATURES, OPCODE_ROWS } from '../../src/x86/opcode-table.ts';
import { encodeRow, existsInMode } from './encode-row.ts';
import { compile32, HAS_OBJDUMP, normalise, normaliseOurs, type ObjdumpLine, objdumpBytes, objdumpFile } from './objdump.ts';

const decoder = new Decoder(ALL_ROW_FEATURES);

/** What only AVX-512, AVX-VNNI and the like have. */
const UNKNOWN_VECTOR_TEXT = /\bk\d\b|zmm|[xy]mm(?:1[6-9]|2\d|3[01])|\{|^v(?:pdp|gf2p8)/;

/** Differences of length or text, as lines to read in a failed test. */
function compare(lines: readonly ObjdumpLine[], mode: CodeMode): { differences: string[]; compared: number } {
  const differences: string[] = [];
  let compared = 0;
  for (const { address, bytes, text } of lines) {
    // AVX-512 is not in the table; what the other side does not know is no evidence.
    if (text.startsWith('(bad)') || UNKNOWN_VECTOR_TEXT.test(text)) continue;
    const instruction = decoder.decode(bytes, 0, bytes.length, mode);
    compared++;
    const ours = typeof instruction === 'string' ? instruction : disassemble(instruction, BigInt(address));
    const length = typeof instruction === 'string' ? 0 : instruction.length;
    if (length !== bytes.length || normaliseOurs(ours, mode) !== normalise(text)) {
      differences.push(`${Buffer.from(bytes).toString('hex')}: ${normalise(text)} | ${normaliseOurs(ours, mode)} (${length})`);
    }
  }
  return { differences, compared };
}

/** Encodings that processors accept but the GNU disassembler does not know. */
const UNKNOWN_TO_OBJDUMP = /^(d6|dc d[08]|de d0|d9 d8|df [d][08]|d[df] c8)$/;

describe.skipIf(!HAS_OBJDUMP)('the decoder against the GNU disassembler', () => {
  it.each([64, 32, 16] as const)('agrees on every row of the table in %i-bit code', (mode) => {
    const padding = new Uint8Array(16).fill(0x90);
    const chunks: Uint8Array[] = [];
    const starts = new Set<number>();
    let at = 0;
    let unknown = 0;
    for (const row of OPCODE_ROWS) {
      if (!existsInMode(row, mode)) continue;
      for (const memory of [true, false]) {
        const bytes = encodeRow(row, mode, memory);
        if (
          UNKNOWN_TO_OBJDUMP.test(
            Buffer.from(bytes)
              .toString('hex')
              .replace(/..(?=.)/g, '$& '),
          )
        ) {
          unknown++;
          continue;
        }
        starts.add(at);
        chunks.push(bytes, padding);
        at += bytes.length + padding.length;
      }
    }
    expect(unknown).toBeLessThan(24);
    const lines = objdumpBytes(Buffer.concat(chunks), mode).filter(({ address }) => starts.has(address));
    const { differences, compared } = compare(lines, mode);
    expect(differences).toEqual([]);
    expect(compared).toBe(starts.size);
  });

  it.skipIf(!existsSync('/bin/ls'))('agrees on an executable of the host', () => {
    const lines = objdumpFile('/bin/ls') ?? [];
    const { differences, compared } = compare(lines.slice(0, 20_000), 64);
    expect(differences).toEqual([]);
    expect(compared).toBeGreaterThan(1000);
  });

  it('agrees on compiled 32-bit code', ({ skip }) => {
    const lines = compile32(`
      typedef unsigned long long u64;
      int sum(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i] * i; return s; }
      u64 divide(u64 a, u64 b) { return a * b + (a >> 7) + (b << 3); }
      double mean(const double *p, int n) { double s = 0; for (int i = 0; i < n; i++) s += p[i]; return s / n; }
      float scale(long double x, short y) { return (float)(x * y) + (int)x; }
      void copy(char *d, const char *s, unsigned n) { __builtin_memcpy(d, s, 64); while (n--) *d++ = *s++ ^ 0x5a; }
      int pick(int x) { switch (x) { case 0: return 3; case 1: return 17; case 2: return -1; case 3: return 9; case 4: return 2; } return x; }
      unsigned swap(unsigned x) { return __builtin_bswap32(x) + __builtin_clz(x) + __builtin_ctz(x); }
      int exchange(int *p, int x) { return __sync_fetch_and_add(p, x) + __sync_lock_test_and_set(p, 1); }
    `);
    if (lines === undefined) return skip();
    const { differences, compared } = compare(lines, 32);
    expect(differences).toEqual([]);
    expect(compared).toBeGreaterThan(150);
  });
});
