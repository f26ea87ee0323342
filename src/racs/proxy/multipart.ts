/** Uploads in parts, which the array keeps. Source: Amazon S3 API Reference, "CreateMultipartUpload" and its kin. */

import { hexOfBytes } from '../../base/integer.ts';
import type { ArrayStore, UploadPart } from '../array-store.ts';
import { isStoreError, type PutOptions } from '../object-store.ts';
import { bytesOfHex } from '../disk/disk-id.ts';
import type { Call } from './call.ts';
import { parseRange } from './conditions.ts';
import { count } from './listing.ts';
import { digestOf, type Hashing, type HttpResponse, utf8 } from './message.ts';
import { requestBody, smallBody } from './request-body.ts';
import { partList } from './s3-documents.ts';
import { S3Error } from './s3-error.ts';
import { type XmlNode, xmlDocument } from './xml-text.ts';

const maxPartBytes = 5 * 1024 ** 3;
const minPartBytes = 5 * 1024 ** 2;

export class Multipart {
  readonly #array: ArrayStore;
  readonly #hashing: Hashing;

  constructor(array: ArrayStore, hashing: Hashing) {
    this.#array = array;
    this.#hashing = hashing;
  }

  async create(call: Call, metadata: Pick<PutOptions, 'contentType' | 'metadata'>): Promise<HttpResponse> {
    const { uploadId } = await this.#array.createUpload(nameOf(call), metadata);
    return xml([
      'InitiateMultipartUploadResult',
      [
        ['Bucket', call.bucket],
        ['Key', call.key],
        ['UploadId', uploadId],
      ],
    ]);
  }

  /** @param source the object to copy from, when the part is a copy. */
  async put(call: Call, uploadId: string, source?: string): Promise<HttpResponse> {
    const number = partNumber(call);
    if (source !== undefined) return this.#copy(call, uploadId, number, source);
    const { stream, md5 } = requestBody(call.request, call.signed, this.#hashing, maxPartBytes);
    const part = await this.#array.uploadPart(nameOf(call), uploadId, number, stream, { etag: md5 });
    return { status: 200, headers: { etag: `"${part.etag}"` } };
  }

  async #copy(call: Call, uploadId: string, number: number, source: string): Promise<HttpResponse> {
    const range = parseRange(call.request.headers.get('x-amz-copy-source-range'));
    const { body } = await this.#array.getStream(source, range ? { range } : {});
    const md5 = this.#hashing.hash('md5');
    async function* hashed(): AsyncGenerator<Uint8Array> {
      for await (const piece of body) {
        md5.update(piece);
        yield piece;
      }
    }
    const part = await this.#array.uploadPart(nameOf(call), uploadId, number, hashed(), { etag: () => hexOfBytes(md5.digest()) });
    return xml([
      'CopyPartResult',
      [
        ['LastModified', new Date(part.lastModified).toISOString()],
        ['ETag', `"${part.etag}"`],
      ],
    ]);
  }

  async complete(call: Call, uploadId: string, conditions: Pick<PutOptions, 'ifMatch' | 'ifNoneMatch'>): Promise<HttpResponse> {
    const parts = partList(await smallBody(call.request, call.signed, this.#hashing));
    await this.#check(call, uploadId, parts);
    const digests = parts.map(({ etag }) => bytesOfHex(etag));
    const joined = new Uint8Array(digests.reduce((sum, digest) => sum + digest.length, 0));
    let at = 0;
    for (const digest of digests) {
      joined.set(digest, at);
      at += digest.length;
    }
    const etag = `${hexOfBytes(digestOf(this.#hashing, 'md5', joined))}-${parts.length}`;
    const info = await this.#array.completeUpload(nameOf(call), uploadId, parts, { ...conditions, etag: () => etag });
    return xml([
      'CompleteMultipartUploadResult',
      [
        ['Location', `/${call.bucket}/${call.key}`],
        ['Bucket', call.bucket],
        ['Key', call.key],
        ['ETag', `"${info.etag}"`],
      ],
    ]);
  }

  async abort(call: Call, uploadId: string): Promise<HttpResponse> {
    await this.#array.abortUpload(nameOf(call), uploadId);
    return { status: 204, headers: {} };
  }

  async listParts(call: Call, uploadId: string): Promise<HttpResponse> {
    const limit = Math.min(1000, Math.max(1, count(call.query.get('max-parts') ?? '1000', 'max-parts')));
    const startAfter = count(call.query.get('part-number-marker') ?? '0', 'part-number-marker');
    const { parts, truncated } = await this.#array.listParts(nameOf(call), uploadId, { startAfter, limit });
    const next: XmlNode[] = truncated ? [['NextPartNumberMarker', parts.at(-1)!.partNumber]] : [];
    const rows = parts.map(
      ({ partNumber: number, etag, size, lastModified }): XmlNode => [
        'Part',
        [
          ['PartNumber', number],
          ['LastModified', new Date(lastModified).toISOString()],
          ['ETag', `"${etag}"`],
          ['Size', size],
        ],
      ],
    );
    const head: XmlNode[] = [
      ['Bucket', call.bucket],
      ['Key', call.key],
      ['UploadId', uploadId],
      ['PartNumberMarker', startAfter],
      ['MaxParts', limit],
    ];
    return xml(['ListPartsResult', [...head, ...next, ['IsTruncated', truncated], ...rows]]);
  }

  async list({ bucket, query }: Call): Promise<HttpResponse> {
    const prefix = query.get('prefix') ?? '';
    const uploads = await this.#array.listUploads({ prefix: `${bucket}/${prefix}` });
    const rows = uploads.map(
      ({ key, uploadId, initiated }): XmlNode => [
        'Upload',
        [
          ['Key', key.slice(bucket.length + 1)],
          ['UploadId', uploadId],
          ['StorageClass', 'STANDARD'],
          ['Initiated', new Date(initiated).toISOString()],
        ],
      ],
    );
    return xml([
      'ListMultipartUploadsResult',
      [['Bucket', bucket], ['Prefix', prefix], ['MaxUploads', 1000], ['IsTruncated', false], ...rows],
    ]);
  }

  /** What S3 tells apart, and the array does not. A completed upload may be completed again, so its parts may be gone. */
  async #check(call: Call, uploadId: string, parts: readonly UploadPart[]): Promise<void> {
    if (parts.some(({ partNumber: number }, i) => i > 0 && number <= parts[i - 1]!.partNumber)) {
      throw new S3Error(
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts list must be specified in order by part number.',
      );
    }
    const stored = new Map<number, { etag: string; size: number }>();
    try {
      for (let startAfter = 0; ; ) {
        const page = await this.#array.listParts(nameOf(call), uploadId, { startAfter });
        for (const part of page.parts) stored.set(part.partNumber, part);
        if (!page.truncated) break;
        startAfter = page.parts.at(-1)!.partNumber;
      }
    } catch (error) {
      if (isStoreError(error, 'NO_SUCH_UPLOAD')) return;
      throw error;
    }
    parts.forEach(({ partNumber: number, etag }, i) => {
      const found = stored.get(number);
      if (found?.etag !== etag)
        throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found, or its entity tag does not match.');
      if (i < parts.length - 1 && found.size < minPartBytes)
        throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size');
    });
  }
}

function partNumber({ query }: Call): number {
  const number = Number(query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > 10_000)
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive');
  return number;
}

function nameOf({ bucket, key }: Call): string {
  return `${bucket}/${key}`;
}

function xml(node: XmlNode): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: utf8(xmlDocument(node)) };
}
