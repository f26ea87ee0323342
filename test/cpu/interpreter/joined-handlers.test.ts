/**
 * The interpreter's two kinds of handlers, each in a function of its own and joined in one: a loop that runs long enough to
 * be joined gives the right result before, while and after that happens, and stops at the same instruction either way.
 */
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../src/cpu/engine.ts';
import type { InterpreterEngine } from '../../../src/cpu/interpreter/engine.ts';
import { Status } from '../../../src/cpu/status.ts';
import { UserMachine } from '../../../src/stacks/vectors/user-machine.ts';

const CODE = 0x10000;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const MULTIPLIER = 6364136223846793005n;
const ROUNDS = 50_000n;
const ZF = 0x40n;

/**
 * 0: imul rax, rdx; add rax, rcx; rol rax, 7; adc rbx, rax; push rbx; call 30; pop rsi; sub rcx, 1; jne 0; int3
 * 30: xor rbx, rsi; mov [0x20000], rbx; ret, in which rsi is what the last round popped
 */
const PROGRAM =
  '480fafc2' +
  '4801c8' +
  '48c1c007' +
  '4811c3' +
  '53' +
  'e80a000000' +
  '5e' +
  '4883e901' +
  '75e5' +
  'cc9090' +
  '4831f3' +
  '48891c2500000200' +
  'c3';

function begin(machine: UserMachine, rounds: bigint): void {
  const { state } = machine.processor;
  machine.enterUserMode();
  state.u64.fill(0n, 0, 16);
  state.set('rip', BigInt(CODE));
  state.set('rflags', 2n);
  state.set('instructions', 0n);
  state.set('gpr', 1n, RAX);
  state.set('gpr', rounds, RCX);
  state.set('gpr', MULTIPLIER, RDX);
  state.set('gpr', 0x31000n, RSP);
}

function machineWithProgram(engine: 'reference' | 'interpreter'): UserMachine {
  const machine = new UserMachine(64, engine);
  machine.memory.writeBytes(CODE, Uint8Array.from(Buffer.from(PROGRAM, 'hex')));
  return machine;
}

/** RBX at the end, by the program's text. */
function expectedRbx(rounds: bigint): bigint {
  const word = (value: bigint): bigint => BigInt.asUintN(64, value);
  let [rax, rbx, rsi] = [1n, 0n, 0n];
  for (let rcx = rounds; rcx > 0n; rcx--) {
    rax = word(word(rax * MULTIPLIER) + rcx);
    rax = word(rax << 7n) | (rax >> 57n);
    rbx = word(rbx + rax + (rax & 1n));
    const pushed = rbx;
    rbx ^= rsi;
    rsi = pushed;
  }
  return rbx;
}

function joinedMachine(): UserMachine {
  const machine = machineWithProgram('interpreter');
  for (let run = 0; run < 4; run++) {
    begin(machine, ROUNDS);
    machine.run();
  }
  return machine;
}

const joinedForms = (engine: Engine): number => (engine as InterpreterEngine).handlers.joinedForms;

describe('joined handlers', () => {
  it('give the result that handlers by themselves give', () => {
    const machine = machineWithProgram('interpreter');
    const { state } = machine.processor;
    const expected = expectedRbx(ROUNDS);
    expect(joinedForms(machine.engine)).toBe(0);
    for (let run = 0; run < 4; run++) {
      begin(machine, ROUNDS);
      expect(machine.run()).toMatchObject({ vector: 3, rip: BigInt(CODE + 28) });
      expect(state.get('gpr', RBX)).toBe(expected);
      expect(machine.memory.readU64(0x20000)).toBe(expected);
      expect(state.get('rflags') & ZF).toBe(ZF);
      expect(state.get('instructions')).toBe(ROUNDS * 12n + 1n);
    }
    expect(joinedForms(machine.engine)).toBeGreaterThan(10);
  });

  it('stop at the instruction at which the reference stops, whatever the deadline', () => {
    const joined = joinedMachine();
    const single = machineWithProgram('interpreter');
    const reference = machineWithProgram('reference');
    expect(joinedForms(joined.engine)).toBeGreaterThan(10);
    const stop = (machine: UserMachine, deadline: bigint): unknown => {
      begin(machine, 20n);
      const { state } = machine.processor;
      state.set('deadline', deadline);
      expect(machine.engine.execute(machine.processor)).toBe(Status.DEADLINE);
      return ['rip', 'rflags', 'cycles', 'instructions', 'gpr'].map((name) => state.get(name as 'rip', name === 'gpr' ? RBX : 0));
    };
    for (let deadline = 0n; deadline < 600n; deadline += 7n) {
      const expected = stop(reference, deadline);
      expect(stop(single, deadline)).toEqual(expected);
      expect(stop(joined, deadline)).toEqual(expected);
    }
  });
});
