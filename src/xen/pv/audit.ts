/**
 * Counts all references from scratch and compares: for every frame the general count, the type count, its type, and the
 * uses by linear tables. Run by tests after every hypercall, and by real runs on demand; it changes nothing.
 * What it knows: allocations, pins, shared frames of the hypervisor, entries of all validated tables, root tables, GDTs,
 * LDT pages, registered vcpu_info pages. References of other holders (grants mapped by devices or by host code that
 * plays a domain) are given to it.
 */
import { FrameFlag, Owner, PageType, pageTypeNames } from '../frame-table.ts';
import { FIRST_XEN_SLOT, FRAME_BYTES, GUEST_KERNEL, LAST_XEN_SLOT, P, RW, US, entryFrame } from './guest-entry.ts';
import type { Pv } from './pv.ts';
import { HYPERVISOR_SLOT, m2pStrict, PER_DOMAIN_SLOT } from './xen-slots.ts';

/** References that are held outside of what the audit can see, by frame. Each writable one is also a general one. */
export interface ExternalReferences {
  readonly references: ReadonlyMap<number, number>;
  readonly writable: ReadonlyMap<number, number>;
}

/** One line for each disagreement; empty when all counts are right. */
export function audit(pv: Pv, external?: ExternalReferences): string[] {
  const { hypervisor } = pv;
  const { frames } = hypervisor;
  const problems: string[] = [];
  const references = new Uint32Array(frames.frameCount);
  const types = new Uint32Array(frames.frameCount);
  const linear = new Int32Array(frames.frameCount);
  const count = (frame: number, type: PageType | undefined, holder: string): void => {
    if (!frames.exists(frame)) {
      problems.push(`${holder} names frame ${frame}, which does not exist`);
      return;
    }
    references[frame] = (references[frame] as number) + 1;
    if (type === undefined) return;
    types[frame] = (types[frame] as number) + 1;
    if (frames.type[frame] !== type) problems.push(`${holder} uses frame ${frame} as ${pageTypeNames[type]}: ${frames.describe(frame)}`);
  };

  for (let frame = 0; frame < frames.frameCount; frame++) {
    const allocated = frames.has(frame, FrameFlag.allocated);
    if (allocated) count(frame, undefined, 'allocation');
    if (frames.has(frame, FrameFlag.pinned)) count(frame, frames.type[frame] as PageType, 'pin');
    if (allocated && frames.has(frame, FrameFlag.xenHeap)) count(frame, PageType.writable, 'hypervisor');
    if (frames.owner[frame] === Owner.xen) count(frame, undefined, 'hypervisor');
    const type = frames.type[frame] as PageType;
    const inUse = (frames.typeReferences[frame] as number) > 0;
    if (inUse !== frames.has(frame, FrameFlag.validated) && frames.owner[frame] !== Owner.none)
      problems.push(`frame ${frame}: validated without use or used without validation: ${frames.describe(frame)}`);
    if (inUse && type >= PageType.l1 && type <= PageType.l4) countEntries(pv, frame, type, count, linear, problems);
  }
  for (const domain of hypervisor.domains.values()) {
    for (const vcpu of domain.vcpus) {
      const name = `vcpu ${domain.id}.${vcpu.id}`;
      if (vcpu.infoRegistered) count(vcpu.infoFrame, PageType.writable, `${name} vcpu_info`);
      const state = vcpu.pv;
      if (state === undefined) continue;
      if (state.guestTable !== 0) count(state.guestTable, PageType.l4, `${name} kernel root`);
      if (state.userTable !== 0) count(state.userTable, PageType.l4, `${name} user root`);
      for (const frame of state.gdtFrames) count(frame, PageType.segdesc, `${name} GDT`);
      for (const frame of state.ldtFrames) if (frame !== 0) count(frame, PageType.segdesc, `${name} LDT`);
    }
  }
  for (const [frame, n] of external?.references ?? []) references[frame] = (references[frame] as number) + n;
  for (const [frame, n] of external?.writable ?? []) types[frame] = (types[frame] as number) + n;

  for (let frame = 0; frame < frames.frameCount; frame++) {
    if (references[frame] !== frames.references[frame])
      problems.push(`frame ${frame}: ${references[frame]} references found, ${frames.describe(frame)}`);
    if (types[frame] !== frames.typeReferences[frame])
      problems.push(`frame ${frame}: ${types[frame]} type references found, ${frames.describe(frame)}`);
    if (linear[frame] !== frames.linearUses[frame])
      problems.push(`frame ${frame}: linear uses ${linear[frame]} found, ${frames.linearUses[frame]} noted`);
  }
  return problems;
}

type Count = (frame: number, type: PageType | undefined, holder: string) => void;

function countEntries(pv: Pv, table: number, level: PageType, count: Count, linear: Int32Array, problems: string[]): void {
  const { hypervisor } = pv;
  const { frames, memory } = hypervisor;
  const halves = new Uint32Array(memory.frameView(table).slice().buffer);
  const owner = frames.owner[table] as number;
  for (let i = 0; i < 512; i++) {
    if (level === PageType.l4 && i >= FIRST_XEN_SLOT && i <= LAST_XEN_SLOT) continue;
    const low = halves[2 * i] as number;
    const high = halves[2 * i + 1] as number;
    if ((low & P) === 0) continue;
    const holder = `${pageTypeNames[level]} ${table}[${i}]`;
    const target = entryFrame(low, high);
    if ((low & US) === 0) problems.push(`${holder} lacks US`);
    if (level === PageType.l1) {
      if ((high & GUEST_KERNEL) !== 0 && (low & 0x100) !== 0) problems.push(`${holder} is a global kernel page`);
      if (!frames.exists(target) || frames.owner[target] === Owner.io) continue;
      count(target, (low & RW) !== 0 ? PageType.writable : undefined, holder);
      continue;
    }
    if (frames.exists(target) && frames.owner[target] !== owner) problems.push(`${holder} leads to a table of another owner`);
    if (target === table) continue;
    if (frames.exists(target) && frames.type[target] === level) {
      linear[target] = (linear[target] as number) + 1;
      linear[table] = (linear[table] as number) - 1;
      if ((low & RW) !== 0) problems.push(`${holder} is a writable linear entry`);
      count(target, level, holder);
    } else count(target, (level - 1) as PageType, holder);
  }
  if (level === PageType.l4) checkXenSlots(pv, table, owner, problems);
}

/** The hypervisor's slots of an L4 hold what it put there. */
function checkXenSlots(pv: Pv, table: number, ownerId: number, problems: string[]): void {
  const owner = pv.hypervisor.domains.get(ownerId);
  const area = pv.slots.areas.get(ownerId);
  if (owner === undefined || area === undefined) return;
  const roots = owner.vcpus.map((vcpu) => vcpu.pv?.guestTable);
  const m2pRequired = roots.includes(table) && !m2pStrict(owner);
  const contents = new Map([
    [FIRST_XEN_SLOT, pv.slots.m2pL3],
    [PER_DOMAIN_SLOT, area.l3],
    [HYPERVISOR_SLOT, pv.slots.hypervisorL3],
  ]);
  for (let slot = FIRST_XEN_SLOT; slot <= LAST_XEN_SLOT; slot++) {
    const entry = pv.hypervisor.memory.readU64(table * FRAME_BYTES + slot * 8);
    const target = entry === 0n ? 0 : Number((entry >> 12n) & 0xff_ffff_ffffn);
    const expected = contents.get(slot) ?? 0;
    const hidden = slot === FIRST_XEN_SLOT && target === 0 && !m2pRequired;
    if (target !== expected && !hidden) problems.push(`L4 ${table}: slot ${slot} leads to frame ${target}`);
  }
}
