/**
 * What an object store does, as the array needs it of a provider and offers it itself: whole objects under flat names,
 * ranges of them, listing in order, and conditional writes where the store has them. Providers are in store/; the
 * array (array.ts) implements the same and adds copy and multipart; proxy and disk stand on this interface alone.
 *
 * Contract, checked by test/support/object-store-contract.ts:
 * 1. Keys are 1..1024 bytes of well-formed UTF-8 without U+0000, ordered by their UTF-8 bytes ({@link compareKeys}).
 * 2. A put is all or nothing: a reader sees the former object or the whole new one. A get that starts after a put has
 *    resolved sees it, or something newer, where `capabilities.consistentRead`.
 * 3. The body of a put belongs to the store until the promise settles. A body returned belongs to the caller.
 * 4. Deleting what is not there succeeds.
 * 5. Failures reject with a {@link StoreError}; `mayHaveHappened` says whether the store may have done it all the same.
 * 6. Conditions (`ifMatch`, `ifNoneMatch`) on a store without `capabilities.conditionalPut` reject with UNSUPPORTED.
 */

import { BackendError } from '../base/errors.ts';

export type StoreErrorCode =
  | 'NOT_FOUND'
  /** `ifMatch` or `ifNoneMatch` did not hold. */
  | 'PRECONDITION_FAILED'
  /** The range begins past the end. */
  | 'INVALID_RANGE'
  | 'INVALID_KEY'
  | 'TOO_LARGE'
  | 'BAD_REQUEST'
  /** Wrong key, wrong secret, or no right to do it. */
  | 'ACCESS_DENIED'
  /** The bucket, container or directory itself is missing. */
  | 'NO_SUCH_BUCKET'
  | 'NO_SUCH_UPLOAD'
  | 'UNSUPPORTED'
  /** Told to slow down. Retried. */
  | 'THROTTLED'
  /** Refused connection, server error, outage. Retried. */
  | 'UNAVAILABLE'
  | 'TIMEOUT'
  /** What came is not what was stored. */
  | 'CORRUPT'
  /** Fewer than k shares could be had (get), or fewer than q were stored (put). */
  | 'TOO_FEW_SHARES'
  /** The caller's signal. */
  | 'ABORTED';

const retryableCodes: readonly StoreErrorCode[] = ['THROTTLED', 'UNAVAILABLE', 'TIMEOUT'];

/** A failure of a store. Messages never contain secrets, signatures or signed addresses. */
export class StoreError extends BackendError {
  declare readonly code: StoreErrorCode;
  /** False: the store has certainly not changed. True: a reply was lost, and it may have. */
  readonly mayHaveHappened: boolean;
  /** How long the store asked us to wait, when it did. */
  readonly retryAfterMs: number | undefined;

  constructor(code: StoreErrorCode, message: string, options: ErrorOptions & { mayHaveHappened?: boolean; retryAfterMs?: number } = {}) {
    super(code, message, options);
    this.mayHaveHappened = options.mayHaveHappened ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Whether the same call may succeed later without any change by the caller. */
  get retryable(): boolean {
    return retryableCodes.includes(this.code);
  }
}

/** Whether `error` is a {@link StoreError} of one of these codes. */
export function isStoreError(error: unknown, ...codes: StoreErrorCode[]): error is StoreError {
  return error instanceof StoreError && (codes.length === 0 || codes.includes(error.code));
}

/** What a store can do, declared by its adapter and corrected by {@link probeStore} (probe.ts). */
export interface StoreCapabilities {
  /** Atomic create-if-absent (`ifNoneMatch: '*'`) and replace-if-unchanged (`ifMatch: etag`). Only such a store may hold a commit register. */
  conditionalPut: boolean;
  /** Ranges are served without reading the whole object. */
  rangeRead: boolean;
  /** A get, head or list sees a put that has resolved. */
  consistentRead: boolean;
  consistentList: boolean;
  /** `metadata` and `contentType` are kept. */
  metadata: boolean;
  /** Bytes in one object. */
  maxObjectBytes: number;
}

export interface ObjectInfo {
  key: string;
  size: number;
  /** Opaque, without quotes; changes with every put. */
  etag: string;
  /** Milliseconds since 1970, by the store's clock. */
  lastModified: number;
  /** Absent unless the store keeps metadata. */
  contentType?: string;
  metadata?: Record<string, string>;
}

/** Bytes `first` to before `end` (to the end of the object when absent or past it); or the last `suffix` bytes. */
export type ByteRange = { first: number; end?: number } | { suffix: number };

export interface CallOptions {
  /** Ends the call with ABORTED. */
  signal?: AbortSignal;
}

export interface PutOptions extends CallOptions {
  /** Only create: PRECONDITION_FAILED when the key exists. */
  ifNoneMatch?: '*';
  /** Only replace the object with this etag: PRECONDITION_FAILED otherwise, also when it is missing. */
  ifMatch?: string;
  contentType?: string;
  metadata?: Record<string, string>;
  /** Array only: the etag to give the object, asked for after the body was read; by default made up. */
  etag?: () => string;
}

export interface GetOptions extends CallOptions {
  range?: ByteRange;
  /** PRECONDITION_FAILED unless the object has this etag. */
  ifMatch?: string;
}

export interface DeleteOptions extends CallOptions {
  /** Only on stores with `conditionalPut`: PRECONDITION_FAILED unless the object has this etag. */
  ifMatch?: string;
}

export interface GetResult {
  info: ObjectInfo;
  /** Where `body` begins in the object; 0 for a whole get. `info.size` is the size of the whole object. */
  first: number;
  body: Uint8Array;
}

export interface GetStream {
  info: ObjectInfo;
  first: number;
  /** Bytes that the stream will give. */
  length: number;
  body: AsyncIterable<Uint8Array>;
}

export interface ListOptions extends CallOptions {
  prefix?: string;
  /** Only keys after this one. */
  startAfter?: string;
  /** At most so many entries, 1..1000; default 1000. */
  limit?: number;
}

export interface ListResult {
  /** In the order of {@link compareKeys}. */
  entries: ObjectInfo[];
  /** There is more after the last entry. */
  truncated: boolean;
}

export type ObjectBody = Uint8Array | AsyncIterable<Uint8Array>;

export interface ObjectStore {
  /** For messages: `s3 eu-west-1/bucket`, `dir /srv/a`. */
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo>;
  get(key: string, options?: GetOptions): Promise<GetResult>;
  /** As get, in pieces: memory stays bounded when the store can do so. Condition and absence reject before the stream is returned. */
  getStream(key: string, options?: GetOptions): Promise<GetStream>;
  head(key: string, options?: CallOptions): Promise<ObjectInfo>;
  delete(key: string, options?: DeleteOptions): Promise<void>;
  list(options?: ListOptions): Promise<ListResult>;
  /** Gives back connections and background work. Calls afterwards are refused with UNAVAILABLE. */
  close(): Promise<void>;
}

/** Time as stores and array see it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`, or at once when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Chance as stores and array see it: jitter, names. */
export interface Chance {
  /** In [0, 1). */
  fraction(): number;
  bytes(count: number): Uint8Array;
}

/** Order of keys: by their UTF-8 bytes, which is by code points (UTF-16 order differs above U+FFFF). */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    // A surrogate stands for a code point above all that have one unit.
    if (x !== y) return ((x & 0xf800) === 0xd800) !== ((y & 0xf800) === 0xd800) ? ((x & 0xf800) === 0xd800 ? 1 : -1) : x - y;
  }
  return a.length - b.length;
}

/** @throws {StoreError} INVALID_KEY when no store could keep such a key. */
export function checkKey(key: string): void {
  const why =
    key.length === 0
      ? 'is empty'
      : !key.isWellFormed()
        ? 'is not well-formed Unicode'
        : key.includes('\0')
          ? 'contains U+0000'
          : new TextEncoder().encode(key).length > 1024
            ? 'is longer than 1024 bytes'
            : null;
  if (why) throw new StoreError('INVALID_KEY', `object name ${JSON.stringify(key.slice(0, 60))} ${why}`);
}

/** The range as offsets into an object of `size` bytes. @throws {StoreError} INVALID_RANGE when it begins past the end or is empty. */
export function resolveRange(range: ByteRange | undefined, size: number): { first: number; end: number } {
  if (!range) return { first: 0, end: size };
  const first = 'suffix' in range ? Math.max(0, size - range.suffix) : range.first;
  const end = 'suffix' in range ? size : Math.min(size, range.end ?? size);
  const whole = Number.isSafeInteger(first) && Number.isSafeInteger(end);
  if (!whole || first < 0 || first >= end)
    throw new StoreError('INVALID_RANGE', `range ${JSON.stringify(range)} of an object of ${size} bytes`);
  return { first, end };
}

/** @throws {StoreError} BAD_REQUEST */
export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return 1000;
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw new StoreError('BAD_REQUEST', `list limit ${limit} is not in 1..1000`);
  return limit;
}

/** @throws {StoreError} ABORTED */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new StoreError('ABORTED', 'the caller gave up');
}

/** The whole of a body, without a copy when it is one piece. */
export async function bodyBytes(body: ObjectBody, maxBytes = Number.MAX_SAFE_INTEGER): Promise<Uint8Array> {
  if (body instanceof Uint8Array) {
    if (body.length > maxBytes) throw new StoreError('TOO_LARGE', `${body.length} bytes, but the store takes ${maxBytes}`);
    return body;
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    size += piece.length;
    if (size > maxBytes) throw new StoreError('TOO_LARGE', `more than ${maxBytes} bytes, which is what the store takes`);
    pieces.push(piece);
  }
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A stream's bytes when their number is known. @throws {StoreError} UNAVAILABLE when there are fewer or more */
export async function streamBytes({ body, length }: Pick<GetStream, 'body' | 'length'>, what: string): Promise<Uint8Array> {
  const whole = new Uint8Array(length);
  let at = 0;
  for await (const piece of body) {
    if (at + piece.length > length) throw new StoreError('UNAVAILABLE', `${what} came longer than announced`);
    whole.set(piece, at);
    at += piece.length;
  }
  if (at !== length) throw new StoreError('UNAVAILABLE', `${what} came cut short`);
  return whole;
}

/** A stream of one piece, for stores that read whole. */
export function streamOf({ info, first, body }: GetResult): GetStream {
  return {
    info,
    first,
    length: body.length,
    body: (async function* () {
      yield body;
    })(),
  };
}
