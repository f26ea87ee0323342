import { describe, expect, it } from 'vitest';
import { chunkedForm, decodeChunked } from '../../../src/racs/proxy/aws-chunked.ts';
import type { HttpRequest } from '../../../src/racs/proxy/message.ts';
import { checkSignature } from '../../../src/racs/proxy/signature.ts';
import { nodeHashing } from '../../../src/racs/store/s3-server.ts';

// The worked examples of the Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)".
const accessKeyId = 'AKIAIOSFODNN7EXAMPLE';
const secretOf = (id: string) => (id === accessKeyId ? 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' : undefined);
const day = Date.UTC(2013, 4, 24);
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

function request(fields: Partial<HttpRequest> & { headers: ReadonlyMap<string, string> }): HttpRequest {
  return { method: 'GET', path: '/', query: '', body: pieces(new Uint8Array(0), 1), ...fields };
}

function authorization(signedHeaders: string, signature: string): string {
  return `AWS4-HMAC-SHA256 Credential=${accessKeyId}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signedHeaders},Signature=${signature}`;
}

const getObject = {
  path: '/test.txt',
  headers: new Map([
    ['host', 'examplebucket.s3.amazonaws.com'],
    ['range', 'bytes=0-9'],
    ['x-amz-content-sha256', emptySha256],
    ['x-amz-date', '20130524T000000Z'],
    [
      'authorization',
      authorization('host;range;x-amz-content-sha256;x-amz-date', 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'),
    ],
  ]),
};

const presigned = {
  path: '/test.txt',
  query:
    'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z' +
    '&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  headers: new Map([['host', 'examplebucket.s3.amazonaws.com']]),
};

const check = (fields: Parameters<typeof request>[0], now = day) => checkSignature(request(fields), secretOf, nodeHashing, now);
const withHeader = (name: string, value: string) => ({ ...getObject, headers: new Map([...getObject.headers, [name, value]]) });

describe('a signed request', () => {
  it('is taken in the header form (S3 API Reference, "Example: GET Object")', () => {
    expect(check(getObject)).toMatchObject({ accessKeyId, payload: emptySha256 });
  });

  it('is taken with its query signed in any order (S3 API Reference, "Example: Get Bucket (List Objects)")', () => {
    const headers = new Map(getObject.headers);
    headers.delete('range');
    headers.set(
      'authorization',
      authorization('host;x-amz-content-sha256;x-amz-date', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'),
    );
    for (const query of ['max-keys=2&prefix=J', 'prefix=J&max-keys=2']) expect(check({ query, headers })).toMatchObject({ accessKeyId });
  });

  it('is taken in the presigned form (S3 API Reference, "Authenticating Requests: Using Query Parameters")', () => {
    expect(check(presigned, day + 86_400_000)).toMatchObject({ accessKeyId, payload: 'UNSIGNED-PAYLOAD' });
  });

  it.each([
    ['without a signature', { headers: new Map([['host', 'x']]) }, day, 'AccessDenied'],
    ['another path', { ...getObject, path: '/test2.txt' }, day, 'SignatureDoesNotMatch'],
    ['another method', { ...getObject, method: 'DELETE' }, day, 'SignatureDoesNotMatch'],
    ['another query', { ...getObject, query: 'acl' }, day, 'SignatureDoesNotMatch'],
    ['a signed header changed', withHeader('range', 'bytes=0-99'), day, 'SignatureDoesNotMatch'],
    ['an x-amz header that is not signed', withHeader('x-amz-copy-source', '/b/secret'), day, 'AccessDenied'],
    ['a clock 15 minutes and a second behind', getObject, day + 901_000, 'RequestTimeTooSkewed'],
    ['a clock 15 minutes and a second ahead', getObject, day - 901_000, 'RequestTimeTooSkewed'],
    ['a date outside its scope', withHeader('x-amz-date', '20130523T235959Z'), day, 'AuthorizationHeaderMalformed'],
    [
      'an unknown key',
      withHeader('authorization', getObject.headers.get('authorization')!.replace('AKIA', 'AKIB')),
      day,
      'InvalidAccessKeyId',
    ],
    ['an older algorithm', withHeader('authorization', 'AWS AKIAIOSFODNN7EXAMPLE:x'), day, 'InvalidRequest'],
    [
      'host left unsigned',
      withHeader('authorization', authorization('x-amz-content-sha256;x-amz-date', '0'.repeat(64))),
      day,
      'AccessDenied',
    ],
    ['both forms at once', { ...getObject, query: presigned.query }, day, 'InvalidArgument'],
    ['presigned and expired', presigned, day + 86_401_000, 'AccessDenied'],
    ['presigned for the future', presigned, day - 901_000, 'AccessDenied'],
    ['presigned for longer than a week', { ...presigned, query: presigned.query.replace('86400', '604801') }, day, 'InvalidArgument'],
    ['presigned for another object', { ...presigned, path: '/other' }, day, 'SignatureDoesNotMatch'],
    ['presigned with a parameter added', { ...presigned, query: `${presigned.query}&versionId=1` }, day, 'SignatureDoesNotMatch'],
    [
      'presigned with its expiry stretched',
      { ...presigned, query: presigned.query.replace('86400', '86401') },
      day,
      'SignatureDoesNotMatch',
    ],
  ])('is refused: %s', (_, fields, now, code) => {
    expect(() => check(fields, now)).toThrow(expect.objectContaining({ code }));
  });

  it('never has its secret in an error', () => {
    try {
      check({ ...getObject, path: '/x' });
    } catch (error) {
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('wJalr');
    }
  });
});

describe('a body in signed chunks (S3 API Reference, "Transferring Payload in Multiple Chunks", example)', () => {
  const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
  const put = {
    method: 'PUT',
    path: '/examplebucket/chunkObject.txt',
    headers: new Map([
      ['host', 's3.amazonaws.com'],
      ['x-amz-date', '20130524T000000Z'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
      ['x-amz-content-sha256', payload],
      ['content-encoding', 'aws-chunked'],
      ['x-amz-decoded-content-length', '66560'],
      ['content-length', '66824'],
      [
        'authorization',
        authorization(
          'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
          '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
        ),
      ],
    ]),
  };
  const chunk = (length: number, signature: string) => `${length.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(length)}\r\n`;
  const body = new TextEncoder().encode(
    chunk(65536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648') +
      chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') +
      chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9'),
  );

  const decode = async (bytes: Uint8Array, size: number): Promise<number> => {
    let length = 0;
    for await (const piece of decodeChunked(pieces(bytes, size), chunkedForm(payload)!, check(put).chain, nodeHashing, () => {})) {
      expect(piece.every((byte) => byte === 97)).toBe(true);
      length += piece.length;
    }
    return length;
  };

  it('is unwrapped, however it is cut into pieces', async () => {
    for (const size of [7, 1000, 65536, 1_000_000]) expect(await decode(body, size)).toBe(66560);
  });

  it('is refused when a byte of its data or of a signature is another, and when it is cut', async () => {
    for (const at of [20, 100, 40_000, 65_700, 66_000, body.length - 20]) {
      await expect(decode(body.with(at, body[at]! ^ 1), 4096), `byte ${at}`).rejects.toMatchObject({ name: 'S3Error' });
    }
    for (const length of [0, 50, 65_536, 66_000, body.length - 80]) {
      await expect(decode(body.slice(0, length), 4096), `${length} bytes`).rejects.toMatchObject({ code: 'IncompleteBody' });
    }
  });

  it('hands on no chunk before its signature was right', async () => {
    const spoiled = body.with(66_000, 98);
    let given = 0;
    const reading = (async () => {
      for await (const piece of decodeChunked(pieces(spoiled, 1000), chunkedForm(payload)!, check(put).chain, nodeHashing, () => {}))
        given += piece.length;
    })();
    await expect(reading).rejects.toMatchObject({ code: 'SignatureDoesNotMatch' });
    expect(given).toBe(65536);
  });
});
