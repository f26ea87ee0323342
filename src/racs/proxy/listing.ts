/**
 * ListObjects (both versions) over the array's flat list: a delimiter rolls keys up, and the scan jumps over what it has
 * rolled up. Source: Amazon S3 API Reference, "ListObjectsV2", "ListObjects".
 */

import type { ArrayStore } from '../array-store.ts';
import type { ObjectInfo } from '../object-store.ts';
import { S3Error } from './s3-error.ts';
import { uriEncode } from './uri.ts';
import { type XmlNode, xmlDocument } from './xml-text.ts';

export interface Page {
  objects: { key: string; info: ObjectInfo }[];
  prefixes: string[];
  truncated: boolean;
  /** The last key or prefix of the page: where the next one goes on. */
  last: string;
}

/** Sorts after everything that begins with the text before it (but itself). */
const highest = '\u{10ffff}';

export async function listPage(
  array: ArrayStore,
  bucket: string,
  { prefix, delimiter, after, limit }: { prefix: string; delimiter: string; after: string; limit: number },
): Promise<Page> {
  const page: Page = { objects: [], prefixes: [], truncated: false, last: '' };
  if (limit === 0) return page;
  const skip = bucket.length + 1;
  const rolledUp = (key: string): string | null => {
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    return at < 0 ? null : key.slice(0, at + delimiter.length);
  };
  // A page that ended with a rolled-up prefix goes on behind all of it.
  let cursor = after !== '' && after.startsWith(prefix) && rolledUp(after) === after ? after + highest : after;
  for (;;) {
    const { entries, truncated } = await array.list({
      prefix: `${bucket}/${prefix}`,
      ...(cursor !== '' && { startAfter: `${bucket}/${cursor}` }),
      limit: Math.min(1000, Math.max(2, limit - page.objects.length - page.prefixes.length + 1)),
    });
    let jumped = false;
    for (const info of entries) {
      const key = info.key.slice(skip);
      if (page.objects.length + page.prefixes.length === limit) return { ...page, truncated: true };
      const common = rolledUp(key);
      page.last = common ?? key;
      if (common === null) {
        page.objects.push({ key, info });
        cursor = key;
      } else {
        page.prefixes.push(common);
        cursor = common + highest;
        jumped = true;
        break;
      }
    }
    if (!jumped && !truncated) return page;
  }
}

export async function listObjects(array: ArrayStore, bucket: string, query: ReadonlyMap<string, string>): Promise<string> {
  const version2 = query.get('list-type') === '2';
  const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? ''];
  const limit = Math.min(1000, count(query.get('max-keys') ?? '1000', 'max-keys'));
  const token = query.get('continuation-token');
  const encoding = query.get('encoding-type');
  if (encoding !== undefined && encoding !== 'url') throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  const encode = (text: string): string => (encoding === 'url' ? uriEncode(text, { keepSlash: true }) : text);
  const after = version2 ? (token === undefined ? (query.get('start-after') ?? '') : fromToken(token)) : (query.get('marker') ?? '');
  const page = await listPage(array, bucket, { prefix, delimiter, after, limit });
  const next: XmlNode[] = !page.truncated
    ? []
    : version2
      ? [['NextContinuationToken', toToken(page.last)]]
      : [['NextMarker', encode(page.last)]];
  const nodes: XmlNode[] = [
    ['Name', bucket],
    ['Prefix', encode(prefix)],
    ...(delimiter === '' ? [] : [['Delimiter', encode(delimiter)] as const]),
    ['MaxKeys', limit],
    ...(encoding === undefined ? [] : [['EncodingType', encoding] as const]),
    ...(version2
      ? ([
          ['KeyCount', page.objects.length + page.prefixes.length],
          ...(token === undefined ? [] : [['ContinuationToken', token] as const]),
          ...(query.has('start-after') ? [['StartAfter', encode(query.get('start-after')!)] as const] : []),
        ] as XmlNode[])
      : ([['Marker', encode(query.get('marker') ?? '')]] as XmlNode[])),
    ['IsTruncated', page.truncated],
    ...next,
    ...page.objects.map(
      ({ key, info }): XmlNode => [
        'Contents',
        [
          ['Key', encode(key)],
          ['LastModified', new Date(info.lastModified).toISOString()],
          ['ETag', `"${info.etag}"`],
          ['Size', info.size],
          ['StorageClass', 'STANDARD'],
        ],
      ],
    ),
    ...page.prefixes.map((each): XmlNode => ['CommonPrefixes', [['Prefix', encode(each)]]]),
  ];
  return xmlDocument(['ListBucketResult', nodes]);
}

export function count(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new S3Error('InvalidArgument', `${name} must be a number that is not negative`);
  return Number(text);
}

/** Opaque to clients; not a secret. */
function toToken(key: string): string {
  return Array.from(new TextEncoder().encode(key), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromToken(token: string): string {
  if (!/^([0-9a-f]{2})+$/.test(token)) throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  const bytes = Uint8Array.from({ length: token.length / 2 }, (_, i) => Number.parseInt(token.slice(2 * i, 2 * i + 2), 16));
  return new TextDecoder('utf-8').decode(bytes);
}
