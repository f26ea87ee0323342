/** Which instructions become a region, and how they are cut into blocks. */
import { describe, expect, it } from 'vitest';
import { DEFAULT } from '../../src/cpu/cpuid/models.ts';
import { discoverRegion, targetOf } from '../../src/jit/discover-regions.ts';
import type { PlacedInstruction, Region } from '../../src/jit/region.ts';
import { Decoder } from '../../src/x86/decode.ts';

const PAGE_SIZE = 4096;

/** A page with this code at an offset, of which the mnemonics listed are the interpreter's. */
function page(code: string, at = 0, interpreted: readonly string[] = []): (offset: number) => PlacedInstruction | undefined {
  const bytes = new Uint8Array(PAGE_SIZE).fill(0x06);
  bytes.set(
    Uint8Array.from(code.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
    at,
  );
  const decoder = new Decoder(DEFAULT.features);
  return (offset) => {
    const instruction = decoder.decode(bytes, offset, PAGE_SIZE - offset, 64);
    if (typeof instruction === 'string') return undefined;
    const compiled = !interpreted.includes(instruction.row.mnemonic);
    return { instruction, offset, record: 64 * (offset + 1), slot: 3, cost: 12, compiled };
  };
}

const shape = ({ blocks }: Region): string[] =>
  blocks.map(
    ({ instructions, end }) =>
      `${instructions[0].offset}-${end}: ${instructions.map(({ instruction }) => instruction.row.mnemonic).join(' ')}`,
  );

describe('a region', () => {
  it('is cut where branches go and where they end', () => {
    // 0: dec ecx; 2: jz 6; 4: jmp 0; 6: ret
    expect(shape(discoverRegion(0, page('ffc97402ebfac3')) as Region)).toEqual(['0-4: DEC JE', '4-6: JMP', '6-7: RET']);
  });

  it('holds what a call goes to, and where it comes back', () => {
    // 0: call 6; 5: ret; 6: nop; 7: ret
    expect(shape(discoverRegion(0, page('e801000000c390c3')) as Region)).toEqual(['0-5: CALL', '5-6: RET', '6-8: NOP RET']);
  });

  it('cuts a block in two when a later branch goes into its middle', () => {
    // 0: nop; 1: nop; 2: jmp 1
    expect(shape(discoverRegion(0, page('9090ebfd')) as Region)).toEqual(['0-1: NOP', '1-4: NOP JMP']);
  });

  it('goes on behind an instruction that is interpreted', () => {
    // 0: nop; 1: cpuid; 3: nop; 4: ret
    expect(shape(discoverRegion(0, page('900fa290c3', 0, ['CPUID'])) as Region)).toEqual(['0-3: NOP CPUID', '3-5: NOP RET']);
  });

  it('does not begin with an instruction that is interpreted, nor with one that does not decode', () => {
    expect(discoverRegion(0, page('0fa290c3', 0, ['CPUID']))).toBeUndefined();
    expect(discoverRegion(100, page('90'))).toBeUndefined();
  });

  it('ends with its page', () => {
    // At the end of the page: nop; jmp to the page before its start, then one beyond its end.
    expect(shape(discoverRegion(PAGE_SIZE - 1, page('90', PAGE_SIZE - 1)) as Region)).toEqual(['4095-4096: NOP']);
    expect(shape(discoverRegion(0, page('ebf0')) as Region)).toEqual(['0-2: JMP']);
    expect(targetOf(page('ebf0')(0) as PlacedInstruction)).toBeUndefined();
    expect(targetOf(page('ebfe')(0) as PlacedInstruction)).toBe(0);
  });

  it('has blocks that are found by where they begin, numbered in order', () => {
    const region = discoverRegion(0, page('ffc97402ebfac3')) as Region;
    expect([...region.blockAt.keys()].sort((a, b) => a - b)).toEqual([0, 4, 6]);
    expect(region.blocks.map(({ index }) => index)).toEqual([0, 1, 2]);
  });

  it('is bounded', () => {
    const region = discoverRegion(0, page('90'.repeat(2000))) as Region;
    expect(region.blocks.flatMap(({ instructions }) => instructions).length).toBe(400);
  });
});
