/**
 * Buckets: names in registers of the array, shared by all proxies over it. An object is kept under `BUCKET/KEY`, so the
 * key may have what 1024 bytes leave. Disks have the first part `disks` for themselves.
 */

import type { ArrayStore } from '../array-store.ts';
import type { CommitRegister, RegisterState } from '../register/commit-register.ts';
import { utf8 } from './message.ts';
import { S3Error } from './s3-error.ts';

interface BucketRecord {
  created: number;
  removed: boolean;
}

export class Buckets {
  readonly #array: ArrayStore;
  readonly #register: CommitRegister;

  constructor(array: ArrayStore) {
    this.#array = array;
    this.#register = array.registers('buckets');
  }

  async list(): Promise<{ name: string; created: number }[]> {
    const found: { name: string; created: number }[] = [];
    for (let startAfter = ''; ; ) {
      const { entries, truncated } = await this.#register.list({ startAfter });
      for (const { name, state } of entries) {
        const record = decode(state);
        if (record && !record.removed) found.push({ name, created: record.created });
      }
      if (!truncated) return found;
      startAfter = entries.at(-1)!.name;
    }
  }

  /** @throws {S3Error} NoSuchBucket */
  async check(name: string): Promise<void> {
    const record = isBucketName(name) ? decode(await this.#register.read(name)) : null;
    if (!record || record.removed) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist');
  }

  /** @throws {S3Error} BucketAlreadyOwnedByYou, InvalidBucketName */
  async create(name: string, now: number): Promise<void> {
    if (!isBucketName(name) || name === 'disks') throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.');
    for (;;) {
      const state = await this.#register.read(name);
      if (decode(state)?.removed === false)
        throw new S3Error('BucketAlreadyOwnedByYou', 'Your previous request to create the named bucket succeeded and you already own it.');
      const set = await this.#register.set(name, state.version, utf8(JSON.stringify({ created: now, removed: false })));
      if (set.done) return;
    }
  }

  /** An object put at the same moment may stay, unseen until the bucket is made again. @throws {S3Error} BucketNotEmpty */
  async remove(name: string): Promise<void> {
    const { entries } = await this.#array.list({ prefix: `${name}/`, limit: 1 });
    if (entries.length > 0) throw new S3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty');
    for (;;) {
      await this.check(name);
      const state = await this.#register.read(name);
      const set = await this.#register.set(name, state.version, utf8(JSON.stringify({ ...decode(state), removed: true })));
      if (set.done) return;
    }
  }
}

/** Amazon S3 User Guide, "Bucket naming rules", as far as they keep names apart and safe. */
function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..');
}

function decode(state: RegisterState): BucketRecord | null {
  return state.value === null ? null : (JSON.parse(new TextDecoder().decode(state.value.slice())) as BucketRecord);
}
