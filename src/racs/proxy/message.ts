/** Requests and responses of the proxy as plain data, and the hashes that it needs from its host. */

export interface HttpRequest {
  method: string;
  /** As sent: escaped, without the query. */
  path: string;
  /** As sent, without the question mark. */
  query: string;
  /** Lower-case names. Repeated headers are joined by commas. */
  headers: ReadonlyMap<string, string>;
  body: AsyncIterable<Uint8Array>;
}

export interface HttpResponse {
  status: number;
  headers: Record<string, string>;
  /** Absent: no body. */
  body?: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface RunningHash {
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
}

export type HashName = 'sha256' | 'sha1' | 'md5';

export interface Hashing {
  hash(name: HashName): RunningHash;
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export function digestOf(hashing: Hashing, name: HashName, bytes: Uint8Array): Uint8Array {
  const running = hashing.hash(name);
  running.update(bytes);
  return running.digest();
}
