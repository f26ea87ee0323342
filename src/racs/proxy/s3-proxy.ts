/**
 * S3 in front of the array: `handle` takes a request and gives the response. It keeps nothing between requests, so any
 * number of proxies may stand over one array. Path-style addresses.
 *
 * Left out, answered NotImplemented: versions, access lists, policies, tags, locks, life cycles, POST forms.
 * Source: Amazon S3 API Reference, by the names of the operations.
 */

import type { ArrayStore } from '../array-store.ts';
import { type Clock, isStoreError, type ObjectInfo, type PutOptions } from '../object-store.ts';
import { Buckets } from './buckets.ts';
import type { Call } from './call.ts';
import { notModified, parseRange, unquote } from './conditions.ts';
import { listObjects } from './listing.ts';
import type { Hashing, HttpRequest, HttpResponse } from './message.ts';
import { utf8 } from './message.ts';
import { Multipart } from './multipart.ts';
import { requestBody, smallBody } from './request-body.ts';
import { S3Error, toS3Error } from './s3-error.ts';
import { checkSignature, type SecretOf, type SignedBy } from './signature.ts';
import { deleteList } from './s3-documents.ts';
import { parseQuery, uriDecode } from './uri.ts';
import { type XmlNode, xmlDocument } from './xml-text.ts';

export interface S3ProxyParts {
  array: ArrayStore;
  secretOf: SecretOf;
  hashing: Hashing;
  clock: Pick<Clock, 'now'>;
  /** What GetBucketLocation answers. */
  region?: string;
  /** For the operator: failures of the array behind 5xx answers. */
  onError?: (requestId: string, error: unknown) => void;
}

/** S3's own limit for one put. */
const maxPutBytes = 5 * 1024 ** 3;
const metadataPrefix = 'x-amz-meta-';

/** Kept with the object and given back, under names that no user metadata can have. */
const keptHeaders = ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires'];

/** Sub-resources that a plain GET or PUT must not be mistaken for. */
const unknownResources = [
  ...['acl', 'accelerate', 'analytics', 'attributes', 'cors', 'encryption', 'intelligent-tiering', 'inventory', 'legal-hold', 'lifecycle'],
  ...['logging', 'metrics', 'notification', 'object-lock', 'ownershipControls', 'policyStatus', 'publicAccessBlock', 'replication'],
  ...['requestPayment', 'restore', 'retention', 'select', 'tagging', 'torrent', 'versionId', 'versions', 'website'],
];

export class S3Proxy {
  readonly #parts: S3ProxyParts;
  readonly #buckets: Buckets;
  readonly #multipart: Multipart;
  #requests = 0;

  constructor(parts: S3ProxyParts) {
    this.#parts = parts;
    this.#buckets = new Buckets(parts.array);
    this.#multipart = new Multipart(parts.array, parts.hashing);
  }

  /** Never rejects: failures become answers. */
  async handle(request: HttpRequest): Promise<HttpResponse> {
    const requestId = `${this.#parts.clock.now().toString(16)}-${(++this.#requests).toString(16)}`.toUpperCase();
    let response: HttpResponse;
    try {
      const signed = checkSignature(request, this.#parts.secretOf, this.#parts.hashing, this.#parts.clock.now());
      response = await this.#route(request, signed);
    } catch (error) {
      const shown = toS3Error(error);
      if (shown.status >= 500) this.#parts.onError?.(requestId, error);
      response = errorResponse(shown, request, requestId);
    }
    response.headers['x-amz-request-id'] = requestId;
    return response;
  }

  #route(request: HttpRequest, signed: SignedBy): Promise<HttpResponse> {
    const [, rawBucket = '', rawKey = ''] = /^\/([^/]*)\/?(.*)$/s.exec(request.path) ?? [];
    const query = new Map(parseQuery(request.query));
    const call: Call = { request, signed, query, bucket: uriDecode(rawBucket), key: uriDecode(rawKey) };
    const unknown = unknownResources.find((name) => query.has(name));
    if (unknown)
      throw new S3Error('NotImplemented', `A header or query you provided requested a function that is not implemented: ${unknown}`);
    if (call.bucket === '') return this.#service(call);
    return call.key === '' ? this.#bucket(call) : this.#object(call);
  }

  async #service({ request }: Call): Promise<HttpResponse> {
    if (request.method !== 'GET') throw notAllowed();
    const buckets = (await this.#buckets.list()).map(
      ({ name, created }): XmlNode => [
        'Bucket',
        [
          ['Name', name],
          ['CreationDate', new Date(created).toISOString()],
        ],
      ],
    );
    return xml([
      'ListAllMyBucketsResult',
      [
        ['Owner', [['ID', 'racs']]],
        ['Buckets', buckets],
      ],
    ]);
  }

  async #bucket(call: Call): Promise<HttpResponse> {
    const { request, query, bucket } = call;
    if (request.method === 'PUT') {
      await smallBody(withLength(request), call.signed, this.#parts.hashing);
      await this.#buckets.create(bucket, this.#parts.clock.now());
      return { status: 200, headers: { location: `/${bucket}` } };
    }
    await this.#buckets.check(bucket);
    switch (request.method) {
      case 'HEAD':
        return { status: 200, headers: { 'x-amz-bucket-region': this.#region } };
      case 'DELETE':
        await this.#buckets.remove(bucket);
        return { status: 204, headers: {} };
      case 'POST':
        if (query.has('delete')) return this.#deleteMany(call);
        throw new S3Error('NotImplemented', 'Forms are not implemented');
      case 'GET':
        if (query.has('location')) return xml(['LocationConstraint', this.#region === 'us-east-1' ? '' : this.#region]);
        if (query.has('versioning')) return xml(['VersioningConfiguration', []]);
        if (query.has('policy')) throw new S3Error('NoSuchBucketPolicy', 'The bucket policy does not exist');
        if (query.has('uploads')) return this.#multipart.list(call);
        return {
          status: 200,
          headers: { 'content-type': 'application/xml' },
          body: utf8(await listObjects(this.#parts.array, bucket, query)),
        };
      default:
        throw notAllowed();
    }
  }

  async #object(call: Call): Promise<HttpResponse> {
    const { request, query, bucket } = call;
    await this.#buckets.check(bucket);
    const uploadId = query.get('uploadId');
    switch (request.method) {
      case 'GET':
        return uploadId === undefined ? this.#get(call) : this.#multipart.listParts(call, uploadId);
      case 'HEAD':
        return this.#head(call);
      case 'PUT':
        if (uploadId !== undefined)
          return this.#multipart.put(call, uploadId, request.headers.has('x-amz-copy-source') ? await this.#source(call) : undefined);
        return request.headers.has('x-amz-copy-source') ? this.#copy(call) : this.#put(call);
      case 'POST':
        if (query.has('uploads')) return this.#multipart.create(call, metadataOf(request));
        if (uploadId !== undefined) return this.#multipart.complete(call, uploadId, conditionsOf(request));
        throw notAllowed();
      case 'DELETE':
        if (uploadId !== undefined) return this.#multipart.abort(call, uploadId);
        await this.#parts.array.delete(objectName(call), deleteCondition(request));
        return { status: 204, headers: {} };
      default:
        throw notAllowed();
    }
  }

  async #get(call: Call): Promise<HttpResponse> {
    const { array } = this.#parts;
    const { headers } = call.request;
    for (let attempt = 0; ; attempt++) {
      const info = await array.head(objectName(call));
      if (notModified(headers, info)) return { status: 304, headers: { etag: `"${info.etag}"` } };
      const range = rangeFor(headers, info);
      try {
        const { first, length, body } = await array.getStream(objectName(call), { ifMatch: info.etag, ...(range && { range }) });
        const partial: Record<string, string> = range ? { 'content-range': `bytes ${first}-${first + length - 1}/${info.size}` } : {};
        return {
          status: range ? 206 : 200,
          headers: { ...describe(info, call.query), ...partial, 'content-length': String(length) },
          body,
        };
      } catch (error) {
        // Replaced between the two calls: look at the new one.
        if (!isStoreError(error, 'PRECONDITION_FAILED') || attempt === 5) throw error;
      }
    }
  }

  async #head(call: Call): Promise<HttpResponse> {
    const info = await this.#parts.array.head(objectName(call));
    const { headers } = call.request;
    if (notModified(headers, info)) return { status: 304, headers: { etag: `"${info.etag}"` } };
    return { status: 200, headers: { ...describe(info, call.query), 'content-length': String(info.size) } };
  }

  async #put(call: Call): Promise<HttpResponse> {
    const { array, hashing } = this.#parts;
    const { stream, md5 } = requestBody(call.request, call.signed, hashing, maxPutBytes);
    const info = await array.put(objectName(call), stream, { ...metadataOf(call.request), ...conditionsOf(call.request), etag: md5 });
    return { status: 200, headers: { etag: `"${info.etag}"` } };
  }

  async #copy(call: Call): Promise<HttpResponse> {
    const { array } = this.#parts;
    const { headers } = call.request;
    const source = await this.#source(call);
    const info = await array.head(source);
    if (notModified(headers, info, 'x-amz-copy-source-'))
      throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
    const replace = headers.get('x-amz-metadata-directive') === 'REPLACE';
    if (!replace && source === objectName(call)) {
      throw new S3Error(
        'InvalidRequest',
        'This copy request is illegal because it is trying to copy an object to itself without changing the metadata.',
      );
    }
    const options: PutOptions & { sourceIfMatch: string } = {
      ...(replace && metadataOf(call.request)),
      ...conditionsOf(call.request),
      sourceIfMatch: info.etag,
      // A copy of an object put in one piece has the MD5 that the source has; that of parts is only a name.
      etag: () => info.etag,
    };
    const copied = await array.copy(source, objectName(call), options);
    return xml([
      'CopyObjectResult',
      [
        ['LastModified', new Date(copied.lastModified).toISOString()],
        ['ETag', `"${copied.etag}"`],
      ],
    ]);
  }

  /** The object that x-amz-copy-source names, by its name in the array. */
  async #source({ request }: Call): Promise<string> {
    const text = request.headers.get('x-amz-copy-source') ?? '';
    const match = /^\/?([^/]+)\/(.+)$/s.exec(uriDecode(text.replace(/\?versionId=null$/, '')));
    if (!match) throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey');
    await this.#buckets.check(match[1]!);
    return `${match[1]}/${match[2]}`;
  }

  async #deleteMany(call: Call): Promise<HttpResponse> {
    const { keys, quiet } = deleteList(await smallBody(call.request, call.signed, this.#parts.hashing));
    const results: XmlNode[] = [];
    const one = async (key: string): Promise<void> => {
      try {
        await this.#parts.array.delete(`${call.bucket}/${key}`);
        if (!quiet) results.push(['Deleted', [['Key', key]]]);
      } catch (error) {
        const { code, message } = toS3Error(error);
        results.push([
          'Error',
          [
            ['Key', key],
            ['Code', code],
            ['Message', message],
          ],
        ]);
      }
    };
    for (let at = 0; at < keys.length; at += 16) await Promise.all(keys.slice(at, at + 16).map(one));
    return xml(['DeleteResult', results]);
  }

  get #region(): string {
    return this.#parts.region ?? 'us-east-1';
  }
}

function objectName({ bucket, key }: Pick<Call, 'bucket' | 'key'>): string {
  return `${bucket}/${key}`;
}

function xml(node: XmlNode): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: utf8(xmlDocument(node)) };
}

/** The range to serve, unless If-Range names another version. */
function rangeFor(headers: ReadonlyMap<string, string>, info: ObjectInfo): ReturnType<typeof parseRange> {
  const ifRange = headers.get('if-range');
  return ifRange !== undefined && unquote(ifRange) !== info.etag ? undefined : parseRange(headers.get('range'));
}

function metadataOf({ headers }: HttpRequest): Pick<PutOptions, 'contentType' | 'metadata'> {
  const metadata: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (name.startsWith(metadataPrefix)) metadata[name.slice(metadataPrefix.length)] = value;
    else if (keptHeaders.includes(name)) {
      const kept = name === 'content-encoding' ? withoutAwsChunked(value) : value;
      if (kept !== '') metadata[`:${name}`] = kept;
    }
  }
  return { contentType: headers.get('content-type') ?? 'binary/octet-stream', metadata };
}

function withoutAwsChunked(encodings: string): string {
  return encodings
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== 'aws-chunked' && each !== '')
    .join(', ');
}

function conditionsOf({ headers }: HttpRequest): Pick<PutOptions, 'ifMatch' | 'ifNoneMatch'> {
  const [ifMatch, ifNoneMatch] = [headers.get('if-match'), headers.get('if-none-match')];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw new S3Error('NotImplemented', 'If-None-Match of a put can only be *');
  return { ...(ifMatch !== undefined && { ifMatch: unquote(ifMatch) }), ...(ifNoneMatch !== undefined && { ifNoneMatch: '*' as const }) };
}

function deleteCondition({ headers }: HttpRequest): { ifMatch?: string } {
  const ifMatch = headers.get('if-match');
  return ifMatch === undefined || ifMatch === '*' ? {} : { ifMatch: unquote(ifMatch) };
}

function describe(info: ObjectInfo, query: ReadonlyMap<string, string>): Record<string, string> {
  const headers: Record<string, string> = {
    etag: `"${info.etag}"`,
    'last-modified': new Date(info.lastModified).toUTCString(),
    'content-type': info.contentType ?? 'binary/octet-stream',
    'accept-ranges': 'bytes',
  };
  for (const [name, value] of Object.entries(info.metadata ?? {}))
    headers[name.startsWith(':') ? name.slice(1) : metadataPrefix + name] = value;
  // A presigned address may ask for other headers (GetObject, response-* parameters).
  for (const name of ['content-type', ...keptHeaders]) {
    const asked = query.get(`response-${name}`);
    if (asked !== undefined && !/[\r\n]/.test(asked)) headers[name] = asked;
  }
  return headers;
}

/** Requests without a body need not say so. */
function withLength(request: HttpRequest): HttpRequest {
  const { headers } = request;
  return headers.has('content-length') || headers.has('x-amz-decoded-content-length')
    ? request
    : { ...request, headers: new Map([...headers, ['content-length', '0']]) };
}

function notAllowed(): S3Error {
  return new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.');
}

function errorResponse(error: S3Error, request: HttpRequest, requestId: string): HttpResponse {
  const headers: Record<string, string> = error.status === 503 ? { 'retry-after': '1' } : {};
  if (request.method === 'HEAD') return { status: error.status, headers };
  const node: XmlNode = [
    'Error',
    [
      ['Code', error.code],
      ['Message', error.message],
      ['Resource', request.path],
      ['RequestId', requestId],
    ],
  ];
  return {
    status: error.status,
    headers: { ...headers, 'content-type': 'application/xml' },
    body: utf8(xmlDocument(node, { plain: true })),
  };
}
