/**
 * A log-structured virtual disk over an object store. Writes are appended to an open segment in memory; a full one
 * becomes an immutable object; the extent map says where each sector's newest version is.
 *
 * Two meanings of "durable" (BlockStore.flush):
 * - **journal**: flush resolves when the local journal has the writes. They survive a crash of the process and of the
 *   host; not the loss of the host's disk. Segments follow within seconds.
 * - **remote** (no journal): flush resolves when the segments are stored and committed. Nothing local matters, each
 *   flush costs a put and a commit, and small segments are merged by collection.
 *
 * Steps of a commit, in order, each of which may be the last before a crash:
 * 1. the segment object is stored under a name with our epoch (a crash leaves an orphan, swept later);
 * 2. the disk's record is compare-and-set to name it as the last (a former owner fails here: FENCED);
 * 3. its journal file is removed (a crash leaves a file whose number the record knows as done).
 * A checkpoint likewise: object, record, then what it made superfluous is deleted. So a segment is deleted only when a
 * committed checkpoint does without it, and never one that a snapshot may need.
 *
 * Memory: `maxPendingSegments + 1` segments, the cache, and the map (extent-map.ts); writers wait beyond that.
 * Source: the design follows LSVD (Hajkazemi et al., EuroSys 2022, abstract).
 * Long because the open segment, the queue of commits and the map change together, without an await in between.
 */

import { type BlockStore, checkBlockRequest, sectorBytes } from '../../base/block-store.ts';
import { assert, BackendError, ConfigError } from '../../base/errors.ts';
import { type Chance, type Clock, isStoreError, type ObjectStore } from '../object-store.ts';
import type { CommitRegister } from '../register/commit-register.ts';
import { encodeCheckpoint } from './checkpoint.ts';
import { checkpointName, diskPrefix, parseObjectName, segmentName } from './disk-id.ts';
import { type CheckpointRef, DiskRegister, type DiskRecord, lineageOf } from './disk-record.ts';
import type { ExtentMap } from './extent-map.ts';
import { decodeRecords, encodeRecord, type Journal, type JournalRecord } from './journal.ts';
import { loadLog, type SegmentUse } from './load-log.ts';
import { SegmentBuilder } from './segment.ts';
import { SegmentReader } from './segment-reader.ts';

/** What a disk stands on. The caller closes store and register; the disk closes the journal. */
export interface DiskParts {
  store: ObjectStore;
  register: CommitRegister;
  clock: Clock;
  chance: Chance;
}

export interface LogDiskOptions {
  /** Present: durability `journal`. Absent: `remote`. */
  journal?: Journal;
  /** Opens although another owner has not closed the disk; what only its journal holds is lost. */
  takeOver?: boolean;
  /** 4 MiB; the size of a full segment. */
  segmentBytes?: number;
  /** 64 MiB of what was read. */
  cacheBytes?: number;
  /** 8; sealed segments that wait for the providers before writers do. */
  maxPendingSegments?: number;
  /** 64; segments between two checkpoints. */
  checkpointEvery?: number;
  /** 2000; an open segment is sealed when it is so old. Infinity for never. */
  sealAfterMs?: number;
  /** 60 000; a writer or flush that waits longer for the providers is refused with UNAVAILABLE (nothing is dropped). */
  stallMs?: number;
  /** 0.5; collection begins when this share of the segments' data is garbage. 1 for never by itself. */
  collectAt?: number;
  /** One line for the operator. */
  onNotice?: (text: string) => void;
}

interface Pending {
  builder: SegmentBuilder;
  /** The journal file that is done with it, or null. */
  journalFile: number | null;
  started: boolean;
  uploaded: boolean;
  checkpoint: CheckpointJob | null;
}

interface CheckpointJob {
  number: number;
  map: ExtentMap;
  segments: Map<number, number>;
  /** Segments without live data, by name when they are ours to delete. */
  dead: { segment: number; name: string | null }[];
  /** Made in the same commit. */
  snapshots: string[];
  done: () => void;
  failed: (error: unknown) => void;
}

interface Waiter {
  ready: () => boolean;
  resolve: () => void;
  reject: (error: unknown) => void;
}

const parallelUploads = 4;
const maxBackoffMs = 5000;

export class LogDisk implements BlockStore {
  readonly sectorCount: number;
  readonly readOnly = false;
  readonly name: string;
  readonly #parts: DiskParts;
  readonly #options: Required<Omit<LogDiskOptions, 'journal' | 'takeOver'>>;
  readonly #journal: Journal | null;
  readonly #register: DiskRegister;
  readonly #reader: SegmentReader;
  readonly #epoch: number;
  readonly #stop = new AbortController();
  readonly #map: ExtentMap;
  readonly #segments: Map<number, SegmentUse>;
  /** Segments without live data that a committed checkpoint may still name. */
  readonly #dying = new Set<number>();
  #record: DiskRecord;
  #changes: Promise<unknown> = Promise.resolve();
  #open: SegmentBuilder;
  #journalFile: number;
  #sequence = 0;
  #dirtyFiles = new Set<number>();
  #begun = false;
  #pending: Pending[] = [];
  #committing = false;
  #syncing: Promise<void> = Promise.resolve();
  #nextSync: Promise<void> | null = null;
  #waiters: Waiter[] = [];
  #checkpointWanted: (string | null)[] = [];
  #checkpointWaiters: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #checkpointing: Promise<void> = Promise.resolve();
  #lastCheckpointJob: number;
  #collecting = false;
  #failure: unknown = null;
  #closed = false;

  private constructor(
    name: string,
    parts: DiskParts,
    options: LogDiskOptions,
    loaded: {
      record: DiskRecord;
      register: DiskRegister;
      map: ExtentMap;
      segments: Map<number, SegmentUse>;
      reader: SegmentReader;
    },
  ) {
    this.name = name;
    this.#parts = parts;
    this.#journal = options.journal ?? null;
    this.#options = withDefaults(options);
    this.#record = loaded.record;
    this.#epoch = loaded.record.epoch;
    this.#register = loaded.register;
    this.#reader = loaded.reader;
    this.#map = loaded.map;
    this.#segments = loaded.segments;
    this.sectorCount = loaded.record.sectorCount;
    this.#open = new SegmentBuilder(loaded.record.lastSegment + 1, this.#options.segmentBytes);
    this.#journalFile = loaded.record.journalDone + 1;
    this.#lastCheckpointJob = loaded.record.checkpoint?.number ?? 0;
  }

  /**
   * Becomes the owner of a disk and recovers it.
   * @throws {ConfigError} when there is no such disk; {BackendError} IN_USE when another owner may be alive.
   */
  static async open(name: string, parts: DiskParts, options: LogDiskOptions = {}): Promise<LogDisk> {
    const { journal } = options;
    const register = new DiskRegister(parts.register, parts.chance, parts.clock);
    if ((await register.read(name)) === null) throw new ConfigError(`there is no disk ${name}`);
    const files = (await journal?.open()) ?? [];
    const record = await register.update(name, (current) => takeOwnership(name, current, journal?.id ?? null, options.takeOver ?? false));
    let lineage = record.lineage;
    const reader = new SegmentReader(parts.store, () => lineage, withDefaults(options).cacheBytes);
    const { map, segments } = await loadLog(parts.store, reader, record.checkpoint, record.lastSegment);
    const disk = new LogDisk(name, parts, options, { record, register, map, segments, reader });
    lineage = disk.#record.lineage;
    disk.#onRecord = (changed) => {
      lineage = changed.lineage;
    };
    await disk.#recoverJournal(files);
    return disk;
  }

  #onRecord: (record: DiskRecord) => void = () => {};

  get record(): Readonly<DiskRecord> {
    return this.#record;
  }

  /** For reports and tests. */
  get statistics(): {
    liveSectors: number;
    totalSectors: number;
    segments: number;
    extents: number;
    pending: number;
    fetches: number;
    cachedWindows: number;
  } {
    let [liveSectors, totalSectors] = [0, 0];
    for (const { live, total } of this.#segments.values()) {
      liveSectors += live;
      totalSectors += total;
    }
    const { fetches, cachedWindows } = this.#reader;
    return {
      liveSectors,
      totalSectors,
      segments: this.#segments.size,
      extents: this.#map.extentCount,
      pending: this.#pending.length,
      fetches,
      cachedWindows,
    };
  }

  async read(firstSector: number, into: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'read', firstSector, into.length);
    for (let attempt = 0; ; attempt++) {
      this.#checkAlive();
      try {
        return await this.#readMapped(firstSector, into);
      } catch (error) {
        // Collected between the look into the map and the fetch: the map knows the new place.
        if (!isStoreError(error, 'NOT_FOUND') || attempt === 4) throw error;
      }
    }
  }

  async write(firstSector: number, from: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'write', firstSector, from.length);
    this.#checkAlive();
    for (let at = 0; at < from.length; ) {
      while (this.#open.room === 0) await this.#room();
      const step = Math.min(from.length - at, this.#open.room * sectorBytes);
      this.#append(firstSector + at / sectorBytes, from.subarray(at, at + step), { journaled: true });
      at += step;
    }
  }

  async discard(firstSector: number, sectorCount: number): Promise<void> {
    checkBlockRequest(this, 'discard', firstSector, sectorCount * sectorBytes);
    this.#checkAlive();
    if (sectorCount === 0 || this.#map.lookup(firstSector, sectorCount).every(({ segment }) => segment === 0)) return;
    while (this.#open.room === 0) await this.#room();
    this.#beginSegment();
    this.#open.discard(firstSector, sectorCount);
    this.#map.set(firstSector, sectorCount, 0, 0);
    this.#writeJournal({ kind: 'discard', sequence: ++this.#sequence, first: firstSector, count: sectorCount });
    this.#sealIfFull();
  }

  async flush(): Promise<void> {
    this.#checkAlive();
    if (this.#journal) return this.#syncJournal(this.#journal);
    await this.#commitAll();
  }

  /** Stores and commits everything; with `checkpoint`, that too. */
  async drain(options: { checkpoint?: boolean } = {}): Promise<void> {
    this.#checkAlive();
    if (options.checkpoint) return this.#checkpoint(null);
    await this.#commitAll();
  }

  /** A point to return to, or to grow clones from. @throws {ConfigError} when the name is taken. */
  async snapshot(name: string): Promise<void> {
    this.#checkAlive();
    if (this.#record.snapshots.some((each) => each.name === name))
      throw new ConfigError(`disk ${this.name} has a snapshot ${name} already`);
    await this.#checkpoint(name);
  }

  /** Moves live data out of the segments with the most garbage, up to `maxBytes`. @returns the bytes moved. */
  async collect(maxBytes = Number.POSITIVE_INFINITY): Promise<number> {
    this.#checkAlive();
    if (this.#collecting) return 0;
    this.#collecting = true;
    let moved = 0;
    try {
      for (const segment of this.#victims()) {
        if (moved >= maxBytes) break;
        // It may have died, and gone, while the ones before it were moved.
        if (this.#segments.has(segment)) moved += await this.#evacuate(segment);
      }
    } finally {
      this.#collecting = false;
    }
    return moved;
  }

  /**
   * Deletes objects of this disk that nothing refers to: what crashes left. Only names of epochs up to ours, and only
   * numbers that a committed checkpoint has behind it, so that a former owner can harm nobody.
   * @returns how many.
   */
  async sweep(): Promise<number> {
    this.#checkAlive();
    const { id, checkpoint, snapshots } = this.#record;
    const behind = checkpoint?.disk === id ? checkpoint.number : 0;
    const pinned = new Set(
      [checkpoint, ...snapshots.map((each) => each.checkpoint)].map((ref) => ref && checkpointName(ref.disk, ref.epoch, ref.number)),
    );
    let deleted = 0;
    for (let startAfter = ''; ; ) {
      const { entries, truncated } = await this.#parts.store.list({ prefix: diskPrefix(id), startAfter });
      for (const { key } of entries) {
        const parsed = parseObjectName(key);
        if (!parsed || parsed.epoch > this.#epoch || parsed.number > behind || pinned.has(key)) continue;
        if (parsed.kind === 'segments' && this.#needed(key, parsed.number, parsed.epoch)) continue;
        await this.#parts.store.delete(key);
        deleted++;
      }
      if (!truncated) return deleted;
      startAfter = entries.at(-1)!.key;
    }
  }

  /** Commits everything, leaves a checkpoint and says in the record that the disk was closed well. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#checkAlive();
    await this.#commitAll();
    if (this.#record.lastSegment > (this.#record.checkpoint?.number ?? 0)) await this.#checkpoint(null);
    await this.#checkpointing;
    await this.#change((record) => ({ ...record, owner: { ...record.owner, clean: true } }));
    this.#closed = true;
    this.#stop.abort();
    await this.#journal?.close();
  }

  /** Gives up without a word to anybody, as a crash would. Calls afterwards are refused. */
  async abandon(): Promise<void> {
    this.#fail(new BackendError('CLOSED', `disk ${this.name} was abandoned`));
    await this.#journal?.close();
  }

  async #readMapped(firstSector: number, into: Uint8Array): Promise<void> {
    const jobs: Promise<void>[] = [];
    for (const { first, count, segment, offset } of this.#map.lookup(firstSector, into.length / sectorBytes)) {
      const target = into.subarray((first - firstSector) * sectorBytes, (first - firstSector + count) * sectorBytes);
      const builder = segment === this.#open.number ? this.#open : this.#pending.find((each) => each.builder.number === segment)?.builder;
      if (segment === 0) target.fill(0);
      else if (builder) target.set(builder.view(offset, count));
      else jobs.push(this.#reader.read(segment, offset, target));
    }
    if (jobs.length === 0) return;
    const failed = (await Promise.allSettled(jobs)).find((job) => job.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Puts sectors that fit into the open segment; nothing awaits between this and the map. */
  #append(first: number, data: Uint8Array, { journaled }: { journaled: boolean }): void {
    this.#beginSegment();
    const count = data.length / sectorBytes;
    const offset = this.#open.write(first, data);
    this.#segments.get(this.#open.number)!.live += count;
    this.#segments.get(this.#open.number)!.total += count;
    this.#map.set(first, count, this.#open.number, offset);
    if (journaled) this.#writeJournal({ kind: 'write', sequence: ++this.#sequence, first, data: this.#open.view(offset, count) });
    this.#sealIfFull();
  }

  #beginSegment(): void {
    if (!this.#open.isEmpty) return;
    const builder = this.#open;
    if (!this.#segments.has(builder.number)) this.#segments.set(builder.number, { total: 0, live: 0 });
    if (!Number.isFinite(this.#options.sealAfterMs)) return;
    void this.#parts.clock.sleep(this.#options.sealAfterMs, this.#stop.signal).then(() => {
      if (this.#open === builder && this.#mayGoOn() && !this.#closed && this.#hasRoom()) this.#seal();
    });
  }

  #writeJournal(record: JournalRecord): void {
    const journal = this.#journal;
    if (!journal) return;
    const file = this.#journalFile;
    const pieces = encodeRecord(record);
    if (!this.#begun) {
      // The begin record takes the number before the first one, so that sequences stay without gaps.
      this.#begun = true;
      record.sequence = ++this.#sequence;
      pieces.splice(
        0,
        pieces.length,
        ...encodeRecord({ kind: 'begin', sequence: record.sequence - 1, disk: this.#record.id, epoch: this.#epoch }),
        ...encodeRecord(record),
      );
    }
    this.#dirtyFiles.add(file);
    journal.append(file, pieces).catch((error) => this.#fail(error));
  }

  /** Flushes that come while a sync runs share the next one. */
  #syncJournal(journal: Journal): Promise<void> {
    this.#nextSync ??= this.#syncing
      .catch(() => {})
      .then(() => {
        this.#nextSync = null;
        this.#syncing = this.#syncDirtyFiles(journal);
        return this.#syncing;
      });
    return this.#nextSync;
  }

  async #syncDirtyFiles(journal: Journal): Promise<void> {
    this.#checkAlive();
    const files = [...this.#dirtyFiles];
    this.#dirtyFiles.clear();
    try {
      for (const file of files) await journal.sync(file);
    } catch (error) {
      // What a failed fsync has dropped cannot be told from what it kept: the journal is not to be trusted any more.
      this.#fail(error);
      throw error;
    }
    this.#checkAlive();
  }

  #hasRoom(): boolean {
    return this.#pending.length < this.#options.maxPendingSegments;
  }

  /** Makes or awaits room in the open segment. Others may be faster, so the caller looks again. */
  async #room(): Promise<void> {
    this.#checkAlive();
    if (this.#hasRoom()) this.#seal();
    else await this.#wait(() => this.#open.room > 0 || this.#hasRoom());
    this.#checkAlive();
  }

  #sealIfFull(): void {
    if (this.#open.room === 0 && this.#hasRoom()) this.#seal();
  }

  #seal(journalFile: number | null = this.#journal && this.#begun ? this.#journalFile : null): void {
    const builder = this.#open;
    assert(!builder.isEmpty, 'an empty segment is not sealed');
    const due = builder.number - this.#lastCheckpointJob >= this.#options.checkpointEvery || this.#checkpointWanted.length > 0;
    this.#pending.push({
      builder,
      journalFile,
      started: false,
      uploaded: false,
      checkpoint: due ? this.#beginCheckpoint(builder.number) : null,
    });
    this.#open = new SegmentBuilder(builder.number + 1, this.#options.segmentBytes, builder.dataSectors * sectorBytes);
    if (this.#begun) this.#journalFile++;
    this.#begun = false;
    this.#upload();
  }

  #upload(): void {
    for (const pending of this.#pending.slice(0, parallelUploads)) {
      if (pending.started) continue;
      pending.started = true;
      void this.#uploadOne(pending);
    }
  }

  async #uploadOne(pending: Pending): Promise<void> {
    const name = segmentName(this.#record.id, this.#epoch, pending.builder.number);
    await this.#persist(
      () => this.#parts.store.put(name, pending.builder.object(this.#record.id, this.#epoch)),
      `segment ${pending.builder.number}`,
    );
    pending.uploaded = true;
    void this.#commit();
  }

  /** Until it succeeds or the disk fails: providers come back. */
  async #persist<T>(work: () => Promise<T>, what: string): Promise<T | null> {
    for (let attempt = 0; this.#mayGoOn(); attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!isStoreError(error)) {
          this.#fail(error);
          return null;
        }
        if (attempt === 2) this.#options.onNotice?.(`disk ${this.name}: ${what} cannot be stored, trying on: ${error.message}`);
        await this.#parts.clock.sleep(
          Math.min(maxBackoffMs, 50 * 2 ** attempt) * (0.5 + this.#parts.chance.fraction() / 2),
          this.#stop.signal,
        );
      }
    }
    return null;
  }

  /** Commits the uploaded segments at the head of the queue, one commit for all of them. */
  async #commit(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    try {
      while (this.#pending[0]?.uploaded && this.#mayGoOn()) {
        const end = this.#pending.findIndex((each) => !each.uploaded);
        const batch = this.#pending.slice(0, end < 0 ? undefined : end);
        const last = batch.at(-1)!.builder.number;
        const journalDone = Math.max(0, ...batch.map(({ journalFile }) => journalFile ?? 0));
        const record = await this.#persist(
          () => this.#change((r) => ({ ...r, lastSegment: last, journalDone: Math.max(r.journalDone, journalDone) })),
          `the commit of segment ${last}`,
        );
        if (!record) return;
        this.#pending.splice(0, batch.length);
        this.#wake();
        this.#upload();
        for (const { journalFile, checkpoint } of batch) {
          if (journalFile !== null) this.#forgetJournal(journalFile);
          if (checkpoint) this.#checkpointing = this.#checkpointing.then(() => this.#runCheckpoint(checkpoint));
        }
        if (this.#open.room === 0 && this.#hasRoom()) this.#seal();
      }
    } finally {
      this.#committing = false;
    }
  }

  #forgetJournal(file: number): void {
    this.#dirtyFiles.delete(file);
    this.#journal
      ?.remove(file)
      .catch((error) => this.#options.onNotice?.(`disk ${this.name}: journal file ${file} cannot be removed: ${String(error)}`));
  }

  async #commitAll(): Promise<void> {
    while (!this.#open.isEmpty && !this.#hasRoom()) await this.#wait(() => this.#hasRoom() || this.#open.isEmpty);
    if (!this.#open.isEmpty) this.#seal();
    const last = this.#open.number - 1;
    await this.#wait(() => this.#record.lastSegment >= last);
  }

  /** Takes the state right after segment `number`, which is the newest. */
  #beginCheckpoint(number: number): CheckpointJob {
    this.#lastCheckpointJob = number;
    const waiters = this.#checkpointWaiters.splice(0);
    const snapshots = this.#checkpointWanted.splice(0).filter((name) => name !== null);
    const firstFree = this.#newestSnapshot() + 1;
    const segments = new Map<number, number>();
    const dead: CheckpointJob['dead'] = [];
    for (const [segment, { live, total }] of this.#segments) {
      if (live === 0 && segment >= firstFree) dead.push({ segment, name: this.#ownName(segment) });
      else segments.set(segment, total);
    }
    for (const { segment } of dead) {
      this.#segments.delete(segment);
      this.#dying.add(segment);
    }
    return {
      number,
      map: this.#map.copy(),
      segments,
      dead,
      snapshots,
      done: () => {
        for (const { resolve } of waiters) resolve();
      },
      failed: (error) => {
        for (const { reject } of waiters) reject(error);
      },
    };
  }

  async #runCheckpoint(job: CheckpointJob): Promise<void> {
    try {
      const { id } = this.#record;
      const ref: CheckpointRef = { disk: id, epoch: this.#epoch, number: job.number };
      const former = this.#record.checkpoint;
      await this.#persist(() => this.#parts.store.put(checkpointName(id, this.#epoch, job.number), encodeCheckpoint(job)), 'a checkpoint');
      await this.#persist(
        () =>
          this.#change((record) => {
            const lineage = record.lineage.filter(({ first }, i, all) => {
              const next = all[i + 1]?.first ?? Number.POSITIVE_INFINITY;
              return next > job.number || [...job.segments.keys()].some((segment) => segment >= first && segment < next);
            });
            const made = job.snapshots.map((name) => ({ name, checkpoint: ref, lineage, clones: [] }));
            return { ...record, checkpoint: ref, lineage, snapshots: [...record.snapshots, ...made] };
          }),
        'the commit of a checkpoint',
      );
      this.#checkAlive();
      await this.#deleteDead(job, former);
      job.done();
      this.#collectIfDue();
    } catch (error) {
      job.failed(this.#failure ?? error);
    }
  }

  async #deleteDead(job: CheckpointJob, former: CheckpointRef | null): Promise<void> {
    const { id, snapshots } = this.#record;
    const pinned = snapshots.some(({ checkpoint }) => former && checkpoint.number === former.number && checkpoint.epoch === former.epoch);
    const names = job.dead.flatMap(({ name }) => name ?? []);
    for (const { segment } of job.dead) this.#dying.delete(segment);
    if (former && former.disk === id && former.number !== job.number && !pinned)
      names.push(checkpointName(id, former.epoch, former.number));
    // A failure leaves an orphan, which sweep finds.
    await Promise.allSettled(names.map((name) => this.#parts.store.delete(name)));
  }

  /** null for a segment of the disk that this one was cloned from. */
  #ownName(segment: number): string | null {
    const { id, lineage } = this.#record;
    const { disk, epoch } = lineageOf(lineage, segment);
    return disk === id ? segmentName(disk, epoch, segment) : null;
  }

  async #checkpoint(snapshot: string | null): Promise<void> {
    const finished = new Promise<void>((resolve, reject) => {
      this.#checkpointWanted.push(snapshot);
      this.#checkpointWaiters.push({ resolve, reject });
    });
    finished.catch(() => {});
    if (this.#open.isEmpty) {
      // A checkpoint follows a segment; an empty one carries it.
      this.#beginSegment();
      this.#open.discard(0, 0);
    }
    await this.#commitAll();
    await finished;
  }

  #newestSnapshot(): number {
    return Math.max(0, ...this.#record.snapshots.map(({ checkpoint }) => checkpoint.number));
  }

  #collectIfDue(): void {
    if (this.#collecting || !this.#mayGoOn() || this.#closed) return;
    let [live, total] = [0, 0];
    for (const segment of this.#collectable()) {
      const use = this.#segments.get(segment)!;
      live += use.live;
      total += use.total;
    }
    if (total === 0 || 1 - live / total <= this.#options.collectAt) return;
    void this.collect().then(
      () => {
        this.#checkpointWanted.push(null);
      },
      (error) => this.#options.onNotice?.(`disk ${this.name}: collection stopped: ${String(error)}`),
    );
  }

  /** Segments that are ours to delete once they are empty. */
  #collectable(): number[] {
    const { id, lastSegment, lineage } = this.#record;
    const newest = this.#newestSnapshot();
    return [...this.#segments.keys()].filter(
      (segment) => segment <= lastSegment && segment > newest && lineageOf(lineage, segment).disk === id,
    );
  }

  /** Those with a quarter of garbage or more, the most first; small ones when several can be merged. */
  #victims(): number[] {
    const share = (segment: number): number => {
      const { live, total } = this.#segments.get(segment)!;
      return total === 0 ? 0 : live / total;
    };
    const full = this.#options.segmentBytes / sectorBytes;
    const holding = this.#collectable().filter((segment) => this.#segments.get(segment)!.live > 0);
    const small = holding.filter((segment) => this.#segments.get(segment)!.total < full / 4);
    const merged = new Set(small.length >= 4 ? small : []);
    return holding.filter((segment) => share(segment) < 0.75 || merged.has(segment)).sort((a, b) => share(a) - share(b));
  }

  async #evacuate(segment: number): Promise<number> {
    const footer = await this.#whileAlive(segment, () => this.#reader.footer(segment));
    if (!footer) return 0;
    const { entries } = footer;
    const stepSectors = 512;
    let moved = 0;
    for (const { first, count, offset } of entries) {
      if (offset === null) continue;
      for (const range of this.#map.lookup(first, count)) {
        if (range.segment !== segment) continue;
        for (let at = 0; at < range.count; at += stepSectors) {
          const data = new Uint8Array(Math.min(stepSectors, range.count - at) * sectorBytes);
          if (!(await this.#whileAlive(segment, () => this.#reader.read(segment, range.offset + at, data).then(() => true)))) return moved;
          moved += await this.#relocate(segment, range.first + at, range.offset + at, data);
        }
      }
    }
    return moved;
  }

  /** null when the segment died, and with it the wish to read it. */
  async #whileAlive<T>(segment: number, read: () => Promise<T>): Promise<T | null> {
    try {
      return this.#segments.has(segment) ? await read() : null;
    } catch (error) {
      if (this.#segments.has(segment)) throw error;
      return null;
    }
  }

  /** Appends those of the sectors that are still at their old place; others have newer data. */
  async #relocate(segment: number, first: number, offset: number, data: Uint8Array): Promise<number> {
    let moved = 0;
    for (let at = 0; at < data.length; ) {
      while (this.#open.room === 0) await this.#room();
      const count = Math.min(data.length / sectorBytes - at / sectorBytes, this.#open.room);
      const from = first + at / sectorBytes;
      const [range] = this.#map.lookup(from, count);
      assert(range, 'a lookup gives at least one range');
      const bytes = range.count * sectorBytes;
      if (range.segment === segment && range.offset === offset + at / sectorBytes) {
        this.#append(from, data.subarray(at, at + bytes), { journaled: false });
        moved += bytes;
      }
      at += bytes;
    }
    return moved;
  }

  #needed(name: string, segment: number, epoch: number): boolean {
    if (segment <= this.#newestSnapshot() || this.#dying.has(segment)) return true;
    const { lineage } = this.#record;
    return (
      this.#segments.has(segment) &&
      lineage.some(({ first }) => first <= segment) &&
      this.#reader.nameOf(segment) === name &&
      epoch <= this.#epoch
    );
  }

  async #recoverJournal(files: readonly number[]): Promise<void> {
    const journal = this.#journal;
    if (!journal) return;
    let expected: number | null = null;
    let torn = false;
    let replayed = 0;
    for (const file of files) {
      // A file that is missing before this one was never synced, so this one was not either.
      if (torn || file !== this.#record.journalDone + 1) {
        torn ||= file > this.#record.journalDone;
        await journal.remove(file);
        continue;
      }
      let valid = false;
      for (const record of decodeRecords(await journal.read(file))) {
        if (expected !== null && record.sequence !== expected) break;
        if (record.kind === 'begin') {
          if (record.disk !== this.#record.id || record.epoch < this.#record.journalSince) break;
          valid = true;
        } else if (!valid) break;
        else if (record.kind === 'write') await this.#replayWrite(record.first, record.data);
        else await this.#replayDiscard(record.first, record.count);
        expected = record.sequence + 1;
        replayed++;
      }
      // Whatever follows a file without a good beginning, or a gap, was not synced when this was not.
      if (!valid) torn = true;
      if (!this.#open.isEmpty) this.#seal(file);
      await this.#wait(() => this.#pending.length === 0);
      await journal.remove(file);
    }
    this.#journalFile = this.#record.journalDone + 1;
    if (replayed > 0) this.#options.onNotice?.(`disk ${this.name}: ${replayed} journal records recovered`);
  }

  async #replayWrite(first: number, data: Uint8Array): Promise<void> {
    checkBlockRequest(this, 'write', first, data.length);
    for (let at = 0; at < data.length; ) {
      await this.#replayRoom();
      const step = Math.min(data.length - at, this.#open.room * sectorBytes);
      this.#beginSegment();
      const count = step / sectorBytes;
      const offset = this.#open.write(first + at / sectorBytes, data.subarray(at, at + step));
      const use = this.#segments.get(this.#open.number)!;
      use.live += count;
      use.total += count;
      this.#map.set(first + at / sectorBytes, count, this.#open.number, offset);
      at += step;
    }
  }

  async #replayDiscard(first: number, count: number): Promise<void> {
    checkBlockRequest(this, 'discard', first, count * sectorBytes);
    await this.#replayRoom();
    this.#beginSegment();
    this.#open.discard(first, count);
    this.#map.set(first, count, 0, 0);
  }

  /** As room, but a segment in the middle of a file is not the end of that file. */
  async #replayRoom(): Promise<void> {
    if (this.#open.room > 0) return;
    await this.#wait(() => this.#hasRoom());
    if (this.#open.room === 0) this.#seal(null);
  }

  /** One change of the record at a time, each only while we are the owner. */
  #change(change: (record: DiskRecord) => DiskRecord): Promise<DiskRecord> {
    const changed = this.#changes.then(async () => {
      const record = await this.#register.update(this.name, (current) => {
        if (current?.id !== this.#record.id || current.epoch !== this.#epoch) {
          throw new BackendError('FENCED', `disk ${this.name} has another owner now`);
        }
        return change(current);
      });
      this.#record = record;
      this.#onRecord(record);
      return record;
    });
    this.#changes = changed.catch(() => {});
    return changed;
  }

  async #wait(ready: () => boolean): Promise<void> {
    this.#checkAlive();
    if (ready()) return;
    const late = new AbortController();
    const waiting = new Promise<void>((resolve, reject) => this.#waiters.push({ ready, resolve, reject }));
    const { stallMs } = this.#options;
    if (!Number.isFinite(stallMs)) return waiting;
    const stalled = this.#parts.clock.sleep(stallMs, late.signal).then(() => {
      if (!late.signal.aborted)
        throw new BackendError('UNAVAILABLE', `disk ${this.name}: the providers have not taken its segments for ${stallMs} ms`);
    });
    stalled.catch(() => {});
    waiting.catch(() => {});
    try {
      await Promise.race([waiting, stalled]);
    } finally {
      late.abort();
    }
  }

  #wake(): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.ready()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  #mayGoOn(): boolean {
    return this.#failure === null;
  }

  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#stop.abort();
    for (const { reject } of [...this.#waiters.splice(0), ...this.#checkpointWaiters.splice(0)]) reject(error);
  }

  #checkAlive(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#closed) throw new BackendError('CLOSED', `disk ${this.name} is closed`);
  }
}

function withDefaults(options: LogDiskOptions): Required<Omit<LogDiskOptions, 'journal' | 'takeOver'>> {
  const { segmentBytes = 4 * 1024 * 1024, cacheBytes = 64 * 1024 * 1024, maxPendingSegments = 8, checkpointEvery = 64 } = options;
  const { sealAfterMs = 2000, stallMs = 60_000, collectAt = 0.5, onNotice = () => {} } = options;
  if (segmentBytes % sectorBytes !== 0 || segmentBytes < sectorBytes)
    throw new ConfigError(`a segment of ${segmentBytes} bytes is not whole sectors`);
  return { segmentBytes, cacheBytes, maxPendingSegments, checkpointEvery, sealAfterMs, stallMs, collectAt, onNotice };
}

/** The record of a new owner. */
function takeOwnership(name: string, current: DiskRecord | null, journal: string | null, takeOver: boolean): DiskRecord {
  if (!current) throw new ConfigError(`there is no disk ${name}`);
  const { owner } = current;
  const continues = journal !== null && owner.journal === journal;
  if (!owner.clean && !continues && !takeOver) {
    const where = owner.journal === null ? 'an owner without a journal' : `the owner with journal ${owner.journal}`;
    throw new BackendError(
      'IN_USE',
      `disk ${name} was not closed by ${where}; open it there, or take it over and lose what only that journal holds`,
    );
  }
  const epoch = current.epoch + 1;
  const first = current.lastSegment + 1;
  const lineage = [...current.lineage.filter((entry) => entry.first < first), { first, disk: current.id, epoch }];
  return { ...current, epoch, lineage, owner: { journal, clean: false }, journalSince: continues ? current.journalSince : epoch };
}
