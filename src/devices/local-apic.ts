/**
 * The local APIC of one processor: xAPIC registers in memory, x2APIC registers as MSRs, its timer, and the priorities
 * between what is requested and what is in service. Messages to others go out through `send`; local-apics.ts routes them.
 *
 * It begins as firmware leaves it: enabled, on the first processor with LINT0 as the 8259's INTR (virtual wire) and LINT1
 * as NMI.
 * Sources: SDM 3A §10.4 to §10.12 (registers, timer, priorities, EOI, x2APIC), MultiProcessor Specification §3.6.2.2.
 * Left out: thermal, performance and machine check events (their LVT entries can be written), focus processor, remote read.
 */
import { ApicRegister, inX2apicMode, LVT_BITS } from './apic-registers.ts';
import { ApicTimer, ApicTimerMode } from './apic-timer.ts';
import { DeliveryMode, type SendMessage } from './interrupt-message.ts';
import { VectorSet } from './vector-set.ts';

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
}

export class LocalApic {
  readonly id: number;
  private readonly options: LocalApicOptions;
  private readonly timer: ApicTimer;
  private readonly requested = new VectorSet();
  private readonly inService = new VectorSet();
  private readonly levels = new VectorSet();
  private state: Plain;

  constructor(options: LocalApicOptions) {
    this.id = options.id;
    this.options = options;
    this.timer = new ApicTimer(options.tscKhz);
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
    this.timer.reset();
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

  /** Cycle at which the timer fires next. */
  get nextEvent(): bigint | undefined {
    return this.timer.nextEvent;
  }

  /** Takes what is due. */
  advance(now: bigint): void {
    if (!this.timer.advance(now)) return;
    const entry = this.lvt(ApicRegister.TIMER);
    if ((entry & MASKED) === 0) this.request(entry & 0xff, false);
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
    if (index === MSR_TSC_DEADLINE) return this.options.tscDeadline ? this.timer.tscDeadline : undefined;
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
    return inX2apicMode(register) ? BigInt(this.read(register, now) >>> 0) : undefined;
  }

  /** @param tscOffset TSC minus cycles. False: #GP(0). */
  writeMsr(index: number, value: bigint, now: bigint, tscOffset: bigint): boolean {
    if (index === MSR_APIC_BASE) return this.writeBase(value);
    if (index === MSR_TSC_DEADLINE) {
      if (!this.options.tscDeadline) return false;
      this.timer.setTscDeadline(value, tscOffset);
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
        return this.timer.initialCount;
      case ApicRegister.CURRENT_COUNT:
        return this.timer.currentCount(now);
      case ApicRegister.DIVIDE:
        return this.timer.divide;
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
        this.timer.setInitialCount(value, now);
        break;
      case ApicRegister.DIVIDE:
        this.timer.setDivide(value, now);
        break;
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
    if (mode === 0n && before !== 0n) this.initialise();
    this.state.base = (value & ~BASE_BSP) | bootstrap;
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
    const value = this.softwareEnabled ? given : given | MASKED;
    if (register !== ApicRegister.TIMER) {
      this.setLvt(register, value);
      return;
    }
    const mode = (value >> 17) & 3;
    const offered = mode < ApicTimerMode.DEADLINE || (mode === ApicTimerMode.DEADLINE && this.options.tscDeadline);
    this.setLvt(register, offered ? value : value & ~(3 << 17));
    this.timer.setMode(offered ? mode : ApicTimerMode.ONE_SHOT, now);
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
    };
  }

  save(): unknown {
    const { requested, inService, levels } = this;
    return {
      state: { ...this.state, lvt: [...this.state.lvt] },
      timer: this.timer.save(),
      requested: requested.words.slice(),
      inService: inService.words.slice(),
      levels: levels.words.slice(),
    };
  }
  restore(data: unknown): void {
    const saved = data as { state: Plain; timer: unknown; requested: Uint32Array; inService: Uint32Array; levels: Uint32Array };
    this.state = { ...saved.state, lvt: [...saved.state.lvt] };
    this.timer.restore(saved.timer);
    this.requested.words.set(saved.requested);
    this.inService.words.set(saved.inService);
    this.levels.words.set(saved.levels);
  }
}
