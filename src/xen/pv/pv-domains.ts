/**
 * The paravirtual kind of domain: what the hypervisor's core asks of it, tied to the files of this folder.
 * Reading order: guest-entry, page-tables, update-entry, hypercall-*; bounce, traps, syscall, iret; emulate-privileged-op,
 * readonly-page-fault; descriptor-tables; context.
 * 32-bit domains are refused when their context is set; the places that would differ say "64".
 */
import type { PlatformCpu, ProcessorEvent } from '../../platform/cpu.ts';
import { Decoder } from '../../x86/decode.ts';
import { ALL_ROW_FEATURES } from '../../x86/opcode-table.ts';
import { Vector } from '../../x86/exceptions.ts';
import { ENOMEM, ENOSYS } from '../../xen-abi/errno.ts';
import { assert } from '../../base/errors.ts';
import type { SaveReader, SaveWriter } from '../../base/persist.ts';
import type { Domain } from '../domain.ts';
import type { DomainKind, GrantMappingRequest } from '../domain-kind.ts';
import { FrameFlag } from '../frame-table.ts';
import type { Hypercall } from '../hypercall/table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { upcallDeliverable } from '../shared-info.ts';
import type { PvEntry, PvVcpu, Vcpu } from '../vcpu.ts';
import { bounce } from './bounce.ts';
import { dropRoots, getContext, resetVcpu, setContext } from './context.ts';
import { Cost, Hardware } from './cost-rows.ts';
import { DescriptorTables } from './descriptor-tables.ts';
import { mapGrant, unmapGrant } from './grant-mapping.ts';
import { pvHypercalls } from './hypercalls.ts';
import { type PageTableOptions, PageTables } from './page-tables.ts';
import type { Pv } from './pv.ts';
import { handleSyscall, handleSysenter } from './syscall.ts';
import { handleException } from './traps.ts';
import { type PerDomainArea, XenSlots } from './xen-slots.ts';

const saveVersion = 1;

/** Default: everything on. */
export type PvOptions = Partial<PageTableOptions>;

export class PvDomains implements DomainKind {
  readonly name = 'pv' as const;
  readonly hypercalls: readonly Hypercall[];
  readonly #options: PvOptions;
  #parts: Pv | undefined = undefined;

  constructor(options: PvOptions = {}) {
    this.#options = options;
    this.hypercalls = pvHypercalls(() => this.parts);
  }

  /** The parts of this kind, for tests and audits. One kind object serves one hypervisor. */
  get parts(): Pv {
    assert(this.#parts !== undefined, 'paravirtual domains have not been started');
    return this.#parts;
  }

  start(hypervisor: Hypervisor): void {
    const slots = new XenSlots(hypervisor);
    const tables = new PageTables(hypervisor, slots, { linearTables: true, userPagesGlobal: true, ...this.#options });
    const descriptors = new DescriptorTables(hypervisor, slots);
    tables.segdescUnmapped = (owner, frame) => descriptors.segdescUnmapped(owner, frame);
    this.#parts = { hypervisor, slots, tables, descriptors, decoder: new Decoder(ALL_ROW_FEATURES) };
    hypervisor.frames.hooks = tables;
  }

  createDomain(_hypervisor: Hypervisor, domain: Domain): number {
    return this.parts.slots.createArea(domain) ? 0 : -ENOMEM;
  }

  createVcpu(_hypervisor: Hypervisor, vcpu: Vcpu): void {
    resetVcpu(vcpu);
  }

  setContext(_hypervisor: Hypervisor, vcpu: Vcpu, image: Uint8Array): number {
    if (vcpu.domain.addressSize !== 64) return -ENOSYS;
    return setContext(this.parts, vcpu, image);
  }

  getContext(_hypervisor: Hypervisor, vcpu: Vcpu): Uint8Array {
    return getContext(vcpu);
  }

  relinquish(hypervisor: Hypervisor, domain: Domain): void {
    const { frames } = hypervisor;
    const { descriptors, slots } = this.parts;
    for (const vcpu of domain.vcpus) {
      if (vcpu.pv === undefined) continue;
      descriptors.dropLdtPages(vcpu);
      descriptors.dropGdt(vcpu);
      dropRoots(this.parts, vcpu);
    }
    for (let frame = 0; frame < frames.frameCount; frame++) {
      if (frames.owner[frame] !== domain.id || !frames.has(frame, FrameFlag.pinned)) continue;
      frames.set(frame, FrameFlag.pinned, false);
      frames.putPageAndType(frame);
    }
    // Tables cannot keep each other alive: linear ones form no cycles (R8), the others have levels.
    slots.destroyArea(domain);
  }

  exception(_hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu, event: ProcessorEvent): void {
    handleException(this.parts, vcpu, cpu, event);
    cpu.charge(Hardware.iret);
  }

  syscall(_hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    handleSyscall(this.parts, vcpu, cpu);
  }

  sysenter(_hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    handleSysenter(this.parts, vcpu, cpu);
  }

  exitToGuest(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    const state = vcpu.pv as PvVcpu;
    if (vcpu.domain.shutDown || vcpu.domain.dying !== 0) return;
    const nmi = nmiEntry(state);
    if (state.nmiPending && !state.nmiBlocked && nmi.address !== 0n) {
      state.nmiPending = false;
      state.nmiBlocked = true;
      this.#upcall(vcpu, cpu, { ...nmi, maskEvents: true }, 'NMI');
    } else if (upcallDeliverable(hypervisor, vcpu)) this.#upcall(vcpu, cpu, state.eventCallback, 'event');
  }

  #upcall(vcpu: Vcpu, cpu: PlatformCpu, entry: PvEntry, name: string): void {
    const { tables, hypervisor } = this.parts;
    cpu.charge(Cost.eventUpcall);
    bounce(tables, hypervisor, vcpu, cpu, { ...entry, maskEvents: true }, { name });
  }

  switchIn(_hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
    const state = vcpu.pv as PvVcpu;
    cpu.charge(Cost.schedule);
    cpu.guestMode?.(state.kernelMode ? 'kernel' : 'user');
    this.parts.tables.flush.loadRoot(cpu, state.kernelMode ? state.guestTable : state.userTable);
  }

  switchOut(_hypervisor: Hypervisor, _vcpu: Vcpu, _cpu: PlatformCpu): void {
    // Nothing: all state of the vCPU is in its context and in PvVcpu.
  }

  /** Beside domains and frames, which the core saves: the flush clock of each cpu, and the frames of slot 260. */
  save(_hypervisor: Hypervisor, writer: SaveWriter): void {
    const { tables, slots } = this.parts;
    writer.section('pv', saveVersion, () => {
      writer.array(tables.flush.lastFlush);
      writer.plain([...slots.areas]);
    });
  }

  restore(_hypervisor: Hypervisor, reader: SaveReader): void {
    const { tables, slots } = this.parts;
    reader.section('pv', saveVersion, () => {
      reader.array(tables.flush.lastFlush);
      slots.areas.clear();
      for (const [id, area] of reader.plain<[number, PerDomainArea][]>()) slots.areas.set(id, area);
    });
  }

  mapGrant(_hypervisor: Hypervisor, vcpu: Vcpu, mapping: GrantMappingRequest): number {
    return mapGrant(this.parts, vcpu, mapping);
  }

  unmapGrant(_hypervisor: Hypervisor, vcpu: Vcpu, mapping: GrantMappingRequest, replacement?: bigint): number {
    return unmapGrant(this.parts, vcpu, mapping, replacement);
  }
}

/** The NMI callback, or the older way of trap 2. */
function nmiEntry(state: PvVcpu): PvEntry {
  return state.nmiCallback.address !== 0n ? state.nmiCallback : (state.traps[Vector.NMI] as PvEntry);
}
