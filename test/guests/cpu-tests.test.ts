/**
 * The processor tests of guests/cpu-tests on the bare machine: every verdict must be PASS on all engines and on a model of
 * each vendor, and all must take the same number of instructions and cycles.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadMultiboot } from '../../src/boot/multiboot.ts';
import { DEFAULT, WESTMERE, ZEN3 } from '../../src/cpu/cpuid/models.ts';
import type { CpuidModel } from '../../src/cpu/cpuid/model.ts';
import { BareMachine, type EngineName, type RunEnd } from '../../src/machine/bare-machine.ts';
import { enterFlat } from '../../src/machine/start-state.ts';
import { FREE_TRANSLATION } from '../../src/timing/model.ts';

const LIMIT = 5_000_000n;

interface Outcome {
  readonly lines: string[];
  readonly end: RunEnd;
  readonly instructions: bigint;
  readonly cycles: bigint;
}

function run(program: string, engine: EngineName, cpuid: CpuidModel): Outcome {
  let text = '';
  const machine = new BareMachine({
    cpuCount: 1,
    memoryBytes: 32 << 20,
    engine,
    costs: { cost: () => 12 },
    newTranslation: () => ({ ...FREE_TRANSLATION, save() {} }),
    cpuid,
    tscKhz: 1_000_000,
    transmit: (byte) => {
      text += String.fromCharCode(byte);
    },
  });
  const image = readFileSync(new URL(`../../guests/cpu-tests/${program}.elf`, import.meta.url));
  const [processor] = machine.processors;
  enterFlat(processor, loadMultiboot(machine.memory, image, program, ''));
  const end = machine.run(LIMIT);
  return { lines: text.split('\n').filter((line) => line !== ''), end, instructions: machine.instructions, cycles: processor.cycles };
}

describe.each([
  ['legacy', 320],
  ['long', 180],
] as const)('%s.elf', (program, atLeast) => {
  it.each([DEFAULT, ZEN3, WESTMERE])('passes on $name, the same on all engines', (cpuid) => {
    const interpreter = run(program, 'interpreter', cpuid);
    const [total, verdict] = interpreter.lines.filter((line) => !line.startsWith('PASS '));
    expect(total).toMatch(/^TOTAL passed 0x[0-9a-f]+ failed 0x0$/);
    expect(verdict).toBe('VERDICT SUCCESS');
    expect(interpreter.lines.length - 2).toBeGreaterThanOrEqual(atLeast);
    expect(interpreter.end).toEqual({ reason: 'power-off' });
    expect(run(program, 'reference', cpuid)).toEqual(interpreter);
    expect(run(program, 'jit', cpuid)).toEqual(interpreter);
  });
});
