/**
 * GDT and LDT of paravirtual vCPUs. The processor's GDTR and LDTR always point into the vCPU's area of slot 260, so that
 * segment loads and far transfers of guest code need no help. GDT pages are mapped there by set_gdt; LDT pages when the
 * processor first misses one, from the linear address that MMUEXT_SET_LDT named.
 * Every frame mapped holds a page reference and a reference as `segdesc`: nobody can write it but update_descriptor.
 * Sources: Xen public/xen.h HYPERVISOR_set_gdt, HYPERVISOR_update_descriptor, MMUEXT_SET_LDT; SDM 3A §3.5.
 */
import { EFAULT, EINVAL } from '../../xen-abi/errno.ts';
import type { Domain } from '../domain.ts';
import { FrameFlag, PageType } from '../frame-table.ts';
import { loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { editContext } from './context-edit.ts';
import { type AcceptedDescriptor, GUEST_GDT_ENTRIES, acceptDescriptor } from './descriptor.ts';
import { FRAME_BYTES, P, RW, entryFrame } from './guest-entry.ts';
import { findL1Entry } from './guest-walk.ts';
import { LDT_FIRST_PAGE, RESERVED_GDT_PAGE, type XenSlots, gdtAddress, ldtAddress } from './xen-slots.ts';

const DESCRIPTORS_PER_FRAME = 512;
const LDT_PAGES = 16;
/** Selector that the LDTR shows, as the table layout has it. */
const LDT_SELECTOR = 0xe050;
const LDT_PRESENT = 0x82;

export class DescriptorTables {
  readonly #hypervisor: Hypervisor;
  readonly #slots: XenSlots;

  constructor(hypervisor: Hypervisor, slots: XenSlots) {
    this.#hypervisor = hypervisor;
    this.#slots = slots;
  }

  /** HYPERVISOR_set_gdt (2). -EINVAL too many entries or frame not acceptable, -EFAULT frame list. */
  setGdtFromGuest(vcpu: Vcpu, list: bigint, entries: number): number {
    const count = Math.ceil(entries / DESCRIPTORS_PER_FRAME);
    if (entries > GUEST_GDT_ENTRIES) return -EINVAL;
    const bytes = loadFromGuest(this.#hypervisor, vcpu, list, count * 8);
    if (bytes === undefined) return -EFAULT;
    const view = new DataView(bytes.buffer);
    const frames: number[] = [];
    for (let i = 0; i < count; i++) {
      const frame = view.getBigUint64(8 * i, true);
      frames.push(frame < BigInt(this.#hypervisor.frames.frameCount) ? Number(frame) : -1);
    }
    const result = this.setGdt(vcpu, frames, entries);
    // Segment registers keep what they were loaded with; the processor must not keep the old frames.
    if (result === 0) this.#hypervisor.cpuOf(vcpu).flushTranslations();
    return result;
  }

  /** The new GDT of a vCPU; the old one is dropped only when all frames have been accepted. */
  setGdt(vcpu: Vcpu, frames: readonly number[], entries: number): number {
    const pv = vcpu.pv as PvVcpu;
    const table = this.#hypervisor.frames;
    if (entries > GUEST_GDT_ENTRIES || frames.length * DESCRIPTORS_PER_FRAME < entries) return -EINVAL;
    for (const [i, frame] of frames.entries()) {
      const result = frame === 0 ? -EINVAL : table.getPageAndType(frame, vcpu.domain.id, PageType.segdesc);
      if (result < 0) {
        for (const taken of frames.slice(0, i)) table.putPageAndType(taken);
        return -EINVAL;
      }
    }
    this.dropGdt(vcpu);
    pv.gdtFrames = [...frames];
    pv.gdtEntries = entries;
    for (const [page, frame] of frames.entries()) this.#slots.setVcpuPage(vcpu.domain, vcpu.id, page, frame);
    return 0;
  }

  dropGdt(vcpu: Vcpu): void {
    const pv = vcpu.pv as PvVcpu;
    for (const [page, frame] of pv.gdtFrames.entries()) {
      this.#slots.setVcpuPage(vcpu.domain, vcpu.id, page, 0);
      this.#hypervisor.frames.putPageAndType(frame);
    }
    pv.gdtFrames = [];
    pv.gdtEntries = 0;
  }

  /** HYPERVISOR_update_descriptor (10): 8 bytes at a machine address. -EINVAL alignment, owner, descriptor, or a page table. */
  updateDescriptor(domain: Domain, address: bigint, descriptor: bigint): number {
    const { frames, memory } = this.#hypervisor;
    const accepted: AcceptedDescriptor = { low: 0, high: 0 };
    if ((address & 7n) !== 0n || address >> 12n >= BigInt(frames.frameCount)) return -EINVAL;
    const low = Number(descriptor & 0xffff_ffffn);
    const high = Number((descriptor >> 32n) & 0xffff_ffffn);
    const frame = Number(address >> 12n);
    if (!acceptDescriptor(low, high, accepted) || !frames.getPage(frame, domain.id)) return -EINVAL;
    const segdesc =
      frames.type[frame] === PageType.segdesc && (frames.typeReferences[frame] as number) > 0 && frames.has(frame, FrameFlag.validated);
    const result = frames.getPageType(frame, segdesc ? PageType.segdesc : PageType.writable);
    if (result === 0) {
      memory.writeU64(Number(address), (BigInt(accepted.high) << 32n) | BigInt(accepted.low));
      frames.putPageType(frame);
    }
    frames.putPage(frame);
    return result < 0 ? -EINVAL : 0;
  }

  /** MMUEXT_SET_LDT, already checked. */
  setLdt(vcpu: Vcpu, base: bigint, entries: number): void {
    const pv = vcpu.pv as PvVcpu;
    if (pv.ldtBase === base && pv.ldtEntries === entries) return;
    this.dropLdtPages(vcpu);
    pv.ldtBase = base;
    pv.ldtEntries = entries;
    editContext(this.#hypervisor, vcpu, (context) => {
      context.ldtr =
        entries === 0
          ? { selector: 0, base: 0n, limit: 0, attributes: 0 }
          : { selector: LDT_SELECTOR, base: ldtAddress(vcpu.id), limit: entries * 8 - 1, attributes: LDT_PRESENT };
    });
  }

  /** Forgets the LDT pages mapped so far; they are found again when they are missed. */
  dropLdtPages(vcpu: Vcpu): void {
    const pv = vcpu.pv as PvVcpu;
    let dropped = false;
    for (let page = 0; page < LDT_PAGES; page++) {
      const frame = pv.ldtFrames[page] as number;
      if (frame === 0) continue;
      dropped = true;
      pv.ldtFrames[page] = 0;
      this.#slots.setLdtPage(vcpu.domain, vcpu.id, page, 0);
      this.#hypervisor.frames.putPageAndType(frame);
    }
    if (dropped && vcpu.running) this.#hypervisor.cpuOf(vcpu).flushTranslations();
  }

  /** The guest has taken a mapping of a descriptor frame away: an LDT that used it lets go of it. */
  segdescUnmapped(owner: Domain, frame: number): void {
    for (const vcpu of owner.vcpus) if (vcpu?.pv?.ldtFrames.includes(frame)) this.dropLdtPages(vcpu);
  }

  /**
   * The processor has missed page `page` of the LDT: maps the guest's page there. False when the guest has none there,
   * or one that cannot be a descriptor table.
   */
  mapLdtPage(vcpu: Vcpu, page: number): boolean {
    const pv = vcpu.pv as PvVcpu;
    if (page * DESCRIPTORS_PER_FRAME >= pv.ldtEntries || pv.ldtFrames[page] !== 0) return false;
    const { memory, frames } = this.#hypervisor;
    const root = pv.kernelMode ? pv.guestTable : pv.userTable;
    const position = findL1Entry(memory, root, pv.ldtBase + BigInt(page * FRAME_BYTES));
    if (position === undefined) return false;
    const at = position.frame * FRAME_BYTES + position.index * 8;
    const low = memory.readU32(at);
    if ((low & P) === 0 || (low & RW) !== 0) return false;
    const frame = entryFrame(low, memory.readU32(at + 4));
    if (frame === 0 || frames.getPageAndType(frame, vcpu.domain.id, PageType.segdesc) < 0) return false;
    pv.ldtFrames[page] = frame;
    this.#slots.setLdtPage(vcpu.domain, vcpu.id, page, frame);
    return true;
  }

  /**
   * Descriptor of a selector as the processor would read it, without looking at its contents; undefined when it is
   * beyond the table or not mapped. LDT pages are mapped on the way.
   */
  read(vcpu: Vcpu, selector: number): { low: number; high: number } | undefined {
    const pv = vcpu.pv as PvVcpu;
    const { memory } = this.#hypervisor;
    const index = selector >>> 3;
    const page = Math.floor(index / DESCRIPTORS_PER_FRAME);
    let frame: number | undefined;
    if ((selector & 4) !== 0) {
      if (index >= pv.ldtEntries) return undefined;
      if (pv.ldtFrames[page] === 0 && !this.mapLdtPage(vcpu, page)) return undefined;
      frame = pv.ldtFrames[page];
    } else frame = page === RESERVED_GDT_PAGE ? this.#slots.reservedGdtFrame : pv.gdtFrames[page];
    if (frame === undefined) return undefined;
    const at = frame * FRAME_BYTES + (index % DESCRIPTORS_PER_FRAME) * 8;
    return { low: memory.readU32(at), high: memory.readU32(at + 4) };
  }

  /**
   * A page fault of the processor's own descriptor loads in slot 260. `mapped`: go on; a number: offset into the GDT
   * that is not there; undefined: not in this vCPU's area; or the address in the guest's own LDT.
   */
  resolveFault(vcpu: Vcpu, address: bigint): 'mapped' | { gdtOffset: number } | { ldtAddress: bigint } | undefined {
    const pv = vcpu.pv as PvVcpu;
    const gdt = address - gdtAddress(vcpu.id);
    if (gdt < 0n || gdt >= BigInt(2 * LDT_FIRST_PAGE * FRAME_BYTES)) return undefined;
    const offset = Number(gdt);
    if (offset < LDT_FIRST_PAGE * FRAME_BYTES) return { gdtOffset: offset };
    const ldt = offset - LDT_FIRST_PAGE * FRAME_BYTES;
    if (this.mapLdtPage(vcpu, Math.floor(ldt / FRAME_BYTES))) return 'mapped';
    return { ldtAddress: pv.ldtBase + BigInt(ldt) };
  }
}
