/** Which accesses DR0..DR3 meet, and that pages with data breakpoints stay out of the lookup table. */
import { describe, expect, it } from 'vitest';
import {
  hasInstructionBreakpoints,
  instructionBreakpoints,
  noteDataAccess,
  notePortAccess,
  pageIsWatched,
} from '../../src/cpu/breakpoints.ts';
import { prepareStore, slowLoad } from '../../src/cpu/mmu/access.ts';
import { findHostAddress } from '../../src/cpu/mmu/lookup-table.ts';
import { Access } from '../../src/cpu/mmu/walk-result.ts';
import { Cr4 } from '../../src/x86/control-registers.ts';
import { Vector } from '../../src/x86/exceptions.ts';
import { execute } from './support/execute.ts';
import { enterLongMode, recorded, testProcessor } from './support/test-processor.ts';

const EXECUTE = 0;
const WRITE = 1;
const PORT = 2;
const READ_WRITE = 3;
const LENGTH = { 1: 0, 2: 1, 8: 2, 4: 3 } as const;

/** DR7 for one breakpoint with its global enable. */
function dr7(n: number, on: number, length: 1 | 2 | 4 | 8): bigint {
  return BigInt(0x400 | (2 << (2 * n))) | (BigInt(on | (LENGTH[length] << 2)) << BigInt(16 + 4 * n));
}

function armed(n: number, address: bigint, on: number, length: 1 | 2 | 4 | 8) {
  const test = testProcessor();
  enterLongMode(test);
  test.processor.state.set('dr', address, n);
  test.processor.state.set('dr', dr7(n, on, length), 7);
  return test;
}

describe('data breakpoints', () => {
  it.each([
    ['the first byte', 0x5004n, 1, true],
    ['the last byte', 0x5007n, 1, true],
    ['a part of a larger access', 0x5000n, 8, true],
    ['an access that ends before', 0x5002n, 2, false],
    ['an access that begins behind', 0x5008n, 8, false],
  ])('of four bytes and %s', (_name, linear, size, hits) => {
    const { processor } = armed(2, 0x5004n, WRITE, 4);
    noteDataAccess(processor, linear, size, true);
    expect(processor.state.get32('debugHits')).toBe(hits ? 4 : 0);
  });

  it('for writes ignore reads, and those for both do not', () => {
    const { processor } = armed(0, 0x5000n, WRITE, 1);
    noteDataAccess(processor, 0x5000n, 1, false);
    expect(processor.state.get32('debugHits')).toBe(0);
    processor.state.set('dr', dr7(0, READ_WRITE, 1), 7);
    noteDataAccess(processor, 0x5000n, 1, false);
    expect(processor.state.get32('debugHits')).toBe(1);
  });

  it('are aligned to their length', () => {
    const { processor } = armed(1, 0x5007n, READ_WRITE, 8);
    noteDataAccess(processor, 0x5000n, 1, false);
    expect(processor.state.get32('debugHits')).toBe(2);
  });

  it('keep their page, and no other, out of the lookup table', () => {
    const { processor } = armed(3, 0x5010n, WRITE, 2);
    expect(pageIsWatched(processor, 0x5fffn)).toBe(true);
    expect(pageIsWatched(processor, 0x6000n)).toBe(false);
    expect(slowLoad(processor, 0x5000n, 8)).toBeGreaterThan(0);
    expect(prepareStore(processor, 0x6000n, 8)).toBeGreaterThan(0);
    expect(findHostAddress(processor, 0x5000n, Access.READ, false)).toBe(-1);
    expect(findHostAddress(processor, 0x6000n, Access.WRITE, false)).toBeGreaterThan(0);
  });

  it('drop what the lookup table holds when they are set', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor } = test;
    slowLoad(processor, 0x5000n, 8);
    expect(findHostAddress(processor, 0x5000n, Access.READ, false)).toBeGreaterThan(0);
    processor.state.set('gpr', dr7(0, WRITE, 1), 0);
    execute(test, '0f 23 f8'); // mov dr7, rax
    expect(findHostAddress(processor, 0x5000n, Access.READ, false)).toBe(-1);
  });
});

describe('other breakpoints', () => {
  it('of instructions compare the linear address', () => {
    const { processor } = armed(1, 0x1234n, EXECUTE, 1);
    expect(hasInstructionBreakpoints(processor)).toBe(true);
    expect(instructionBreakpoints(processor, 0x1234n)).toBe(2);
    expect(instructionBreakpoints(processor, 0x1235n)).toBe(0);
    noteDataAccess(processor, 0x1234n, 1, true);
    expect(processor.state.get32('debugHits')).toBe(0);
  });

  it('of ports need CR4.DE', () => {
    const { processor } = armed(0, 0x60n, PORT, 4);
    notePortAccess(processor, 0x62, 1);
    expect(processor.state.get32('debugHits')).toBe(0);
    processor.state.set('cr4', processor.state.get('cr4') | BigInt(Cr4.DE));
    notePortAccess(processor, 0x62, 1);
    expect(processor.state.get32('debugHits')).toBe(1);
  });

  it('are off while DR7 enables none', () => {
    const { processor } = armed(0, 0x5000n, READ_WRITE, 8);
    processor.state.set('dr', dr7(0, READ_WRITE, 8) & ~0xffn, 7);
    noteDataAccess(processor, 0x5000n, 1, true);
    expect(processor.state.get32('debugHits')).toBe(0);
    expect(hasInstructionBreakpoints(processor)).toBe(false);
  });
});

describe('alignment checks', () => {
  const AC = 0x40000n;
  const AM = 0x40000n;
  const user = (cr0: bigint, flags: bigint) => {
    const test = testProcessor();
    enterLongMode(test, 3);
    const { state } = test.processor;
    state.set('cr0', state.get('cr0') | cr0);
    state.set('rflags', 2n | flags);
    return test.processor;
  };

  it.each([
    ['word', 0x5001n, 2],
    ['doubleword', 0x5002n, 4],
    ['quadword', 0x5004n, 8],
    ['sixteen bytes that are not aligned to eight', 0x5004n, 16],
    ['operand that crosses a page', 0x5fffn, 2],
  ])('refuse a %s', (_name, linear, size) => {
    const processor = user(AM, AC);
    expect(slowLoad(processor, linear, size)).toBe(0);
    expect(recorded(processor)).toBe(`${Vector.AC}(0)`);
    expect(prepareStore(processor, linear, size)).toBe(0);
    expect(recorded(processor)).toBe(`${Vector.AC}(0)`);
  });

  it('come after page faults', () => {
    const processor = user(AM, AC);
    expect(slowLoad(processor, 0x4000_0001n, 4)).toBe(0);
    expect(recorded(processor)).toBe('14(4)');
  });

  it.each([
    ['CR0.AM', 0n, AC],
    ['RFLAGS.AC', AM, 0n],
  ])('need %s', (_name, cr0, flags) => {
    expect(slowLoad(user(cr0, flags), 0x5001n, 4)).toBeGreaterThan(0);
  });
});
