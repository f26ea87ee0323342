/**
 * An Azure Blob container as a store, with SharedKey. Blobs are put whole (Put Blob, up to 5000 MiB); conditions are
 * ETags, atomic by the service.
 * List Blobs has no start-after: the marker of a page is remembered for the page that usually follows; without one, the
 * list is read from its beginning.
 * Sources: Azure Storage REST API, "Authorize with Shared Key", "Put Blob", "Get Blob", "Delete Blob", "List Blobs",
 * "Specifying conditional headers for Blob service operations".
 */

import { createHmac } from 'node:crypto';
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
import { escapeComponent, escapePath, extentOf, HttpClient, type HttpResponse, rangeHeader, statusError, unquote } from './http-client.ts';
import { childText, descendants, parseXml } from './xml.ts';

const apiVersion = '2021-08-06';
const keptMarkers = 64;

export interface AzureStoreOptions {
  /** `https://ACCOUNT.blob.core.windows.net`, or `http://127.0.0.1:10000/ACCOUNT` for an emulator. */
  endpoint: string;
  account: string;
  /** Base64. */
  accountKey: string;
  container: string;
  prefix?: string;
  connections?: number;
  now?: () => number;
}

export class AzureStore implements ObjectStore {
  readonly name: string;
  readonly capabilities: StoreCapabilities = {
    ...{ conditionalPut: true, rangeRead: true, consistentRead: true, consistentList: true, metadata: false },
    maxObjectBytes: 5000 * 2 ** 20,
  };
  readonly #options: AzureStoreOptions;
  readonly #client: HttpClient;
  readonly #base: string;
  readonly #prefix: string;
  readonly #markers = new Map<string, string>();

  constructor(options: AzureStoreOptions) {
    this.#options = options;
    this.name = `azure ${options.container}`;
    this.#client = new HttpClient(
      this.name,
      options.endpoint,
      options.connections === undefined ? {} : { connections: options.connections },
    );
    this.#base = `${this.#client.origin.pathname.replace(/\/$/, '')}/${options.container}`;
    this.#prefix = options.prefix ?? '';
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    const bytes = await bodyBytes(body, this.capabilities.maxObjectBytes);
    const headers = {
      ...{ 'x-ms-blob-type': 'BlockBlob', 'content-type': 'application/octet-stream' },
      ...(options.ifNoneMatch && { 'if-none-match': '*' }),
      ...(options.ifMatch !== undefined && { 'if-match': `"${options.ifMatch}"` }),
    };
    const response = await this.#send('PUT', key, { headers, body: bytes, ...options });
    await this.#expect(response, [201], true);
    await response.bytes();
    return {
      key,
      size: bytes.length,
      etag: unquote(response.headers.etag),
      lastModified: Date.parse(response.headers['last-modified'] ?? '') || 0,
    };
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    const stream = await this.getStream(key, options);
    return { info: stream.info, first: stream.first, body: await streamBytes(stream, `${this.name}: ${key}`) };
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    this.#check(key, options);
    let range = options.range;
    if (range && 'suffix' in range) {
      // Blob ranges have no suffix form.
      const { size } = await this.head(key, options.signal ? { signal: options.signal } : {});
      range = { first: Math.max(0, size - range.suffix) };
    }
    const condition: Record<string, string> = options.ifMatch === undefined ? {} : { 'if-match': `"${options.ifMatch}"` };
    const response = await this.#send('GET', key, { headers: { ...rangeHeader(range), ...condition }, ...options });
    await this.#expect(response, [200, 206], false);
    const { first, size, length } = extentOf(response.headers);
    if (range && 'first' in range && range.first >= size) {
      // An emulator answers with nothing where the service says 416.
      await response.bytes();
      throw new StoreError('INVALID_RANGE', `${this.name}: range of ${key} begins past its end`);
    }
    return { info: { ...this.#info(key, response), size }, first, length, body: response.stream };
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    const response = await this.#send('HEAD', key, options);
    await this.#expect(response, [200], false);
    await response.bytes();
    return this.#info(key, response);
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<void> {
    this.#check(key, options);
    const headers: Record<string, string> = options.ifMatch === undefined ? {} : { 'if-match': `"${options.ifMatch}"` };
    const response = await this.#send('DELETE', key, { headers, ...options });
    await this.#expect(response, options.ifMatch === undefined ? [202, 404] : [202], true);
    await response.bytes();
  }

  async list(options: ListOptions = {}): Promise<ListResult> {
    checkSignal(options.signal);
    const limit = checkLimit(options.limit);
    const prefix = this.#prefix + (options.prefix ?? '');
    const startAfter = options.startAfter ?? '';
    const entries: ObjectInfo[] = [];
    for (let marker = this.#markers.get(`${prefix}\0${startAfter}`); ; ) {
      const query: Record<string, string> = {
        comp: 'list',
        restype: 'container',
        prefix,
        maxresults: startAfter && !marker ? '5000' : String(limit + 1),
      };
      if (marker) query.marker = marker;
      const response = await this.#send('GET', '', { query, ...(options.signal && { signal: options.signal }) });
      await this.#expect(response, [200], false);
      const result = parseXml(await response.text());
      for (const item of descendants(result, 'Blob')) {
        const properties = item.children.find(({ name }) => name === 'Properties');
        const key = (childText(item, 'Name') ?? '').slice(this.#prefix.length);
        if (startAfter && compareKeys(key, startAfter) <= 0) continue;
        if (entries.length === limit) return { entries, truncated: true };
        entries.push({
          ...{ key, size: Number(childText(properties, 'Content-Length')), etag: unquote(childText(properties, 'Etag')) },
          lastModified: Date.parse(childText(properties, 'Last-Modified') ?? ''),
        });
      }
      marker = childText(result, 'NextMarker') || undefined;
      if (!marker) return { entries, truncated: false };
      if (entries.length > 0) this.#remember(`${prefix}\0${entries.at(-1)!.key}`, marker);
    }
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  /** Makes the container; it may exist already. */
  async createContainer(): Promise<void> {
    const response = await this.#send('PUT', '', { query: { restype: 'container' } });
    await response.bytes();
    if (response.status !== 201 && response.status !== 409) throw statusError(this.name, response.status, '', true);
  }

  #remember(position: string, marker: string): void {
    this.#markers.set(position, marker);
    if (this.#markers.size > keptMarkers) this.#markers.delete(this.#markers.keys().next().value!);
  }

  #send(
    method: string,
    key: string,
    options: { headers?: Record<string, string>; query?: Record<string, string>; body?: Uint8Array; signal?: AbortSignal },
  ): Promise<HttpResponse> {
    const { query = {}, body, signal } = options;
    const path = key ? `${this.#base}/${escapePath(this.#prefix + key)}` : this.#base;
    const headers: Record<string, string> = {
      ...options.headers,
      ...{ 'x-ms-date': new Date((this.#options.now ?? Date.now)()).toUTCString(), 'x-ms-version': apiVersion },
    };
    headers.authorization = this.#authorization(method, path, query, headers, body?.length ?? 0);
    const search = Object.entries(query).map(([name, value]) => `${name}=${escapeComponent(value)}`);
    return this.#client.request({
      method,
      path: search.length > 0 ? `${path}?${search.join('&')}` : path,
      headers,
      ...(body && { body }),
      signal,
    });
  }

  #authorization(method: string, path: string, query: Record<string, string>, headers: Record<string, string>, length: number): string {
    const of = (name: string): string => headers[name] ?? '';
    const ms = Object.keys(headers)
      .filter((name) => name.startsWith('x-ms-'))
      .sort();
    const toSign = [
      ...[
        method,
        '',
        '',
        length === 0 ? '' : String(length),
        '',
        of('content-type'),
        '',
        '',
        of('if-match'),
        of('if-none-match'),
        '',
        of('range'),
      ],
      ...ms.map((name) => `${name}:${headers[name]}`),
      `/${this.#options.account}${path}`,
      ...Object.keys(query)
        .sort()
        .map((name) => `${name}:${query[name]}`),
    ].join('\n');
    const signature = createHmac('sha256', Buffer.from(this.#options.accountKey, 'base64')).update(toSign).digest('base64');
    return `SharedKey ${this.#options.account}:${signature}`;
  }

  async #expect(response: HttpResponse, statuses: number[], changes: boolean): Promise<void> {
    if (statuses.includes(response.status)) return;
    await response.bytes();
    const code = String(response.headers['x-ms-error-code'] ?? '').slice(0, 80);
    if (code === 'ContainerNotFound') throw new StoreError('NO_SUCH_BUCKET', `${this.name}: no such container`);
    if (response.status === 409 && code === 'BlobAlreadyExists') throw new StoreError('PRECONDITION_FAILED', `${this.name}: blob exists`);
    if (response.status === 404 && changes) throw new StoreError('PRECONDITION_FAILED', `${this.name}: 404 ${code}`);
    if (response.status === 503 || code === 'ServerBusy') throw new StoreError('THROTTLED', `${this.name}: ${code}`);
    throw statusError(this.name, response.status, code, changes, response.headers);
  }

  #info(key: string, { headers }: HttpResponse): ObjectInfo {
    return {
      key,
      size: extentOf(headers).size,
      etag: unquote(headers.etag),
      lastModified: Date.parse(headers['last-modified'] ?? '') || 0,
    };
  }

  #check(key: string, options: CallOptions): void {
    checkKey(key);
    checkSignal(options.signal);
  }
}
