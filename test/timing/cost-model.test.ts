import { describe, expect, it } from 'vitest';
import { costRows, CostTable, rowTwelfths } from '../../src/timing/cost-model.ts';
import { type InstructionForm, instructionTwelfths, isCostClass } from '../../src/timing/instruction-costs.ts';
import { priorValues } from '../../src/timing/parameters.ts';
import { readSources } from '../architecture/source-graph.ts';

const costs = new CostTable(priorValues);
const inCycles = (event: string) => costs.cost(event) / 12;

describe('the cost table', () => {
  it('has the figures of the timing model, "Events and costs"', () => {
    const hardware = ['exception_delivery', 'interrupt_delivery', 'iret', 'mov_cr3', 'invlpg', 'mov_cr4', 'wrmsr', 'clts', 'vm_exit'];
    expect(hardware.map(inCycles)).toEqual([600, 600, 300, 100, 200, 200, 100, 100, 761]);
    expect(inCycles('syscall') + inCycles('sysret')).toBe(80);
    expect(['vm_handle_cr', 'vm_handle_cpuid', 'vm_handle_apic', 'vm_handle_port', 'vm_handle_interrupt'].map(inCycles)).toEqual([
      1500, 1500, 2250, 2250, 3000,
    ]);
  });

  it('adds a bounce and its iret to the counted instructions: 690 for a system call, 844 for a user fault', () => {
    const instructions = (name: string) => costRows.find((row) => row.name === name)!.value;
    expect(instructions('xen.syscall_bounce') + instructions('xen.iret')).toBe(690);
    expect(instructions('xen.user_fault_bounce') + instructions('xen.iret')).toBe(844);
    expect(instructions('xen.new_baseptr') + instructions('xen.new_user_baseptr')).toBe(900);
  });

  it('multiplies instructions by the factor of their row, to whole twelfths', () => {
    const other = new CostTable({ ...priorValues, k_entry: 0.5, k_mmu: 1, k_ept: 2 });
    expect(other.cost('xen.null_hypercall')).toBe(280 * 0.5 * 12);
    expect(other.cost('xen.validate_l1')).toBe(9650 * 12);
    expect(other.cost('walk.second_stage.far')).toBe(84 * 12);
    expect(other.cost('walk.guest.far')).toBe(42 * 12);
    for (const value of other.twelfths) expect(Number.isInteger(value)).toBe(true);
  });

  it('refuses a name that is not in it', () => {
    expect(() => costs.cost('xen.free_lunch')).toThrow('no cost row is named xen.free_lunch');
    expect(() => new CostTable(priorValues, { 'xen.free_lunch': 0 })).toThrow('no cost row is named xen.free_lunch');
    expect(() => new CostTable(priorValues, { iret: Number.NaN })).toThrow('is not a cost');
  });

  it('takes other values for rows by name', () => {
    expect(new CostTable(priorValues, { iret: 240 }).cost('iret')).toBe(240 * 12);
  });

  it('gives each row a source, and a range that holds its value', () => {
    for (const { name, value, range, source } of costRows) {
      expect([name, range[0] <= value && value <= range[1], source.length > 0]).toEqual([name, true, true]);
    }
  });

  it('gives every assumed cost of a path room to be wrong', () => {
    const rigid = costRows.filter((row) => row.class === 'assumed' && row.range[0] === row.range[1]);
    expect(rigid.map(({ name }) => name)).toEqual([]);
  });

  it('has no name twice', () => {
    expect(new Set(costRows.map(({ name }) => name)).size).toBe(costRows.length);
  });

  it('rounds a cost once, after the factor', () => {
    const row = costRows.find(({ name }) => name === 'xen.update_va_mapping')!;
    expect(rowTwelfths(row, { ...priorValues, k_mmu: 0.1 })).toBe(Math.round(899 * 0.1 * 12));
  });
});

describe('names that the code charges', () => {
  const sources = readSources('src').filter(({ path }) => !path.startsWith('src/timing/'));

  it('are rows of the table, wherever charge() is called with a literal', () => {
    const charged = sources.flatMap(({ text }) => [...text.matchAll(/\bcharge\(\s*'([^']+)'/g)].map((match) => match[1]!));
    expect(charged.filter((name) => name !== 'translation' && !costRows.some((row) => row.name === name))).toEqual([]);
  });

  it('are rows of the table, in tables of names and conditions too: every literal xen.* and vm_handle_*', () => {
    const named = sources.flatMap(({ text }) =>
      [...text.matchAll(/'((?:xen\.[a-z_0-9]+)|(?:vm_(?:exit|handle_[a-z_]+)))'/g)].map((match) => match[1]!),
    );
    const unknown = named.filter((name) => !costRows.some((row) => row.name === name));
    expect([...new Set(unknown)]).toEqual([]);
  });

  it('are rows of the table, where opcode rows name a cost class', () => {
    const classes = sources
      .filter(({ path }) => path.startsWith('src/x86/opcodes/'))
      .flatMap(({ text }) => [...text.matchAll(/\bcost=([a-z0-9]+)/g)].map((match) => match[1]!));
    expect(classes.length).toBeGreaterThan(50);
    expect([...new Set(classes)].filter((name) => !isCostClass(name))).toEqual([]);
  });
});

describe('the constant cost of an instruction form, in twelfths', () => {
  const form = (
    cost: string,
    mnemonic: string,
    access: string[],
    kinds: string[],
    more: Partial<InstructionForm> = {},
  ): InstructionForm => ({
    row: { cost, mnemonic, access },
    operands: kinds.map((kind) => ({ kind })),
    lock: false,
    repeat: '',
    ...more,
  });

  it.each([
    ['ADD r, r', form('alu', 'ADD', ['rw', 'r'], ['register', 'register']), 4],
    ['ADD r, m', form('alu', 'ADD', ['rw', 'r'], ['register', 'memory']), 16],
    ['ADD m, r', form('alu', 'ADD', ['rw', 'r'], ['memory', 'register']), 28],
    ['LOCK ADD m, r', form('alu', 'ADD', ['rw', 'r'], ['memory', 'register'], { lock: true }), 240],
    ['MOV r, r', form('mov', 'MOV', ['w', 'r'], ['register', 'register']), 4],
    ['MOV r, m', form('mov', 'MOV', ['w', 'r'], ['register', 'memory']), 12],
    ['MOV m, r', form('mov', 'MOV', ['w', 'r'], ['memory', 'register']), 12],
    ['PUSH r', form('mov', 'PUSH', ['r'], ['register']), 12],
    ['PUSH m', form('mov', 'PUSH', ['r'], ['memory']), 24],
    ['LEA r, m', form('lea', 'LEA', ['w', ''], ['register', 'memory']), 4],
    ['XCHG r, r', form('xchg', 'XCHG', ['rw', 'rw'], ['register', 'register']), 8],
    ['XCHG m, r', form('xchg', 'XCHG', ['rw', 'rw'], ['memory', 'register']), 240],
    ['DIVSD x, x', form('divsd', 'DIVSD', ['rw', 'r'], ['xmm', 'xmm']), 264],
    ['CALL rel', form('call', 'CALL', ['r'], ['relative']), 0],
    ['REP MOVSQ', form('string', 'MOVS', ['w', 'r'], ['memory', 'memory'], { repeat: 'rep' }), 0],
    ['MOVSQ', form('string', 'MOVS', ['w', 'r'], ['memory', 'memory']), 28],
    ['SYSCALL', form('syscall', 'SYSCALL', [], []), 0],
  ])('%s', (_, instruction, twelfths) => {
    expect(instructionTwelfths(costs, instruction)).toBe(twelfths);
  });

  it('of REP elements is 1 cycle per 16 bytes, but for bytes and words, which round up to a twelfth', () => {
    const perElement = [8, 16, 32, 64].map((width) => costs.cost(`string_element_${width}`));
    expect(perElement).toEqual([1, 2, 3, 6]);
    expect((perElement[3]! / 8) * 16).toBe(12);
    expect((perElement[2]! / 4) * 16).toBe(12);
  });
});
