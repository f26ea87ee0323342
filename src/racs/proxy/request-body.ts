/**
 * The body of a request as it is to be stored: unwrapped, and checked against everything that the client said of it.
 * The checks come at the end of the stream, as an error of the stream, so a put whose body is wrong never commits.
 */

import { hexOfBytes } from '../../base/integer.ts';
import { chunkedForm, decodeChunked } from './aws-chunked.ts';
import { runningChecksum } from './checksums.ts';
import type { Hashing, HttpRequest, RunningHash } from './message.ts';
import { S3Error } from './s3-error.ts';
import type { SignedBy } from './signature.ts';

export interface RequestBody {
  stream: AsyncIterable<Uint8Array>;
  /** MD5 of the body, hexadecimal, once the stream has ended. */
  md5: () => string;
}

const checksumPrefix = 'x-amz-checksum-';

export function requestBody(request: HttpRequest, signed: SignedBy, hashing: Hashing, maxBytes: number): RequestBody {
  const { headers } = request;
  const form = chunkedForm(signed.payload);
  const lengthText = headers.get(form ? 'x-amz-decoded-content-length' : 'content-length');
  if (lengthText === undefined || !/^\d+$/.test(lengthText))
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
  const length = Number(lengthText);
  if (length > maxBytes) throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
  const wantedSha256 = form || signed.payload === 'UNSIGNED-PAYLOAD' ? null : signed.payload;
  const wantedMd5 = headers.get('content-md5');
  if (wantedMd5 !== undefined && base64Bytes(wantedMd5)?.length !== 16)
    throw new S3Error('InvalidDigest', 'The Content-MD5 you specified is not valid.');
  const md5 = hashing.hash('md5');
  const sha256 = wantedSha256 === null ? null : hashing.hash('sha256');
  const promised = [...headers.keys(), ...(headers.get('x-amz-trailer') ?? '').split(',').map((name) => name.trim().toLowerCase())];
  const names = [
    ...new Set(
      promised.filter(
        (name) => name.startsWith(checksumPrefix) && name !== `${checksumPrefix}type` && name !== `${checksumPrefix}algorithm`,
      ),
    ),
  ];
  const checksums = new Map(names.map((name) => [name, knownChecksum(name.slice(checksumPrefix.length), hashing)]));
  const given = new Map(names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!] as const] : [])));
  let md5Text = '';

  async function* checked(): AsyncGenerator<Uint8Array> {
    let size = 0;
    const raw = form ? decodeChunked(request.body, form, signed.chain, hashing, (name, value) => given.set(name, value)) : request.body;
    for await (const piece of raw) {
      size += piece.length;
      if (size > length) throw new S3Error('IncompleteBody', 'The body is longer than it promised.');
      md5.update(piece);
      sha256?.update(piece);
      for (const checksum of checksums.values()) checksum.update(piece);
      yield piece;
    }
    if (size !== length)
      throw new S3Error('IncompleteBody', 'You did not provide the number of bytes specified by the Content-Length HTTP header');
    if (sha256 && hexOfBytes(sha256.digest()) !== wantedSha256) {
      throw new S3Error('XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.");
    }
    const digest = md5.digest();
    md5Text = hexOfBytes(digest);
    if (wantedMd5 !== undefined && toBase64(digest) !== wantedMd5)
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
    for (const [name, checksum] of checksums) {
      if (given.get(name) !== toBase64(checksum.digest()))
        throw new S3Error('BadDigest', `The ${name} you specified did not match the calculated checksum.`);
    }
  }
  return { stream: checked(), md5: () => md5Text };
}

/** The whole of a small body, such as a list of keys. */
export async function smallBody(request: HttpRequest, signed: SignedBy, hashing: Hashing): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of requestBody(request, signed, hashing, 2 * 1024 * 1024).stream) pieces.push(piece);
  const decoder = new TextDecoder('utf-8');
  return pieces.map((piece) => decoder.decode(piece.slice(), { stream: true })).join('') + decoder.decode();
}

function knownChecksum(name: string, hashing: Hashing): RunningHash {
  const running = runningChecksum(name, hashing);
  if (!running) throw new S3Error('NotImplemented', `The checksum ${name} is not known here.`);
  return running;
}

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b, c] = [bytes[at]!, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0];
    const group = (a << 16) | (b << 8) | c;
    const left = Math.min(3, bytes.length - at);
    text += [18, 12, 6, 0].map((shift, i) => (i > left ? '=' : digits[(group >> shift) & 63])).join('');
  }
  return text;
}

function base64Bytes(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return null;
  const bytes: number[] = [];
  const plain = text.replaceAll('=', '');
  for (let at = 0; at < plain.length; at += 4) {
    const group = [0, 1, 2, 3].reduce((sum, i) => (sum << 6) | Math.max(0, digits.indexOf(plain[at + i] ?? 'A')), 0);
    bytes.push((group >> 16) & 255, (group >> 8) & 255, group & 255);
  }
  return Uint8Array.from(bytes).subarray(0, Math.floor((plain.length * 3) / 4));
}
