/**
 * The hypervisor in the save stream: for snapshots and for the state hash. Everything is plain data in domains, vCPUs,
 * frame table and schedules; kinds add their own. Not here: machine memory and processors (the platform's), and host
 * code that plays domains, which saves itself and is attached again afterwards.
 */

import type { SaveReader, SaveWriter } from '../base/persist.ts';
import type { CpuSchedule } from './cpu-schedule.ts';
import type { Domain, Vcpu } from './domain.ts';
import type { Hypervisor } from './hypervisor.ts';
import { newVcpu } from './vcpu.ts';

const version = 1;

export function saveHypervisor(hypervisor: Hypervisor, writer: SaveWriter): void {
  writer.section('hypervisor', version, () => {
    saveFrames(hypervisor, writer);
    writer.plain([...hypervisor.consoleInput]);
    writer.string(hypervisor.consoleRing);
    writer.u32(hypervisor.nextDomainId);
    writer.list([...hypervisor.domains.values()], (domain) => saveDomain(domain, writer));
    writer.list(hypervisor.schedules, (schedule) => saveSchedule(schedule, writer));
    for (const kind of hypervisor.kinds.values()) kind.save?.(hypervisor, writer);
  });
}

/** Into a hypervisor that has been started with the same options on the same platform, and has no domains. */
export function restoreHypervisor(hypervisor: Hypervisor, reader: SaveReader): void {
  reader.section('hypervisor', version, () => {
    restoreFrames(hypervisor, reader);
    hypervisor.consoleInput.splice(0, hypervisor.consoleInput.length, ...reader.plain<number[]>());
    hypervisor.consoleRing = reader.string();
    hypervisor.nextDomainId = reader.u32();
    hypervisor.domains.clear();
    for (const domain of reader.list(() => restoreDomain(reader))) hypervisor.domains.set(domain.id, domain);
    const schedules = reader.list(() => restoreSchedule(hypervisor, reader));
    hypervisor.schedules.splice(0, hypervisor.schedules.length, ...schedules);
    for (const kind of hypervisor.kinds.values()) kind.restore?.(hypervisor, reader);
  });
}

function saveFrames({ frames, allocator }: Hypervisor, writer: SaveWriter): void {
  for (const column of frameColumns(frames)) writer.array(column);
  writer.u32(frames.flushClock);
  writer.array(allocator.bitmap);
  writer.u32(allocator.free);
  writer.u32(allocator.hint);
}

function restoreFrames({ frames, allocator }: Hypervisor, reader: SaveReader): void {
  for (const column of frameColumns(frames)) reader.array(column);
  frames.flushClock = reader.u32();
  reader.array(allocator.bitmap);
  allocator.free = reader.u32();
  allocator.hint = reader.u32();
}

function frameColumns(frames: Hypervisor['frames']) {
  const { owner, references, type, typeReferences, flags, linearUses, flushStamp } = frames;
  return [owner, references, type, typeReferences, flags, linearUses, flushStamp];
}

function saveDomain(domain: Domain, writer: SaveWriter): void {
  const { vcpus, ...plain } = domain;
  writer.plain(plain);
  writer.list(vcpus, (vcpu) => {
    const { domain: _domain, code: _code, ...state } = vcpu;
    writer.plain(state);
  });
}

function restoreDomain(reader: SaveReader): Domain {
  const absent = { p2m: undefined, memoryMap: undefined, crashReason: undefined };
  const plain = reader.plain<Domain>();
  const domain: Domain = { ...absent, ...plain, vcpus: [] };
  for (const state of reader.list(() => reader.plain<Vcpu>())) {
    domain.vcpus.push({ ...newVcpu(domain, state.id, state.processor), ...state });
  }
  return domain;
}

/** A vCPU in the stream: its domain and number; -1 for none. */
function saveLink(vcpu: Vcpu | undefined, writer: SaveWriter): void {
  writer.plain(vcpu === undefined ? [-1, 0] : [vcpu.domain.id, vcpu.id]);
}

function restoreLink(hypervisor: Hypervisor, reader: SaveReader): Vcpu | undefined {
  const [domain, id] = reader.plain<[number, number]>();
  return hypervisor.domains.get(domain)?.vcpus[id];
}

function saveSchedule(schedule: CpuSchedule, writer: SaveWriter): void {
  const { boosted, ready, current, lastLoaded, ...plain } = schedule;
  for (const queue of [boosted, ready]) writer.list(queue, (vcpu) => saveLink(vcpu, writer));
  saveLink(current, writer);
  saveLink(lastLoaded, writer);
  writer.plain(plain);
}

function restoreSchedule(hypervisor: Hypervisor, reader: SaveReader): CpuSchedule {
  const queue = (): Vcpu[] => reader.list(() => restoreLink(hypervisor, reader)).filter((vcpu) => vcpu !== undefined);
  const boosted = queue();
  const ready = queue();
  const current = restoreLink(hypervisor, reader);
  const lastLoaded = restoreLink(hypervisor, reader);
  const plain = reader.plain<Partial<CpuSchedule>>();
  const absent = { wanted: false, interrupted: false, sliceEnd: 0n, timerDeadline: undefined, timersChanged: false };
  return { ...absent, ...plain, boosted, ready, current, lastLoaded };
}
