/** Events through the IDT, byte by byte; faults while delivering; host code as owner of ring 0; IRET back. */
import { describe, expect, it } from 'vitest';
import { reset, writeSegment } from '../../../src/cpu/context.ts';
import { deliver } from '../../../src/cpu/fault/deliver.ts';
import type { Event } from '../../../src/cpu/fault/event.ts';
import { interruptReturn } from '../../../src/cpu/fault/return.ts';
import { Status } from '../../../src/cpu/engine.ts';
import { updateMode } from '../../../src/cpu/mode.ts';
import type { Processor } from '../../../src/cpu/processor.ts';
import type { PlatformCpu, ProcessorEvent } from '../../../src/platform/cpu.ts';
import { Cr0 } from '../../../src/x86/control-registers.ts';
import { buildGateDescriptor, buildSegmentDescriptor } from '../../../src/x86/descriptors.ts';
import { Segment } from '../../../src/x86/instruction.ts';
import { Register } from '../../../src/x86/registers.ts';
import {
  CONFORMING_CS,
  enterLongMode,
  GDT,
  IDT,
  KERNEL_CS,
  KERNEL_CS32,
  KERNEL_DS,
  KERNEL_STACK,
  leafAddress,
  NOT_PRESENT_CS,
  recorded,
  type TestProcessor,
  testProcessor,
  TSS_BASE,
  USER_CS,
  USER_CS32,
  USER_DS,
} from '../support/test-processor.ts';

const HANDLER = 0xffff_8000_1234_5678n;

interface GateOptions {
  selector?: number;
  type?: number;
  dpl?: number;
  present?: boolean;
  ist?: number;
  offset?: bigint;
}

function setGate({ memory }: TestProcessor, vector: number, options: GateOptions = {}): void {
  const gate = { selector: KERNEL_CS, offset: HANDLER, type: 0xe, dpl: 0, present: true, ist: 0, parameters: 0, ...options };
  const [low, high] = buildGateDescriptor(gate);
  memory.writeU64(IDT + vector * 16, low);
  memory.writeU64(IDT + vector * 16 + 8, high);
}

function longMode(cpl: 0 | 3): TestProcessor {
  const test = testProcessor();
  enterLongMode(test, cpl);
  const { state } = test.processor;
  state.set('rip', 0x400123n);
  state.set('gpr', 0x3fff8n + 0x5n, Register.RSP);
  state.set('rflags', 0x10346n | 0x200n);
  return test;
}

const fault = (vector: number, errorCode?: number): Event => ({ vector, kind: 'fault', errorCode, length: 0 });
const interrupt = (vector: number): Event => ({ vector, kind: 'external', errorCode: undefined, length: 0 });
const software = (vector: number): Event => ({ vector, kind: 'software', errorCode: undefined, length: 2 });

/** The 64-bit words from RSP up to `top`. */
function frame({ processor, memory }: TestProcessor, top: number): string[] {
  const words: string[] = [];
  for (let at = Number(processor.state.get('gpr', Register.RSP)); at < top; at += 8) words.push(memory.readU64(at).toString(16));
  return words;
}

function place({ state }: Processor): string {
  const selector = (index: number) => state.get32('segmentSelector', index).toString(16);
  return `${selector(Segment.CS)}:${state.get('rip').toString(16)} cpl ${state.get32('cpl')} ss ${selector(Segment.SS)}`;
}

describe('delivery in long mode', () => {
  it('of a fault at CPL 3 switches to RSP0 and pushes SS, RSP, RFLAGS with RF, CS, RIP and the error code', () => {
    const test = longMode(3);
    test.processor.state.set('rflags', 0x346n);
    setGate(test, 13);
    expect(deliver(test.processor, fault(13, 0xabc8))).toBe('delivered');
    expect(frame(test, KERNEL_STACK)).toEqual(['abc8', '400123', USER_CS.toString(16), '10346', '3fffd', USER_DS.toString(16)]);
    expect(place(test.processor)).toBe('8:ffff800012345678 cpl 0 ss 0');
    expect(test.processor.state.get('rflags')).toBe(0x46n);
    expect(test.charged).toEqual(['exception_delivery']);
  });

  it('at CPL 0 stays on its stack, aligned down to 16 bytes', () => {
    const test = longMode(0);
    setGate(test, 6);
    deliver(test.processor, fault(6));
    expect(frame(test, 0x3fff0)).toEqual(['400123', '8', '10346', '3fffd', '10']);
    expect(place(test.processor)).toBe('8:ffff800012345678 cpl 0 ss 10');
  });

  it('of an interrupt saves RF clear and is charged as one; a trap gate leaves IF', () => {
    const test = longMode(3);
    setGate(test, 0x40, { type: 0xf });
    deliver(test.processor, interrupt(0x40));
    expect(frame(test, KERNEL_STACK)[2]).toBe('346');
    expect(test.processor.state.get('rflags')).toBe(0x246n);
    expect(test.charged).toEqual(['interrupt_delivery']);
  });

  it('takes an IST stack whatever the privilege', () => {
    const test = longMode(0);
    test.memory.writeU64(TSS_BASE + 0x24 + 8, 0x50008n);
    setGate(test, 2, { ist: 2 });
    deliver(test.processor, interrupt(2));
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x50000n - 40n);
    expect(frame(test, 0x50000)).toHaveLength(5);
  });

  it('to a conforming handler keeps the privilege and the stack', () => {
    const test = longMode(3);
    setGate(test, 0x80, { selector: CONFORMING_CS, dpl: 3 });
    deliver(test.processor, software(0x80));
    expect(place(test.processor)).toBe('53:ffff800012345678 cpl 3 ss 23');
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x3fff0n - 40n);
  });

  it('records CR2 for a page fault', () => {
    const test = longMode(3);
    setGate(test, 14);
    test.processor.pageFault(0xdead_beef_000n, 6);
    deliver(test.processor, fault(14, 6));
    expect(test.processor.state.get('cr2')).toBe(0xdead_beef_000n);
    expect(frame(test, KERNEL_STACK)[0]).toBe('6');
  });

  it('ends HLT and the interrupt shadow', () => {
    const test = longMode(0);
    test.processor.state.set32('halted', 1);
    test.processor.state.set32('interruptShadow', 1);
    setGate(test, 0x40);
    deliver(test.processor, interrupt(0x40));
    expect(test.processor.state.get32('halted')).toBe(0);
    expect(test.processor.state.get32('interruptShadow')).toBe(0);
  });
});

describe('a gate that cannot be used', () => {
  // [what is wrong, event, gate, the fault that arrives instead, its error code]
  const rows: [string, Event, GateOptions | undefined, number, number][] = [
    ['INT n above the DPL of the gate', software(0x80), { dpl: 0 }, 13, 0x80 * 8 + 2],
    ['an absent gate for INT n', software(0x80), { dpl: 3, present: false }, 11, 0x80 * 8 + 2],
    ['an absent gate for an interrupt', interrupt(0x80), { present: false }, 11, 0x80 * 8 + 3],
    ['a gate of another type', interrupt(0x80), { type: 0xc }, 13, 0x80 * 8 + 3],
    ['a null selector', interrupt(0x80), { selector: 0 }, 13, 1],
    ['a data segment', interrupt(0x80), { selector: KERNEL_DS }, 13, KERNEL_DS + 1],
    ['32-bit code', interrupt(0x80), { selector: KERNEL_CS32 }, 13, KERNEL_CS32 + 1],
    ['absent code', software(0x80), { dpl: 3, selector: NOT_PRESENT_CS }, 11, NOT_PRESENT_CS],
    ['code outside the GDT', interrupt(0x80), { selector: 0x100 }, 13, 0x101],
    ['an offset that is not canonical', interrupt(0x80), { offset: 1n << 60n }, 13, 1],
  ];
  for (const [name, event, gate, vector, code] of rows) {
    it(`raises vector ${vector} with code ${code.toString(16)} for ${name}`, () => {
      const test = longMode(3);
      setGate(test, 0x80, gate);
      setGate(test, vector, { offset: 0x1000n });
      deliver(test.processor, event);
      expect(test.processor.state.get('rip')).toBe(0x1000n);
      const words = frame(test, KERNEL_STACK);
      expect(words[0]).toBe(code.toString(16));
      // A fault of INT n is at the instruction.
      expect(words[1]).toBe(event.kind === 'software' ? '400121' : '400123');
    });
  }

  it('includes vectors beyond the limit of the IDT', () => {
    const test = longMode(3);
    test.processor.state.set32('idtrLimit', 0x80 * 16 + 14);
    setGate(test, 13, { offset: 0x1000n });
    deliver(test.processor, interrupt(0x80));
    expect(frame(test, KERNEL_STACK)[0]).toBe((0x80 * 8 + 3).toString(16));
  });

  it('includes stacks beyond the limit of the TSS', () => {
    const test = longMode(3);
    test.processor.state.set32('trLimit', 10);
    setGate(test, 0x80);
    setGate(test, 10, { selector: CONFORMING_CS, offset: 0x1000n });
    deliver(test.processor, interrupt(0x80));
    expect(test.processor.state.get('rip')).toBe(0x1000n);
    expect(frame(test, 0x3fff0)[0]).toBe('41');
  });
});

describe('a fault while delivering', () => {
  it('becomes a double fault after #GP, with error code 0', () => {
    const test = longMode(3);
    setGate(test, 8, { offset: 0x8000n });
    deliver(test.processor, fault(13, 0x18));
    expect(test.processor.state.get('rip')).toBe(0x8000n);
    expect(frame(test, KERNEL_STACK).slice(0, 2)).toEqual(['0', '400123']);
    expect(test.charged).toEqual(['exception_delivery', 'exception_delivery']);
  });

  it('is handled by itself after a benign exception', () => {
    const test = longMode(3);
    setGate(test, 13, { offset: 0xd000n });
    deliver(test.processor, fault(6));
    expect(test.processor.state.get('rip')).toBe(0xd000n);
    expect(frame(test, KERNEL_STACK)[0]).toBe((6 * 8 + 3).toString(16));
  });

  it('is a page fault of the stack, at the supervisor privilege of the handler', () => {
    const test = longMode(3);
    test.memory.writeU64(leafAddress(KERNEL_STACK - 8), 0n);
    setGate(test, 0x80);
    test.memory.writeU64(TSS_BASE + 0x24, 0x60000n);
    setGate(test, 14, { offset: 0xe000n, ist: 1 });
    deliver(test.processor, interrupt(0x80));
    expect(test.processor.state.get('rip')).toBe(0xe000n);
    expect(frame(test, 0x60000)[0]).toBe('2');
    expect(test.processor.state.get('cr2')).toBe(BigInt(KERNEL_STACK - 8));
  });

  it('shuts the processor down when the double fault cannot be delivered', () => {
    const test = longMode(3);
    expect(deliver(test.processor, fault(13, 0))).toBe('shutdown');
  });
});

describe('host code that owns ring 0', () => {
  function owned(cpl: 0 | 3) {
    const test = longMode(cpl);
    const calls: string[] = [];
    test.processor.platformCpu = {} as PlatformCpu;
    test.processor.owner = {
      exception: (_cpu, event: ProcessorEvent) => {
        calls.push(`${event.kind} ${event.vector} ${event.errorCode} ${event.faultAddress.toString(16)} ${event.instructionLength}`);
      },
      syscall: () => {
        calls.push('syscall');
      },
      sysenter: () => {
        calls.push('sysenter');
      },
      interrupt: (_cpu, vector) => {
        calls.push(`interrupt ${vector}`);
      },
    };
    return { test, calls };
  }

  it('gets the events of CPL 3 with the registers as hardware would save them, at the same cost', () => {
    const { test, calls } = owned(3);
    test.processor.pageFault(0x5000n, 7);
    test.processor.state.set('rflags', 0x346n);
    deliver(test.processor, fault(14, 7));
    expect(test.processor.state.get('rflags')).toBe(0x10346n);
    deliver(test.processor, software(0x80));
    expect(test.processor.state.get('rflags')).toBe(0x346n);
    deliver(test.processor, interrupt(0x31));
    expect(calls).toEqual(['fault 14 7 5000 0', 'software 128 undefined 0 2', 'interrupt 49']);
    expect(place(test.processor)).toBe('2b:400123 cpl 3 ss 23');
    expect(test.charged).toEqual(['exception_delivery', 'exception_delivery', 'interrupt_delivery']);
  });

  it('does not get those of CPL 0', () => {
    const { test, calls } = owned(0);
    setGate(test, 6);
    deliver(test.processor, fault(6));
    expect(calls).toEqual([]);
    expect(test.processor.state.get('rip')).toBe(HANDLER);
  });
});

describe('IRET', () => {
  function pushed(test: TestProcessor, words: (number | bigint)[], size: 2 | 4 | 8 = 8): void {
    const { state } = test.processor;
    state.set('gpr', 0x30000n, Register.RSP);
    words.forEach((word, i) => {
      const at = 0x30000 + i * size;
      if (size === 8) test.memory.writeU64(at, BigInt(word));
      else if (size === 4) test.memory.writeU32(at, Number(word));
      else test.memory.writeU16(at, Number(word));
    });
  }

  it('undoes a delivery exactly', () => {
    const test = longMode(3);
    setGate(test, 0x40);
    const before = [place(test.processor), test.processor.state.get('rflags') & ~0x10000n, test.processor.state.get('gpr', Register.RSP)];
    deliver(test.processor, interrupt(0x40));
    expect(interruptReturn(test.processor, 64)).toBe(Status.RESYNC);
    expect([place(test.processor), test.processor.state.get('rflags'), test.processor.state.get('gpr', Register.RSP)]).toEqual(before);
  });

  it('pops SS:RSP also to the same privilege, and lets CPL 0 set IOPL, IF and RF', () => {
    const test = longMode(0);
    pushed(test, [0x1234, KERNEL_CS, 0x13202, 0x44444, KERNEL_DS]);
    interruptReturn(test.processor, 64);
    expect(place(test.processor)).toBe('8:1234 cpl 0 ss 10');
    expect(test.processor.state.get('rflags')).toBe(0x13202n);
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x44444n);
  });

  it('to compatibility mode takes 32-bit segments', () => {
    const test = longMode(0);
    pushed(test, [0x401000, USER_CS32, 0x202, 0x7ff000, USER_DS]);
    interruptReturn(test.processor, 64);
    expect(test.processor.state.get32('codeMode')).toBe(32);
    expect(test.processor.state.get('stackMask')).toBe(0xffff_ffffn);
  });

  const rows: [string, (number | bigint)[], string][] = [
    ['a null CS', [0, 0, 2, 0, USER_DS], '13(0)'],
    ['data as CS', [0, USER_DS, 2, 0, USER_DS], '13(20)'],
    ['a CS of more privilege than its RPL', [0, KERNEL_CS | 3, 2, 0, USER_DS], '13(8)'],
    ['an absent CS', [0, NOT_PRESENT_CS, 2, 0, KERNEL_DS], '11(58)'],
    ['a null SS at CPL 3', [0, USER_CS, 2, 0, 3], '13(0)'],
    ['an SS of another privilege', [0, USER_CS, 2, 0, KERNEL_DS], '13(10)'],
    ['a RIP that is not canonical', [1n << 50n, USER_CS, 2, 0, USER_DS], '13(0)'],
  ];
  for (const [name, words, expected] of rows) {
    it(`raises ${expected} for ${name}, and commits nothing`, () => {
      const test = longMode(0);
      pushed(test, words);
      const before = place(test.processor);
      expect(interruptReturn(test.processor, 64)).toBe(Status.FAULT);
      expect(recorded(test.processor)).toBe(expected);
      expect(place(test.processor)).toBe(before);
      expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x30000n);
    });
  }

  it('refuses NT in long mode', () => {
    const test = longMode(0);
    test.processor.state.set('rflags', 0x4002n);
    expect(interruptReturn(test.processor, 64)).toBe(Status.FAULT);
    expect(recorded(test.processor)).toBe('13(0)');
  });

  it('makes segments of more privilege null on the way out', () => {
    const test = longMode(0);
    writeSegment(test.processor, Segment.FS, { selector: KERNEL_DS, base: 0x1000n, limit: 0xffffffff, attributes: 0xc093 });
    writeSegment(test.processor, Segment.GS, { selector: USER_DS, base: 0x2000n, limit: 0xffffffff, attributes: 0xc0f3 });
    pushed(test, [0x1234, USER_CS, 0x202, 0x44440, USER_DS]);
    interruptReturn(test.processor, 64);
    expect(test.processor.state.get32('segmentSelector', Segment.FS)).toBe(0);
    expect(test.processor.state.get('segmentBase', Segment.FS)).toBe(0n);
    expect(test.processor.state.get('segmentBase', Segment.GS)).toBe(0x2000n);
  });
});

describe('protected mode', () => {
  function protectedMode(cpl: 0 | 3): TestProcessor {
    const test = testProcessor();
    enterLongMode(test, cpl);
    const { state } = test.processor;
    state.set('efer', 0n);
    state.set('cr0', BigInt(Cr0.PE | Cr0.ET));
    const code = cpl === 0 ? KERNEL_CS32 : USER_CS32;
    writeSegment(test.processor, Segment.CS, { selector: code, base: 0n, limit: 0xffffffff, attributes: cpl === 0 ? 0xc09b : 0xc0fb });
    updateMode(test.processor);
    state.set32('trAttributes', 0x8b);
    test.memory.writeU32(TSS_BASE + 4, KERNEL_STACK);
    test.memory.writeU32(TSS_BASE + 8, KERNEL_DS);
    const [gate] = buildGateDescriptor({ selector: KERNEL_CS32, offset: 0x5000n, type: 0xe, dpl: 3, present: true, ist: 0, parameters: 0 });
    for (let vector = 0; vector < 64; vector++) test.memory.writeU64(IDT + vector * 8, gate);
    state.set('rip', 0x400123n);
    state.set('gpr', 0x3fffdn, Register.RSP);
    state.set('rflags', 0x202n);
    return test;
  }

  function words({ processor, memory }: TestProcessor, count: number): string[] {
    const esp = Number(processor.state.get('gpr', Register.RSP));
    return Array.from({ length: count }, (_, i) => memory.readU32(esp + i * 4).toString(16));
  }

  it('pushes SS, ESP, EFLAGS, CS, EIP and the error code on the stack of the TSS', () => {
    const test = protectedMode(3);
    deliver(test.processor, fault(13, 0x18));
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(BigInt(KERNEL_STACK - 24));
    expect(words(test, 6)).toEqual(['18', '400123', '1b', '10202', '3fffd', '23']);
    expect(place(test.processor)).toBe('30:5000 cpl 0 ss 10');
    // Past the error code the frame returns to where it came from.
    test.processor.state.set('gpr', BigInt(KERNEL_STACK - 20), Register.RSP);
    expect(interruptReturn(test.processor, 32)).toBe(Status.RESYNC);
    expect(place(test.processor)).toBe('1b:400123 cpl 3 ss 23');
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x3fffdn);
  });

  it('pushes three words at the same privilege, not aligned, and IRET takes them back', () => {
    const test = protectedMode(0);
    deliver(test.processor, interrupt(0x20));
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x3fffdn - 12n);
    expect(words(test, 3)).toEqual(['400123', '30', '202']);
    interruptReturn(test.processor, 32);
    expect(place(test.processor)).toBe('30:400123 cpl 0 ss 10');
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x3fffdn);
    expect(test.processor.state.get('rflags')).toBe(0x202n);
  });

  it('raises #TS for a bad stack segment in the TSS', () => {
    const test = protectedMode(3);
    test.memory.writeU32(TSS_BASE + 8, USER_DS);
    // Every vector needs the same stack, so it ends in a triple fault; the first was #TS with the selector.
    expect(deliver(test.processor, interrupt(0x20))).toBe('shutdown');
  });

  it('refuses a stack whose limit is passed', () => {
    const test = protectedMode(3);
    test.memory.writeU64(GDT + KERNEL_DS, buildSegmentDescriptor({ base: 0n, limit: 0x1fff, attributes: 0x4093 }));
    expect(deliver(test.processor, fault(6))).toBe('shutdown');
  });
});

describe('real-address mode', () => {
  it('pushes FLAGS, CS and IP, and takes the handler from the vector table', () => {
    const test = testProcessor();
    reset(test.processor);
    const { state } = test.processor;
    state.set('gpr', 0x1000n, Register.RSP);
    state.set('rip', 0x7c00n);
    state.set('rflags', 0x202n);
    test.memory.writeU32(0x21 * 4, 0x1234_5678);
    deliver(test.processor, software(0x21));
    expect(state.get('rip')).toBe(0x5678n);
    expect(state.get('segmentBase', Segment.CS)).toBe(0x12340n);
    expect([test.memory.readU16(0xffe), test.memory.readU16(0xffc), test.memory.readU16(0xffa)]).toEqual([0x202, 0, 0x7c00]);
    expect(state.get('rflags')).toBe(2n);
  });
});
