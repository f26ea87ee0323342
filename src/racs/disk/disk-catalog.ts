/**
 * Making, cloning and removing disks, and opening their snapshots to read.
 *
 * A clone begins with the map of a snapshot and shares its segments, which stay the parent's: the snapshot names its
 * clones, and neither it nor the parent can go before them. Order of a clone's birth: (1) its name goes into the
 * snapshot, (2) its record is made, (3) the snapshot is looked at again. A removal between 1 and 2 does not see a disk
 * behind the name and goes on; then 3 finds the snapshot gone, and the clone takes itself back.
 */

import { type BlockStore, checkBlockRequest, sectorBytes } from '../../base/block-store.ts';
import { BackendError, ConfigError } from '../../base/errors.ts';
import { diskPrefix, newDiskId } from './disk-id.ts';
import { DiskRegister, type DiskRecord, newDiskRecord, type SnapshotRecord } from './disk-record.ts';
import { loadLog } from './load-log.ts';
import type { DiskParts } from './log-disk.ts';
import { SegmentReader } from './segment-reader.ts';

/** Extent lengths and places are 32 bits of sectors per region; the size only has to be exact as a number. */
const maxSectors = 2 ** 40;

export class DiskCatalog {
  readonly #parts: DiskParts;
  readonly #register: DiskRegister;

  constructor(parts: DiskParts) {
    this.#parts = parts;
    this.#register = new DiskRegister(parts.register, parts.chance, parts.clock);
  }

  /** @throws {ConfigError} when the name is taken or bad. */
  async create(name: string, sectorCount: number): Promise<void> {
    checkName(name);
    if (!Number.isInteger(sectorCount) || sectorCount < 1 || sectorCount > maxSectors)
      throw new ConfigError(`a disk of ${sectorCount} sectors cannot be made`);
    const fresh = newDiskRecord(newDiskId(this.#parts.chance), sectorCount);
    await this.#register.update(name, (current) => {
      if (current) throw new ConfigError(`there is a disk ${name} already`);
      return fresh;
    });
  }

  names(): Promise<string[]> {
    return this.#register.names();
  }

  /** @throws {ConfigError} when there is none. */
  async describe(name: string): Promise<DiskRecord> {
    const record = await this.#register.read(name);
    if (!record) throw new ConfigError(`there is no disk ${name}`);
    return record;
  }

  /** A disk that begins as the snapshot and changes on its own. */
  async clone(name: string, snapshotName: string, cloneName: string): Promise<void> {
    checkName(cloneName);
    const parent = await this.describe(name);
    findSnapshot(name, parent, snapshotName);
    const pinned = await this.#changeSnapshot(name, snapshotName, (snapshot) => ({
      ...snapshot,
      clones: [...new Set([...snapshot.clones, cloneName])],
    }));
    const { checkpoint, lineage } = findSnapshot(name, pinned, snapshotName);
    const fresh: DiskRecord = {
      ...newDiskRecord(newDiskId(this.#parts.chance), parent.sectorCount),
      checkpoint,
      lineage,
      lastSegment: checkpoint.number,
    };
    await this.#register.update(cloneName, (current) => {
      if (current) throw new ConfigError(`there is a disk ${cloneName} already`);
      return fresh;
    });
    const after = await this.#register.read(name);
    if (after?.snapshots.some((each) => each.name === snapshotName && each.clones.includes(cloneName))) return;
    await this.#register.update(cloneName, (current) => {
      if (current?.id !== fresh.id) throw new BackendError('FENCED', `disk ${cloneName} was replaced while it was made`);
      return { ...current, removed: true };
    });
    throw new ConfigError(`snapshot ${snapshotName} of disk ${name} was removed meanwhile`);
  }

  /** Its segments become garbage of the disk. @throws {ConfigError} while clones grow from it. */
  async removeSnapshot(name: string, snapshotName: string): Promise<void> {
    const record = await this.describe(name);
    const { clones } = findSnapshot(name, record, snapshotName);
    const alive = await this.#alive(record.id, clones);
    if (alive.length > 0) throw new ConfigError(`snapshot ${snapshotName} of disk ${name} has clones: ${alive.join(', ')}`);
    await this.#register.update(name, (current) => {
      if (current?.id !== record.id) throw new ConfigError(`there is no disk ${name}`);
      const found = findSnapshot(name, current, snapshotName);
      if (found.clones.some((clone) => !clones.includes(clone)))
        throw new ConfigError(`snapshot ${snapshotName} of disk ${name} has got a clone`);
      return { ...current, snapshots: current.snapshots.filter((each) => each !== found) };
    });
  }

  /** Removes a closed disk and its objects. @throws {ConfigError} with snapshots; {BackendError} IN_USE when it is open. */
  async remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    const record = await this.#register.update(name, (current) => {
      if (!current) throw new ConfigError(`there is no disk ${name}`);
      if (current.snapshots.length > 0)
        throw new ConfigError(`disk ${name} has snapshots: ${current.snapshots.map((each) => each.name).join(', ')}`);
      if (!current.owner.clean && !options.force) throw new BackendError('IN_USE', `disk ${name} is open, or was not closed`);
      return { ...current, removed: true, epoch: current.epoch + 1 };
    });
    for (;;) {
      const { entries } = await this.#parts.store.list({ prefix: diskPrefix(record.id) });
      if (entries.length === 0) return;
      for (const { key } of entries) await this.#parts.store.delete(key);
    }
  }

  /** A snapshot, to read. */
  async openSnapshot(name: string, snapshotName: string, options: { cacheBytes?: number } = {}): Promise<BlockStore> {
    const record = await this.describe(name);
    const { checkpoint, lineage } = findSnapshot(name, record, snapshotName);
    const reader = new SegmentReader(this.#parts.store, () => lineage, options.cacheBytes ?? 64 * 1024 * 1024);
    const { map } = await loadLog(this.#parts.store, reader, checkpoint, checkpoint.number);
    return new SnapshotStore(record.sectorCount, async (first, into) => {
      const ranges = map.lookup(first, into.length / sectorBytes);
      await Promise.all(
        ranges.map(({ first: at, count, segment, offset }) => {
          const target = into.subarray((at - first) * sectorBytes, (at - first + count) * sectorBytes);
          return segment === 0 ? void target.fill(0) : reader.read(segment, offset, target);
        }),
      );
    });
  }

  async #alive(parentId: string, clones: readonly string[]): Promise<string[]> {
    const alive: string[] = [];
    for (const clone of clones) {
      const record = await this.#register.read(clone);
      if (record?.lineage.some(({ disk }) => disk === parentId)) alive.push(clone);
    }
    return alive;
  }

  #changeSnapshot(name: string, snapshotName: string, change: (snapshot: SnapshotRecord) => SnapshotRecord): Promise<DiskRecord> {
    return this.#register.update(name, (current) => {
      if (!current) throw new ConfigError(`there is no disk ${name}`);
      findSnapshot(name, current, snapshotName);
      return { ...current, snapshots: current.snapshots.map((each) => (each.name === snapshotName ? change(each) : each)) };
    });
  }
}

class SnapshotStore implements BlockStore {
  readonly sectorCount: number;
  readonly readOnly = true;
  readonly #read: (first: number, into: Uint8Array) => Promise<void>;

  constructor(sectorCount: number, read: (first: number, into: Uint8Array) => Promise<void>) {
    this.sectorCount = sectorCount;
    this.#read = read;
  }

  async read(firstSector: number, into: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'read', firstSector, into.length);
    await this.#read(firstSector, into);
  }

  async write(firstSector: number, from: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'write', firstSector, from.length);
  }

  async flush(): Promise<void> {}

  async discard(firstSector: number, sectorCount: number): Promise<void> {
    checkBlockRequest(this, 'discard', firstSector, sectorCount * sectorBytes);
  }
}

function findSnapshot(name: string, record: DiskRecord, snapshotName: string): SnapshotRecord {
  const found = record.snapshots.find((each) => each.name === snapshotName);
  if (!found) throw new ConfigError(`disk ${name} has no snapshot ${snapshotName}`);
  return found;
}

function checkName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name))
    throw new ConfigError(`disk name "${name.slice(0, 120)}": letters, digits, dots, dashes, underscores; at most 100`);
}
