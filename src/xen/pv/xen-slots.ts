/**
 * The hypervisor's part of every guest address space: L4 slots 256..271, real entries in real tables, because the
 * guest and the processor's descriptor loads go through them.
 *   slot 256  M2P, read-only, for the guest too, in tables that are or were a kernel root   (XenSlots, one tree for all)
 *   slot 260  per-domain area: 128 KiB for each vCPU, 16 pages of GDT, then 16 pages of LDT; not for the guest
 *   slot 261  the hypervisor's own code and data, which are host-side: a table without entries, one for all domains
 * The others stay empty.
 * Sources: Xen public/arch-x86/xen-x86_64.h (MACH2PHYS_VIRT_START, HYPERVISOR_VIRT_START), SDM 3A §4.5, §3.5.1.
 */
import type { PlatformMemory } from '../../platform/memory.ts';
import { VMASST_TYPE_m2p_strict } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { A, D, ENTRIES, FIRST_XEN_SLOT, FRAME_BYTES, LAST_XEN_SLOT, NX, P, RW, US, entryHigh, entryLow } from './guest-entry.ts';
import { reservedGdtPage } from './descriptor.ts';

export const PER_DOMAIN_SLOT = 260;
export const HYPERVISOR_SLOT = 261;
/** First address of slot 260. */
export const PER_DOMAIN_START = 0xffff_8200_0000_0000n;
const VCPU_AREA_PAGES = 32;
const VCPUS_PER_TABLE = ENTRIES / VCPU_AREA_PAGES;
/** Of the 16 GDT pages, the one that the hypervisor keeps; pages below are the guest's. */
export const RESERVED_GDT_PAGE = 14;
export const GDT_LIMIT = (RESERVED_GDT_PAGE + 1) * FRAME_BYTES - 1;
export const LDT_FIRST_PAGE = 16;
const M2P_STRICT = 1n << BigInt(VMASST_TYPE_m2p_strict);

export function gdtAddress(vcpuId: number): bigint {
  return PER_DOMAIN_START + BigInt(vcpuId * VCPU_AREA_PAGES * FRAME_BYTES);
}

export function ldtAddress(vcpuId: number): bigint {
  return gdtAddress(vcpuId) + BigInt(LDT_FIRST_PAGE * FRAME_BYTES);
}

/** Frames of one domain's slot 260. */
export interface PerDomainArea {
  readonly l3: number;
  readonly l2: number;
  /** One for 16 vCPUs. */
  readonly l1: number[];
}

function writeEntry(memory: PlatformMemory, table: number, index: number, frame: number, flags: number, noExecute = false): void {
  const address = table * FRAME_BYTES + index * 8;
  memory.writeU32(address, entryLow(frame, flags));
  memory.writeU32(address + 4, (entryHigh(frame) | (noExecute ? NX : 0)) >>> 0);
}

function clearEntry(memory: PlatformMemory, table: number, index: number): void {
  memory.writeU64(table * FRAME_BYTES + index * 8, 0n);
}

export class XenSlots {
  readonly #hypervisor: Hypervisor;
  readonly m2pL3: number;
  readonly hypervisorL3: number;
  /** The hypervisor's page of every 64-bit guest's GDT. */
  readonly reservedGdtFrame: number;
  readonly areas = new Map<number, PerDomainArea>();

  /** Takes frames for the M2P's tables and the reserved GDT page; there is always room when a hypervisor starts. */
  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor;
    const { memory, m2p } = hypervisor;
    // Nothing on the way grants writing; only the M2P itself is for the guest to read.
    const path = P | US | A;
    this.m2pL3 = hypervisor.allocateXenFrames(1);
    const l2 = hypervisor.allocateXenFrames(1);
    writeEntry(memory, this.m2pL3, 0, l2, path);
    const tables = Math.ceil(m2p.frameCount / ENTRIES);
    for (let t = 0; t < tables; t++) {
      const l1 = hypervisor.allocateXenFrames(1);
      writeEntry(memory, l2, t, l1, path);
      for (let i = 0; i < ENTRIES && t * ENTRIES + i < m2p.frameCount; i++)
        writeEntry(memory, l1, i, m2p.firstFrame + t * ENTRIES + i, path, true);
    }
    this.hypervisorL3 = hypervisor.allocateXenFrames(1);
    this.reservedGdtFrame = hypervisor.allocateXenFrames(1);
    memory.writeBytes(this.reservedGdtFrame * FRAME_BYTES, reservedGdtPage());
  }

  isM2pFrame(frame: number): boolean {
    const { m2p } = this.#hypervisor;
    return frame >= m2p.firstFrame && frame < m2p.firstFrame + m2p.frameCount;
  }

  /** Gives a new domain its per-domain area, with room for all its vCPUs. False when there are no frames for it. */
  createArea(domain: Domain): boolean {
    const tables = Math.max(1, Math.ceil(domain.maxVcpus / VCPUS_PER_TABLE));
    const hypervisor = this.#hypervisor;
    if (hypervisor.allocator.free < tables + 2) return false;
    const { memory } = hypervisor;
    const area: PerDomainArea = { l3: hypervisor.allocateXenFrames(1), l2: hypervisor.allocateXenFrames(1), l1: [] };
    const path = P | RW | A;
    writeEntry(memory, area.l3, 0, area.l2, path);
    for (let t = 0; t < tables; t++) {
      const l1 = hypervisor.allocateXenFrames(1);
      area.l1.push(l1);
      writeEntry(memory, area.l2, t, l1, path);
    }
    this.areas.set(domain.id, area);
    for (let id = 0; id < tables * VCPUS_PER_TABLE; id++) this.setVcpuPage(domain, id, RESERVED_GDT_PAGE, this.reservedGdtFrame, false);
    return true;
  }

  destroyArea(domain: Domain): void {
    const area = this.areas.get(domain.id);
    if (area === undefined) return;
    this.areas.delete(domain.id);
    for (const frame of [area.l3, area.l2, ...area.l1]) this.#hypervisor.freeXenFrame(frame);
  }

  /** Maps `frame` (0: nothing) as a page of a vCPU's area: 0..15 GDT, 16..31 LDT. The processor sets accessed bits. */
  setVcpuPage(domain: Domain, vcpuId: number, page: number, frame: number, writable = true): void {
    const area = this.areas.get(domain.id);
    const table = area?.l1[Math.floor(vcpuId / VCPUS_PER_TABLE)];
    if (table === undefined) return;
    const index = (vcpuId % VCPUS_PER_TABLE) * VCPU_AREA_PAGES + page;
    const { memory } = this.#hypervisor;
    if (frame === 0) clearEntry(memory, table, index);
    else writeEntry(memory, table, index, frame, writable ? P | RW | A | D : P | A, true);
  }

  setLdtPage(domain: Domain, vcpuId: number, page: number, frame: number): void {
    this.setVcpuPage(domain, vcpuId, LDT_FIRST_PAGE + page, frame);
  }

  /** Writes slots 256..271 of a frame that becomes an L4 of `domain` (R7). */
  fill(frame: number, domain: Domain): void {
    const { memory } = this.#hypervisor;
    for (let slot = FIRST_XEN_SLOT; slot <= LAST_XEN_SLOT; slot++) clearEntry(memory, frame, slot);
    writeEntry(memory, frame, HYPERVISOR_SLOT, this.hypervisorL3, P | RW | A | D);
    const area = this.areas.get(domain.id);
    if (area !== undefined) writeEntry(memory, frame, PER_DOMAIN_SLOT, area.l3, P | RW | A | D);
  }

  /** A kernel root shows the M2P; with m2p_strict only while the kernel runs on it. */
  showM2p(frame: number, visible: boolean): void {
    const { memory } = this.#hypervisor;
    if (visible) writeEntry(memory, frame, FIRST_XEN_SLOT, this.m2pL3, P | US | A);
    else clearEntry(memory, frame, FIRST_XEN_SLOT);
  }
}

export function m2pStrict(domain: Domain): boolean {
  return (domain.vmAssist & M2P_STRICT) !== 0n;
}
