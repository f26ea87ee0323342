/** The comparison itself: a processor that is wrong is found out, what is undefined is excused, and failures are made small. */
import { describe, expect, it } from 'vitest';
import { Campaign, type Oracle, type Request } from '../../../src/stacks/fuzz/campaign.ts';
import { SeededChoices } from '../../../src/stacks/fuzz/choices.ts';
import { differences, type FinalState, WORD } from '../../../src/stacks/fuzz/final-state.ts';
import { layOut, type Program } from '../../../src/stacks/fuzz/program.ts';
import { ProgramMachine } from '../../../src/stacks/fuzz/program-machine.ts';
import { shrinkProgram } from '../../../src/stacks/fuzz/shrink.ts';
import { OPCODE_ROWS } from '../../../src/x86/opcode-table.ts';
import { FUZZ_MODEL } from '../../../src/stacks/fuzz/model.ts';

/** An oracle that is one of our engines, with something changed in each answer. */
function altered(change: (state: FinalState, request: Request) => FinalState): Oracle {
  const machines = { 64: new ProgramMachine(64, 'interpreter', FUZZ_MODEL), 32: new ProgramMachine(32, 'interpreter', FUZZ_MODEL) };
  return {
    run: async (requests) =>
      requests.map((request) => {
        const state = machines[request.mode].run(request.code, request.initial);
        if (typeof state === 'string') throw new Error(state);
        return change(state, request);
      }),
  };
}

function withWord({ words, memory }: FinalState, at: number, change: (value: bigint) => bigint): FinalState {
  const changed = words.slice();
  changed[at] = change(words[at] as bigint);
  return { words: changed, memory };
}

describe('a campaign', () => {
  it('finds nothing when the oracle is the engine itself', async () => {
    expect(await new Campaign({ seed: 1, oracle: altered((state) => state) }).run(0, 60)).toEqual([]);
  });

  it.each([
    ['a register', (state: FinalState) => withWord(state, 3, (value) => value ^ 1n), /^rbx /],
    [
      'the high half of a vector register',
      (state: FinalState) => withWord(state, WORD.XMM + 5, (value) => value ^ (1n << 62n)),
      /^xmm2 high /,
    ],
    ['RIP', (state: FinalState) => withWord(state, WORD.RIP, (value) => value + 1n), /^rip /],
    ['DF', (state: FinalState) => withWord(state, WORD.RFLAGS, (value) => value ^ 0x400n), /^rflags /],
    ['TOP', (state: FinalState) => withWord(state, WORD.FPU_STATUS, (value) => value ^ 0x800n), /^x87 status /],
    [
      'a byte of memory',
      ({ words, memory }: FinalState) => ({ words, memory: [...memory, 0x7fff_fff0, 1] }),
      /^memory 7ffffff0 unchanged, 1/,
    ],
  ])('finds every program for which the oracle changes %s', async (_name, change, line) => {
    const failures = await new Campaign({ seed: 2, engines: false, oracle: altered(change) }).run(0, 40);
    expect(failures.length).toBe(40);
    for (const { between, lines } of failures) {
      expect(between).toBe('interpreter, host');
      expect(lines.some((text) => line.test(text))).toBe(true);
    }
  });

  it('excuses a flag only while it is undefined', () => {
    const words = new BigUint64Array(WORD.COUNT);
    const state = { words, memory: [] };
    const other = withWord(state, WORD.RFLAGS, () => 0x10n);
    expect(differences(state, other, { undefined: 0x10, approximation: undefined })).toEqual([]);
    expect(differences(state, other, { undefined: 0x4, approximation: undefined })).toEqual(['rflags 0, 10']);
    expect(differences(state, other)).toEqual(['rflags 0, 10']);
  });
});

describe('shrinking', () => {
  const multiply = new Set(OPCODE_ROWS.filter(({ mnemonic }) => mnemonic === 'MUL').map(({ id }) => id));
  const holds = ({ units }: Program): boolean => units.some(({ rowId }) => multiply.has(rowId));

  it('leaves the unit that matters and an empty state', async () => {
    const { generator } = new Campaign({ seed: 3, rows: /^(MUL|ADD|XOR|MOV)$/ });
    let number = 0;
    let program = generator.next(new SeededChoices(3, number));
    while (!holds(program)) program = generator.next(new SeededChoices(3, ++number));
    const small = await shrinkProgram(program, async (candidate) => holds(candidate));
    expect(small.units.length).toBe(1);
    expect(small.initial.xmm.every((word) => word === 0n)).toBe(true);
    expect(layOut(small).code.length).toBeLessThan(40);
  });
});
