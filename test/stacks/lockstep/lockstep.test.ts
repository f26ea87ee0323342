/** Two engines side by side: agreement, and an engine that is wrong in one instruction, which must be named. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Engine, Status } from '../../../src/cpu/engine.ts';
import type { Processor } from '../../../src/cpu/processor.ts';
import { buildStack } from '../../../src/stacks/build-stack.ts';
import { lockstep, type LockstepOptions, type LockstepResult } from '../../../src/stacks/lockstep/lockstep.ts';
import type { Stack, StackName } from '../../../src/stacks/stack.ts';

const image = readFileSync(new URL('../../../guests/nanokernel/nanokernel.elf', import.meta.url));

/** Does everything as the engine that it wraps, and something more after the instruction at `rip` was executed `visits` times. */
class WrongEngine implements Engine {
  private readonly inner: Engine;
  private readonly rip: bigint;
  private readonly wrong: (processor: Processor) => void;
  private visits: number;

  constructor(inner: Engine, rip: bigint, visits: number, wrong: (processor: Processor) => void) {
    this.inner = inner;
    this.rip = rip;
    this.visits = visits;
    this.wrong = wrong;
  }
  get name(): string {
    return `wrong ${this.inner.name}`;
  }
  execute(processor: Processor): Status {
    const { state } = processor;
    for (;;) {
      if (state.get('cycles') >= state.get('deadline')) return Status.DEADLINE;
      const status = this.step(processor);
      if (status !== Status.CONTINUE) return status;
    }
  }
  step(processor: Processor): Status {
    const here = processor.state.get('rip') === this.rip;
    const status = this.inner.step(processor);
    if (here && --this.visits === 0) this.wrong(processor);
    return status;
  }
  invalidateCode(address: number, length: number): void {
    this.inner.invalidateCode(address, length);
  }
}

function stack(name: StackName, engine: 'reference' | 'interpreter' | 'jit', wrapEngine: (engine: Engine) => Engine): Stack {
  return buildStack({ stack: name, image, imageName: 'nanokernel.elf', memoryMiB: 16, engine, wrapEngine, console: () => {} });
}

const every = 50_000n;
const maxInstructions = 200_000n;

/** An address that the guest comes to after a while. */
function someAddress(): bigint {
  const plain = stack('baseline', 'interpreter', (engine) => engine);
  plain.run(120_000n);
  return plain.guestProcessor.state.get('rip');
}

function withWrong(rip: bigint, wrong: (processor: Processor) => void): LockstepResult {
  const build: LockstepOptions['build'] = (which, wrap) =>
    stack('baseline', 'interpreter', (engine) => wrap(which === 1 ? new WrongEngine(engine, rip, 1, wrong) : engine));
  return lockstep({ build, every, maxInstructions });
}

describe('lockstep', () => {
  it.each(['baseline', 'pv'] as const)('finds that both engines agree on %s', { timeout: 60_000 }, (name) => {
    const result = lockstep({
      build: (which, wrap) => stack(name, which === 0 ? 'reference' : 'interpreter', wrap),
      every,
      maxInstructions,
    });
    expect(result).toMatchObject({ agreed: true, end: { reason: 'limit' } });
    expect(result.instructions).toBeGreaterThanOrEqual(maxInstructions);
  });

  it('names the first instruction after which a register differs, and both values', { timeout: 60_000 }, () => {
    const rip = someAddress();
    const result = withWrong(rip, ({ state }) => state.set('gpr', state.get('gpr', 15) ^ 0x4000n, 15));
    if (result.agreed) throw new Error('the engines agree');
    expect(result.instruction).toMatchObject({ cpu: 0, address: rip });
    expect(result.instruction?.text).not.toBe('');
    expect(result.instruction?.bytes).toMatch(/^[0-9a-f]{2}( [0-9a-f]{2})*$/);
    expect(result.differences.map(({ name }) => name)).toEqual(['r15']);
    for (const { first, second } of result.differences) expect(BigInt(`0x${first}`) ^ BigInt(`0x${second}`)).toBe(0x4000n);
  });

  it('names the instruction that left a wrong byte in memory, though no register tells', { timeout: 60_000 }, () => {
    const rip = someAddress();
    const address = 0x80_0004;
    const result = withWrong(rip, ({ memory }) => memory.writeBytes(address, Uint8Array.of(0x5a)));
    if (result.agreed) throw new Error('the engines agree');
    expect(result.instruction?.address).toBe(rip);
    expect(result.differences).toEqual([{ name: 'memory 800004', first: '0', second: '5a' }]);
  });
});
