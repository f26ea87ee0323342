/**
 * A WebDAV collection as a store. A put goes to a name of its own and is moved over its place, so that no reader sees
 * half of it; there are no conditional writes that servers agree on. Names are those of file-names.ts, since servers
 * differ in what they make of dots and slashes.
 * Sources: RFC 4918 §9.1 PROPFIND, §9.3 MKCOL, §9.9 MOVE, §10 headers; RFC 9110 §14 ranges.
 */

import { randomUUID } from 'node:crypto';
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
  type StoreCapabilities,
  StoreError,
  streamBytes,
} from '../object-store.ts';
import { keyOfEscaped, pathPieces } from './file-names.ts';
import { escapeComponent, extentOf, HttpClient, type HttpResponse, rangeHeader, statusError, unquote } from './http-client.ts';
import { childText, descendants, parseXml } from './xml.ts';

export interface WebDavStoreOptions {
  /** Address of the collection. */
  endpoint: string;
  user?: string;
  password?: string;
  connections?: number;
}

export class WebDavStore implements ObjectStore {
  readonly name: string;
  readonly capabilities: StoreCapabilities = {
    ...{ conditionalPut: false, rangeRead: true, consistentRead: true, consistentList: true, metadata: false },
    maxObjectBytes: 2 ** 31 - 1,
  };
  readonly #client: HttpClient;
  readonly #base: string;
  readonly #authorization: Record<string, string>;
  /** Folders known to exist. */
  readonly #folders = new Set<string>();

  constructor({ endpoint, user, password, connections }: WebDavStoreOptions) {
    this.#client = new HttpClient('webdav', endpoint, connections === undefined ? {} : { connections });
    this.name = `webdav ${this.#client.origin.host}${this.#client.origin.pathname}`;
    this.#base = this.#client.origin.pathname.replace(/\/$/, '');
    this.#authorization =
      user === undefined ? {} : { authorization: `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}` };
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    if (options.ifMatch !== undefined || options.ifNoneMatch) throw new StoreError('UNSUPPORTED', `${this.name}: no conditional writes`);
    const bytes = await bodyBytes(body, this.capabilities.maxObjectBytes);
    const path = this.#path(key);
    await this.#makeFolders(key, options);
    const temporary = `${path}.tmp-${randomUUID()}`;
    const stored = await this.#send('PUT', temporary, { body: bytes, ...options });
    await this.#expect(stored, [200, 201, 204], true);
    await stored.bytes();
    const destination = this.#client.origin.origin + path;
    const moved = await this.#send('MOVE', temporary, { headers: { destination, overwrite: 'T' }, ...options });
    await this.#expect(moved, [201, 204], true);
    await moved.bytes();
    return this.head(key, options.signal ? { signal: options.signal } : {});
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    const stream = await this.getStream(key, options);
    return { info: stream.info, first: stream.first, body: await streamBytes(stream, `${this.name}: ${key}`) };
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    this.#check(key, options);
    if (options.range && 'suffix' in options.range) {
      const { size } = await this.head(key, options.signal ? { signal: options.signal } : {});
      return this.getStream(key, { ...options, range: { first: Math.max(0, size - options.range.suffix) } });
    }
    const response = await this.#send('GET', this.#path(key), { headers: rangeHeader(options.range), ...options });
    await this.#expect(response, [200, 206], false);
    const { first, size, length } = extentOf(response.headers);
    const info = { ...this.#info(key, response), size };
    // Servers differ in If-Match on a get; what came is what counts.
    const wrong = options.ifMatch !== undefined && options.ifMatch !== info.etag ? 'PRECONDITION_FAILED' : null;
    const ignored =
      options.range && 'first' in options.range && response.status === 200 && options.range.first >= size ? 'INVALID_RANGE' : null;
    if (wrong || ignored) {
      await response.bytes();
      throw new StoreError(wrong ?? 'INVALID_RANGE', `${this.name}: ${key}`);
    }
    return { info, first, length, body: response.stream };
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    const response = await this.#send('HEAD', this.#path(key), options);
    await this.#expect(response, [200], false);
    await response.bytes();
    return this.#info(key, response);
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<void> {
    this.#check(key, options);
    if (options.ifMatch !== undefined) throw new StoreError('UNSUPPORTED', `${this.name}: no conditional writes`);
    const response = await this.#send('DELETE', this.#path(key), options);
    await this.#expect(response, [200, 204, 404], true);
    await response.bytes();
  }

  async list(options: ListOptions = {}): Promise<ListResult> {
    checkSignal(options.signal);
    const limit = checkLimit(options.limit);
    const { prefix = '', startAfter = '' } = options;
    const all = await this.#listFolder('', '', options);
    const wanted = all
      .filter(({ key }) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0)
      .sort((a, b) => compareKeys(a.key, b.key));
    return { entries: wanted.slice(0, limit), truncated: wanted.length > limit };
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  /** Makes the collection itself; it may exist already. */
  async createCollection(): Promise<void> {
    const response = await this.#send('MKCOL', `${this.#base}/`, {});
    await this.#expect(response, [201, 405], true);
    await response.bytes();
  }

  async #listFolder(folder: string, begun: string, options: CallOptions): Promise<ObjectInfo[]> {
    const response = await this.#send('PROPFIND', `${this.#base}${folder}/`, { headers: { depth: '1' }, ...options });
    await this.#expect(response, [207], false);
    const found: ObjectInfo[] = [];
    for (const item of descendants(parseXml(await response.text()), 'response')) {
      const path = new URL(childText(item, 'href') ?? '', this.#client.origin).pathname.replace(/\/$/, '');
      const name = decodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
      // The folder itself is in its own list.
      if (decodeURIComponent(path) === decodeURIComponent(`${this.#base}${folder}`)) continue;
      const isFolder = descendants(item, 'collection').length > 0;
      if (isFolder && name.startsWith('+'))
        found.push(...(await this.#listFolder(`${folder}/${escapeComponent(name)}`, begun + name.slice(1), options)));
      else if (!isFolder && name.startsWith('=')) {
        const key = keyOfEscaped(begun + name.slice(1));
        if (key === null) continue;
        const property = (wanted: string): string => descendants(item, wanted)[0]?.text ?? '';
        const [size, modified] = [Number(property('getcontentlength')), Date.parse(property('getlastmodified')) || 0];
        found.push({ key, size, etag: unquote(property('getetag')) || `${modified}-${size}`, lastModified: modified });
      }
    }
    return found;
  }

  async #makeFolders(key: string, options: CallOptions): Promise<void> {
    let folder = this.#base;
    for (const piece of pathPieces(key).slice(0, -1)) {
      folder += `/${escapeComponent(piece)}`;
      if (this.#folders.has(folder)) continue;
      const response = await this.#send('MKCOL', `${folder}/`, options);
      await this.#expect(response, [201, 405], true);
      await response.bytes();
      this.#folders.add(folder);
    }
  }

  #send(
    method: string,
    path: string,
    options: { headers?: Record<string, string>; body?: Uint8Array; signal?: AbortSignal },
  ): Promise<HttpResponse> {
    const { headers = {}, body, signal } = options;
    return this.#client.request({ method, path, headers: { ...this.#authorization, ...headers }, ...(body && { body }), signal });
  }

  async #expect(response: HttpResponse, statuses: number[], changes: boolean): Promise<void> {
    if (statuses.includes(response.status)) return;
    await response.bytes();
    // RFC 4918 §9.7.1: a folder on the way is missing.
    if (response.status === 409 && changes) throw new StoreError('NO_SUCH_BUCKET', `${this.name}: the collection is missing`);
    throw statusError(this.name, response.status, '', changes, response.headers);
  }

  #info(key: string, { headers }: HttpResponse): ObjectInfo {
    const { size } = extentOf(headers);
    const modified = Date.parse(headers['last-modified'] ?? '') || 0;
    return { key, size, etag: unquote(headers.etag) || `${modified}-${size}`, lastModified: modified };
  }

  #path(key: string): string {
    return `${this.#base}/${pathPieces(key).map(escapeComponent).join('/')}`;
  }

  #check(key: string, options: CallOptions): void {
    checkKey(key);
    checkSignal(options.signal);
  }
}
