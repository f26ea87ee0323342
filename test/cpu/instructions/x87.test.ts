/**
 * What the vectors do not reach: x87 and MMX instructions under CR0.EM, TS, MP and NE, and the order of their faults.
 * Source: SDM 3A §2.5 (CR0), Tables 2-2 and 11-1; SDM 1 §8.7.
 */
import { describe, expect, it } from 'vitest';
import type { Vector } from '../../../src/stacks/vectors/vector.ts';
import { VectorMachine } from '../../../src/stacks/vectors/vector-machine.ts';
import { Cr0 } from '../../../src/x86/control-registers.ts';

const PENDING = { sw: '8081', cw: '37e' };
const INSTRUCTIONS = {
  FLD1: 'd9e8',
  'FADD m32 (not mapped)': 'd80425000000a0',
  FNSTCW: 'd93c2500000200',
  FNINIT: 'dbe3',
  FNSAVE: 'dd342500000200',
  'FRSTOR (not mapped)': 'dd2425000000a0',
  WAIT: '9b',
  'PADDB mm, mm': '0ffcc1',
  EMMS: '0f77',
  'CVTPI2PS xmm, mm': '0f2ac1',
} as const;
type Name = keyof typeof INSTRUCTIONS;

/** The vector number of the fault, or undefined. */
function fault(machine: VectorMachine, name: Name, x87: Vector['initial']['x87'] = {}): number | undefined {
  const bytes = INSTRUCTIONS[name];
  const vector: Vector = {
    id: name,
    name,
    mode: 64,
    bytes,
    initial: { rip: '10000', x87 },
    final: { rip: '10000' },
    fault: null,
    undefinedFlags: '0',
  };
  const difference = machine.run(vector).find((line) => line.startsWith('fault '));
  return difference === undefined ? undefined : Number.parseInt(difference.slice('fault '.length), 10);
}

describe.each(['reference', 'interpreter', 'jit'] as const)('on the %s engine', (engine) => {
  const x87: Name[] = ['FLD1', 'FADD m32 (not mapped)', 'FNSTCW', 'FNINIT', 'FNSAVE', 'FRSTOR (not mapped)'];
  const mmx: Name[] = ['PADDB mm, mm', 'EMMS', 'CVTPI2PS xmm, mm'];

  it('CR0.TS makes x87 and MMX instructions #NM before any other fault', () => {
    const machine = new VectorMachine(64, engine, { setCr0: Cr0.TS });
    for (const name of [...x87, ...mmx]) expect([name, fault(machine, name, PENDING)]).toEqual([name, 7]);
  });

  it('CR0.EM makes x87 instructions #NM and MMX instructions #UD', () => {
    const machine = new VectorMachine(64, engine, { setCr0: Cr0.EM });
    for (const name of x87) expect([name, fault(machine, name, PENDING)]).toEqual([name, 7]);
    for (const name of mmx) expect([name, fault(machine, name, PENDING)]).toEqual([name, 6]);
  });

  it('WAIT is #NM only with CR0.MP and CR0.TS, and else #MF when an exception is pending', () => {
    expect(fault(new VectorMachine(64, engine, { setCr0: Cr0.TS }), 'WAIT', PENDING)).toBe(7);
    expect(fault(new VectorMachine(64, engine, { setCr0: Cr0.EM }), 'WAIT', PENDING)).toBe(16);
    expect(fault(new VectorMachine(64, engine), 'WAIT')).toBeUndefined();
  });

  it('a pending exception is #MF at waiting instructions, before their memory operand is touched', () => {
    const machine = new VectorMachine(64, engine);
    const waiting: Name[] = ['FLD1', 'FADD m32 (not mapped)', 'FRSTOR (not mapped)', 'WAIT', ...mmx];
    for (const name of waiting) expect([name, fault(machine, name, PENDING)]).toEqual([name, 16]);
    for (const name of ['FNSTCW', 'FNINIT', 'FNSAVE'] as const) expect([name, fault(machine, name, PENDING)]).toEqual([name, undefined]);
  });
});
