/**
 * The decoder against what real silicon did: an instruction that completed has the length by which RIP moved, an
 * encoding that is undefined raised #UD. Runs on the vectors that are there (test/vectors).
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import { Vector } from '../../src/x86/exceptions.ts';
import type { CodeMode } from '../../src/x86/instruction.ts';
import { ALL_ROW_FEATURES } from '../../src/x86/opcode-table.ts';

interface VectorLine {
  readonly id: string;
  readonly mode: CodeMode;
  readonly bytes: string;
  readonly seq?: number;
  readonly initial: { readonly rip: string };
  readonly final: { readonly rip: string };
  readonly fault: { readonly vector: number } | null;
}

const folder = process.env['PARAVANE_VECTORS'] ?? fileURLToPath(new URL('../vectors', import.meta.url));
const families = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.jsonl.gz'))
      .sort()
  : [];

const decoder = new Decoder(ALL_ROW_FEATURES);
/** Rows after which RIP is not the next instruction, or that end before the vector does. */
const MOVES_RIP = /^(J|CALL|RET|LOOP|IRET|WAIT|INT|UD)/;
const INT3 = 0xcc;

function check(line: VectorLine): string | undefined {
  const code = Buffer.from(line.bytes, 'hex');
  const bytes = Buffer.concat([code, Buffer.alloc(16, INT3)]);
  const result = decoder.decode(bytes, 0, bytes.length, line.mode);
  if (result === 'undefined') return line.fault?.vector === Vector.UD ? undefined : 'undefined, but executed';
  if (result === 'too-long') return line.fault?.vector === Vector.GP ? undefined : 'too long, but executed';
  if (result === 'need-more-bytes') return 'needs more bytes';
  const text = disassemble(result, 0n);
  if (line.seq !== undefined || MOVES_RIP.test(result.row.mnemonic)) return undefined;
  if (line.fault?.vector === Vector.UD) return `${text}, but undefined`;
  const moved = Number(BigInt(`0x${line.final.rip}`) - BigInt(`0x${line.initial.rip}`));
  if (line.fault === null && moved !== result.length) return `${text} has ${result.length} bytes, not ${moved}`;
  return undefined;
}

describe.skipIf(families.length === 0)('the decoder against recorded executions', () => {
  it.each(families)('decodes the first instruction of every vector of %s', (name) => {
    const lines = gunzipSync(readFileSync(`${folder}/${name}`))
      .toString()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as VectorLine);
    expect(lines.length).toBeGreaterThan(0);
    const wrong = lines.flatMap((line) => {
      const problem = check(line);
      return problem === undefined ? [] : [`${line.id} ${line.bytes}: ${problem}`];
    });
    expect(wrong).toEqual([]);
  });
});
