/**
 * A processor as host code sees it that owns ring 0 of a guest (a hypervisor in a full domain), while that guest is
 * entered: the same registers as the bare processor's, but what the layer below intercepts leaves to it, and the host
 * code's own pages go through the guest's VPID and second stages.
 *
 * Its owner, timer, halt and inter-processor interrupts belong to the virtual machine around it: the hypervisor below
 * wraps this face and supplies them.
 * Sources: timing model, "Exits by cause"; SDM 3C §25.1 (instructions that exit).
 */
import { assert, InvariantError } from '../base/errors.ts';
import type { PlatformCpu, RingZeroOwner, SyntheticPage } from '../platform/cpu.ts';
import { Cr4 } from '../x86/control-registers.ts';
import { Register } from '../x86/registers.ts';
import { flushLookup } from './mmu/lookup-table.ts';
import { isLargePage } from './mmu/page-size.ts';
import { exitInsideInstruction } from './mmu/second-stage.ts';
import { msrExits, readMsr, writeMsr } from './msr.ts';
import { ProcessorFace } from './processor-face.ts';
import { crWriteExits, invalidatePage, writeCr0, writeCr3, writeCr4 } from './system/control-registers.ts';

export class GuestPlatformCpu extends ProcessorFace implements PlatformCpu {
  readonly virtualization = undefined;

  writeCr3(value: bigint): void {
    this.charge('mov_cr3');
    this.writeCr(3, value, writeCr3(this.processor, value), 0);
  }
  writeCr0(value: bigint): void {
    this.charge('mov_cr0');
    const changed = Number((this.cr0 ^ value) & 0xffff_ffffn);
    this.writeCr(0, value, writeCr0(this.processor, value), changed);
  }
  writeCr4(value: bigint): void {
    this.charge('mov_cr4');
    const changed = Number((this.cr4 ^ value) & 0xffff_ffffn);
    this.writeCr(4, value, writeCr4(this.processor, value), changed);
  }
  private writeCr(register: 0 | 3 | 4, value: bigint, written: boolean, changed: number): void {
    assert(written, () => `CR${register} cannot hold ${value.toString(16)}`);
    if (crWriteExits(this.processor, register, changed)) {
      exitInsideInstruction(this.processor, { reason: 'cr-write', register, value });
    }
  }

  invalidatePage(linear: bigint): void {
    const { processor } = this;
    this.charge('invlpg');
    invalidatePage(processor, linear, isLargePage(processor, linear));
    if (processor.control?.intercepts.invlpg === true) exitInsideInstruction(processor, { reason: 'invlpg', linear });
  }
  flushTranslations(): void {
    const { processor } = this;
    this.charge('mov_cr3');
    flushLookup(processor);
    processor.translation.flushAll(processor.state.get32('vpid'));
    if (crWriteExits(processor, 3, 0)) {
      exitInsideInstruction(processor, { reason: 'cr-write', register: 3, value: this.cr3 });
    }
  }

  readMsr(index: number): bigint | undefined {
    const { processor } = this;
    if (!msrExits(processor, index, false)) {
      this.charge('rdmsr');
      return readMsr(processor, index);
    }
    const exit: { reason: 'rdmsr'; index: number; value?: bigint; refused?: boolean } = { reason: 'rdmsr', index };
    const [rax, rdx] = [this.gpr(Register.RAX), this.gpr(Register.RDX)];
    exitInsideInstruction(processor, exit);
    // A hypervisor may answer in EDX:EAX, which are the interrupted code's here.
    const answered = (this.gpr(Register.RAX) & 0xffff_ffffn) | ((this.gpr(Register.RDX) & 0xffff_ffffn) << 32n);
    this.setGpr(Register.RAX, rax);
    this.setGpr(Register.RDX, rdx);
    return exit.refused === true ? undefined : (exit.value ?? answered);
  }
  writeMsr(index: number, value: bigint): boolean {
    const { processor } = this;
    if (!msrExits(processor, index, true)) {
      this.charge('wrmsr');
      return writeMsr(processor, index, value);
    }
    const exit: { reason: 'wrmsr'; index: number; value: bigint; refused?: boolean } = { reason: 'wrmsr', index, value };
    exitInsideInstruction(processor, exit);
    return exit.refused !== true;
  }
  cpuid(leaf: number, subleaf: number): [eax: number, ebx: number, ecx: number, edx: number] {
    const order = [Register.RAX, Register.RBX, Register.RCX, Register.RDX];
    const kept = order.map((register) => this.gpr(register));
    this.setGpr(Register.RAX, BigInt(leaf >>> 0));
    this.setGpr(Register.RCX, BigInt(subleaf >>> 0));
    exitInsideInstruction(this.processor, { reason: 'cpuid' });
    const [eax, ebx, ecx, edx] = order.map((register) => Number(this.gpr(register) & 0xffff_ffffn));
    order.forEach((register, i) => {
      this.setGpr(register, kept[i]);
    });
    return [eax, ebx, ecx, edx];
  }

  touch(page: SyntheticPage, index: number): void {
    const { processor } = this;
    const { control, state, translation, secondStages } = processor;
    const global = (state.get32('cr4') & Cr4.PGE) !== 0;
    // The domain's leaves are of one size where it matters: that of its first frame stands for all.
    const guestShift = control?.secondStage.leafShift(0) ?? 12;
    this.chargeTouch(translation.touch(page, index, state.get32('vpid'), secondStages.length, guestShift, global));
  }

  setTimer(): void {
    this.supplied('timer');
  }
  halt(): void {
    this.supplied('halt');
  }
  sendInterrupt(): void {
    this.supplied('inter-processor interrupts');
  }
  get owner(): RingZeroOwner | undefined {
    return this.processor.control?.ringZero?.owner;
  }
  set owner(_value: RingZeroOwner | undefined) {
    this.supplied('owner');
  }

  private supplied(what: string): never {
    throw new InvariantError(`${what} of a guest's processor: the hypervisor below supplies it`);
  }
}
