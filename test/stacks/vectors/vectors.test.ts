import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseVectors, type Vector } from '../../../src/stacks/vectors/vector.ts';
import { VectorMachine } from '../../../src/stacks/vectors/vector-machine.ts';
import { repositoryRoot } from '../../architecture/source-graph.ts';

/** Vectors of each family, mode and engine that run here; `npm run vectors` runs all. */
const SAMPLE = 250;

const families = `alu unary mov movx xchg shift shiftd muldiv bit cond branch stack string fault prefix bcd bmi misc32 smc
  seq_int sse_mov sse_fp sse_cvt sse_int sse_ctl sse_rcp sse_str crypto seq_sse
  x87_arith x87_cmp x87_ctl x87_ldst x87_misc x87_trans seq_x87 mmx`.split(/\s+/);

function vectorsOf(family: string): Vector[] {
  const file = readFileSync(join(repositoryRoot, 'test/vectors', `${family}.jsonl.gz`));
  return parseVectors(gunzipSync(file).toString());
}

function sampled(vectors: Vector[]): Vector[] {
  const step = Math.max(1, Math.floor(vectors.length / SAMPLE));
  return vectors.filter((_, n) => n % step === 0);
}

describe.each(['reference', 'interpreter', 'jit'] as const)('the %s engine', (engine) => {
  const machines = { 64: new VectorMachine(64, engine), 32: new VectorMachine(32, engine) };

  it.each(families)('agrees with the silicon on a sample of the family %s', (family) => {
    const vectors = vectorsOf(family);
    const chosen = ([64, 32] as const).flatMap((mode) => sampled(vectors.filter((vector) => vector.mode === mode)));
    expect(chosen.length).toBeGreaterThan(100);
    const failures = chosen.flatMap((vector) => {
      const machine = machines[vector.mode];
      return machine.run(vector).map((difference) => `${vector.id} ${machine.disassembly(vector)}: ${difference}`);
    });
    expect(failures).toEqual([]);
  });
});

describe('a vector machine', () => {
  const machine = new VectorMachine(64, 'reference');
  /** mov rax, [0x20000]; mov [0x20008], rax */
  const vector: Vector = {
    id: 'own-64-0',
    name: 'move through memory',
    mode: 64,
    bytes: '488b0425000002004889042508000200',
    initial: { rip: '10000', mem: { 20000: '0102030405060708' } },
    final: { rip: '10010', regs: { rax: '807060504030201' }, mem: { 20008: '0102030405060708' } },
    fault: null,
    undefinedFlags: '0',
  };

  it('finds nothing in a vector whose final state is right', () => {
    expect(machine.run(vector)).toEqual([]);
  });

  it('names every register, byte of memory and fault that differs', () => {
    const wrong: Vector = {
      ...vector,
      final: { rip: '10010', regs: { rbx: '1' }, flags: '203', mem: { 20009: 'ff' } },
      fault: { vector: 13, error: '0' },
    };
    expect(machine.run(wrong)).toEqual([
      'fault none, expected 13(0)',
      'rax 807060504030201, expected 0',
      'rbx 0, expected 1',
      'flags 202, expected 203',
      'memory 20008: 0102030405060708, expected 00ff000000000000',
    ]);
  });

  it('masks what the vector masks and nothing else', () => {
    const masked: Vector = {
      ...vector,
      final: { rip: '10010', flags: '203', mem: { 20008: '0002030405060700' } },
      undefinedFlags: '1',
      ignoreRegs: ['rax'],
      ignoreMem: [['20008', 1]],
    };
    expect(machine.run(masked)).toEqual(['memory 2000f: 08, expected 00']);
  });

  it('starts each vector from its own state', () => {
    machine.run({ ...vector, initial: { ...vector.initial, xmm: { 3: 'ff' }, regs: { rsi: '5' } } });
    expect(machine.run(vector)).toEqual([]);
  });
});
