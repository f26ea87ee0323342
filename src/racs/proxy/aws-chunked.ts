/**
 * Takes the aws-chunked transfer form off a body: chunks with their own lengths, perhaps each signed in a chain that
 * begins with the request's signature, perhaps with trailing headers. A piece is given on only when the signature of its
 * chunk was right.
 * Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in
 * Multiple Chunks", "... Including Trailing Headers".
 */

import { hexOfBytes } from '../../base/integer.ts';
import { ByteQueue } from '../nbd/byte-queue.ts';
import { digestOf, type Hashing, utf8 } from './message.ts';
import { S3Error } from './s3-error.ts';
import { equalInConstantTime, type SignatureChain } from './signature.ts';

export interface ChunkedForm {
  signed: boolean;
  trailer: boolean;
}

/** The form that x-amz-content-sha256 names, or null for a body that is sent as it is. */
export function chunkedForm(payload: string): ChunkedForm | null {
  switch (payload) {
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { signed: true, trailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { signed: true, trailer: true };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { signed: false, trailer: true };
    default:
      return null;
  }
}

/** S3 takes chunks of any size; a signed one must be held until its end. */
const maxChunkBytes = 16 * 1024 * 1024;
const maxLineBytes = 8192;

/** @param onTrailer told of each trailing header, after its signature was right. */
export async function* decodeChunked(
  body: AsyncIterable<Uint8Array>,
  form: ChunkedForm,
  chain: SignatureChain,
  hashing: Hashing,
  onTrailer: (name: string, value: string) => void,
): AsyncGenerator<Uint8Array> {
  const source = new Source(body);
  let previous = chain.seed;
  const sign = (kind: string, ...hashes: string[]): string =>
    hexOfBytes(
      hashing.hmacSha256(chain.signingKey, utf8([`AWS4-HMAC-SHA256-${kind}`, chain.date, chain.scope, previous, ...hashes].join('\n'))),
    );
  const sha256 = (bytes: Uint8Array): string => hexOfBytes(digestOf(hashing, 'sha256', bytes));
  const check = (expected: string, given: string | undefined): void => {
    if (!equalInConstantTime(expected, given ?? ''))
      throw new S3Error('SignatureDoesNotMatch', 'A chunk has another signature than its data.');
    previous = expected;
  };
  for (;;) {
    const match = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(await source.line());
    if (!match) throw new S3Error('InvalidRequest', 'The body is not in the aws-chunked form that it claims.');
    const length = Number.parseInt(match[1]!, 16);
    if (length > maxChunkBytes) throw new S3Error('EntityTooLarge', `A chunk has more than ${maxChunkBytes} bytes`);
    const data = await source.take(length);
    if (form.signed) check(sign('PAYLOAD', sha256(new Uint8Array(0)), sha256(data)), match[2]);
    if (length === 0) break;
    if ((await source.line()) !== '') throw new S3Error('IncompleteBody', 'A chunk is longer than it says.');
    yield data;
  }
  const trailers: [string, string][] = [];
  for (let line = await source.lineOrEnd(); line !== null && line !== ''; line = await source.lineOrEnd()) {
    const at = line.indexOf(':');
    if (at < 1 || trailers.length > 16) throw new S3Error('InvalidRequest', 'A trailing header is malformed.');
    trailers.push([line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()]);
  }
  const given = trailers.filter(([name]) => name !== 'x-amz-trailer-signature');
  if (form.signed && form.trailer) {
    const text = given.map(([name, value]) => `${name}:${value}\n`).join('');
    check(sign('TRAILER', sha256(utf8(text))), trailers.find(([name]) => name === 'x-amz-trailer-signature')?.[1]);
  }
  for (const [name, value] of given) onTrailer(name, value);
}

class Source {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #queue = new ByteQueue();
  /** What of the queue has been taken to look for a line's end. */
  #ahead: Uint8Array = new Uint8Array(0);

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#iterator = body[Symbol.asyncIterator]();
  }

  async take(count: number): Promise<Uint8Array> {
    const whole = new Uint8Array(count);
    const first = this.#ahead.subarray(0, count);
    whole.set(first);
    this.#ahead = this.#ahead.subarray(first.length);
    for (let at = first.length; at < count; ) {
      if (this.#queue.length === 0 && !(await this.#more()))
        throw new S3Error('IncompleteBody', 'The body ends before the length that it promised.');
      const step = Math.min(this.#queue.length, count - at);
      whole.set(this.#queue.take(step)!, at);
      at += step;
    }
    return whole;
  }

  /** Up to CR LF, which is taken too. */
  async line(): Promise<string> {
    const line = await this.lineOrEnd();
    if (line === null) throw new S3Error('IncompleteBody', 'The body ends before the length that it promised.');
    return line;
  }

  /** As line, or null where the body ends. */
  async lineOrEnd(): Promise<string | null> {
    for (;;) {
      const end = this.#ahead.indexOf(10);
      if (end >= 0) {
        const line = new TextDecoder('latin1').decode(this.#ahead.subarray(0, end).slice());
        this.#ahead = this.#ahead.subarray(end + 1);
        return line.replace(/\r$/, '');
      }
      if (this.#ahead.length > maxLineBytes) throw new S3Error('InvalidRequest', 'A line of the body is too long.');
      if (this.#queue.length === 0 && !(await this.#more())) return null;
      const next = this.#queue.take(Math.min(this.#queue.length, 1024))!;
      const joined = new Uint8Array(this.#ahead.length + next.length);
      joined.set(this.#ahead);
      joined.set(next, this.#ahead.length);
      this.#ahead = joined;
    }
  }

  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#iterator.next();
      if (done) return false;
      this.#queue.push(value);
      if (value.length > 0) return true;
    }
  }
}
