/**
 * The one register of a disk: who owns it, how far its log is committed, which checkpoint to begin with, its snapshots.
 * Every change is a compare-and-set of the whole record, so a former owner, whose epoch is not the record's any more,
 * can commit nothing: that is the fence.
 */

import { BackendError, ConfigError } from '../../base/errors.ts';
import { hexOfBytes } from '../../base/integer.ts';
import { type Chance, type Clock, isStoreError } from '../object-store.ts';
import type { CommitRegister, RegisterState } from '../register/commit-register.ts';

/** Segments from `first` on were written under this disk and epoch, until the next entry. */
export interface LineageEntry {
  first: number;
  disk: string;
  epoch: number;
}

export interface CheckpointRef {
  disk: string;
  epoch: number;
  /** The last segment that it covers. */
  number: number;
}

export interface SnapshotRecord {
  name: string;
  checkpoint: CheckpointRef;
  lineage: LineageEntry[];
  /** Names of disks that grow from it; it cannot go before them. */
  clones: string[];
}

export interface DiskRecord {
  format: 1;
  id: string;
  sectorCount: number;
  /** Goes up with every opening for writing. */
  epoch: number;
  /** The journal of the last owner (null: it had none), and whether it closed with everything committed. */
  owner: { journal: string | null; clean: boolean };
  /** The owner's journal has been the same since this epoch: older files in it are of no use. */
  journalSince: number;
  /** Journal files up to this number are in committed segments. */
  journalDone: number;
  lastSegment: number;
  checkpoint: CheckpointRef | null;
  lineage: LineageEntry[];
  snapshots: SnapshotRecord[];
  /** A removed disk leaves its record behind, since registers cannot be deleted. */
  removed: boolean;
  /** Chance, new at each change: tells whose change a lost reply was about. */
  mark: string;
}

export function newDiskRecord(id: string, sectorCount: number): DiskRecord {
  return {
    format: 1,
    id,
    sectorCount,
    epoch: 0,
    owner: { journal: null, clean: true },
    journalSince: 0,
    journalDone: 0,
    lastSegment: 0,
    checkpoint: null,
    lineage: [],
    snapshots: [],
    removed: false,
    mark: '',
  };
}

/** The entry that tells where a segment is. */
export function lineageOf(lineage: readonly LineageEntry[], segment: number): LineageEntry {
  const found = lineage.findLast(({ first }) => first <= segment);
  if (!found) throw new BackendError('CORRUPT', `no lineage for segment ${segment}`);
  return found;
}

/** Reads and changes records. */
export class DiskRegister {
  readonly #register: CommitRegister;
  readonly #chance: Chance;
  readonly #clock: Clock;

  constructor(register: CommitRegister, chance: Chance, clock: Clock) {
    this.#register = register;
    this.#chance = chance;
    this.#clock = clock;
  }

  /** null when there is no such disk, or it was removed. */
  async read(name: string): Promise<DiskRecord | null> {
    const record = decode(name, await this.#register.read(name));
    return record === null || record.removed ? null : record;
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    for (let startAfter = ''; ; ) {
      const { entries, truncated } = await this.#register.list({ startAfter });
      for (const { name, state } of entries) if (decode(name, state)?.removed === false) names.push(name);
      if (!truncated) return names;
      startAfter = entries.at(-1)!.name;
    }
  }

  /**
   * Changes a record. `change` is called with what is there (null for nothing or a removed disk), again whenever somebody
   * else was faster; it gives the new record, or throws to refuse.
   */
  async update(name: string, change: (current: DiskRecord | null) => DiskRecord): Promise<DiskRecord> {
    for (let attempt = 0; ; attempt++) {
      const state = await this.#register.read(name);
      const current = decode(name, state);
      const next: DiskRecord = { ...change(current?.removed ? null : current), mark: hexOfBytes(this.#chance.bytes(8)) };
      if (await this.#set(name, state.version, next)) return next;
      if (attempt > 0) await this.#clock.sleep(Math.min(1000, 10 * 2 ** attempt) * this.#chance.fraction());
    }
  }

  /** A set whose reply is lost is looked up by its mark, and repeated with the same expectation until it is decided. */
  async #set(name: string, version: string, next: DiskRecord): Promise<boolean> {
    const value = new TextEncoder().encode(JSON.stringify(next));
    for (let attempt = 0; ; attempt++) {
      try {
        const result = await this.#register.set(name, version, value);
        return result.done || decode(name, result.current)?.mark === next.mark;
      } catch (error) {
        if (!isStoreError(error) || !(error.mayHaveHappened || error.retryable) || attempt >= 10) throw error;
        await this.#clock.sleep(Math.min(2000, 20 * 2 ** attempt) * (0.5 + this.#chance.fraction() / 2));
      }
    }
  }
}

function decode(name: string, state: RegisterState): DiskRecord | null {
  if (state.value === null) return null;
  let record: DiskRecord;
  try {
    record = JSON.parse(new TextDecoder().decode(state.value)) as DiskRecord;
  } catch {
    throw new BackendError('CORRUPT', `the record of disk ${name} cannot be read`);
  }
  if (record.format !== 1) throw new ConfigError(`disk ${name} has format ${String(record.format)}, but only 1 is known`);
  return record;
}
