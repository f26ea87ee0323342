/**
 * The AWS SDK against one array behind two S3 proxies: node racs-proxy-sdk.js MODULES ENDPOINT ENDPOINT2, keys in
 * RACS_ACCESS_KEY and RACS_SECRET_KEY. MODULES is the folder with the SDK's node_modules. Last line: "N passed, N failed".
 */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';

const [, , modules, endpoint, endpoint2 = endpoint] = process.argv;
const { RACS_ACCESS_KEY: accessKeyId, RACS_SECRET_KEY: secretAccessKey } = process.env;
const require = createRequire(`${modules}/`);
const {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');

const client = (options = {}) =>
  new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
    ...options,
  });
const s3 = client(),
  other = client({ endpoint: endpoint2 });
let passed = 0,
  failed = 0;
const test = async (name, f) => {
  try {
    await f();
    passed++;
    console.log(`ok     ${name}`);
  } catch (e) {
    failed++;
    console.log(`FAILED ${name}: ${e.stack ?? e}`);
  }
};
const code = (p, c, status) =>
  assert.rejects(p, (e) => {
    assert.equal(e.name, c);
    if (status) assert.equal(e.$metadata.httpStatusCode, status);
    return true;
  });
const B = 'sdk-bucket',
  data = randomBytes(1_000_003);
const put = (Key, Body, more = {}, c = s3) => c.send(new PutObjectCommand({ Bucket: B, Key, Body, ...more }));
const get = async (Key, more = {}, c = other) =>
  Buffer.from(await (await c.send(new GetObjectCommand({ Bucket: B, Key, ...more }))).Body.transformToByteArray());
await test('creates a bucket, once', async () => {
  await s3.send(new CreateBucketCommand({ Bucket: B }));
  await code(s3.send(new CreateBucketCommand({ Bucket: B })), 'BucketAlreadyOwnedByYou', 409);
  assert.ok((await other.send(new ListBucketsCommand({}))).Buckets.some((b) => b.Name === B));
});
await test('puts and gets, with MD5 as ETag, metadata and headers, seen by the other proxy', async () => {
  const r = await put('k', data, { ContentType: 'text/x', Metadata: { a: 'b' }, CacheControl: 'no-store', ContentEncoding: 'gzip' });
  assert.equal(r.ETag, `"${createHash('md5').update(data).digest('hex')}"`);
  const h = await other.send(new HeadObjectCommand({ Bucket: B, Key: 'k' }));
  assert.deepEqual(
    [h.ContentLength, h.ContentType, h.Metadata, h.CacheControl, h.ContentEncoding],
    [data.length, 'text/x', { a: 'b' }, 'no-store', 'gzip'],
  );
  assert.ok((await get('k')).equals(data));
});
await test('puts a stream in aws-chunked form with a trailing checksum', async () => {
  await put('stream', Readable.from([data.subarray(0, 500000), data.subarray(500000)]), { ContentLength: data.length });
  assert.ok((await get('stream')).equals(data));
});
await test('puts with SHA-256 and with CRC-32 checksums', async () => {
  await put('sum', data, { ChecksumAlgorithm: 'SHA256' });
  await put('sum', data, { ChecksumAlgorithm: 'CRC32' });
  await put('sum', data, { ChecksumAlgorithm: 'SHA1' });
  await put('sum', data, { ChecksumAlgorithm: 'CRC32C' });
});
await test('refuses a wrong checksum and keeps the old object', async () => {
  await code(put('k', Buffer.from('other'), { ChecksumSHA256: createHash('sha256').update('x').digest('base64') }), 'BadDigest', 400);
  await code(put('k', Buffer.from('other'), { ContentMD5: createHash('md5').update('x').digest('base64') }), 'BadDigest');
  assert.ok((await get('k')).equals(data));
});
await test('puts an empty object', async () => {
  await put('empty', Buffer.alloc(0));
  assert.equal((await get('empty')).length, 0);
});
await test('serves ranges', async () => {
  for (const [r, a, b] of [
    ['bytes=0-0', 0, 1],
    ['bytes=1000-1999', 1000, 2000],
    ['bytes=-7', data.length - 7, data.length],
    ['bytes=999999-', 999999, data.length],
    ['bytes=10-99999999', 10, data.length],
  ]) {
    const o = await s3.send(new GetObjectCommand({ Bucket: B, Key: 'k', Range: r }));
    assert.equal(o.ContentRange, `bytes ${a}-${b - 1}/${data.length}`);
    assert.ok(Buffer.from(await o.Body.transformToByteArray()).equals(data.subarray(a, b)));
  }
  await code(get('k', { Range: 'bytes=9999999-' }), 'InvalidRange', 416);
});
await test('heeds conditions of reads', async () => {
  const { ETag, LastModified } = await s3.send(new HeadObjectCommand({ Bucket: B, Key: 'k' }));
  await get('k', { IfMatch: ETag });
  await code(get('k', { IfMatch: '"x"' }), 'PreconditionFailed', 412);
  await assert.rejects(get('k', { IfNoneMatch: ETag }), (e) => e.$metadata.httpStatusCode === 304);
  await assert.rejects(get('k', { IfModifiedSince: new Date(LastModified.getTime() + 1000) }), (e) => e.$metadata.httpStatusCode === 304);
  await code(get('k', { IfUnmodifiedSince: new Date(0) }), 'PreconditionFailed');
});
await test('heeds conditions of writes: one of 16 creators wins, over two proxies', async () => {
  const r = await Promise.allSettled(
    Array.from({ length: 16 }, (_, i) => put('race', Buffer.from(`w${i}`), { IfNoneMatch: '*' }, i % 2 ? s3 : other)),
  );
  const won = r.flatMap((x, i) => (x.status === 'fulfilled' ? [i] : []));
  assert.equal(won.length, 1);
  for (const x of r) if (x.status === 'rejected') assert.equal(x.reason.$metadata.httpStatusCode, 412);
  assert.equal(String(await get('race')), `w${won[0]}`);
  const { ETag } = await s3.send(new HeadObjectCommand({ Bucket: B, Key: 'race' }));
  await put('race', Buffer.from('z'), { IfMatch: ETag });
  await code(put('race', Buffer.from('y'), { IfMatch: ETag }), 'PreconditionFailed', 412);
});
await test('tells what is not there', async () => {
  await code(get('nope'), 'NoSuchKey', 404);
  await assert.rejects(s3.send(new HeadObjectCommand({ Bucket: B, Key: 'nope' })), (e) => e.$metadata.httpStatusCode === 404);
  await code(s3.send(new GetObjectCommand({ Bucket: 'no-such-bucket', Key: 'k' })), 'NoSuchBucket', 404);
  await s3.send(new DeleteObjectCommand({ Bucket: B, Key: 'nope' }));
});
const odd = ["a b/ü+&=?#%'()*!", 'x//y', '日本/🦊', 'a/./b/../c', '"<>&\'', 'tab\tkey', ' '];
await test('takes keys of any characters', async () => {
  for (const k of odd) {
    await put(k, Buffer.from(k));
    assert.equal(String(await get(k)), k);
  }
  const l = await s3.send(new ListObjectsV2Command({ Bucket: B, EncodingType: 'url' }));
  const keys = l.Contents.map((c) => decodeURIComponent(c.Key));
  for (const k of odd) assert.ok(keys.includes(k), k);
  await s3.send(new DeleteObjectsCommand({ Bucket: B, Delete: { Objects: odd.map((Key) => ({ Key })) } }));
});
await test('copies, with metadata kept or replaced', async () => {
  await s3.send(new CopyObjectCommand({ Bucket: B, Key: 'copy', CopySource: `${B}/k` }));
  let h = await s3.send(new HeadObjectCommand({ Bucket: B, Key: 'copy' }));
  assert.deepEqual([h.Metadata, h.ContentType], [{ a: 'b' }, 'text/x']);
  await s3.send(
    new CopyObjectCommand({ Bucket: B, Key: 'copy', CopySource: `/${B}/k`, MetadataDirective: 'REPLACE', Metadata: { c: 'd' } }),
  );
  h = await s3.send(new HeadObjectCommand({ Bucket: B, Key: 'copy' }));
  assert.deepEqual(h.Metadata, { c: 'd' });
  assert.ok((await get('copy')).equals(data));
  await code(s3.send(new CopyObjectCommand({ Bucket: B, Key: 'copy', CopySource: `${B}/nope` })), 'NoSuchKey');
  await code(
    s3.send(new CopyObjectCommand({ Bucket: B, Key: 'c2', CopySource: `${B}/k`, CopySourceIfMatch: '"x"' })),
    'PreconditionFailed',
  );
});
await test('lists with prefix, delimiter and pages, in both versions', async () => {
  const keys = [];
  for (let i = 0; i < 30; i++) keys.push(`l/${String(i % 5)}/${i}`, `l/f${String(i).padStart(2, '0')}`);
  await Promise.all(keys.map((k) => put(k, Buffer.from(k))));
  keys.sort();
  const pages = async (p, v1) => {
    const out = [],
      pre = [];
    let n = 0;
    for (let t; ; ) {
      const r = await other.send(
        v1 ? new ListObjectsCommand({ Bucket: B, ...p, Marker: t }) : new ListObjectsV2Command({ Bucket: B, ...p, ContinuationToken: t }),
      );
      n++;
      out.push(...(r.Contents ?? []).map((c) => c.Key));
      pre.push(...(r.CommonPrefixes ?? []).map((c) => c.Prefix));
      if (!r.IsTruncated) return { out, pre, n };
      t = v1 ? r.NextMarker : r.NextContinuationToken;
      assert.ok(t);
    }
  };
  for (const v1 of [false, true]) {
    assert.deepEqual(await pages({ Prefix: 'l/', MaxKeys: 7 }, v1), { out: keys, pre: [], n: 9 });
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const r = await pages({ Prefix: 'l/', Delimiter: '/', MaxKeys }, v1);
      assert.deepEqual([r.out, r.pre], [keys.filter((k) => k.startsWith('l/f')), ['l/0/', 'l/1/', 'l/2/', 'l/3/', 'l/4/']]);
    }
  }
  assert.deepEqual((await pages({ Prefix: 'l/f', StartAfter: 'l/f27' })).out, ['l/f28', 'l/f29']);
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket: B, MaxKeys: 0 }))).KeyCount, 0);
});
await test('deletes many', async () => {
  const l = await s3.send(new ListObjectsV2Command({ Bucket: B, Prefix: 'l/' }));
  const r = await s3.send(new DeleteObjectsCommand({ Bucket: B, Delete: { Objects: l.Contents.map(({ Key }) => ({ Key })) } }));
  assert.equal(r.Deleted.length, 60);
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket: B, Prefix: 'l/' }))).KeyCount, 0);
});
await test('uploads in parts through lib-storage, over two proxies', async () => {
  const big = randomBytes(12_000_000);
  await new Upload({
    client: s3,
    params: { Bucket: B, Key: 'big', Body: Readable.from([big]), ContentType: 'x/y' },
    partSize: 5 << 20,
  }).done();
  assert.ok((await get('big')).equals(big));
  const h = await other.send(new HeadObjectCommand({ Bucket: B, Key: 'big' }));
  assert.match(h.ETag, /^"[0-9a-f]{32}-3"$/);
  assert.equal(h.ContentType, 'x/y');
});
await test('handles parts: list, copy, order, size, completion twice, abort', async () => {
  const P = { Bucket: B, Key: 'mp' };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(P));
  const one = await other.send(new UploadPartCommand({ ...P, UploadId, PartNumber: 1, Body: Buffer.alloc(5 << 20, 1) }));
  const two = await s3.send(
    new UploadPartCopyCommand({ ...P, UploadId, PartNumber: 3, CopySource: `${B}/k`, CopySourceRange: 'bytes=0-99' }),
  );
  assert.deepEqual(
    (await s3.send(new ListPartsCommand({ ...P, UploadId }))).Parts.map((p) => [p.PartNumber, p.Size]),
    [
      [1, 5 << 20],
      [3, 100],
    ],
  );
  assert.equal((await s3.send(new ListMultipartUploadsCommand({ Bucket: B }))).Uploads[0].UploadId, UploadId);
  const parts = [
    { PartNumber: 1, ETag: one.ETag },
    { PartNumber: 3, ETag: two.CopyPartResult.ETag },
  ];
  const complete = (Parts) => s3.send(new CompleteMultipartUploadCommand({ ...P, UploadId, MultipartUpload: { Parts } }));
  await code(complete([...parts].reverse()), 'InvalidPartOrder');
  await code(complete([{ PartNumber: 1, ETag: '"x"' }]), 'InvalidPart');
  const r = await complete(parts);
  assert.equal((await complete(parts)).ETag, r.ETag);
  assert.ok((await get('mp')).equals(Buffer.concat([Buffer.alloc(5 << 20, 1), data.subarray(0, 100)])));
  const b = await s3.send(new CreateMultipartUploadCommand(P));
  await s3.send(new AbortMultipartUploadCommand({ ...P, UploadId: b.UploadId }));
  await code(s3.send(new ListPartsCommand({ ...P, UploadId: b.UploadId })), 'NoSuchUpload', 404);
});
await test('serves presigned addresses, and not expired or altered ones', async () => {
  const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket: B, Key: 'sum', ResponseContentType: 'x/z' }), { expiresIn: 60 });
  const r = await fetch(url);
  assert.equal(r.headers.get('content-type'), 'x/z');
  assert.ok(Buffer.from(await r.arrayBuffer()).equals(data));
  assert.equal((await fetch(url.replace('/sum?', '/copy?'))).status, 403);
  const old = await getSignedUrl(s3, new GetObjectCommand({ Bucket: B, Key: 'k' }), {
    expiresIn: 60,
    signingDate: new Date(Date.now() - 3600e3),
  });
  const e = await fetch(old);
  assert.equal(e.status, 403);
  assert.match(await e.text(), /expired/);
  const up = await getSignedUrl(s3, new PutObjectCommand({ Bucket: B, Key: 'up' }), { expiresIn: 60 });
  assert.equal((await fetch(up, { method: 'PUT', body: 'hello' })).status, 200);
  assert.equal(String(await get('up')), 'hello');
});
await test('refuses unsigned, stale, unknown and wrongly signed requests', async () => {
  const r = await fetch(`${endpoint}/${B}/k`);
  assert.equal(r.status, 403);
  assert.match(await r.text(), /<Code>AccessDenied</);
  const t = (o) => client(o).send(new ListBucketsCommand({}));
  await code(t({ credentials: { accessKeyId, secretAccessKey: 'wrong' } }), 'SignatureDoesNotMatch', 403);
  await code(t({ credentials: { accessKeyId: 'nobody', secretAccessKey } }), 'InvalidAccessKeyId', 403);
  await code(t({ systemClockOffset: -20 * 60e3 }), 'RequestTimeTooSkewed', 403);
  await code(t({ systemClockOffset: 20 * 60e3 }), 'RequestTimeTooSkewed', 403);
});
await test('removes a bucket only when it is empty', async () => {
  await code(s3.send(new DeleteBucketCommand({ Bucket: B })), 'BucketNotEmpty', 409);
  const l = await s3.send(new ListObjectsV2Command({ Bucket: B }));
  await s3.send(new DeleteObjectsCommand({ Bucket: B, Delete: { Objects: l.Contents.map(({ Key }) => ({ Key })), Quiet: true } }));
  await s3.send(new DeleteBucketCommand({ Bucket: B }));
  await code(s3.send(new ListObjectsV2Command({ Bucket: B })), 'NoSuchBucket');
});
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
