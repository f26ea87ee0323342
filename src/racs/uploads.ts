/**
 * Uploads in parts. Registers, below the space of uploads, UPLOAD being the upload's id:
 *
 *     KEY \x01 UPLOAD                 the upload: open -> completing -> done, or open -> aborted
 *     KEY \x01 UPLOAD \x01 NUMBER     the latest part of that number, five digits
 *
 * Complete first moves the upload to `completing` with the id that the object will have, then commits the object, then
 * moves on to `done`; after a crash the same call goes on. Parts belong to the upload until then: abort and collection
 * move the upload to `aborted` first, which a completing upload refuses.
 */

import type { UploadInfo, UploadPart, UploadPartInfo } from './array-store.ts';
import type { Part } from './manifest.ts';
import {
  type CallOptions,
  type Clock,
  isStoreError,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
  StoreError,
} from './object-store.ts';
import type { CommitRegister, RegisterState } from './register/commit-register.ts';

/** What uploads need of the array. */
export interface PartStore {
  readonly clock: Clock;
  newId(): string;
  writePart(key: string, body: ObjectBody, options: PutOptions & { upload?: string }): Promise<Part>;
  commitParts(key: string, id: string, parts: Part[], options: PutOptions): Promise<ObjectInfo>;
  deletePart(key: string, part: Part): Promise<void>;
}

export interface Upload {
  state: 'open' | 'completing' | 'done' | 'aborted';
  key: string;
  id: string;
  time: number;
  type?: string;
  meta?: Record<string, string>;
  /** From completing on: the object's id, etag and parts. */
  object?: { id: string; etag: string; parts: Part[] };
}

interface PartRecord {
  part: Part;
  etag: string;
  time: number;
}

const separator = '\u0001';
const uploadName = (key: string, id: string): string => `${key}${separator}${id}`;
const partName = (key: string, id: string, number: number): string =>
  `${uploadName(key, id)}${separator}${String(number).padStart(5, '0')}`;
const encode = (value: Upload | PartRecord): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const decode = <T>(value: Uint8Array): T => JSON.parse(new TextDecoder().decode(value)) as T;

export class Uploads {
  readonly #array: PartStore;
  readonly #registers: CommitRegister;

  constructor(array: PartStore, registers: CommitRegister) {
    this.#array = array;
    this.#registers = registers;
  }

  async create(key: string, options: Pick<PutOptions, 'contentType' | 'metadata'>): Promise<UploadInfo> {
    const id = this.#array.newId();
    const upload: Upload = { state: 'open', key, id, time: this.#array.clock.now() };
    if (options.contentType !== undefined) upload.type = options.contentType;
    if (options.metadata) upload.meta = options.metadata;
    await this.#registers.set(uploadName(key, id), '', encode(upload));
    return { key, uploadId: id, initiated: upload.time };
  }

  async put(
    key: string,
    id: string,
    number: number,
    body: ObjectBody,
    options: Pick<PutOptions, 'etag' | 'signal'>,
  ): Promise<UploadPartInfo> {
    if (!Number.isInteger(number) || number < 1 || number > 10_000)
      throw new StoreError('BAD_REQUEST', `part number ${number} is not in 1..10000`);
    await this.#open(key, id);
    const part = await this.#array.writePart(key, body, { upload: id, ...(options.signal && { signal: options.signal }) });
    const record: PartRecord = { part, etag: options.etag?.() ?? part.id, time: this.#array.clock.now() };
    const name = partName(key, id, number);
    for (let state = await this.#registers.read(name); ; ) {
      const result = await this.#registers.set(name, state.version, encode(record)).catch(async (error: unknown) => {
        if (!isStoreError(error) || !error.mayHaveHappened) throw error;
        return { done: false as const, current: await this.#registers.read(name) };
      });
      if (result.done || decodePart(result.current)?.part.id === part.id) break;
      state = result.current;
    }
    // An upload that was aborted meanwhile has no use for the part; collection finds it.
    await this.#open(key, id);
    return { partNumber: number, etag: record.etag, size: part.size, lastModified: record.time };
  }

  async listParts(
    key: string,
    id: string,
    options: { startAfter?: number; limit?: number },
  ): Promise<{ parts: UploadPartInfo[]; truncated: boolean }> {
    await this.#open(key, id);
    const prefix = `${uploadName(key, id)}${separator}`;
    const startAfter = options.startAfter ? partName(key, id, options.startAfter) : '';
    const page = await this.#registers.list({ prefix, startAfter, limit: options.limit ?? 1000 });
    const parts = page.entries.map(({ name, state }) => {
      const { part, etag, time } = decode<PartRecord>(state.value!);
      return { partNumber: Number(name.slice(prefix.length)), etag, size: part.size, lastModified: time };
    });
    return { parts, truncated: page.truncated };
  }

  async list(options: CallOptions & { prefix?: string }): Promise<UploadInfo[]> {
    const found: UploadInfo[] = [];
    for await (const upload of this.all(options.prefix)) {
      if (upload.state === 'open') found.push({ key: upload.key, uploadId: upload.id, initiated: upload.time });
    }
    return found;
  }

  async complete(
    key: string,
    id: string,
    wanted: readonly UploadPart[],
    options: Pick<PutOptions, 'etag' | 'ifMatch' | 'ifNoneMatch' | 'signal'>,
  ): Promise<ObjectInfo> {
    let { upload, state } = await this.#read(key, id);
    if (upload.state === 'open') {
      const parts = await this.#partsOf(key, id, wanted);
      const objectId = this.#array.newId();
      const object = { id: objectId, etag: options.etag?.() ?? objectId, parts };
      await this.#registers
        .set(uploadName(key, id), state.version, encode({ ...upload, state: 'completing', object }))
        .catch((error: unknown) => {
          if (!isStoreError(error) || !error.mayHaveHappened) throw error;
        });
      ({ upload, state } = await this.#read(key, id));
    }
    const object = upload.object;
    if ((upload.state !== 'completing' && upload.state !== 'done') || !object) throw noUpload(key, id);
    if (upload.state === 'done') {
      const size = object.parts.reduce((sum, part) => sum + part.size, 0);
      return { key, size, etag: object.etag, lastModified: upload.time, metadata: { ...upload.meta } };
    }
    const info = await this.#array.commitParts(key, object.id, object.parts, {
      ...options,
      etag: () => object.etag,
      ...(upload.type !== undefined && { contentType: upload.type }),
      ...(upload.meta && { metadata: upload.meta }),
    });
    await this.#registers.set(uploadName(key, id), state.version, encode({ ...upload, state: 'done' })).catch(() => {});
    return info;
  }

  async abort(key: string, id: string, _options: CallOptions): Promise<void> {
    const { upload } = await this.#open(key, id);
    if (!(await this.close(upload))) throw noUpload(key, id);
    for (const { part } of await this.parts(key, id)) await this.#array.deletePart(key, part);
  }

  /** Moves an upload to `aborted`; false when it is no longer in the state `from`. */
  async close({ key, id }: Upload, from: Upload['state'] = 'open'): Promise<boolean> {
    for (;;) {
      const { upload, state } = await this.#read(key, id);
      if (upload.state === 'aborted') return true;
      if (upload.state !== from) return false;
      const result = await this.#registers.set(uploadName(key, id), state.version, encode({ ...upload, state: 'aborted' }));
      if (result.done) return true;
    }
  }

  /** The upload, or null when there never was one. */
  async find(key: string, id: string): Promise<Upload | null> {
    const { value } = await this.#registers.read(uploadName(key, id));
    return value && decode<Upload>(value);
  }

  /** The latest part of each number. */
  async parts(key: string, id: string): Promise<{ number: number; part: Part; etag: string }[]> {
    const prefix = `${uploadName(key, id)}${separator}`;
    const found: { number: number; part: Part; etag: string }[] = [];
    for (let startAfter = ''; ; ) {
      const page = await this.#registers.list({ prefix, startAfter });
      for (const { name, state } of page.entries) {
        const { part, etag } = decode<PartRecord>(state.value!);
        found.push({ number: Number(name.slice(prefix.length)), part, etag });
        startAfter = name;
      }
      if (!page.truncated) return found;
    }
  }

  /** All uploads, whatever their state. */
  async *all(prefix = ''): AsyncGenerator<Upload> {
    for (let startAfter = ''; ; ) {
      const page = await this.#registers.list({ prefix, startAfter });
      for (const { name, state } of page.entries) {
        startAfter = name;
        if (name.split(separator).length === 2) yield decode<Upload>(state.value!);
      }
      if (!page.truncated) return;
    }
  }

  async #partsOf(key: string, id: string, wanted: readonly UploadPart[]): Promise<Part[]> {
    const known = new Map((await this.parts(key, id)).map((part) => [part.number, part]));
    if (wanted.length === 0) throw new StoreError('BAD_REQUEST', 'an upload needs at least one part');
    return wanted.map(({ partNumber, etag }, i) => {
      if (i > 0 && partNumber <= wanted[i - 1]!.partNumber) throw new StoreError('BAD_REQUEST', `part ${partNumber} is out of order`);
      const found = known.get(partNumber);
      if (!found || found.etag !== etag) throw new StoreError('BAD_REQUEST', `part ${partNumber} was not uploaded, or is another`);
      return found.part;
    });
  }

  async #open(key: string, id: string): Promise<{ upload: Upload; state: RegisterState }> {
    const found = await this.#read(key, id);
    if (found.upload.state !== 'open') throw noUpload(key, id);
    return found;
  }

  async #read(key: string, id: string): Promise<{ upload: Upload; state: RegisterState }> {
    const state = await this.#registers.read(uploadName(key, id));
    if (!state.value) throw noUpload(key, id);
    return { upload: decode<Upload>(state.value), state };
  }
}

function decodePart(state: RegisterState): PartRecord | null {
  return state.value && decode<PartRecord>(state.value);
}

function noUpload(key: string, id: string): StoreError {
  return new StoreError('NO_SUCH_UPLOAD', `no open upload ${id.slice(0, 40)} of ${key}`);
}
