/**
 * A disk's journal as a directory: `owner`, which says who has it, and a folder of NUMBER.journal files per owner.
 *
 * Taking the place, in order: (1) a new `owner` file is renamed over the old one; (2) the folders of former owners are
 * renamed, so that a former one can make no more files; (3) their files are listed. A former owner keeps its own `owner`
 * file open and sees, after each fdatasync and before it answers, that no name leads to that file any more. So either
 * its records were durable before step 1, and are found in step 3, or it answers FENCED.
 */

import { createHash, randomUUID } from 'node:crypto';
import { fstatSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BackendError } from '../../base/errors.ts';
import type { Journal } from '../disk/journal.ts';

interface OpenFile {
  handle: FileHandle;
  /** Gathered for the next write. */
  pieces: Uint8Array[];
  /** Everything handed to the file so far. */
  written: Promise<void>;
  scheduled: boolean;
}

export class FileJournal implements Journal {
  readonly id: string;
  readonly #directory: string;
  #owner: FileHandle | null = null;
  #folder = '';
  /** Files of former owners. */
  readonly #found = new Map<number, string>();
  readonly #files = new Map<number, Promise<OpenFile>>();

  private constructor(directory: string, id: string) {
    this.#directory = directory;
    this.id = id;
  }

  /** Makes the directory when needed. Its identity is kept in it, so it survives moves but not copies to other hosts. */
  static async at(directory: string): Promise<FileJournal> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const path = join(await realpath(directory), 'id');
      await writeFile(path, `${randomUUID()}\n`, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      const own = (await readFile(path, 'utf8')).trim();
      const id = createHash('sha256').update(`${hostname()}\n${own}`).digest('hex').slice(0, 32);
      return new FileJournal(directory, id);
    } catch (error) {
      throw failure(directory, error);
    }
  }

  async open(): Promise<number[]> {
    try {
      const token = randomUUID();
      const fresh = join(this.#directory, `owner.${token}`);
      this.#owner = await open(fresh, 'wx');
      await rename(fresh, join(this.#directory, 'owner'));
      await this.#syncDirectory(this.#directory);
      for (const name of await readdir(this.#directory)) {
        if (name.startsWith('files-')) await rename(join(this.#directory, name), join(this.#directory, `found-${name}`));
      }
      this.#folder = join(this.#directory, `files-${token}`);
      await mkdir(this.#folder);
      await this.#syncDirectory(this.#directory);
      await this.#findFiles();
      return [...this.#found.keys()].sort((a, b) => a - b);
    } catch (error) {
      throw failure(this.#directory, error);
    }
  }

  /** Folders that recovery has emptied go; nothing but journal files is ever in them. */
  async #findFiles(): Promise<void> {
    for (const name of await readdir(this.#directory)) {
      if (!name.startsWith('found-')) continue;
      const folder = join(this.#directory, name);
      const files = await readdir(folder);
      for (const file of files) this.#found.set(Number.parseInt(file, 10), join(folder, file));
      if (files.length === 0) await rm(folder, { recursive: true });
    }
  }

  async read(file: number): Promise<Uint8Array> {
    try {
      return await readFile(this.#found.get(file) ?? this.#path(file));
    } catch (error) {
      throw failure(this.#directory, error);
    }
  }

  async append(number: number, pieces: readonly Uint8Array[]): Promise<void> {
    let opening = this.#files.get(number);
    if (!opening) {
      opening = this.#create(number);
      this.#files.set(number, opening);
    }
    const file = await opening;
    for (const piece of pieces) {
      file.pieces.push(piece);
    }
    if (!file.scheduled) {
      file.scheduled = true;
      file.written = file.written.then(() => this.#write(file));
      file.written.catch(() => {});
    }
    await file.written;
  }

  async sync(number: number): Promise<void> {
    const opening = this.#files.get(number);
    if (opening) {
      try {
        const file = await opening;
        while (file.scheduled) await file.written;
        await file.written;
        await file.handle.datasync();
      } catch (error) {
        if (!(error instanceof BackendError && error.code === 'FENCED')) throw failure(this.#directory, error);
      }
    }
    if (!this.#owner || fstatSync(this.#owner.fd).nlink === 0) {
      throw new BackendError('FENCED', `journal ${this.#directory} has another owner now`);
    }
  }

  async remove(number: number): Promise<void> {
    const opening = this.#files.get(number);
    this.#files.delete(number);
    await rm(this.#found.get(number) ?? this.#path(number), { force: true });
    this.#found.delete(number);
    await closeFile(opening);
  }

  async close(): Promise<void> {
    for (const opening of this.#files.values()) await closeFile(opening);
    this.#files.clear();
    await this.#owner?.close();
    this.#owner = null;
  }

  async #create(number: number): Promise<OpenFile> {
    try {
      const handle = await open(this.#path(number), 'ax');
      await this.#syncDirectory(this.#folder);
      return { handle, pieces: [], written: Promise.resolve(), scheduled: false };
    } catch (error) {
      throw failure(this.#directory, error);
    }
  }

  /** All that has gathered, in one call. */
  async #write(file: OpenFile): Promise<void> {
    // Writers of the same turn of the event loop come along.
    await new Promise((resolve) => setImmediate(resolve));
    file.scheduled = false;
    const { pieces } = file;
    file.pieces = [];
    try {
      for (let at = 0; at < pieces.length; at += 512) {
        const some = pieces.slice(at, at + 512);
        const length = some.reduce((sum, piece) => sum + piece.length, 0);
        const { bytesWritten } = await file.handle.writev(some);
        if (bytesWritten !== length) throw new Error(`${bytesWritten} of ${length} bytes written, the disk may be full`);
      }
    } catch (error) {
      throw failure(this.#directory, error);
    }
  }

  #path(number: number): string {
    return join(this.#folder, `${String(number).padStart(10, '0')}.journal`);
  }

  async #syncDirectory(path: string): Promise<void> {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** A file that could not be made has told its writer so. */
async function closeFile(opening: Promise<OpenFile> | undefined): Promise<void> {
  const file = await opening?.catch(() => null);
  await file?.written.catch(() => {});
  await file?.handle.close();
}

function failure(directory: string, error: unknown): BackendError {
  if (error instanceof BackendError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  return new BackendError('JOURNAL', `journal ${directory} failed (${code ?? (error instanceof Error ? error.message : 'error')})`, {
    cause: error,
  });
}
