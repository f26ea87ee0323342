/** Conditional requests and ranges. Source: RFC 9110 §13 and §14; Amazon S3 API Reference, "GetObject". */

import type { ByteRange, ObjectInfo } from '../object-store.ts';
import { S3Error } from './s3-error.ts';

/**
 * @returns whether the client has the object already (304).
 * @throws {S3Error} PreconditionFailed
 */
export function notModified(headers: ReadonlyMap<string, string>, info: ObjectInfo, prefix = ''): boolean {
  const header = (name: string): string | undefined => headers.get(prefix + name);
  const seconds = Math.floor(info.lastModified / 1000) * 1000;
  const [ifMatch, ifNoneMatch] = [header('if-match'), header('if-none-match')];
  const [since, unmodified] = [dateOf(header('if-modified-since')), dateOf(header('if-unmodified-since'))];
  // An etag decides where one is given; dates are looked at only without it (RFC 9110 §13.2.2).
  const broken = ifMatch !== undefined ? !etagIn(ifMatch, info.etag) : unmodified !== null && seconds > unmodified;
  if (broken) throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  return ifNoneMatch !== undefined ? etagIn(ifNoneMatch, info.etag) : since !== null && seconds <= since;
}

/** One range; several, or another unit, are answered with the whole object, as RFC 9110 allows. */
export function parseRange(header: string | undefined): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  if (match[1] === '') return { suffix: Number(match[2]) };
  const first = Number(match[1]);
  if (match[2] === '') return { first };
  const end = Number(match[2]) + 1;
  return end <= first ? undefined : { first, end };
}

export function unquote(etag: string): string {
  return etag
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1');
}

function etagIn(list: string, etag: string): boolean {
  return list.split(',').some((each) => each.trim() === '*' || unquote(each) === etag);
}

function dateOf(text: string | undefined): number | null {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isFinite(time) ? time : null;
}
