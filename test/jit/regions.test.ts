/**
 * Compiled regions against the reference engine, stop by stop: loops that become hot, deadlines that fall into their blocks,
 * single steps, code that changes itself while it is compiled, code that other code overlaps, and faults inside.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Status } from '../../src/cpu/engine.ts';
import type { EngineName } from '../../src/machine/bare-machine.ts';
import { UserMachine } from '../../src/stacks/vectors/user-machine.ts';

const CODE = 0x10000;
const STACK = 0x31000n;

interface Stopped {
  readonly status: Status;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly cycles: bigint;
  readonly instructions: bigint;
  readonly registers: readonly bigint[];
}

/** Registers are given by number. */
type Registers = Readonly<Record<number, bigint>>;

class Runner {
  private readonly machine: UserMachine;

  constructor(engine: EngineName, code: string, registers: Registers, mode: 64 | 32 = 64) {
    this.machine = new UserMachine(mode, engine);
    const { state } = this.machine.processor;
    this.machine.memory.writeBytes(CODE, Buffer.from(code.replaceAll(' ', ''), 'hex'));
    state.set('gpr', STACK, 4);
    for (const [n, value] of Object.entries(registers)) state.set('gpr', value, Number(n));
    state.set('rip', BigInt(CODE));
    state.set('rflags', 0x202n);
  }

  /** Until `cycles` more have passed, or something else happens. */
  run(cycles: bigint): Stopped {
    const { processor, engine } = this.machine;
    const { state } = processor;
    state.set('deadline', state.get('cycles') + cycles * 12n);
    return this.stopped(engine.execute(processor));
  }
  step(): Stopped {
    return this.stopped(this.machine.engine.step(this.machine.processor));
  }
  private stopped(status: Status): Stopped {
    const { state } = this.machine.processor;
    return {
      status,
      rip: state.get('rip'),
      rflags: state.get('rflags'),
      cycles: state.get('cycles'),
      instructions: state.get('instructions'),
      registers: Array.from({ length: 16 }, (_, n) => state.get('gpr', n)),
    };
  }
}

/** Runs the code on both engines by the same stops; returns the last. */
function compare(code: string, registers: Registers, stops: readonly number[], mode: 64 | 32 = 64): Stopped {
  const reference = new Runner('reference', code, registers, mode);
  const jit = new Runner('jit', code, registers, mode);
  let last: Stopped | undefined;
  for (const cycles of stops) {
    last = cycles === 0 ? reference.step() : reference.run(BigInt(cycles));
    expect(cycles === 0 ? jit.step() : jit.run(BigInt(cycles))).toEqual(last);
  }
  return last as Stopped;
}

/** Sums, shifts and multiplies, stores and loads through rbx, counts rcx down; then int3. */
const LOOP = '01c8 c1c807 0fafc2 48c1e205 4883f255 4889 03 4803 13 ff c9 75 e9 cc';
/** A procedure that calls itself: fib of edi in eax. Called from the beginning, int3 behind the call. */
const FIB = 'e801000000cc 89f8 83ff01 7623 55 53 4883ec08 89fb 8d7fff e8e9ffffff 89c5 8d7bfe e8dfffffff 01e8 4883c408 5b 5d c3 c3';

const stopsOf = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 60 });

describe('compiled code', () => {
  it('stops at the same instruction as the reference engine, wherever deadlines and steps fall', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(stopsOf, (stops) => {
        compare(LOOP, { 0: 3n, 1: 90n, 2: 0x1234n, 3: 0x20000n }, [...stops, 100_000]);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  it('calls and returns within a region as the reference engine does', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(stopsOf, (stops) => {
        const { registers, status } = compare(FIB, { 7: 9n }, [...stops, 100_000]);
        expect([registers[0], status]).toEqual([34n, Status.TRAP]);
      }),
      { numRuns: 20, seed: 7 },
    );
  });

  it('does the same in 32-bit code', () => {
    compare(FIB.replaceAll('48', ''), { 7: 0n, 4: 0x31000n }, [3, 2, 0, 1000], 32);
    compare('01c8 c1c807 0fafc2 8903 0313 49 75f1 cc', { 0: 3n, 1: 90n, 2: 5n, 3: 0x20000n }, [50, 1, 0, 7, 10_000], 32);
  });

  it('is dropped when it writes to itself, with the rest of the page', () => {
    // inc byte [rip+6], into the immediate of the addition that follows; add eax, 1; dec ecx; jnz to the beginning
    const { registers } = compare(
      'fe0502000000 05 01000000 ffc9 75f1 cc'.replace('fe0502000000', 'fe0501000000'),
      { 0: 0n, 1: 50n },
      [13, 40, 10_000],
    );
    expect(registers[0]).toBe(BigInt(Array.from({ length: 50 }, (_, n) => n + 2).reduce((a, b) => a + b, 0)));
  });

  it('reports a fault where it is, with the registers of the instructions before', () => {
    // mov [rbx], rax; add rbx, 0x400; inc rax; jmp to the beginning: past the last page of data
    const { status, registers } = compare('488903 4881c300040000 48ffc0 ebf1', { 0: 1n, 3: 0x20000n }, [30, 100_000]);
    expect(status).toBe(Status.FAULT);
    expect(registers[3] & 0xfffn).toBe(0n);
  });

  it('keeps every flag that a later instruction looks at', { timeout: 60_000 }, () => {
    // Operations on rax and rdx with rcx as a count, each followed by PUSHFQ, POP rsi, XOR rdi, rsi; a loop of 60.
    const observe = '9c 5e 4831f7 48c1c705';
    const operations = [
      '4801d0',
      '4811d0',
      '4829d0',
      '4819d0',
      '4821d0',
      '48ffc0',
      '48ffc8',
      '48f7d8',
      '48d3e0',
      '48d3f8',
      '48d1d0',
      '480fafc2',
      'f5',
      '4885c0',
      '4839d0',
      '00d0',
      '6601d0',
      '29d0',
    ];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...operations), { minLength: 1, maxLength: 12 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (chosen, rdx) => {
          const body = chosen.map((operation, n) => (n % 3 === 2 ? `${operation}${observe}` : operation)).join('') + observe;
          const bytes = body.replaceAll(' ', '');
          const length = bytes.length / 2 + 3 + 6;
          const back = Buffer.alloc(4);
          back.writeInt32LE(-length);
          compare(`${bytes}49ffc80f85${back.toString('hex')}cc`, { 0: 0x7fff_ffff_ffff_fff0n, 1: 3n, 2: rdx, 8: 60n }, [100, 100_000]);
        },
      ),
      { numRuns: 80, seed: 7 },
    );
  });
});
