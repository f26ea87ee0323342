/**
 * An S3 bucket as a store, in SigV4 over {@link HttpClient}. What servers do differently is data ({@link s3Dialects});
 * what decides about safety (conditional writes) is probed before it is believed (probe.ts).
 * Source: Amazon S3 API Reference, PutObject, GetObject, HeadObject, DeleteObject, ListObjectsV2, "Error responses".
 */

import {
  bodyBytes,
  type CallOptions,
  checkKey,
  checkLimit,
  checkSignal,
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
import { canonicalQuery, type S3Credentials, sha256Hex, signV4 } from './sigv4.ts';
import { childText, descendants, parseXml } from './xml.ts';

export interface S3Dialect {
  /** How If-Match wants the etag; null: no conditional writes. */
  ifMatch: 'quoted' | 'plain' | null;
  /** Bucket in the path, or before the host name. */
  style: 'path' | 'virtual';
  /** DeleteObject takes If-Match. Otherwise a conditional delete is refused as unsupported. */
  conditionalDelete: boolean;
}

/** As found by tests, or said by the maker's documentation. A probe decides where it matters. */
export const s3Dialects = {
  aws: { ifMatch: 'quoted', style: 'virtual', conditionalDelete: true },
  // RGW compares If-Match of a put with the bare etag: with quotes it answers 412 always.
  ceph: { ifMatch: 'plain', style: 'path', conditionalDelete: false },
  minio: { ifMatch: 'quoted', style: 'path', conditionalDelete: false },
  r2: { ifMatch: 'quoted', style: 'path', conditionalDelete: false },
  b2: { ifMatch: null, style: 'path', conditionalDelete: false },
  // Swift's s3api answers 501 to conditions on a put; s3rver ignores them and overwrites.
  swift: { ifMatch: null, style: 'path', conditionalDelete: false },
  generic: { ifMatch: null, style: 'path', conditionalDelete: false },
} as const satisfies Record<string, S3Dialect>;

export interface S3StoreOptions {
  endpoint: string;
  bucket: string;
  region?: string;
  credentials: S3Credentials;
  dialect?: keyof typeof s3Dialects | S3Dialect;
  /** Put before all keys. */
  prefix?: string;
  /** Hash payloads for the signature. Default: only without TLS. */
  signPayload?: boolean;
  connections?: number;
  now?: () => number;
}

/** AWS answers 409 when two conditional writes meet: the same as 412 for us, since nothing was written. */
const conflictCodes = ['ConditionalRequestConflict', 'OperationAborted'];

export class S3Store implements ObjectStore {
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  readonly dialect: S3Dialect;
  readonly #options: S3StoreOptions;
  readonly #client: HttpClient;
  readonly #host: string;
  readonly #base: string;
  readonly #prefix: string;

  constructor(options: S3StoreOptions) {
    this.#options = options;
    const { dialect = 'generic' } = options;
    this.dialect = typeof dialect === 'string' ? s3Dialects[dialect] : dialect;
    this.name = `s3 ${options.bucket}`;
    this.#client = new HttpClient(
      this.name,
      options.endpoint,
      options.connections === undefined ? {} : { connections: options.connections },
    );
    const { hostname, host } = this.#client.origin;
    const virtual = this.dialect.style === 'virtual';
    this.#host = virtual ? `${options.bucket}.${host}` : host;
    this.#base = virtual ? '' : `/${escapeComponent(options.bucket)}`;
    this.#prefix = options.prefix ?? '';
    this.#hostname = virtual ? `${options.bucket}.${hostname}` : hostname;
    this.capabilities = {
      ...{ conditionalPut: this.dialect.ifMatch !== null, rangeRead: true, consistentRead: true, consistentList: true, metadata: false },
      maxObjectBytes: 5 * 2 ** 30,
    };
  }

  readonly #hostname: string;

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    this.#check(key, options);
    const conditions = this.#conditions(options.ifMatch, options.ifNoneMatch);
    const bytes = await bodyBytes(body, this.capabilities.maxObjectBytes);
    const response = await this.#send('PUT', key, {
      headers: { 'content-type': 'application/octet-stream', ...conditions },
      body: bytes,
      ...options,
    });
    await this.#expect(response, [200], true);
    await response.bytes();
    const modified = Date.parse(response.headers['last-modified'] ?? response.headers.date ?? '');
    return { key, size: bytes.length, etag: unquote(response.headers.etag), lastModified: Number.isNaN(modified) ? Date.now() : modified };
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    const stream = await this.getStream(key, options);
    return { info: stream.info, first: stream.first, body: await streamBytes(stream, `${this.name}: ${key}`) };
  }

  async getStream(key: string, options: GetOptions = {}): Promise<GetStream> {
    this.#check(key, options);
    const condition: Record<string, string> = options.ifMatch === undefined ? {} : { 'if-match': `"${options.ifMatch}"` };
    const response = await this.#send('GET', key, { headers: { ...rangeHeader(options.range), ...condition }, ...options });
    await this.#expect(response, [200, 206], false);
    const { first, size, length } = extentOf(response.headers);
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
    if (options.ifMatch !== undefined && !this.dialect.conditionalDelete)
      throw new StoreError('UNSUPPORTED', `${this.name}: no conditional delete`);
    const headers = this.#conditions(options.ifMatch, undefined);
    const response = await this.#send('DELETE', key, { headers, ...options });
    await this.#expect(response, [200, 204, 404], true);
    await response.bytes();
  }

  async list(options: ListOptions = {}): Promise<ListResult> {
    checkSignal(options.signal);
    const limit = checkLimit(options.limit);
    const entries: ObjectInfo[] = [];
    for (let token: string | undefined; ; ) {
      const query: Record<string, string> = { 'list-type': '2', 'encoding-type': 'url', 'max-keys': String(limit - entries.length) };
      query.prefix = this.#prefix + (options.prefix ?? '');
      if (token !== undefined) query['continuation-token'] = token;
      else if (options.startAfter) query['start-after'] = this.#prefix + options.startAfter;
      const response = await this.#send('GET', '', { query, ...(options.signal && { signal: options.signal }) });
      await this.#expect(response, [200], false);
      const result = parseXml(await response.text());
      const escaped = childText(result, 'EncodingType') === 'url';
      for (const item of descendants(result, 'Contents')) {
        const name = childText(item, 'Key') ?? '';
        entries.push({
          key: (escaped ? decodeURIComponent(name.replace(/\+/g, ' ')) : name).slice(this.#prefix.length),
          size: Number(childText(item, 'Size')),
          etag: unquote(childText(item, 'ETag')),
          lastModified: Date.parse(childText(item, 'LastModified') ?? ''),
        });
      }
      token = childText(result, 'NextContinuationToken');
      const truncated = childText(result, 'IsTruncated') === 'true';
      if (!truncated || entries.length >= limit || token === undefined) return { entries, truncated };
    }
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  /** Makes the bucket; it may exist already. */
  async createBucket(): Promise<void> {
    const response = await this.#send('PUT', null, {});
    const text = await response.text();
    if (response.status !== 200 && !/BucketAlreadyOwnedByYou|BucketAlreadyExists/.test(text))
      throw statusError(this.name, response.status, '', true);
  }

  #conditions(ifMatch: string | undefined, ifNoneMatch: string | undefined): Record<string, string> {
    if (ifMatch === undefined && ifNoneMatch === undefined) return {};
    if (this.dialect.ifMatch === null || !this.capabilities.conditionalPut)
      throw new StoreError('UNSUPPORTED', `${this.name}: no conditional writes`);
    if (ifMatch === undefined) return { 'if-none-match': '*' };
    return { 'if-match': this.dialect.ifMatch === 'quoted' ? `"${ifMatch}"` : ifMatch };
  }

  /** `key` null is the bucket itself, '' its list. */
  #send(
    method: string,
    key: string | null,
    options: { headers?: Record<string, string>; query?: Record<string, string>; body?: Uint8Array; signal?: AbortSignal },
  ): Promise<HttpResponse> {
    const { headers = {}, query = {}, body, signal } = options;
    const path = key ? `${this.#base}/${escapePath(this.#prefix + key)}` : `${this.#base}/`;
    const signPayload = this.#options.signPayload ?? this.#client.origin.protocol === 'http:';
    const payloadHash = body && !signPayload ? 'UNSIGNED-PAYLOAD' : sha256Hex(body ?? '');
    const signed = signV4(
      {
        method,
        host: this.#host,
        path,
        query,
        headers,
        payloadHash,
        region: this.#options.region ?? 'us-east-1',
        time: (this.#options.now ?? Date.now)(),
      },
      this.#options.credentials,
      escapeComponent,
    );
    const search = canonicalQuery(query, escapeComponent);
    return this.#client.request(
      { method, path: search ? `${path}?${search}` : path, headers: signed, ...(body && { body }), signal },
      this.#hostname,
    );
  }

  async #expect(response: HttpResponse, statuses: number[], changes: boolean): Promise<void> {
    if (statuses.includes(response.status)) return;
    const text = await response.text();
    const code = /<Code>([^<]{1,80})<\/Code>/.exec(text)?.[1] ?? '';
    if (code === 'NoSuchBucket') throw new StoreError('NO_SUCH_BUCKET', `${this.name}: no such bucket`);
    if (response.status === 409 && conflictCodes.includes(code)) throw new StoreError('PRECONDITION_FAILED', `${this.name}: 409 ${code}`);
    if (code === 'SlowDown' || code === 'RequestLimitExceeded') throw new StoreError('THROTTLED', `${this.name}: ${code}`);
    // A conditional put of a missing object: AWS says 404, others 412.
    if (response.status === 404 && changes) throw new StoreError('PRECONDITION_FAILED', `${this.name}: 404 ${code}`);
    throw statusError(this.name, response.status, code, changes, response.headers);
  }

  #info(key: string, { headers }: HttpResponse): ObjectInfo {
    const { size } = extentOf(headers);
    return { key, size, etag: unquote(headers.etag), lastModified: Date.parse(headers['last-modified'] ?? '') || 0 };
  }

  #check(key: string, options: CallOptions): void {
    checkKey(key);
    checkSignal(options.signal);
  }
}
