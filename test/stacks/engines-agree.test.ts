/**
 * The benchmark guest in single-layer stacks on every engine: same console bytes, same cycle count, same state hash; and
 * its own counts of faults and hypercalls as real Xen 4.17 let it count them.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { measureStack, priorValues, type StackName } from '../../src/index.ts';

const image = readFileSync(new URL('../../guests/nanokernel/nanokernel.elf', import.meta.url));

function measure(stack: StackName, engine: 'reference' | 'interpreter' | 'jit') {
  return measureStack({
    stack,
    image,
    imageName: 'nanokernel.elf',
    engine,
    rows: ['null-call', 'fork-proc'],
    repetitions: 1,
    parameters: { ...priorValues, k_fork: 20_000, k_sys: 0 },
  });
}

describe.each(['baseline', 'pv'] as const)('the benchmark guest on %s', (stack) => {
  const interpreted = measure(stack, 'interpreter');

  it.each(['reference', 'jit'] as const)(
    'gives the same console, cycles and state hash on the %s engine',
    { timeout: 60_000 },
    (engine) => {
      const other = measure(stack, engine);
      expect(other.console).toBe(interpreted.console);
      expect(other.cycles).toBe(interpreted.cycles);
      expect(other.instructions).toBe(interpreted.instructions);
      expect(other.stateHash).toBe(interpreted.stateHash);
      expect(other.repetitions).toEqual(interpreted.repetitions);
    },
  );

  it('accounts for every twelfth of a cycle of each repetition', () => {
    for (const { twelfths, parts } of interpreted.repetitions) {
      expect(parts.reduce((sum, part) => sum + part.twelfths, 0)).toBe(twelfths);
    }
  });

  it('takes 51 page faults an iteration of fork, by kind as on real hardware', () => {
    const line = interpreted.countLines.find((text) => text.startsWith('PERITER fork-proc'));
    expect(line).toMatch(/faults: exec=28\.000 read=7\.000 cow=13\.000 reuse=3\.000 kernel=2\.000 child=48\.000 parent=3\.000/);
  });
});

it('two stacks in one process do not know of each other', () => {
  const first = measure('pv', 'interpreter');
  const second = measure('pv', 'interpreter');
  expect(second.stateHash).toBe(first.stateHash);
});
