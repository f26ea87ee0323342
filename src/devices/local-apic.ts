/**
 * The local APIC of one processor: xAPIC registers in memory, x2APIC registers as MSRs, its timer, and the priorities
 * between what is requested and what is in service. Messages to others go out through `send`; local-apics.ts routes them.
 *
 * It begins as firmware leaves it: enabled, on the first processor with LINT0 as the 8259's INTR (virtual wire) and LINT1
 * as NMI. Time is the processor's own cycle counter; the timer counts {@link APIC_HZ}.
 * Sources: SDM 3A §10.4 to §10.12 (registers, timer, priorities, EOI, x2APIC), MultiProcessor Specification §3.6.2.2.
 * Left out: thermal, performance and machine check events (their LVT entries can be written), focus processor, remote read.
 */
import { DeliveryMode, type SendMessage } from './interrupt-message.ts';
import { VectorSet } from './vector-set.ts';

/** Rate of the timer before its divider. */
export const APIC_HZ = 100_000_000n;

/** Register numbers: offset in the page >> 4, and MSR 0x800 + number. */
export const ApicRegister = {
  ID: 0x02,
  VERSION: 0x03,
  TASK_PRIORITY: 0x08,
  ARBITRATION: 0x09,
  PROCESSOR_PRIORITY: 0x0a,
  EOI: 0x0b,
  REMOTE_READ: 0x0c,
  LOGICAL_DESTINATION: 0x0d,
  DESTINATION_FORMAT: 0x0e,
  SPURIOUS: 0x0f,
  IN_SERVICE: 0x10,
  TRIGGER_MODE: 0x18,
  REQUEST: 0x20,
  ERROR_STATUS: 0x28,
  CMCI: 0x2f,
  COMMAND: 0x30,
  COMMAND_HIGH: 0x31,
  TIMER: 0x32,
  THERMAL: 0x33,
  PERFORMANCE: 0x34,
  LINT0: 0x35,
  LINT1: 0x36,
  ERROR: 0x37,
  INITIAL_COUNT: 0x38,
  CURRENT_COUNT: 0x39,
  DIVIDE: 0x3e,
  SELF_IPI: 0x3f,
} as const;

const BASE_BSP = 0x100n;
const BASE_X2APIC = 0x400n;
const BASE_ENABLE = 0x800n;
const BASE_ADDRESS = 0xfee0_0000n;
export const MSR_APIC_BASE = 0x1b;
export const MSR_TSC_DEADLINE = 0x6e0;
const MSR_X2APIC_FIRST = 0x800;
const MSR_X2APIC_LAST = 0x8ff;

const MASKED = 0x1_0000;
const ENABLED = 0x100;
/** Version of a Pentium 4 and later: integrated, six LVT entries. */
const VERSION = 0x0005_0014;
const ERROR_SEND_ILLEGAL = 1 << 5;
const ERROR_RECEIVED_ILLEGAL = 1 << 6;
const ERROR_REGISTER = 1 << 7;
const TimerMode = { ONE_SHOT: 0, PERIODIC: 1, DEADLINE: 2 } as const;

/** Writable bits of each LVT entry; delivery status and remote IRR are not kept. */
const LVT_BITS: ReadonlyMap<number, number> = new Map([
  [ApicRegister.TIMER, 0x7_00ff],
  [ApicRegister.THERMAL, 0x1_07ff],
  [ApicRegister.PERFORMANCE, 0x1_07ff],
  [ApicRegister.LINT0, 0x1_a7ff],
  [ApicRegister.LINT1, 0x1_a7ff],
  [ApicRegister.ERROR, 0x1_00ff],
]);

export interface LocalApicOptions {
  readonly id: number;
  readonly tscKhz: number;
  /** CPUID.1:ECX.X2APIC and .TSC_DEADLINE. */
  readonly x2apic: boolean;
  readonly tscDeadline: boolean;
  readonly physicalAddressBits: number;
  readonly send: SendMessage;
  /** A level-triggered interrupt has ended. */
  readonly endOfInterrupt: (vector: number) => void;
}

interface Plain {
  base: bigint;
  taskPriority: number;
  logicalDestination: number;
  destinationFormat: number;
  spurious: number;
  errorStatus: number;
  errorsSeen: number;
  command: number;
  commandHigh: number;
  lvt: number[];
  divide: number;
  initialCount: number;
  /** Cycle at which the count began, or undefined: stopped. */
  started: bigint | undefined;
  /** Cycle of the next interrupt of the timer. */
  deadline: bigint | undefined;
  /** TSC value in IA32_TSC_DEADLINE. */
  tscDeadline: bigint;
}

export class LocalApic {
  readonly id: number;
  private readonly options: LocalApicOptions;
  private readonly hz: bigint;
  private readonly requested = new VectorSet();
  private readonly inService = new VectorSet();
  private readonly levels = new VectorSet();
  private state: Plain;

  constructor(options: LocalApicOptions) {
    this.id = options.id;
    this.options = options;
    this.hz = BigInt(options.tscKhz) * 1000n;
    this.state = this.afterReset();
    if (options.id !== 0) return;
    this.state.spurious = 0x1ff;
    this.setLvt(ApicRegister.LINT0, DeliveryMode.EXTINT << 8);
    this.setLvt(ApicRegister.LINT1, DeliveryMode.NMI << 8);
  }

  /** INIT: everything but the APIC's base and id (SDM 3A §10.4.7.3). */
  initialise(): void {
    const { base } = this.state;
    this.state = this.afterReset();
    this.state.base = base;
    this.requested.clear();
    this.inService.clear();
    this.levels.clear();
  }

  get globallyEnabled(): boolean {
    return (this.state.base & BASE_ENABLE) !== 0n;
  }
  get x2apicMode(): boolean {
    return (this.state.base & BASE_X2APIC) !== 0n;
  }
  get softwareEnabled(): boolean {
    return this.globallyEnabled && (this.state.spurious & ENABLED) !== 0;
  }
  /** Physical address of the register page; undefined when there is none. */
  get page(): number | undefined {
    return this.globallyEnabled && !this.x2apicMode ? Number(this.state.base & ~0xfffn) : undefined;
  }
  /** The INTR line of the 8259 reaches the processor: through LINT0, or past an APIC that is switched off. */
  get takesExternal(): boolean {
    if (!this.globallyEnabled) return true;
    const lint0 = this.lvt(ApicRegister.LINT0);
    return (lint0 & MASKED) === 0 && ((lint0 >> 8) & 7) === DeliveryMode.EXTINT;
  }
  /** Class of the interrupts that are held back (SDM 3A §10.8.3.1). */
  get processorPriority(): number {
    const service = this.inService.highest;
    const { taskPriority } = this.state;
    return taskPriority >> 4 >= service >> 4 ? taskPriority : service & 0xf0;
  }
  /** TPR as CR8 shows it. */
  get taskPriorityClass(): number {
    return this.state.taskPriority >> 4;
  }
  set taskPriorityClass(value: number) {
    this.state.taskPriority = value << 4;
  }

  /** The vector that the processor would take now, or -1. */
  get pendingVector(): number {
    const vector = this.requested.highest;
    return vector >= 0 && vector >> 4 > this.processorPriority >> 4 ? vector : -1;
  }

  /** Interrupt acknowledge: the vector goes into service; -1 when there is none any more. */
  acknowledge(): number {
    const vector = this.pendingVector;
    if (vector < 0) return -1;
    this.requested.delete(vector);
    this.inService.add(vector);
    return vector;
  }

  /** A fixed interrupt comes in. */
  request(vector: number, level: boolean): void {
    if (!this.softwareEnabled) return;
    if (vector < 16) {
      this.error(ERROR_RECEIVED_ILLEGAL);
      return;
    }
    this.requested.add(vector);
    if (level) this.levels.add(vector);
    else this.levels.delete(vector);
  }

  /** Whether a destination names this APIC (SDM 3A §10.6.2, §10.12.10). */
  isNamed(destination: number, logical: boolean): boolean {
    if (!this.globallyEnabled) return false;
    const wide = destination > 0xff;
    if (destination === 0xffff_ffff || destination === 0xff) return true;
    if (!logical) return destination === this.id;
    const own = this.logicalDestination;
    if (this.x2apicMode) return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
    if (wide) return false;
    const mine = own >>> 24;
    if (this.state.destinationFormat >>> 28 === 0xf) return (mine & destination) !== 0;
    return mine >> 4 === destination >> 4 && (mine & destination & 0xf) !== 0;
  }

  // --- the timer ------------------------------------------------------------------------------------------------

  /** Cycle at which the timer fires next. */
  get nextEvent(): bigint | undefined {
    return this.state.deadline;
  }

  /** Takes what is due. Periods that nobody took in time are lost. */
  advance(now: bigint): void {
    const { state } = this;
    if (state.deadline === undefined || now < state.deadline) return;
    const mode = this.timerMode;
    if (mode === TimerMode.PERIODIC && state.started !== undefined) {
      const period = this.period();
      state.started += ((now - state.started) / period) * period;
      state.deadline = state.started + period;
    } else {
      state.deadline = undefined;
      state.started = undefined;
      state.tscDeadline = 0n;
    }
    this.local(ApicRegister.TIMER);
  }

  private get timerMode(): number {
    return (this.lvt(ApicRegister.TIMER) >> 17) & 3;
  }

  /** Cycles of a whole count, rounded up. */
  private period(): bigint {
    return (BigInt(this.state.initialCount) * this.divisor() * this.hz + APIC_HZ - 1n) / APIC_HZ;
  }

  private divisor(): bigint {
    const code = ((this.state.divide >> 1) & 4) | (this.state.divide & 3);
    return code === 7 ? 1n : 2n << BigInt(code);
  }

  private start(now: bigint): void {
    const { state } = this;
    const counts = state.initialCount !== 0 && this.timerMode !== TimerMode.DEADLINE;
    state.started = counts ? now : undefined;
    state.deadline = counts ? now + this.period() : undefined;
  }

  private currentCount(now: bigint): number {
    const { started, initialCount } = this.state;
    if (started === undefined) return 0;
    const ticks = ((now - started) * APIC_HZ) / (this.hz * this.divisor());
    const left = BigInt(initialCount) - ticks;
    return left > 0n ? Number(left) : 0;
  }

  /** @param offset TSC minus cycles, of the processor. */
  private setTscDeadline(value: bigint, offset: bigint): void {
    if (this.timerMode !== TimerMode.DEADLINE) return;
    this.state.tscDeadline = value;
    if (value === 0n) {
      this.state.deadline = undefined;
      return;
    }
    const cycle = value - offset;
    this.state.deadline = cycle > 0n ? cycle : 0n;
  }

  // --- registers ------------------------------------------------------------------------------------------------

  /** A 32-bit register of the page; unaligned and other sizes are the caller's business. */
  readMemory(offset: number, now: bigint): number {
    if ((offset & 0xf) !== 0) return 0;
    return this.read(offset >> 4, now);
  }

  writeMemory(offset: number, value: number, now: bigint): void {
    if ((offset & 0xf) === 0) this.write(offset >> 4, value >>> 0, now);
  }

  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range; undefined: #GP(0). */
  readMsr(index: number, now: bigint): bigint | undefined {
    if (index === MSR_APIC_BASE) return this.state.base;
    if (index === MSR_TSC_DEADLINE) return this.options.tscDeadline ? this.state.tscDeadline : undefined;
    if (!this.x2apicMode || index < MSR_X2APIC_FIRST || index > MSR_X2APIC_LAST) return undefined;
    const register = index - MSR_X2APIC_FIRST;
    switch (register) {
      case ApicRegister.COMMAND:
        return BigInt(this.state.command >>> 0) | (BigInt(this.state.commandHigh >>> 0) << 32n);
      case ApicRegister.EOI:
      case ApicRegister.SELF_IPI:
      case ApicRegister.ARBITRATION:
      case ApicRegister.REMOTE_READ:
      case ApicRegister.DESTINATION_FORMAT:
      case ApicRegister.COMMAND_HIGH:
        return undefined;
    }
    return exists(register) ? BigInt(this.read(register, now) >>> 0) : undefined;
  }

  /** @param tscOffset TSC minus cycles. False: #GP(0). */
  writeMsr(index: number, value: bigint, now: bigint, tscOffset: bigint): boolean {
    if (index === MSR_APIC_BASE) return this.writeBase(value);
    if (index === MSR_TSC_DEADLINE) {
      if (!this.options.tscDeadline) return false;
      this.setTscDeadline(value, tscOffset);
      return true;
    }
    if (!this.x2apicMode || index < MSR_X2APIC_FIRST || index > MSR_X2APIC_LAST) return false;
    const register = index - MSR_X2APIC_FIRST;
    if (register === ApicRegister.COMMAND) {
      this.state.commandHigh = Number(value >> 32n);
      this.write(register, Number(value & 0xffff_ffffn), now);
      return true;
    }
    if (value >> 32n !== 0n) return false;
    const low = Number(value);
    switch (register) {
      case ApicRegister.EOI:
      case ApicRegister.ERROR_STATUS:
        if (low !== 0) return false;
        break;
      case ApicRegister.SELF_IPI:
        if (low > 0xff) return false;
        this.request(low, false);
        return true;
      case ApicRegister.TASK_PRIORITY:
        if (low > 0xff) return false;
        break;
      case ApicRegister.SPURIOUS:
        if ((low & ~0x13ff) !== 0) return false;
        break;
      case ApicRegister.INITIAL_COUNT:
      case ApicRegister.DIVIDE:
        break;
      default:
        // The rest is read-only or does not exist.
        if (!LVT_BITS.has(register)) return false;
    }
    this.write(register, low, now);
    return true;
  }

  private read(register: number, now: bigint): number {
    const { state } = this;
    if (register >= ApicRegister.IN_SERVICE && register < ApicRegister.ERROR_STATUS) {
      const set = [this.inService, this.levels, this.requested][(register - ApicRegister.IN_SERVICE) >> 3] as VectorSet;
      return set.words[register & 7];
    }
    if (LVT_BITS.has(register)) return this.lvt(register);
    switch (register) {
      case ApicRegister.ID:
        return this.x2apicMode ? this.id : (this.id << 24) >>> 0;
      case ApicRegister.VERSION:
        return VERSION;
      case ApicRegister.TASK_PRIORITY:
        return state.taskPriority;
      case ApicRegister.ARBITRATION:
      case ApicRegister.PROCESSOR_PRIORITY:
        return this.processorPriority;
      case ApicRegister.LOGICAL_DESTINATION:
        return this.logicalDestination;
      case ApicRegister.DESTINATION_FORMAT:
        return state.destinationFormat;
      case ApicRegister.SPURIOUS:
        return state.spurious;
      case ApicRegister.ERROR_STATUS:
        return state.errorStatus;
      case ApicRegister.COMMAND:
        return state.command;
      case ApicRegister.COMMAND_HIGH:
        return state.commandHigh;
      case ApicRegister.INITIAL_COUNT:
        return this.timerMode === TimerMode.DEADLINE ? 0 : state.initialCount;
      case ApicRegister.CURRENT_COUNT:
        return this.currentCount(now);
      case ApicRegister.DIVIDE:
        return state.divide;
      case ApicRegister.EOI:
      case ApicRegister.REMOTE_READ:
        return 0;
      default:
        this.error(ERROR_REGISTER);
        return 0;
    }
  }

  private write(register: number, value: number, now: bigint): void {
    const { state } = this;
    const bits = LVT_BITS.get(register);
    if (bits !== undefined) {
      this.writeLvt(register, value & bits, now);
      return;
    }
    switch (register) {
      case ApicRegister.TASK_PRIORITY:
        state.taskPriority = value & 0xff;
        break;
      case ApicRegister.EOI:
        this.endOfInterrupt();
        break;
      case ApicRegister.LOGICAL_DESTINATION:
        state.logicalDestination = (value & 0xff00_0000) >>> 0;
        break;
      case ApicRegister.DESTINATION_FORMAT:
        state.destinationFormat = (value | 0x0fff_ffff) >>> 0;
        break;
      case ApicRegister.SPURIOUS:
        state.spurious = value & 0x3ff;
        // Switching it off masks the local vectors (SDM 3A §10.4.7.2).
        if ((value & ENABLED) === 0) for (let n = 0; n < state.lvt.length; n++) state.lvt[n] |= MASKED;
        break;
      case ApicRegister.ERROR_STATUS:
        state.errorStatus = state.errorsSeen;
        state.errorsSeen = 0;
        break;
      case ApicRegister.COMMAND:
        state.command = value & 0xc_cfff;
        this.sendCommand(value);
        break;
      case ApicRegister.COMMAND_HIGH:
        state.commandHigh = (value & 0xff00_0000) >>> 0;
        break;
      case ApicRegister.INITIAL_COUNT:
        if (this.timerMode === TimerMode.DEADLINE) break;
        state.initialCount = value;
        this.start(now);
        break;
      case ApicRegister.DIVIDE: {
        const left = this.currentCount(now);
        state.divide = value & 0xb;
        if (state.started === undefined) break;
        // What is left goes on at the new rate.
        const passed = BigInt(state.initialCount - left) * this.divisor() * this.hz;
        state.started = now - passed / APIC_HZ;
        state.deadline = state.started + this.period();
        break;
      }
      case ApicRegister.ID:
        break; // fixed, as the SDM recommends
      default:
        this.error(ERROR_REGISTER);
    }
  }

  private writeBase(value: bigint): boolean {
    const { state, options } = this;
    const reserved = 0x2ffn | (options.x2apic ? 0n : BASE_X2APIC);
    if ((value & reserved) !== 0n || value >> BigInt(options.physicalAddressBits) !== 0n) return false;
    const mode = value & (BASE_ENABLE | BASE_X2APIC);
    const before = state.base & (BASE_ENABLE | BASE_X2APIC);
    if (mode === BASE_X2APIC) return false;
    // From x2APIC mode the way leads to "disabled" only, and from there not to x2APIC (SDM 3A Figure 10-27).
    if (before === (BASE_ENABLE | BASE_X2APIC) && mode === BASE_ENABLE) return false;
    if (before === 0n && mode === (BASE_ENABLE | BASE_X2APIC)) return false;
    const bootstrap = state.base & BASE_BSP;
    if (mode === 0n && before !== 0n) {
      this.initialise();
    }
    state.base = (value & ~BASE_BSP) | bootstrap;
    this.state.base = state.base;
    return true;
  }

  private get logicalDestination(): number {
    if (this.x2apicMode) return (((this.id >> 4) << 16) | (1 << (this.id & 15))) >>> 0;
    return this.state.logicalDestination;
  }

  private lvt(register: number): number {
    return this.state.lvt[register - ApicRegister.TIMER];
  }
  private setLvt(register: number, value: number): void {
    this.state.lvt[register - ApicRegister.TIMER] = value;
  }

  private writeLvt(register: number, given: number, now: bigint): void {
    const modeBefore = this.timerMode;
    const value = this.softwareEnabled ? given : given | MASKED;
    this.setLvt(register, value);
    if (register !== ApicRegister.TIMER) return;
    if (!this.options.tscDeadline && this.timerMode === TimerMode.DEADLINE) {
      this.setLvt(register, value & ~(TimerMode.DEADLINE << 17));
    }
    if (modeBefore === this.timerMode) return;
    // A change to or from deadline mode stops the timer (SDM 3A §10.5.4.1).
    if (modeBefore === TimerMode.DEADLINE || this.timerMode === TimerMode.DEADLINE) {
      this.state.deadline = undefined;
      this.state.started = undefined;
      this.state.tscDeadline = 0n;
      this.state.initialCount = 0;
    } else if (this.state.started !== undefined) {
      this.state.deadline = this.state.started + this.period();
      this.advancePast(now);
    }
  }

  /** A count that changed its mode after it had run out begins anew. */
  private advancePast(now: bigint): void {
    if (this.state.deadline !== undefined && this.state.deadline <= now) this.start(now);
  }

  /** The event of a local vector table entry. */
  private local(register: number): void {
    const entry = this.lvt(register);
    if ((entry & MASKED) === 0) this.request(entry & 0xff, false);
  }

  private error(bit: number): void {
    const isNew = (this.state.errorsSeen & bit) === 0;
    this.state.errorsSeen |= bit;
    const entry = this.lvt(ApicRegister.ERROR);
    if (isNew && (entry & MASKED) === 0 && (entry & 0xff) >= 16) this.request(entry & 0xff, false);
  }

  private endOfInterrupt(): void {
    const vector = this.inService.highest;
    if (vector < 0) return;
    this.inService.delete(vector);
    if (this.levels.has(vector)) this.options.endOfInterrupt(vector);
  }

  /** ICR: SDM 3A §10.6.1. */
  private sendCommand(value: number): void {
    const mode = (value >> 8) & 7;
    const vector = value & 0xff;
    const shorthand = (value >> 18) & 3;
    const deassert = mode === DeliveryMode.INIT && (value & 0xc000) === 0x8000;
    if (deassert) return; // synchronises arbitration of old processors, nothing here
    const fixed = mode === DeliveryMode.FIXED || mode === DeliveryMode.LOWEST;
    if (fixed && vector < 16) {
      this.error(ERROR_SEND_ILLEGAL);
      return;
    }
    if (shorthand === 1) {
      if (fixed) this.request(vector, false);
      return;
    }
    const destination = this.x2apicMode ? this.state.commandHigh : this.state.commandHigh >>> 24;
    const broadcast = shorthand >= 2;
    this.options.send({
      mode,
      vector,
      destination: broadcast ? 0xffff_ffff : destination >>> 0,
      logical: !broadcast && (value & 0x800) !== 0,
      level: false,
      ...(shorthand === 3 ? { except: this.id } : {}),
    });
  }

  private afterReset(): Plain {
    return {
      base: BASE_ADDRESS | BASE_ENABLE | (this.options.id === 0 ? BASE_BSP : 0n),
      taskPriority: 0,
      logicalDestination: 0,
      destinationFormat: 0xffff_ffff,
      spurious: 0xff,
      errorStatus: 0,
      errorsSeen: 0,
      command: 0,
      commandHigh: 0,
      lvt: [MASKED, MASKED, MASKED, MASKED, MASKED, MASKED],
      divide: 0,
      initialCount: 0,
      started: undefined,
      deadline: undefined,
      tscDeadline: 0n,
    };
  }

  save(): unknown {
    const { requested, inService, levels } = this;
    return {
      state: { ...this.state, lvt: [...this.state.lvt] },
      requested: requested.words.slice(),
      inService: inService.words.slice(),
      levels: levels.words.slice(),
    };
  }
  restore(data: unknown): void {
    const saved = data as { state: Plain; requested: Uint32Array; inService: Uint32Array; levels: Uint32Array };
    this.state = { ...saved.state, lvt: [...saved.state.lvt] };
    this.requested.words.set(saved.requested);
    this.inService.words.set(saved.inService);
    this.levels.words.set(saved.levels);
  }
}

/** Whether x2APIC mode has such a register. */
function exists(register: number): boolean {
  return register >= ApicRegister.IN_SERVICE && register < ApicRegister.ERROR_STATUS ? true : X2APIC_REGISTERS.has(register);
}

const X2APIC_REGISTERS: ReadonlySet<number> = new Set([
  ApicRegister.ID,
  ApicRegister.VERSION,
  ApicRegister.TASK_PRIORITY,
  ApicRegister.PROCESSOR_PRIORITY,
  ApicRegister.LOGICAL_DESTINATION,
  ApicRegister.SPURIOUS,
  ApicRegister.ERROR_STATUS,
  ...LVT_BITS.keys(),
  ApicRegister.INITIAL_COUNT,
  ApicRegister.CURRENT_COUNT,
  ApicRegister.DIVIDE,
]);
