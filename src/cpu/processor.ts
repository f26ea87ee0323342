/**
 * One processor: its state in the machine's WebAssembly memory, and the injected parts around it. Behaviour is in the
 * folders beside this file (mmu/ translates, fault/ delivers, system/ executes what engines do not, run.ts drives an
 * engine); functions there take the processor as their first argument.
 *
 * Between two instructions everything that decides what happens next is in {@link CpuState}, guest memory, and the plain
 * fields below; `walk` and `request` are scratch.
 */
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import type { GuestControl, PlatformCpu, RingZeroOwner } from '../platform/cpu.ts';
import type { SecondStage } from '../platform/virtualization.ts';
import { type CostLedger, type CostModel, newTranslationRequest, type TranslationModel, type TranslationRequest } from '../timing/model.ts';
import { Vector } from '../x86/exceptions.ts';
import type { Bus } from './bus.ts';
import type { CpuidModel } from './cpuid/model.ts';
import { Status } from './status.ts';
import { newWalk, type Walk } from './mmu/walk-result.ts';
import { CpuState, OFFSET } from './state.ts';

export interface ProcessorOptions {
  readonly index: number;
  readonly memory: PhysicalMemory;
  /** Address of the state in the WebAssembly memory: CPU_STRIDE bytes. */
  readonly stateBase: number;
  readonly bus: Bus;
  readonly costs: CostModel;
  readonly translation: TranslationModel;
  readonly cpuid: CpuidModel;
  /** All processors of the machine, this one included once it is built; shared by reference. */
  readonly peers?: Processor[];
}

const NO_STAGES: readonly SecondStage[] = [];
const CYCLES = OFFSET.cycles >> 3;

export class Processor {
  readonly index: number;
  readonly state: CpuState;
  readonly memory: PhysicalMemory;
  readonly bus: Bus;
  readonly costs: CostModel;
  readonly translation: TranslationModel;
  readonly cpuid: CpuidModel;
  readonly peers: Processor[];

  /** Takes a share of everything charged; undefined while nobody counts. */
  ledger: CostLedger | undefined;
  /** Told about every value that RDTSC and RDTSCP return. */
  onTimestamp: ((value: bigint) => void) | undefined;

  /** Host code that owns ring 0 in root operation. */
  owner: RingZeroOwner | undefined;
  /** The face that the owner sees; set by the platform around this processor. */
  platformCpu: PlatformCpu | undefined;
  /** The guest being run, in non-root operation; undefined in root operation. */
  control: GuestControl | undefined;
  /** Second stages in effect, the guest's own first; empty in root operation. */
  secondStages: readonly SecondStage[] = NO_STAGES;
  /** Sum of their generations at the last look: a change drops cached translations. */
  secondStageGeneration = 0;

  /** TSC deadline of the processor's own timer, in cycles; the machine around the processor delivers it. */
  timerDeadline: bigint | undefined;
  timerVector = 0xf0;

  /** Cycle count (twelfths) at which the current run returns. */
  until = 0n;
  /** Address line 20 is held low: bit 20 of physical addresses reads as zero (SDM 3A §8.7.13.4). */
  a20Masked = false;
  /** Asks the run loop to return STOP at the next instruction boundary. */
  stopRequested = false;
  /** A triple fault stopped the processor for good. */
  shutDown = false;
  /** Positive while an exit runs in the middle of an instruction: contexts must not be replaced then. */
  insideInstruction = 0;
  /** An exit ran in the middle of an instruction: `GuestControl.onBoundary` is due. */
  boundaryDue = false;
  /** Counts replacements of the register context, so that code around an exit sees that it happened. */
  contextEpoch = 0;

  readonly walk: Walk = newWalk();
  readonly request: TranslationRequest = newTranslationRequest();

  constructor(options: ProcessorOptions) {
    this.index = options.index;
    this.memory = options.memory;
    this.state = new CpuState(options.memory.memory, options.stateBase);
    this.bus = options.bus;
    this.costs = options.costs;
    this.translation = options.translation;
    this.cpuid = options.cpuid;
    // MXCSR.MM exists with misaligned SSE mode only (APM 2 §4.2.2).
    this.state.set('mxcsrMask', this.cpuid.features.has('MISALIGNSSE') ? 0x2ffffn : 0xffffn);
    // EMMS clears TOP on AMD's processors, as every MMX instruction does on all.
    this.state.set('emmsKeeps', this.cpuid.vendor === 'AuthenticAMD' ? 0xc7ffn : 0xffffn);
    this.peers = options.peers ?? [];
    this.peers.push(this);
  }

  /** Charges `count` events of one name to the cycle counter; `layer` is that of the hypervisor that pays, if one does. */
  charge(event: string, count = 1, layer?: number): void {
    const twelfths = this.costs.cost(event) * count;
    this.state.u64[CYCLES] += BigInt(twelfths);
    this.ledger?.charge(event, count, twelfths, layer);
  }

  /** Whole cycles since reset. */
  get cycles(): bigint {
    return this.state.u64[CYCLES] / 12n;
  }

  /** Records a fault without error code; RIP stays at the instruction. */
  fault(vector: number): typeof Status.FAULT {
    const { state } = this;
    state.set32('faultVector', vector);
    state.set32('faultHasErrorCode', 0);
    state.set32('faultErrorCode', 0);
    return Status.FAULT;
  }

  faultWithCode(vector: number, errorCode: number): typeof Status.FAULT {
    const { state } = this;
    state.set32('faultVector', vector);
    state.set32('faultHasErrorCode', 1);
    state.set32('faultErrorCode', errorCode);
    return Status.FAULT;
  }

  pageFault(linear: bigint, errorCode: number): typeof Status.FAULT {
    this.state.set('faultAddress', linear);
    return this.faultWithCode(Vector.PF, errorCode);
  }

  /** A non-maskable interrupt arrives; one that is already pending takes it in. */
  raiseNmi(): void {
    this.state.set32('nmiPending', 1);
    this.endRun();
  }

  /** Ends the engine's run at the next instruction boundary, so that the run loop looks at interrupts again. */
  breakRun(): void {
    this.state.set('deadline', 0n);
  }

  /**
   * Makes the run loop return DEADLINE at the next instruction boundary: after anything outside the processor that may
   * have moved the next event closer (a device access, a timer).
   */
  endRun(): void {
    this.until = 0n;
    this.breakRun();
  }

  /** Who owns ring 0 of the code that runs now, when that is host code. */
  get ringZero(): { owner: RingZeroOwner; cpu: PlatformCpu } | undefined {
    if (this.control !== undefined) return this.control.ringZero;
    if (this.owner === undefined || this.platformCpu === undefined) return undefined;
    return { owner: this.owner, cpu: this.platformCpu };
  }

  /** The face given to exits of the running guest. */
  get exitCpu(): PlatformCpu {
    if (this.platformCpu === undefined) throw new Error('a guest exits on a processor without a platform');
    return this.platformCpu;
  }
}
