/** What an observer of a stack is told of the guest's hypercalls: names, arguments, results, entries of lists. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildStack } from '../../src/index.ts';
import { describeHypercall } from '../../src/stacks/guest-report.ts';
import type { HypercallEvent } from '../../src/stacks/stack.ts';

const image = readFileSync(new URL('../../guests/nanokernel/nanokernel.elf', import.meta.url));

function observe(commandLine: string) {
  const calls: HypercallEvent[] = [];
  const operations: string[] = [];
  /** Calls and operations of the guest in the order in which they were told. */
  const told: string[] = [];
  const stack = buildStack({
    stack: 'pv',
    image,
    imageName: 'nanokernel.elf',
    commandLine,
    console: () => {},
    observer: {
      hypercall: (event) => {
        if (event.domain !== 1) return;
        calls.push(event);
        told.push(event.name);
      },
      operation: ({ domain, name }) => {
        if (domain !== 1) return;
        operations.push(name);
        told.push(name);
      },
    },
  });
  const end = stack.run(20_000_000n);
  return { calls, operations, told, end };
}

describe("a stack's observer", () => {
  const { calls, told, end } = observe('rows=ctx-2p0k reps=1 iters=1');

  it('sees each call with the arguments that it has, and its result', () => {
    expect(end).toEqual({ reason: 'power-off' });
    const uvm = calls.find(({ name }) => name === 'update_va_mapping flags=2');
    expect(uvm?.args.length).toBe(3);
    expect(uvm).toMatchObject({ layer: 0, domain: 1, vcpu: 0, result: 0n });
    expect(describeHypercall(uvm as HypercallEvent)).toMatch(
      /^layer 0 d1v0 update_va_mapping flags=2\(0x[0-9a-f]+, 0x[0-9a-f]+, 0x2\) = 0$/,
    );
    const back = calls.find(({ name }) => name === 'iret');
    expect(describeHypercall(back as HypercallEvent)).toBe('layer 0 d1v0 iret() = -');
  });

  it('sees the entries of a multicall before it, with their own arguments', () => {
    const at = calls.findIndex(({ name }) => name === 'multicall');
    expect(calls[at]?.args.length).toBe(2);
    expect(calls[at - 1]).toMatchObject({ name: 'multicall entry: stack_switch', result: 0n });
    expect(calls[at - 1]?.args[0]).toBe(0xe02bn);
  });

  it('sees the entries of a request array before its call', () => {
    const at = told.findIndex((name, i) => name === 'mmuext_op' && told[i - 1] === 'mmuext_op entry: NEW_USER_BASEPTR');
    expect(told.slice(at - 2, at + 1)).toEqual(['mmuext_op entry: NEW_BASEPTR', 'mmuext_op entry: NEW_USER_BASEPTR', 'mmuext_op']);
  });
});
