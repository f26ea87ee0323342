import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RacsArray } from '../../../src/racs/array.ts';
import { MemoryObjectStore } from '../../../src/racs/memory-object-store.ts';
import { compareKeys } from '../../../src/racs/object-store.ts';
import { runningChecksum } from '../../../src/racs/proxy/checksums.ts';
import type { HttpResponse } from '../../../src/racs/proxy/message.ts';
import { S3Proxy } from '../../../src/racs/proxy/s3-proxy.ts';
import { uriEncode } from '../../../src/racs/proxy/uri.ts';
import { MemoryRegister } from '../../../src/racs/register/memory-register.ts';
import { nodeHashing } from '../../../src/racs/store/s3-server.ts';
import { sha256Hex, signV4 } from '../../../src/racs/store/sigv4.ts';
import { systemChance, systemClock } from '../../../src/racs/store/system.ts';
import { descendants, parseXml } from '../../../src/racs/store/xml.ts';

const credentials = { accessKeyId: 'AK', secretAccessKey: 'SK' };

interface Sent {
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: string;
  /** Sent in place of the hash of the body. */
  payloadHash?: string;
}

function makeProxies(count = 1): S3Proxy[] {
  const providers = ['a', 'b', 'c'].map((id) => ({ id, store: new MemoryObjectStore({ name: id, clock: systemClock }) }));
  const array = new RacsArray({
    id: 't',
    providers,
    register: new MemoryRegister(),
    coding: { k: 2, n: 3 },
    clock: systemClock,
    chance: systemChance,
  });
  return Array.from(
    { length: count },
    () =>
      new S3Proxy({
        array,
        secretOf: (id) => (id === credentials.accessKeyId ? credentials.secretAccessKey : undefined),
        hashing: nodeHashing,
        clock: systemClock,
      }),
  );
}

async function send(
  proxy: S3Proxy,
  method: string,
  target: string,
  { query = {}, headers = {}, body = '', payloadHash }: Sent = {},
): Promise<HttpResponse & { text: string }> {
  const path = uriEncode(target, { keepSlash: true });
  const all = { ...headers, 'content-length': String(Buffer.byteLength(body)) };
  const signed = signV4(
    {
      method,
      host: 'localhost',
      path,
      query,
      headers: all,
      payloadHash: payloadHash ?? sha256Hex(body),
      region: 'us-east-1',
      time: systemClock.now(),
    },
    credentials,
    uriEncode,
  );
  const response = await proxy.handle({
    method,
    path,
    query: Object.entries(query)
      .map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`)
      .join('&'),
    headers: new Map(Object.entries(signed).map(([name, value]) => [name.toLowerCase(), value])),
    body: (async function* () {
      if (body !== '') yield new Uint8Array(Buffer.from(body));
    })(),
  });
  const pieces: Uint8Array[] = [];
  if (response.body instanceof Uint8Array) pieces.push(response.body);
  else if (response.body) for await (const piece of response.body) pieces.push(piece);
  return { ...response, text: Buffer.concat(pieces).toString() };
}

const errorCode = (text: string) => descendants({ name: '', text: '', children: [parseXml(text)] }, 'Code')[0]?.text;

async function withBucket(): Promise<S3Proxy> {
  const [proxy] = makeProxies();
  expect((await send(proxy!, 'PUT', '/bucket')).status).toBe(200);
  return proxy!;
}

describe('the checksums of bodies', () => {
  it.each([
    ['crc32', 'cbf43926'],
    ['crc32c', 'e3069283'],
    ['crc64nvme', 'ae8b14860a799888'],
    ['sha1', 'f7c3bc1d808e04732adf679965ccc34ca7ae3441'],
  ])('%s of 123456789 is %s (the check values of the CRC catalogue)', (name, digest) => {
    const running = runningChecksum(name, nodeHashing)!;
    running.update(new Uint8Array(Buffer.from('1234')));
    running.update(new Uint8Array(Buffer.from('56789')));
    expect(Buffer.from(running.digest()).toString('hex')).toBe(digest);
  });
});

describe('the S3 proxy', () => {
  it('gives back what was put, with its MD5, metadata and headers', async () => {
    const proxy = await withBucket();
    const put = await send(proxy, 'PUT', '/bucket/a b/ü', {
      body: 'hello',
      headers: { 'content-type': 'text/x', 'x-amz-meta-n': 'v', 'cache-control': 'no-store' },
    });
    const etag = `"${createHash('md5').update('hello').digest('hex')}"`;
    expect([put.status, put.headers['etag']]).toEqual([200, etag]);
    const got = await send(proxy, 'GET', '/bucket/a b/ü');
    expect(got.text).toBe('hello');
    expect(got.headers).toMatchObject({
      etag,
      'content-type': 'text/x',
      'x-amz-meta-n': 'v',
      'cache-control': 'no-store',
      'content-length': '5',
    });
    const head = await send(proxy, 'HEAD', '/bucket/a b/ü');
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '5', '']);
  });

  it.each([
    ['GET', '/bucket/nope', {}, 404, 'NoSuchKey'],
    ['GET', '/nope/key', {}, 404, 'NoSuchBucket'],
    ['PUT', '/nope/key', { body: 'x' }, 404, 'NoSuchBucket'],
    ['PUT', '/bucket', {}, 409, 'BucketAlreadyOwnedByYou'],
    ['PUT', '/disks', {}, 400, 'InvalidBucketName'],
    ['PUT', '/Bad_Name', {}, 400, 'InvalidBucketName'],
    ['DELETE', '/bucket', {}, 409, 'BucketNotEmpty'],
    ['PUT', '/bucket/key', { body: 'x', payloadHash: sha256Hex('y') }, 400, 'XAmzContentSHA256Mismatch'],
    ['PUT', '/bucket/key', { body: 'x', headers: { 'content-md5': 'kAFQmDzST7DWlj99KOF/cg==' } }, 400, 'BadDigest'],
    ['PUT', '/bucket/key', { body: 'x', headers: { 'content-md5': 'no' } }, 400, 'InvalidDigest'],
    ['PUT', '/bucket/key', { body: 'x', headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } }, 400, 'BadDigest'],
    ['PUT', '/bucket/key', { body: 'x', headers: { 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' } }, 400, 'BadDigest'],
    ['PUT', '/bucket/key', { body: 'x', headers: { 'if-none-match': '*' } }, 412, 'PreconditionFailed'],
    ['PUT', '/bucket/key', { body: 'x', headers: { 'if-match': '"other"' } }, 412, 'PreconditionFailed'],
    ['GET', '/bucket/key', { headers: { 'if-match': '"other"' } }, 412, 'PreconditionFailed'],
    ['GET', '/bucket/key', { headers: { range: 'bytes=100-' } }, 416, 'InvalidRange'],
    ['GET', '/bucket/key', { query: { acl: '' } }, 501, 'NotImplemented'],
    ['POST', '/bucket', { query: { delete: '' }, body: '<Delete><Object>' }, 400, 'MalformedXML'],
    [
      'POST',
      '/bucket/key',
      {
        query: { uploadId: 'nope' },
        body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>',
      },
      404,
      'NoSuchUpload',
    ],
    ['PUT', '/bucket/key', { headers: { 'x-amz-copy-source': '/bucket/key' } }, 400, 'InvalidRequest'],
    ['PUT', '/bucket/key2', { headers: { 'x-amz-copy-source': '/bucket/nope' } }, 404, 'NoSuchKey'],
    ['PATCH', '/bucket/key', {}, 405, 'MethodNotAllowed'],
    ['PUT', `/bucket/${'k'.repeat(1025)}`, { body: 'x' }, 400, 'KeyTooLongError'],
  ] as [string, string, Sent, number, string][])(
    'answers %s %s %j with %i %s and keeps what is there',
    async (method, target, sent, status, code) => {
      const proxy = await withBucket();
      await send(proxy, 'PUT', '/bucket/key', { body: 'old' });
      const answer = await send(proxy, method, target, sent);
      expect([answer.status, errorCode(answer.text)]).toEqual([status, code]);
      expect(answer.text).not.toContain(credentials.secretAccessKey);
      expect((await send(proxy, 'GET', '/bucket/key')).text).toBe('old');
    },
  );

  it('does not let a name out of its bucket', async () => {
    const proxy = await withBucket();
    await send(proxy, 'PUT', '/bucket2');
    await send(proxy, 'PUT', '/bucket2/secret', { body: 'secret' });
    for (const target of ['/bucket/../bucket2/secret', '/bucket/..%2Fbucket2/secret', '/bucket//bucket2/secret']) {
      expect((await send(proxy, 'GET', target)).status).toBe(404);
    }
    await send(proxy, 'PUT', '/bucket/../x', { body: 'y' });
    expect((await send(proxy, 'GET', '/bucket/../x')).text).toBe('y');
  });

  it('serves ranges of any form (RFC 9110 §14)', async () => {
    const proxy = await withBucket();
    await send(proxy, 'PUT', '/bucket/key', { body: '0123456789' });
    const get = async (range: string) => {
      const { status, text, headers } = await send(proxy, 'GET', '/bucket/key', { headers: { range } });
      return [status, text, headers['content-range']];
    };
    expect(await get('bytes=2-4')).toEqual([206, '234', 'bytes 2-4/10']);
    expect(await get('bytes=7-')).toEqual([206, '789', 'bytes 7-9/10']);
    expect(await get('bytes=-3')).toEqual([206, '789', 'bytes 7-9/10']);
    expect(await get('bytes=5-500')).toEqual([206, '56789', 'bytes 5-9/10']);
    for (const other of ['bytes=4-2', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=-'])
      expect(await get(other)).toEqual([200, '0123456789', undefined]);
  });

  it('lets one of many conditional creators win, over several proxies', async () => {
    const proxies = makeProxies(4);
    await send(proxies[0]!, 'PUT', '/bucket');
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, i) =>
        send(proxies[i % 4]!, 'PUT', '/bucket/key', { body: `${i}`, headers: { 'if-none-match': '*' } }),
      ),
    );
    const winners = answers.flatMap(({ status }, i) => (status === 200 ? [i] : []));
    expect(winners).toHaveLength(1);
    expect((await send(proxies[0]!, 'GET', '/bucket/key')).text).toBe(`${winners[0]}`);
  });

  it('lists as S3 does: every key and prefix once, in order, however the pages are cut', async () => {
    const key = fc.stringMatching(/^[a-c/]{1,5}$/);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 12 }),
        fc.record({
          prefix: fc.stringMatching(/^[a-c/]{0,2}$/),
          delimiter: fc.constantFrom('', '/', 'b'),
          size: fc.integer({ min: 1, max: 5 }),
          version2: fc.boolean(),
        }),
        async (keys, { prefix, delimiter, size, version2 }) => {
          const proxy = await withBucket();
          for (const each of keys) await send(proxy, 'PUT', `/bucket/${each}`, { body: 'x' });
          const expected = new Set<string>();
          for (const each of [...keys].sort(compareKeys)) {
            if (!each.startsWith(prefix)) continue;
            const at = delimiter === '' ? -1 : each.indexOf(delimiter, prefix.length);
            expected.add(at < 0 ? `key ${each}` : `prefix ${each.slice(0, at + delimiter.length)}`);
          }
          const found: string[] = [];
          for (let next: Record<string, string> = {}; ; ) {
            const query = {
              prefix,
              'max-keys': String(size),
              ...(delimiter && { delimiter }),
              ...(version2 && { 'list-type': '2' }),
              ...next,
            };
            const root = parseXml((await send(proxy, 'GET', '/bucket', { query })).text);
            const texts = (name: string, inner: string) => descendants(root, name).map((element) => descendants(element, inner)[0]!.text);
            const page = [
              ...texts('Contents', 'Key').map((each) => `key ${each}`),
              ...texts('CommonPrefixes', 'Prefix').map((each) => `prefix ${each}`),
            ];
            expect(page.length).toBeLessThanOrEqual(size);
            found.push(...page);
            if (descendants(root, 'IsTruncated')[0]!.text === 'false') break;
            expect(page.length).toBe(size);
            next = version2
              ? { 'continuation-token': descendants(root, 'NextContinuationToken')[0]!.text }
              : { marker: descendants(root, 'NextMarker')[0]!.text };
          }
          expect([...found].sort()).toEqual([...expected].sort());
        },
      ),
      { numRuns: 60 },
    );
  });
});
