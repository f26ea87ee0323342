/**
 * A local directory as a store. A put writes a file of its own beside its place, makes it durable (fsync), and moves it
 * there by rename, or by link when it must not exist yet; then the folder is made durable. Replacing under a condition
 * is held apart by a lock file made with O_EXCL. One that a crashed holder left is taken away after {@link staleLockMs};
 * two processes that do so in the same moment may both go on, so a directory as commit register is for a single user.
 *
 * Names are those of file-names.ts. Order in a folder is not the order of keys, hence lists are sorted whole.
 * Sources: POSIX rename, link, open (O_EXCL); LWN "Ensuring data reaches disk".
 */

import { randomUUID } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  bodyBytes,
  type CallOptions,
  checkKey,
  checkLimit,
  checkSignal,
  compareKeys,
  type DeleteOptions,
  type GetOptions,
  type GetResult,
  type GetStream,
  type ListOptions,
  type ListResult,
  type ObjectBody,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  resolveRange,
  type StoreCapabilities,
  StoreError,
} from '../object-store.ts';
import { keyOfEscaped, pathPieces } from './file-names.ts';

const staleLockMs = 10_000;

export interface DirectoryStoreOptions {
  path: string;
  /** Offer conditional writes, by lock files. Default true. */
  conditionalPut?: boolean;
  /** Make writes durable before they are acknowledged. Default true. */
  sync?: boolean;
}

export class DirectoryStore implements ObjectStore {
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  readonly #root: string;
  readonly #sync: boolean;
  #lastTime = 0;
  #closed = false;

  /** The directory must exist; see {@link openDirectoryStore}. */
  constructor(options: DirectoryStoreOptions) {
    this.name = `dir ${options.path}`;
    this.#root = options.path;
    this.#sync = options.sync ?? true;
    this.capabilities = {
      ...{ conditionalPut: options.conditionalPut ?? true, rangeRead: true, consistentRead: true, consistentList: true, metadata: false },
      maxObjectBytes: 2 ** 31 - 1,
    };
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    const path = this.#path(key, options);
    const conditional = options.ifMatch !== undefined || options.ifNoneMatch !== undefined;
    if (conditional && !this.capabilities.conditionalPut) throw new StoreError('UNSUPPORTED', `${this.name}: no conditional writes`);
    const bytes = await bodyBytes(body, this.capabilities.maxObjectBytes);
    return this.#run(key, async () => {
      await this.#makeFolders(path);
      const temporary = `${path}.tmp-${randomUUID()}`;
      try {
        const file = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
        let info: ObjectInfo;
        try {
          await file.writeFile(bytes);
          // The kernel's clock for files is coarse and inodes are reused: a time of our own keeps etags apart.
          this.#lastTime = Math.max(Date.now() / 1000, this.#lastTime + 2e-6);
          await file.utimes(this.#lastTime, this.#lastTime);
          if (this.#sync) await file.sync();
          info = infoOf(key, await file.stat({ bigint: true }));
        } finally {
          await file.close();
        }
        checkSignal(options.signal);
        if (options.ifNoneMatch) await link(temporary, path);
        else if (options.ifMatch !== undefined) await this.#locked(path, async () => this.#replace(path, temporary, key, options.ifMatch!));
        else await rename(temporary, path);
        if (this.#sync) await syncFolder(dirname(path));
        return info;
      } finally {
        await unlink(temporary).catch(() => {});
      }
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    const path = this.#path(key, options);
    return this.#run(key, async () => {
      const file = await open(path, constants.O_RDONLY);
      try {
        const info = infoOf(key, await file.stat({ bigint: true }));
        checkMatch(info, options.ifMatch);
        const { first, end } = resolveRange(options.range, info.size);
        const body = new Uint8Array(end - first);
        for (let at = 0; at < body.length; ) {
          const { bytesRead } = await file.read(body, at, body.length - at, first + at);
          if (bytesRead === 0) throw new StoreError('CORRUPT', `${this.name}: ${key} ends early`);
          at += bytesRead;
        }
        return { info, first, body };
      } finally {
        await file.close();
      }
    });
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    const path = this.#path(key, options);
    return this.#run(key, async () => {
      const file = await open(path, constants.O_RDONLY);
      try {
        const info = infoOf(key, await file.stat({ bigint: true }));
        checkMatch(info, options.ifMatch);
        const { first, end } = resolveRange(options.range, info.size);
        if (first === end) {
          await file.close();
          return { info, first, length: 0, body: (async function* () {})() };
        }
        // The open file stays the version that it was, whatever is renamed over its name.
        const stream = createReadStream('', { fd: file, start: first, end: end - 1, highWaterMark: 1 << 18 });
        return { info, first, length: end - first, body: stream as AsyncIterable<Uint8Array> };
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    const path = this.#path(key, options);
    return this.#run(key, async () => infoOf(key, await stat(path, { bigint: true })));
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<void> {
    const path = this.#path(key, options);
    if (options.ifMatch !== undefined && !this.capabilities.conditionalPut)
      throw new StoreError('UNSUPPORTED', `${this.name}: no conditional writes`);
    await this.#run(key, async () => {
      const remove = async (): Promise<void> => {
        await stat(this.#root);
        await unlink(path).catch(ignoreMissing);
        if (this.#sync) await syncFolder(dirname(path)).catch(ignoreMissing);
      };
      if (options.ifMatch === undefined) return remove();
      await this.#makeFolders(path);
      await this.#locked(path, async () => {
        const info = await stat(path, { bigint: true }).catch(ignoreMissing);
        checkMatch(info && infoOf(key, info), options.ifMatch);
        await remove();
      });
    });
    for (let folder = dirname(path); folder !== this.#root; folder = dirname(folder)) await rmdir(folder).catch(() => {});
  }

  async list(options: ListOptions = {}): Promise<ListResult> {
    this.#checkOpen(options);
    const limit = checkLimit(options.limit);
    const { prefix = '', startAfter = '' } = options;
    return this.#run('list', async () => {
      const keys = (await this.#keys(this.#root, ''))
        .filter((key) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0)
        .sort(compareKeys);
      const entries: ObjectInfo[] = [];
      for (const key of keys) {
        if (entries.length === limit) return { entries, truncated: true };
        const info = await stat(join(this.#root, ...pathPieces(key)), { bigint: true }).catch(ignoreMissing);
        if (info) entries.push(infoOf(key, info));
      }
      return { entries, truncated: false };
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #keys(folder: string, begun: string): Promise<string[]> {
    const found: string[] = [];
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.startsWith('+'))
        found.push(...(await this.#keys(join(folder, entry.name), begun + entry.name.slice(1))));
      else if (entry.isFile() && entry.name.startsWith('=')) {
        const key = keyOfEscaped(begun + entry.name.slice(1));
        if (key !== null) found.push(key);
      }
    }
    return found;
  }

  async #replace(path: string, temporary: string, key: string, etag: string): Promise<void> {
    const info = await stat(path, { bigint: true }).catch(ignoreMissing);
    checkMatch(info && infoOf(key, info), etag);
    await rename(temporary, path);
  }

  async #locked(path: string, work: () => Promise<void>): Promise<void> {
    const lock = `${path}.lock`;
    for (;;) {
      const file = await open(lock, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return null;
        throw error;
      });
      if (file) {
        await file.close();
        break;
      }
      const held = await stat(lock).catch(ignoreMissing);
      if (held && Date.now() - held.mtimeMs > staleLockMs) await unlink(lock).catch(ignoreMissing);
      else await new Promise((resolve) => setTimeout(resolve, 2));
    }
    try {
      await work();
    } finally {
      await unlink(lock).catch(ignoreMissing);
    }
  }

  /** Never the directory itself: one that is gone, with its disk, must not come back empty. */
  async #makeFolders(path: string): Promise<void> {
    if (dirname(path) === this.#root) return;
    await stat(this.#root);
    await mkdir(dirname(path), { recursive: true });
  }

  #path(key: string, options: CallOptions): string {
    this.#checkOpen(options);
    checkKey(key);
    return join(this.#root, ...pathPieces(key));
  }

  #checkOpen(options: CallOptions): void {
    checkSignal(options.signal);
    if (this.#closed) throw new StoreError('UNAVAILABLE', `${this.name}: closed`);
  }

  async #run<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // Without the directory nothing is known about the object: it is not for us to say that it is missing.
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT' && (await stat(this.#root).catch(() => null)) === null;
      if (gone) throw new StoreError('NO_SUCH_BUCKET', `${this.name}: the directory is gone`, { cause: error });
      throw storeError(error, this.name, key);
    }
  }
}

/** Makes the directory if need be. */
export async function openDirectoryStore(options: DirectoryStoreOptions): Promise<DirectoryStore> {
  await mkdir(options.path, { recursive: true });
  return new DirectoryStore(options);
}

/** A replaced file has another inode or another time of change. */
function infoOf(key: string, info: { size: bigint; ino: bigint; mtimeNs: bigint }): ObjectInfo {
  const etag = `${info.ino.toString(36)}-${info.mtimeNs.toString(36)}-${info.size.toString(36)}`;
  return { key, size: Number(info.size), etag, lastModified: Number(info.mtimeNs / 1_000_000n) };
}

function checkMatch(info: ObjectInfo | undefined, etag: string | undefined): void {
  if (etag !== undefined && info?.etag !== etag) throw new StoreError('PRECONDITION_FAILED', 'the object is not the version asked for');
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function storeError(error: unknown, store: string, key: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof StoreError || code === undefined) return error;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new StoreError('NOT_FOUND', `${store}: no object ${key}`, { cause: error });
  if (code === 'EEXIST') return new StoreError('PRECONDITION_FAILED', `${store}: ${key} exists`, { cause: error });
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new StoreError('ACCESS_DENIED', `${store}: ${code}`, { cause: error });
  return new StoreError('UNAVAILABLE', `${store}: ${code}`, { cause: error, mayHaveHappened: true });
}
