/**
 * The hostile guests of guests/hostile in a PV domain: each judges one hypervisor's answers and prints a verdict a line.
 * Real Xen 4.17 gets the same verdicts (test/real/hostile.sh); the numbers of verdicts are what it got as DomU. The cases
 * that end the domain must end nothing else, and must say why.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildStack, type EngineName, type StackEnd, type StackName } from '../../src/index.ts';

const LIMIT = 20_000_000n;

interface Run {
  readonly lines: string[];
  readonly end: StackEnd;
}

function run(program: string, commandLine = '', engine: EngineName = 'interpreter', on: StackName = 'pv'): Run {
  let text = '';
  const stack = buildStack({
    stack: on,
    image: readFileSync(new URL(`../../guests/hostile/${program}.elf`, import.meta.url)),
    imageName: `${program}.elf`,
    commandLine,
    engine,
    console: (bytes) => {
      text += String.fromCharCode(...bytes);
    },
  });
  const end = stack.run(LIMIT);
  return { lines: text.split(/\r?\n/), end };
}

/** Lines that are no verdict or a bad one. */
const complaints = (lines: readonly string[]): string[] => lines.filter((line) => line !== '' && !/^(PASS|NOTE) /.test(line));

describe.each([
  ['errno', 327],
  ['typing', 122],
  ['frames', 205],
] as const)('%s.elf', (program, verdicts) => {
  it.each(['interpreter', 'reference', 'jit'] as const)(
    'gets every errno, fault and frame as from Xen 4.17 (%s)',
    { timeout: 60_000 },
    (engine) => {
      const { lines, end } = run(program, '', engine);
      expect(complaints(lines)).toEqual([`TOTAL passed=${verdicts} failed=0`, 'VERDICT SUCCESS']);
      expect(new Set(lines.filter((line) => line.startsWith('PASS')).map((line) => line.split(' ')[1])).size).toBeGreaterThan(verdicts / 2);
      expect(end).toEqual({ reason: 'power-off' });
    },
  );
});

describe('in a second layer of Xen', () => {
  it.each([
    ['errno', 'pv/hvm', 327],
    ['typing', 'pv/kvm', 122],
    ['frames', 'pv/hvm', 205],
  ] as const)('%s.elf gets the same on %s', (program, stack, verdicts) => {
    const { lines, end } = run(program, '', 'interpreter', stack);
    expect(complaints(lines)).toEqual([`TOTAL passed=${verdicts} failed=0`, 'VERDICT SUCCESS']);
    expect(end).toEqual({ reason: 'power-off' });
  });

  it('a crash ends the guest, and the report walks through both stages', () => {
    const { end } = run('fatal', 'case=bounce_stack_read_only', 'interpreter', 'pv/hvm');
    if (end.reason !== 'crash') expect.fail(`ended with ${end.reason}`);
    expect(end.report).toMatch(/^ {2}L1\[\d+\] = [0-9a-f]{16} \(machine frame \d+\)$/m);
    expect(end.report).toMatch(/^ {2}layer 1 d1v0 stack_switch\(/m);
  });
});

describe('fatal.elf', () => {
  const fatal: readonly (readonly [name: string, reason: RegExp])[] = [
    ['stack_in_the_hypervisor', /^stack at 0xffff830000000fc0 cannot take the frame of #PF$/],
    ['bounce_stack_in_the_hypervisor', /^stack at 0xffff830000000fc8 cannot take the frame of #UD$/],
    ['bounce_stack_not_mapped', /^stack at 0x1ffc8 cannot take the frame of #UD$/],
    ['bounce_stack_not_canonical', /^stack at 0x8fffffffffc8 cannot take the frame of #UD$/],
    ['bounce_stack_read_only', /^stack at 0x[0-9a-f]+7c8 cannot take the frame of #UD$/],
    ['handler_missing', /^no handler for #UD$/],
    ['event_handler_missing', /^no handler for event$/],
    ['iret_frame_not_mapped', /^iret frame at 0x20000 cannot be read$/],
    ['iret_frame_in_the_hypervisor', /^iret frame at 0xffff830000001000 cannot be read$/],
    ['iret_to_user_without_a_table', /^iret to user mode without a user page table$/],
    ['shutdown_crash', /^shut down with reason 3$/],
  ];

  it('has a test here for each of its cases', () => {
    const { lines } = run('fatal');
    expect(lines.filter((line) => line.startsWith('CASE ')).map((line) => line.slice(5))).toEqual(fatal.map(([name]) => name));
    expect(lines).toContain('VERDICT FAILURE');
  });

  it.each(fatal)('%s ends the domain, with a report', (name, reason) => {
    const { lines, end } = run('fatal', `case=${name}`);
    expect(complaints(lines)).toEqual([`EXPECT CRASH ${name}`]);
    if (end.reason !== 'crash') expect.fail(`ended with ${end.reason}`);
    const report = end.report.split('\n');
    expect(report[0]).toMatch(reason);
    expect(end.report).toMatch(/^rip [0-9a-f]{16} {2}rflags/m);
    expect(end.report).toMatch(/^walk of [0-9a-f]{16}:\n {2}L4\[\d+\] = [0-9a-f]{16}$/m);
    expect(end.report).toMatch(/^last hypercalls:\n {2}layer 0 d1v0 /m);
  });

  it('a report names functions where the image has symbols, and calls with their arguments', () => {
    const { end } = run('fatal', 'case=iret_frame_not_mapped');
    expect(end).toMatchObject({ reason: 'crash', report: expect.stringMatching(/^code: [0-9a-f]{16} = f_iret\+0x[0-9a-f]+$/m) });
    expect(end).toMatchObject({ reason: 'crash', report: expect.stringMatching(/stack_switch\(0xe02b, 0x[0-9a-f]{16}\) = 0$/m) });
  });

  it('ends alike on the reference engine', { timeout: 60_000 }, () => {
    for (const name of ['bounce_stack_not_mapped', 'iret_frame_not_mapped']) {
      expect(run('fatal', `case=${name}`, 'reference')).toEqual(run('fatal', `case=${name}`));
    }
  });
});
