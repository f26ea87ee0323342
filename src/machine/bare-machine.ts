/**
 * The bare machine: RAM, processors, the small PC's devices, and the loop that runs them. Hypervisors run on it through
 * platform/, and the Baseline runs a kernel on it directly.
 *
 * Time: each processor has its own cycle counter. The runnable one with the smallest counter runs next, for at most a
 * quantum; a halted one skips to its next event. Devices follow the clock of processor 0.
 */
import type { SaveWriter } from '../base/persist.ts';
import { Decoder } from '../x86/decode.ts';
import { Flag } from '../x86/eflags.ts';
import { PhysicalMemory } from '../memory/physical-memory.ts';
import type { CostModel, TranslationModel } from '../timing/model.ts';
import type { ApicRegisters, Bus } from '../cpu/bus.ts';
import type { CpuidModel } from '../cpu/cpuid/model.ts';
import { type Engine, Status } from '../cpu/engine.ts';
import { instructionDefinitions } from '../cpu/instructions/index.ts';
import { InterpreterEngine } from '../cpu/interpreter/engine.ts';
import { type MachineLayout, machineLayout } from '../cpu/layout.ts';
import { flushLookup } from '../cpu/mmu/lookup-table.ts';
import { Processor } from '../cpu/processor.ts';
import { JitCompiler } from '../jit/compiler.ts';
import { ReferenceEngine } from '../cpu/reference/engine.ts';
import { Halted, run } from '../cpu/run.ts';
import { saveProcessor } from '../cpu/save.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { PcDevices } from '../devices/pc-devices.ts';
import { saveMemory } from './save-memory.ts';
import { RequestedInterrupts } from './requested-interrupts.ts';
import { enterInit, enterStartup } from './start-state.ts';

export type EngineName = 'reference' | 'interpreter' | 'jit';

export interface BareMachineOptions {
  readonly cpuCount: number;
  /** Multiple of 64 KiB. */
  readonly memoryBytes: number;
  readonly engine: EngineName;
  /** Puts something between the run loop and the engine: counting, pausing. */
  readonly wrapEngine?: (engine: Engine) => Engine;
  readonly costs: CostModel;
  readonly newTranslation: () => TranslationModel & { save(writer: SaveWriter): void };
  readonly cpuid: CpuidModel;
  readonly tscKhz: number;
  /** Bytes that the guest writes to the serial port. */
  readonly transmit: (byte: number) => void;
  readonly unknownPort?: (port: number, write: boolean) => void;
  /** Unix time in seconds at cycle 0. Default 0. */
  readonly epoch?: bigint;
  /** Devices on PCI. */
  readonly virtio?: readonly VirtioDevice[];
}

/** Why {@link BareMachine.run} returned. */
export type RunEnd =
  | { reason: 'power-off' }
  | { reason: 'debug-exit'; code: number }
  | { reason: 'triple-fault'; cpu: number }
  | { reason: 'reset' }
  | { reason: 'deadlock' }
  | { reason: 'limit' }
  | { reason: 'stopped' };

/** Cycles that one processor may run ahead of the others. */
const QUANTUM_CYCLES = 100_000n;
const TWELFTHS = 12n;

/** Halted with nothing that would wake it now. */
function waits({ state }: Processor): boolean {
  const nmi = state.get32('nmiPending') !== 0 && state.get32('nmiBlocked') === 0;
  const interrupt = state.get32('pendingInterrupt') !== 0 && takesInterrupts(state);
  return state.get32('halted') !== Halted.NO && !interrupt && !nmi;
}

/** A halted processor with interrupts off stays so. */
function takesInterrupts(state: Processor['state']): boolean {
  return state.get32('halted') === Halted.HOST_IDLE || (state.get32('rflags') & Flag.IF) !== 0;
}

export class BareMachine implements Bus {
  readonly layout: MachineLayout;
  readonly memory: PhysicalMemory;
  readonly processors: Processor[] = [];
  readonly engine: Engine;
  readonly devices: PcDevices;
  readonly tscKhz: number;
  /** Vectors requested of each processor by timers and other processors. */
  readonly requested: RequestedInterrupts[] = [];
  private readonly translations: { save(writer: SaveWriter): void }[] = [];
  /** The processor that executes now; undefined between turns. */
  private running: Processor | undefined;
  private end: RunEnd | undefined;
  /** Processors that wait for a start-up message: 1 each. */
  private readonly waiting: Uint8Array;
  /** Latest time at which a device was used, in cycles: processors' clocks differ, the devices' does not run back. */
  private deviceTime = 0n;
  /** The processors' clocks must look like one. */
  private oneClock = false;
  readonly apic: ApicRegisters;

  constructor(options: BareMachineOptions) {
    this.layout = machineLayout(options.cpuCount, options.memoryBytes);
    this.tscKhz = options.tscKhz;
    const pages = this.layout.wasmPages;
    const wasm = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.memory = new PhysicalMemory(wasm, this.layout.ramBase, options.memoryBytes);
    for (let index = 0; index < options.cpuCount; index++) {
      const translation = options.newTranslation();
      this.translations.push(translation);
      new Processor({
        index,
        memory: this.memory,
        stateBase: this.layout.cpuBase(index),
        bus: this,
        costs: options.costs,
        translation,
        cpuid: options.cpuid,
        peers: this.processors,
      });
      this.requested.push(new RequestedInterrupts());
    }
    const decoder = new Decoder(options.cpuid.features);
    const definitions = instructionDefinitions();
    const compiler = options.engine === 'jit' ? new JitCompiler(this.layout.wasmPages, definitions, decoder, options.costs) : undefined;
    const engine =
      options.engine === 'reference'
        ? new ReferenceEngine(definitions, decoder, options.costs)
        : new InterpreterEngine(this.layout, this.memory, definitions, decoder, options.costs, compiler);
    this.engine = options.wrapEngine?.(engine) ?? engine;
    const { features, physicalAddressBits } = options.cpuid;
    this.waiting = new Uint8Array(options.cpuCount);
    this.devices = new PcDevices({
      tscKhz: options.tscKhz,
      epoch: options.epoch ?? 0n,
      memory: this.memory,
      virtio: options.virtio ?? [],
      processors: options.cpuCount,
      apic: { x2apic: features.has('X2APIC'), tscDeadline: features.has('TSC_DEADLINE'), physicalAddressBits },
      nmi: (cpu) => this.wake(cpu, () => this.processors[cpu].raiseNmi()),
      init: (cpu) => this.initialise(cpu),
      startup: (cpu, vector) => this.startup(cpu, vector),
      reset: () => this.stop({ reason: 'reset' }),
      transmit: options.transmit,
      maskA20: (masked) => this.maskA20(masked),
      powerOff: (code) => this.stop(code === undefined ? { reason: 'power-off' } : { reason: 'debug-exit', code }),
      ...(options.unknownPort === undefined ? {} : { unknownPort: options.unknownPort }),
    });
    this.apic = {
      readMsr: (cpu, index) => this.devices.apics.all[cpu].readMsr(index, this.processors[cpu].cycles),
      writeMsr: (cpu, index, value) => {
        const processor = this.processors[cpu];
        const done = this.devices.apics.all[cpu].writeMsr(index, value, processor.cycles, processor.state.get('tscOffset'));
        this.devicesChanged(processor);
        processor.endRun();
        return done;
      },
      setTaskPriority: (cpu, value) => {
        this.devices.apics.all[cpu].taskPriorityClass = value;
        this.devicesChanged(this.processors[cpu]);
      },
    };
  }

  /** Whoever reads time stamps on several processors may compare them. */
  keepOneClock(): void {
    this.oneClock = this.processors.length > 1;
  }

  /** All processors but the first wait for their start-up message, as firmware leaves them. */
  parkSecondaryProcessors(): void {
    this.keepOneClock();
    for (const { index } of this.processors) if (index !== 0) this.waiting[index] = 1;
  }

  /** Ends the run at the next instruction boundary. */
  stop(end: RunEnd): void {
    this.end ??= end;
    for (const processor of this.processors) {
      processor.stopRequested = true;
      processor.breakRun();
    }
  }

  /** Instructions retired by all processors. */
  get instructions(): bigint {
    return this.processors.reduce((sum, processor) => sum + processor.state.get('instructions'), 0n);
  }

  /** Runs until the guest ends it, everything waits for nothing, or the instruction count reaches the limit. */
  run(maxInstructions = 1n << 62n): RunEnd {
    this.end = undefined;
    for (const processor of this.processors) processor.stopRequested = false;
    for (;;) {
      const processor = this.next();
      if (processor === undefined) return { reason: 'deadlock' };
      this.runOnce(processor);
      if (this.end !== undefined) return this.end;
      if (this.instructions >= maxInstructions) return { reason: 'limit' };
    }
  }

  /** Everything that decides what happens next, the same on every engine. */
  save(writer: SaveWriter): void {
    writer.section('machine', 1, () => {
      writer.u32(this.processors.length);
      writer.plain({
        devices: this.devices.save(),
        requested: this.requested.map((requests) => requests.save()),
        waiting: this.waiting.slice(),
        deviceTime: this.deviceTime,
        oneClock: this.oneClock,
      });
      saveMemory(writer, this.memory);
    });
    for (const processor of this.processors) {
      saveProcessor(writer, processor);
      this.translations[processor.index].save(writer);
    }
  }

  // --- Bus ------------------------------------------------------------------------------------------------------

  readPort(port: number, size: 1 | 2 | 4): number {
    const value = this.devices.read(port, size, this.now());
    this.devicesChanged(this.running);
    return value;
  }
  writePort(port: number, size: 1 | 2 | 4, value: number): void {
    this.devices.write(port, size, value, this.now());
    this.devicesChanged(this.running);
    // The timer may have got an earlier deadline.
    this.processors[0].endRun();
  }
  readMemory(address: number, size: 1 | 2 | 4 | 8): bigint {
    if (size === 8) return this.readMemory(address, 4) | (this.readMemory(address + 4, 4) << 32n);
    const asking = this.running ?? this.processors[0];
    const value = this.devices.readMemory(asking.index, address, size, asking.cycles);
    if (value === undefined) return (1n << BigInt(size * 8)) - 1n;
    this.devicesChanged(asking);
    return BigInt.asUintN(size * 8, BigInt(value));
  }
  writeMemory(address: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (size === 8) {
      this.writeMemory(address, 4, value & 0xffff_ffffn);
      this.writeMemory(address + 4, 4, value >> 32n);
      return;
    }
    const asking = this.running ?? this.processors[0];
    this.devices.writeMemory(asking.index, address, size, Number(value), asking.cycles, this.now());
    this.devicesChanged(asking);
  }
  isAhead(cpu: number, cycles: bigint): boolean {
    if (!this.oneClock) return false;
    return this.processors.some((other) => {
      const time = other.index === cpu ? undefined : this.nextTime(other);
      return time !== undefined && time < cycles;
    });
  }
  acknowledgeInterrupt(cpu: number): number | undefined {
    const vector = this.requested[cpu].take() ?? this.devices.acknowledge(cpu);
    this.updateInterruptLine(cpu);
    return vector;
  }

  /** Requests `vector` of a processor: timers, inter-processor interrupts. */
  requestInterrupt(cpu: number, vector: number): void {
    this.requested[cpu].add(vector);
    this.updateInterruptLine(cpu);
    const target = this.processors[cpu];
    // A halted processor wakes when the request reaches it, not in its own past.
    if (this.running !== undefined && target.state.get32('halted') !== 0) this.idleUntil(target, this.running.state.get('cycles'));
    target.endRun();
  }

  /** A non-maskable interrupt for one processor. */
  injectNmi(cpu: number): void {
    this.processors[cpu].raiseNmi();
  }

  private maskA20(masked: boolean): void {
    for (const processor of this.processors) {
      if (processor.a20Masked === masked) continue;
      processor.a20Masked = masked;
      flushLookup(processor);
      processor.breakRun();
    }
  }

  /** The devices' time as the running processor sees it. */
  private now(): bigint {
    const { cycles } = this.running ?? this.processors[0];
    if (cycles > this.deviceTime) this.deviceTime = cycles;
    return this.deviceTime;
  }

  /** INIT: from the first processor's point of view the end of the machine, since nothing here plays the firmware again. */
  private initialise(cpu: number): void {
    if (cpu === 0) {
      this.stop({ reason: 'reset' });
      return;
    }
    enterInit(this.processors[cpu]);
    this.waiting[cpu] = 1;
    this.processors[cpu].endRun();
  }

  private startup(cpu: number, vector: number): void {
    if (this.waiting[cpu] === 0) return;
    this.wake(cpu, () => {
      this.waiting[cpu] = 0;
      enterStartup(this.processors[cpu], vector);
    });
  }

  /** Something reaches a processor that may be idle: not in its own past. */
  private wake(cpu: number, what: () => void): void {
    const target = this.processors[cpu];
    const idle = this.waiting[cpu] !== 0 || target.state.get32('halted') !== Halted.NO;
    what();
    if (this.running !== undefined && this.running !== target && idle) this.idleUntil(target, this.running.state.get('cycles'));
  }

  // --- the loop -------------------------------------------------------------------------------------------------

  private updateInterruptLine(cpu: number): void {
    const line = this.requested[cpu].any || this.devices.interruptPending(cpu);
    this.processors[cpu].state.set32('pendingInterrupt', line ? 1 : 0);
  }

  /** After whatever `by` did to the devices: interrupt lines of all processors, and CR8, which is the APIC's. */
  private devicesChanged(by: Processor | undefined): void {
    for (const processor of this.processors) {
      const { index, state } = processor;
      const before = state.get32('pendingInterrupt');
      this.updateInterruptLine(index);
      if (processor === by) {
        state.set('cr8', BigInt(this.devices.apics.all[index].taskPriorityClass));
        if (before !== state.get32('pendingInterrupt')) processor.endRun();
      } else if (before === 0 && state.get32('pendingInterrupt') !== 0 && by !== undefined && state.get32('halted') !== Halted.NO) {
        this.idleUntil(processor, by.state.get('cycles'));
      }
    }
  }

  /** Next event of a processor by itself, in cycles. */
  private nextEvent(processor: Processor): bigint | undefined {
    const device = processor.index === 0 ? this.devices.nextEvent() : undefined;
    const apic = this.devices.apics.all[processor.index].nextEvent;
    let first = processor.timerDeadline;
    if (device !== undefined && (first === undefined || device < first)) first = device;
    if (apic !== undefined && (first === undefined || apic < first)) first = apic;
    return first;
  }

  /** When a processor does something next: now by its own clock, or at its next event; undefined: never by itself. */
  private nextTime(processor: Processor): bigint | undefined {
    if (this.waiting[processor.index] !== 0) return undefined;
    const { cycles } = processor;
    if (!waits(processor)) return cycles;
    const event = this.nextEvent(processor);
    return event === undefined || event > cycles ? event : cycles;
  }

  /** The processor that runs next: of those that can do something, the one whose clock is behind. */
  private next(): Processor | undefined {
    let best: Processor | undefined;
    let bestTime = 0n;
    if (this.processors.every((processor) => this.isOff(processor))) return undefined;
    for (const processor of this.processors) {
      const time = this.nextTime(processor);
      if (time === undefined) continue;
      if (best === undefined || time < bestTime) {
        best = processor;
        bestTime = time;
      }
    }
    return best;
  }

  /** Nothing but a message of another processor can bring it back. */
  private isOff(processor: Processor): boolean {
    return this.waiting[processor.index] !== 0 || (waits(processor) && !takesInterrupts(processor.state));
  }

  private runOnce(processor: Processor): void {
    const event = this.nextEvent(processor);
    if (waits(processor) && event !== undefined) {
      this.idleUntil(processor, event * TWELFTHS);
    }
    this.takeEvents(processor);
    let until = (processor.cycles + QUANTUM_CYCLES) * TWELFTHS;
    const following = this.nextEvent(processor);
    if (following !== undefined && following * TWELFTHS < until) until = following * TWELFTHS;
    this.running = processor;
    const status = run(processor, this.engine, until);
    this.running = undefined;
    if (status === Status.SHUTDOWN) this.stop({ reason: 'triple-fault', cpu: processor.index });
    if (status === Status.STOP && this.end === undefined) this.end = { reason: 'stopped' };
  }

  /** Moves a halted processor's clock on, in twelfths. */
  private idleUntil(processor: Processor, twelfths: bigint): void {
    const idle = twelfths - processor.state.get('cycles');
    if (idle <= 0n) return;
    processor.state.set('cycles', twelfths);
    processor.ledger?.charge('idle', Number(idle), Number(idle));
  }

  /** Turns what is due by the processor's clock into interrupt requests. */
  private takeEvents(processor: Processor): void {
    const now = processor.cycles;
    if (processor.index === 0) this.devices.advance(now);
    this.devices.apics.all[processor.index].advance(now);
    if (processor.timerDeadline !== undefined && processor.timerDeadline <= now) {
      processor.timerDeadline = undefined;
      this.requested[processor.index].add(processor.timerVector);
    }
    this.devicesChanged(processor);
  }
}
