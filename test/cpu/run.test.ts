/** The run loop, over a scripted engine whose every instruction takes one byte and one cycle, and over real code. */
import { describe, expect, it } from 'vitest';
import { type Engine, Status } from '../../src/cpu/engine.ts';
import { recordTrap } from '../../src/cpu/fault/event.ts';
import { instructionDefinitions } from '../../src/cpu/instructions/index.ts';
import { BarePlatformCpu } from '../../src/cpu/platform-cpu.ts';
import type { Processor } from '../../src/cpu/processor.ts';
import { ReferenceEngine } from '../../src/cpu/reference/engine.ts';
import { run } from '../../src/cpu/run.ts';
import { Shadow } from '../../src/cpu/shadow.ts';
import { newCpuContext } from '../../src/platform/context.ts';
import type { GuestControl } from '../../src/platform/cpu.ts';
import { FREE_COSTS } from '../../src/timing/model.ts';
import { Decoder } from '../../src/x86/decode.ts';
import { buildGateDescriptor } from '../../src/x86/descriptors.ts';
import { Register } from '../../src/x86/registers.ts';
import { enterLongMode, IDT, KERNEL_CS, type TestProcessor, testProcessor } from './support/test-processor.ts';

type Script = Record<number, (processor: Processor) => Status | undefined>;

class ScriptedEngine implements Engine {
  readonly name = 'scripted';
  readonly trace: number[] = [];
  readonly #script: Script;

  constructor(script: Script) {
    this.#script = script;
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
    const { state } = processor;
    const rip = state.get('rip');
    this.trace.push(Number(rip));
    state.set('cycles', state.get('cycles') + 12n);
    state.set('rip', rip + 1n);
    const status = this.#script[Number(rip)]?.(processor) ?? Status.CONTINUE;
    if (status === Status.FAULT || status === Status.REPEAT) state.set('rip', rip);
    else state.set('instructions', state.get('instructions') + 1n);
    return status;
  }
  invalidateCode(): void {}
}

/** Long mode at CPL 0 with gates for every vector: vector v is handled at 0x1000 + v. */
function machine(script: Script = {}, cpl: 0 | 3 = 0) {
  const test = testProcessor();
  enterLongMode(test, cpl);
  const { state } = test.processor;
  for (let vector = 0; vector < 64; vector++) {
    const [low, high] = buildGateDescriptor({
      selector: KERNEL_CS,
      offset: BigInt(0x1000 + vector),
      type: 0xe,
      dpl: 0,
      present: true,
      ist: 0,
      parameters: 0,
    });
    test.memory.writeU64(IDT + vector * 16, low);
    test.memory.writeU64(IDT + vector * 16 + 8, high);
  }
  state.set('rip', 0x100n);
  state.set('gpr', 0x30000n, Register.RSP);
  state.set('rflags', 0x202n);
  const engine = new ScriptedEngine(script);
  return { ...test, engine, go: (cycles: number) => run(test.processor, engine, BigInt(cycles * 12)) };
}

function raise({ processor, bus }: TestProcessor, ...vectors: number[]): void {
  bus.interrupts.push(...vectors);
  processor.state.set32('pendingInterrupt', 1);
}

describe('the run loop', () => {
  it('returns DEADLINE at the first boundary at or after the deadline', () => {
    const m = machine();
    expect(m.go(3)).toBe(Status.DEADLINE);
    expect(m.engine.trace).toEqual([0x100, 0x101, 0x102]);
    expect(m.go(4)).toBe(Status.DEADLINE);
    expect(m.engine.trace).toHaveLength(4);
  });

  it('delivers an interrupt before the next instruction, and one at a time while the gate masks', () => {
    const m = machine();
    raise(m, 0x20, 0x21);
    m.go(2);
    expect(m.engine.trace).toEqual([0x1020, 0x1021]);
    expect(m.bus.interrupts).toEqual([0x21]);
  });

  it('waits until IF is set, and takes the interrupt right then', () => {
    const m = machine({
      258: (processor) => {
        processor.state.set('rflags', 0x202n);
        processor.breakRun();
        return Status.CONTINUE;
      },
    });
    m.processor.state.set('rflags', 2n);
    raise(m, 0x20);
    m.go(4);
    expect(m.engine.trace).toEqual([0x100, 0x101, 0x102, 0x1020]);
  });

  it('lets one instruction pass after STI or a load of SS', () => {
    const m = machine({
      256: (processor) => {
        processor.state.set('rflags', 0x202n);
        processor.state.set32('interruptShadow', 1);
        processor.breakRun();
        return Status.RESYNC;
      },
    });
    m.processor.state.set('rflags', 2n);
    raise(m, 0x20);
    m.go(3);
    expect(m.engine.trace).toEqual([0x100, 0x101, 0x1020]);
    expect(m.processor.state.get32('interruptShadow')).toBe(0);
  });

  it('keeps the shadow over a string instruction that stops between elements', () => {
    let elements = 2;
    const m = machine({ 256: () => (elements-- > 0 ? Status.REPEAT : Status.CONTINUE) });
    m.processor.state.set32('interruptShadow', 1);
    raise(m, 0x20);
    m.go(4);
    expect(m.engine.trace).toEqual([0x100, 0x100, 0x100, 0x1020]);
  });

  it('takes a pending interrupt between elements of a string instruction, with RIP at it', () => {
    const m = machine({
      256: (processor) => {
        raise(m, 0x20);
        processor.breakRun();
        return Status.REPEAT;
      },
    });
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1020]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x100n);
  });

  it('delivers faults with RIP at the instruction and software interrupts with RIP after it', () => {
    const m = machine({
      256: (processor) => processor.faultWithCode(13, 0x18),
      4109: (processor) => {
        recordTrap(processor, 0x30, 2);
        return Status.TRAP;
      },
    });
    m.go(3);
    expect(m.engine.trace).toEqual([0x100, 0x100d, 0x1030]);
    expect(m.memory.readU64(0x30000 - 48)).toBe(0x18n);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x100n);
  });

  it('halts, and wakes up for an interrupt only', () => {
    const m = machine({
      256: (processor) => {
        processor.state.set32('halted', 1);
        return Status.HALT;
      },
    });
    expect(m.go(10)).toBe(Status.HALT);
    expect(m.go(10)).toBe(Status.HALT);
    raise(m, 0x20);
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1020]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x101n);
  });

  it('forgets an interrupt that went away', () => {
    const m = machine();
    m.processor.state.set32('pendingInterrupt', 1);
    m.go(1);
    expect(m.engine.trace).toEqual([0x100]);
    expect(m.processor.state.get32('pendingInterrupt')).toBe(0);
  });

  it('stops when asked, and after a triple fault for good', () => {
    const m = machine({
      257: (processor) => {
        processor.stopRequested = true;
        processor.breakRun();
        return Status.CONTINUE;
      },
      259: (processor) => {
        processor.state.set32('idtrLimit', 0);
        return processor.fault(6);
      },
    });
    expect(m.go(10)).toBe(Status.STOP);
    expect(m.engine.trace).toEqual([0x100, 0x101]);
    expect(m.go(10)).toBe(Status.SHUTDOWN);
    expect(m.go(10)).toBe(Status.SHUTDOWN);
  });
});

describe('single stepping', () => {
  it('traps after each instruction, with DR6.BS and TF in the frame, and not in the handler', () => {
    const m = machine();
    m.processor.state.set('rflags', 0x302n);
    m.go(3);
    expect(m.engine.trace).toEqual([0x100, 0x1001, 0x1002]);
    expect(m.memory.readU64(0x30000 - 24)).toBe(0x302n);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x101n);
    expect(m.processor.state.get('dr', 6) & 0x4000n).toBe(0x4000n);
  });

  it('does not trap after INT n, whose frame holds TF', () => {
    const m = machine({
      256: (processor) => {
        recordTrap(processor, 0x30, 2);
        return Status.TRAP;
      },
    });
    m.processor.state.set('rflags', 0x302n);
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1030]);
  });
});

describe('a guest in non-root operation', () => {
  function guest(script: Script = {}) {
    const m = machine(script);
    const exits: string[] = [];
    const cpu = new BarePlatformCpu(m.processor, { requestInterrupt() {} });
    const control: GuestControl & { interruptWindow: boolean; pendingInterrupt: number | undefined } = {
      vpid: 1,
      secondStage: { machineFrame: (frame) => frame, writable: () => true, leafShift: () => 12, generation: 0 },
      ringZero: undefined,
      pendingInterrupt: undefined,
      interruptWindow: false,
      intercepts: { cr3: false, cr4Pge: false, cr0Ts: false, invlpg: false, rdtsc: false, kernelGsBase: false },
      onExit(_cpu, exit) {
        exits.push(exit.reason === 'external-interrupt' ? `${exit.reason} ${exit.vector}` : exit.reason);
        if (exit.reason === 'interrupt-window') control.interruptWindow = false;
      },
      onBoundary() {
        exits.push('boundary');
      },
    };
    cpu.virtualization.enter(control);
    return { ...m, exits, control, cpu };
  }

  it('leaves for an external interrupt whatever its IF says', () => {
    const m = guest();
    m.processor.state.set('rflags', 2n);
    raise(m, 0x31);
    m.go(1);
    expect(m.exits).toEqual(['external-interrupt 49']);
    expect(m.engine.trace).toEqual([0x100]);
    expect(m.charged).toEqual(['vm_exit']);
  });

  it('gets an injected interrupt when IF allows, and a window exit before that when asked', () => {
    const m = guest({
      257: (processor) => {
        processor.state.set('rflags', 0x202n);
        processor.breakRun();
        return Status.CONTINUE;
      },
    });
    m.processor.state.set('rflags', 2n);
    m.control.interruptWindow = true;
    m.go(2);
    m.go(3);
    expect(m.exits).toEqual(['interrupt-window']);
    m.control.pendingInterrupt = 0x22;
    m.go(4);
    expect(m.engine.trace).toEqual([0x100, 0x101, 0x102, 0x1022]);
    expect(m.control.pendingInterrupt).toBeUndefined();
  });

  it('shows its hypervisor the boundary after an exit inside an instruction', () => {
    const m = guest({
      256: (processor) => {
        processor.boundaryDue = true;
        processor.breakRun();
        return Status.CONTINUE;
      },
    });
    m.go(2);
    expect(m.exits).toEqual(['boundary']);
    m.cpu.virtualization.requestBoundary();
    m.go(3);
    expect(m.exits).toEqual(['boundary', 'boundary']);
  });

  it('exits for a triple fault and goes on with what the hypervisor put in its place', () => {
    const m = guest({ 256: (processor) => processor.fault(6) });
    m.processor.state.set32('idtrLimit', 0);
    const other = newCpuContext();
    m.cpu.saveContext(other);
    other.rip = 0x5000n;
    m.control.onExit = (cpu, exit) => {
      m.exits.push(exit.reason);
      cpu.loadContext(other);
    };
    m.go(2);
    expect(m.exits).toEqual(['triple-fault']);
    expect(m.engine.trace).toEqual([0x100, 0x5000]);
  });
});

describe('host code in root operation', () => {
  it('idles until an interrupt, which it gets whatever the IF of the loaded registers', () => {
    const m = machine();
    const cpu = new BarePlatformCpu(m.processor, { requestInterrupt() {} });
    const got: number[] = [];
    cpu.owner = { exception() {}, syscall() {}, sysenter() {}, interrupt: (_cpu, vector) => got.push(vector) };
    m.processor.state.set('rflags', 2n);
    cpu.halt();
    expect(m.go(10)).toBe(Status.HALT);
    raise(m, 0x33);
    m.go(1);
    expect(got).toEqual([0x33]);
    expect(m.engine.trace).toEqual([0x100]);
  });

  it('carries registers from one vCPU to another and back', () => {
    const m = machine();
    const cpu = new BarePlatformCpu(m.processor, { requestInterrupt() {} });
    const first = newCpuContext();
    m.processor.state.set('xmm', 0x1234n, 5);
    m.processor.state.set('st', 0x8000_0000_0000_0000n, 6);
    m.processor.state.set32('fpuStatus', 3 << 11);
    cpu.saveContext(first);
    const copy = structuredClone(first);
    cpu.loadContext(newCpuContext());
    expect(cpu.rip).toBe(0n);
    cpu.loadContext(first);
    const again = newCpuContext();
    cpu.saveContext(again);
    expect(again).toEqual(copy);
    expect(m.processor.state.get('st', 6)).toBe(0x8000_0000_0000_0000n);
  });
});

describe('real code on the reference engine', () => {
  it('takes a timer interrupt between two instructions, returns by IRETQ, and halts', () => {
    const test = testProcessor();
    enterLongMode(test);
    const { processor, memory, bus } = test;
    const [low, high] = buildGateDescriptor({
      selector: KERNEL_CS,
      offset: 0x41000n,
      type: 0xe,
      dpl: 0,
      present: true,
      ist: 0,
      parameters: 0,
    });
    memory.writeU64(IDT + 0x20 * 16, low);
    memory.writeU64(IDT + 0x20 * 16 + 8, high);
    // 40000: sti; inc rax; inc rbx; hlt     41000: inc rcx; iretq
    memory.writeBytes(0x40000, Buffer.from('fb48ffc048ffc3f4', 'hex'));
    memory.writeBytes(0x41000, Buffer.from('48ffc148cf', 'hex'));
    processor.state.set('rip', 0x40000n);
    processor.state.set('gpr', 0x30000n, Register.RSP);
    bus.interrupts.push(0x20);
    processor.state.set32('pendingInterrupt', 1);
    const engine = new ReferenceEngine(instructionDefinitions(), new Decoder(processor.cpuid.features), FREE_COSTS);
    expect(run(processor, engine, 1000n)).toBe(Status.HALT);
    expect([Register.RAX, Register.RBX, Register.RCX].map((register) => processor.state.get('gpr', register))).toEqual([1n, 1n, 1n]);
    expect(memory.readU64(0x30000 - 40)).toBe(0x40004n);
    expect(processor.state.get('gpr', Register.RSP)).toBe(0x30000n);
    expect(processor.state.get('instructions')).toBe(6n);
  });
});

describe('NMI', () => {
  it('comes whatever IF says, and the next one not before the IRET of its handler', () => {
    const m = machine({
      4098: (processor) => {
        processor.raiseNmi();
        return Status.CONTINUE;
      },
      4100: (processor) => {
        processor.state.set32('nmiBlocked', 0); // as IRET does
        processor.breakRun();
        return Status.RESYNC;
      },
    });
    m.processor.state.set('rflags', 2n);
    m.processor.raiseNmi();
    for (let i = 0; i < 2; i++) m.go(4); // an arrival ends the run, so that the machine looks around
    expect(m.engine.trace).toEqual([0x1002, 0x1003, 0x1004, 0x1002]);
  });

  it('waits until a load of SS has its second half', () => {
    const m = machine();
    m.processor.state.set32('interruptShadow', Shadow.FRESH | Shadow.BY_SS);
    m.processor.raiseNmi();
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1002]);
  });

  it('wakes a halted processor', () => {
    const m = machine();
    m.processor.state.set32('halted', 1);
    m.processor.state.set('rflags', 2n);
    expect(m.go(5)).toBe(Status.HALT);
    m.processor.raiseNmi();
    m.go(1);
    expect(m.engine.trace).toEqual([0x1002]);
  });

  it('comes before an interrupt', () => {
    const m = machine();
    raise(m, 0x20);
    m.processor.raiseNmi();
    m.go(1);
    expect(m.engine.trace).toEqual([0x1002]);
  });
});

describe('breakpoints', () => {
  const hit = (processor: Processor): Status => {
    processor.state.set32('debugHits', 2);
    processor.breakRun();
    return Status.CONTINUE;
  };

  it('of data trap after their instruction, before an interrupt', () => {
    const m = machine({ 256: hit });
    m.go(1);
    raise(m, 0x20);
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1001]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x101n);
    expect(m.processor.state.get('dr', 6)).toBe(0xffff_0ff2n);
  });

  it('met by a load of SS wait for the next instruction', () => {
    const m = machine({
      256: (processor) => {
        processor.state.set32('interruptShadow', Shadow.FRESH | Shadow.BY_SS);
        return hit(processor);
      },
    });
    m.go(3);
    expect(m.engine.trace).toEqual([0x100, 0x101, 0x1001]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x102n);
  });

  it('of an access that faults are forgotten', () => {
    const m = machine({
      256: (processor) => {
        hit(processor);
        return processor.faultWithCode(13, 0);
      },
    });
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x100d]);
  });

  it('of instructions are faults, and RF lets one instruction pass', () => {
    const m = machine();
    const { state } = m.processor;
    state.set('dr', 0x101n, 0);
    state.set('dr', 0x402n, 7);
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1001]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x101n);
    expect(m.memory.readU64(0x30000 - 24)).toBe(0x202n); // RF is for the handler to set
    state.set('rip', 0x101n);
    state.set('rflags', 0x1_0202n);
    m.go(4);
    expect(m.engine.trace.slice(2)).toEqual([0x101, 0x102]);
    expect(state.get('rflags')).toBe(0x202n);
  });
});

describe('single step', () => {
  it('traps after each element of a string instruction, with RF until the last', () => {
    let elements = 1;
    const m = machine({
      256: (processor) => {
        expect(processor.state.get('deadline')).toBe(0n); // so that the engine stops after one element
        if (elements-- === 0) return Status.CONTINUE;
        processor.state.set('repeatActive', 1n);
        return Status.REPEAT;
      },
    });
    const { state } = m.processor;
    state.set('rflags', 0x302n);
    m.go(2);
    expect(m.engine.trace).toEqual([0x100, 0x1001]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x100n);
    expect(m.memory.readU64(0x30000 - 24)).toBe(0x1_0302n);
    state.set('rip', 0x100n);
    state.set('rflags', 0x302n);
    state.set('gpr', 0x30000n, Register.RSP);
    m.go(4);
    expect(m.engine.trace.slice(2)).toEqual([0x100, 0x1001]);
    expect(m.memory.readU64(0x30000 - 40)).toBe(0x101n);
    expect(m.memory.readU64(0x30000 - 24)).toBe(0x302n);
  });

  it('traps after STI, not after a load of SS', () => {
    for (const [shadow, trace] of [
      [Shadow.FRESH, [0x100, 0x1001]],
      [Shadow.FRESH | Shadow.BY_SS, [0x100, 0x101, 0x1001]],
    ] as const) {
      const m = machine({
        256: (processor) => {
          processor.state.set32('interruptShadow', shadow);
          return Status.RESYNC;
        },
      });
      m.processor.state.set('rflags', 0x302n);
      m.go(trace.length);
      expect(m.engine.trace).toEqual(trace);
    }
  });
});
