/**
 * What holds for every byte sequence: the decoder never throws, never claims bytes that it was not given, and its
 * answer depends only on the bytes that it claims.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import type { CodeMode } from '../../src/x86/instruction.ts';
import { ALL_ROW_FEATURES } from '../../src/x86/opcode-table.ts';

const decoder = new Decoder(ALL_ROW_FEATURES);
const modes = fc.constantFrom<CodeMode>(64, 32, 16);

/** Bytes in which prefixes and escapes are as frequent as everything else together. */
const codeByte = fc.oneof(
  fc.integer({ min: 0, max: 255 }),
  fc.constantFrom(0x0f, 0x66, 0xf2, 0xf3, 0x48, 0x41, 0xf0, 0x67, 0x38, 0x3a, 0xc4, 0xc5, 0x64),
);
const code = fc.array(codeByte, { maxLength: 20 }).map((bytes) => Uint8Array.from(bytes));

describe('the decoder on arbitrary bytes', () => {
  it('never throws and never claims more bytes than it was given, nor more than 15', () => {
    fc.assert(
      fc.property(code, modes, (bytes, mode) => {
        const result = decoder.decode(bytes, 0, bytes.length, mode);
        if (typeof result === 'string') {
          expect(['undefined', 'too-long', 'need-more-bytes']).toContain(result);
          if (result === 'too-long') expect(bytes.length).toBeGreaterThanOrEqual(15);
          if (result === 'need-more-bytes') expect(bytes.length).toBeLessThan(15);
          return;
        }
        expect(result.length).toBeGreaterThan(0);
        expect(result.length).toBeLessThanOrEqual(Math.min(15, bytes.length));
        expect(result.operands.length).toBe(result.row.operands.length);
        expect(result.operands).not.toContain(undefined);
        expect(disassemble(result, 0n)).not.toContain('?');
      }),
      { numRuns: 3000 },
    );
  });

  it('gives the same answer with exactly the claimed bytes, and asks for more with fewer', () => {
    fc.assert(
      fc.property(code, modes, (bytes, mode) => {
        const result = decoder.decode(bytes, 0, bytes.length, mode);
        if (typeof result === 'string') return;
        expect(decoder.decode(bytes, 0, result.length, mode)).toEqual(result);
        for (let length = 0; length < result.length; length++) {
          expect(decoder.decode(bytes, 0, length, mode)).toBe('need-more-bytes');
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('keeps saying undefined whatever follows', () => {
    fc.assert(
      fc.property(code, code, modes, (bytes, more, mode) => {
        if (decoder.decode(bytes, 0, bytes.length, mode) !== 'undefined') return;
        const longer = Uint8Array.from([...bytes, ...more]);
        expect(decoder.decode(longer, 0, longer.length, mode)).toBe('undefined');
      }),
      { numRuns: 1500 },
    );
  });

  it('does not remember the instruction before', () => {
    fc.assert(
      fc.property(code, code, modes, modes, (first, second, firstMode, mode) => {
        const fresh = new Decoder(ALL_ROW_FEATURES).decode(second, 0, second.length, mode);
        decoder.decode(first, 0, first.length, firstMode);
        expect(decoder.decode(second, 0, second.length, mode)).toEqual(fresh);
      }),
      { numRuns: 300 },
    );
  });
});
