/**
 * One processor as the owner of ring 0 sees it. A bare machine's processor implements it directly; a full domain's
 * vCPU implements it on the layer below, where some of these operations cost an exit (timing-model: exits by cause).
 *
 * A hypervisor is host code that owns ring 0: instead of going through an IDT, every exception, interrupt and SYSCALL
 * of its guests calls its {@link RingZeroOwner}. The call is made between two guest instructions, changes state through
 * this interface and returns; nothing is left on the host's stack, so all state stays plain data.
 */
import type { CpuContext, SegmentState } from './context.ts';
import type { SegmentIndex } from '../x86/instruction.ts';
import type { SecondStage, VmExit } from './virtualization.ts';

export type { SegmentState } from './context.ts';

export interface ProcessorEvent {
  readonly vector: number;
  /** undefined for vectors without an error code. */
  readonly errorCode: number | undefined;
  /** CR2 value, for #PF only. */
  readonly faultAddress: bigint;
  /** 'fault' and 'trap' as the SDM classes them; 'software' for INT n, INT3, INTO, INT1 (RIP is then after the instruction). */
  readonly kind: 'fault' | 'trap' | 'software';
  /** Length of the INT n instruction for kind 'software', else 0. */
  readonly instructionLength: number;
}

/** Host code that owns ring 0 of a processor. Called between two instructions; RIP is as hardware would save it. */
export interface RingZeroOwner {
  exception(cpu: PlatformCpu, event: ProcessorEvent): void;
  /** SYSCALL at CPL 3: RIP is the address after it; RCX and R11 are still the caller's. */
  syscall(cpu: PlatformCpu): void;
  sysenter(cpu: PlatformCpu): void;
  /** An external interrupt or the timer; the vector is acknowledged. */
  interrupt(cpu: PlatformCpu, vector: number): void;
}

/** Names of cost events; the table with cycles and sources is timing/cost-model. */
export type CostEvent = string;

export interface PlatformCpu {
  readonly index: number;
  /** 0 on the bare machine, 1 in a full domain on it, ...: the layer that the owner of this interface belongs to. */
  readonly layer: number;

  // Registers of the code that was interrupted. gpr: 0..15 in encoding order (RAX RCX RDX RBX RSP RBP RSI RDI R8..R15).
  gpr(index: number): bigint;
  setGpr(index: number, value: bigint): void;
  rip: bigint;
  rflags: bigint;
  segment(index: SegmentIndex): SegmentState;
  setSegment(index: SegmentIndex, value: SegmentState): void;
  readonly cpl: number;
  cr2: bigint;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  fsBase: bigint;
  gsBase: bigint;
  kernelGsBase: bigint;
  /** Whole register state, for switching vCPUs. Loading charges nothing by itself: charge it as the path that it belongs to. */
  saveContext(into: CpuContext): void;
  loadContext(from: CpuContext): void;

  // Privileged operations: each is charged by its own cost row, and by an exit where the layer below intercepts it.
  /** MOV CR3: drops translations that are not global (SDM 3A §4.10.4.1). */
  writeCr3(value: bigint): void;
  writeCr0(value: bigint): void;
  writeCr4(value: bigint): void;
  /** INVLPG. */
  invalidatePage(linear: bigint): void;
  /** Drops all translations of this processor, global ones too, without touching CR4 (by CR3 reload where no page is global). */
  flushTranslations(): void;
  readMsr(index: number): bigint | undefined;
  writeMsr(index: number, value: bigint): boolean;
  cpuid(leaf: number, subleaf: number): [eax: number, ebx: number, ecx: number, edx: number];

  /**
   * Reads or writes guest-virtual memory through the current tables with the interrupted code's privilege
   * (`asUser`: as CPL 3). Returns undefined, or the address of the first byte that faulted with the #PF error code.
   */
  readVirtual(linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined;
  writeVirtual(linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined;

  // Time and interrupts of this processor.
  /** Cycles since reset, whole (the TSC). */
  readonly cycles: bigint;
  /** One-shot timer interrupt with `vector` when `cycles` reaches the deadline; undefined switches it off. Costs an exit in a full domain. */
  setTimer(deadlineCycles: bigint | undefined): void;
  /** Stops executing until the next interrupt (HLT); RingZeroOwner.interrupt is called then. */
  halt(): void;
  /** Sends an inter-processor interrupt to another processor of the same platform (APIC ICR). */
  sendInterrupt(target: number, vector: number): void;

  // Accounting.
  /** Charges a row of the cost model, `count` times, to this layer. */
  charge(event: CostEvent, count?: number): void;
  /** Sends one access of the hypervisor's own code or data through the modelled TLB (timing-model: translation). */
  touch(page: SyntheticPage, index: number): void;
  /** A PV guest runs its kernel or its user code from now on: both run at CPL 3, so privilege levels do not tell the ledger. */
  guestMode?(mode: 'kernel' | 'user'): void;

  /** Hardware virtualization, only on the bare machine. */
  readonly virtualization: Virtualization | undefined;
  /** Decides who owns ring 0 from now on. Set once at start by the hypervisor. */
  owner: RingZeroOwner | undefined;
}

export interface VirtualFault {
  readonly address: bigint;
  readonly errorCode: number;
}

/** Pages of the hypervisor itself, which have no guest address: they live in the modelled TLB only. */
export type SyntheticPage = 'text' | 'heap' | 'vcpu' | 'frame-table' | 'page-table' | 'guest-map';

export interface Virtualization {
  /** Makes the processor run a guest from its next instruction on. `undefined` leaves non-root operation. */
  enter(control: GuestControl | undefined): void;
  /**
   * This processor as host code that owns ring 0 of a guest sees it (GuestControl.ringZero), in use while the guest is
   * entered: the same registers; charges and ledger entries go to `layer`, and touch() goes through the guest's VPID and
   * second stages. Its owner, timer, halt and inter-processor interrupts are the guest's hypervisor's business.
   */
  guestFace(layer: number): PlatformCpu;
  /** The hardware's part of an exit and entry that host code in ring 0 of the guest causes itself (it runs no instruction that could). */
  chargeExit(): void;
  /** Asks for GuestControl.onBoundary before the next instruction of the guest. */
  requestBoundary(): void;
}

/** What a VMCS holds beside the guest's registers (those are in the CpuContext). */
export interface GuestControl {
  readonly vpid: number;
  readonly secondStage: SecondStage;
  /** Ring 0 of the guest, when it is host code; otherwise events go through the guest's IDT. */
  ringZero: { owner: RingZeroOwner; cpu: PlatformCpu } | undefined;
  /** Vector to inject as soon as the guest can take it; the processor clears it when delivered. */
  pendingInterrupt: number | undefined;
  /** Asks for an 'interrupt-window' exit when the guest becomes able to take an interrupt. */
  interruptWindow: boolean;
  /** Called on every exit, between two guest instructions. The cost of the hardware transition is already charged. */
  onExit(cpu: PlatformCpu, exit: VmExit): void;
  /**
   * Called at the instruction boundary after exits that happened inside an instruction ('io' and 'second-stage-violation',
   * whose onExit must not replace the register context): the place to switch to another vCPU or to end the domain.
   */
  onBoundary?(cpu: PlatformCpu): void;
  /** Which optional things exit; ports, CPUID, HLT, external interrupts and second-stage faults always do. */
  readonly intercepts: { cr3: boolean; cr4Pge: boolean; cr0Ts: boolean; invlpg: boolean; rdtsc: boolean; kernelGsBase: boolean };
}
