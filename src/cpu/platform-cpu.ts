/**
 * A bare machine's processor as a hypervisor sees it. Privileged operations cost their row here; a guest that runs in
 * non-root operation has its registers in the processor, so during an exit they are the guest's.
 */
import { assert } from '../base/errors.ts';
import type { GuestControl, PlatformCpu, RingZeroOwner, SyntheticPage, Virtualization } from '../platform/cpu.ts';
import { Cr4 } from '../x86/control-registers.ts';
import { GuestPlatformCpu } from './guest-platform-cpu.ts';
import { flushLookup } from './mmu/lookup-table.ts';
import { isLargePage } from './mmu/page-size.ts';
import { setSecondStages } from './mmu/second-stage.ts';
import { readMsr, writeMsr } from './msr.ts';
import type { Processor } from './processor.ts';
import { ProcessorFace } from './processor-face.ts';
import { Halted } from './run.ts';
import { invalidatePage, writeCr0, writeCr3, writeCr4 } from './system/control-registers.ts';
import { processorCpuid } from './system/processor-control.ts';

/** How a processor reaches the interrupt controllers of others. */
export interface InterruptSender {
  requestInterrupt(cpu: number, vector: number): void;
}

export class BarePlatformCpu extends ProcessorFace implements PlatformCpu {
  readonly virtualization: Virtualization;
  private readonly sender: InterruptSender;

  constructor(processor: Processor, sender: InterruptSender) {
    super(processor, 0);
    this.sender = sender;
    this.virtualization = {
      enter: (control) => enterGuest(processor, control),
      guestFace: (layer) => new GuestPlatformCpu(processor, layer),
      chargeExit: () => {
        processor.charge('vm_exit');
        processor.translation.transition(0);
        processor.translation.transition(processor.state.get32('vpid'));
      },
      requestBoundary: () => {
        processor.boundaryDue = true;
        processor.breakRun();
      },
    };
    processor.platformCpu = this;
  }

  writeCr3(value: bigint): void {
    this.charge('mov_cr3');
    assert(writeCr3(this.processor, value), () => `CR3 cannot hold ${value.toString(16)}`);
  }
  writeCr0(value: bigint): void {
    this.charge('mov_cr0');
    assert(writeCr0(this.processor, value), () => `CR0 cannot hold ${value.toString(16)}`);
  }
  writeCr4(value: bigint): void {
    this.charge('mov_cr4');
    assert(writeCr4(this.processor, value), () => `CR4 cannot hold ${value.toString(16)}`);
  }
  invalidatePage(linear: bigint): void {
    this.charge('invlpg');
    invalidatePage(this.processor, linear, isLargePage(this.processor, linear));
  }
  flushTranslations(): void {
    this.charge('mov_cr3');
    flushLookup(this.processor);
    this.processor.translation.flushAll(this.processor.state.get32('vpid'));
  }
  readMsr(index: number): bigint | undefined {
    this.charge('rdmsr');
    return readMsr(this.processor, index);
  }
  writeMsr(index: number, value: bigint): boolean {
    this.charge('wrmsr');
    return writeMsr(this.processor, index, value);
  }
  cpuid(leaf: number, subleaf: number): [eax: number, ebx: number, ecx: number, edx: number] {
    this.charge('cpuid');
    return processorCpuid(this.processor, leaf, subleaf);
  }

  setTimer(deadlineCycles: bigint | undefined): void {
    this.processor.timerDeadline = deadlineCycles;
    this.processor.endRun();
  }
  halt(): void {
    this.charge('hlt');
    this.processor.state.set32('halted', Halted.HOST_IDLE);
    this.processor.breakRun();
  }
  sendInterrupt(target: number, vector: number): void {
    this.charge('apic_access');
    this.sender.requestInterrupt(target, vector);
    this.processor.endRun();
  }

  touch(page: SyntheticPage, index: number): void {
    const { processor } = this;
    // In an exit CR4 is the guest's; the hypervisor's own has PGE.
    const global = processor.control !== undefined || (processor.state.get32('cr4') & Cr4.PGE) !== 0;
    this.chargeTouch(processor.translation.touch(page, index, 0, 0, 12, global));
  }

  get owner(): RingZeroOwner | undefined {
    return this.processor.owner;
  }
  set owner(value: RingZeroOwner | undefined) {
    this.processor.owner = value;
  }
}

/** VM entry, or the return to root operation. The registers stay what they are: loadContext brings the guest's. */
function enterGuest(processor: Processor, control: GuestControl | undefined): void {
  assert(processor.insideInstruction === 0, 'a guest was entered in the middle of an instruction');
  const { state } = processor;
  processor.control = control;
  processor.contextEpoch += 1;
  state.set32('vpid', control?.vpid ?? 0);
  setSecondStages(processor, control === undefined ? [] : [control.secondStage]);
  processor.translation.transition(control?.vpid ?? 0);
  processor.breakRun();
}
