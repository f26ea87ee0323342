import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { escapeComponent, escapePath } from '../../../src/racs/store/http-client.ts';
import { S3Store } from '../../../src/racs/store/s3-store.ts';
import { sha256Hex, signV4 } from '../../../src/racs/store/sigv4.ts';
import { childText, descendants, parseXml } from '../../../src/racs/store/xml.ts';

describe('Signature Version 4', () => {
  const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
  const common = { host: 'examplebucket.s3.amazonaws.com', region: 'us-east-1', time: Date.UTC(2013, 4, 24) };

  // Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Examples".
  it.each([
    [
      'GET Object',
      { method: 'GET', path: '/test.txt', query: {}, headers: { range: 'bytes=0-9' }, payloadHash: sha256Hex('') },
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    ],
    [
      'GET Bucket Lifecycle',
      { method: 'GET', path: '/', query: { lifecycle: '' }, headers: {}, payloadHash: sha256Hex('') },
      'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    ],
    [
      'GET Bucket',
      { method: 'GET', path: '/', query: { 'max-keys': '2', prefix: 'J' }, headers: {}, payloadHash: sha256Hex('') },
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ])('of the published example %s', (_, request, signature) => {
    const { authorization } = signV4({ ...common, ...request } as Parameters<typeof signV4>[0], credentials, escapeComponent);
    expect(authorization).toMatch(new RegExp(`Signature=${signature}$`));
  });

  it('escapes all but unreserved characters, and keeps slashes of paths', () => {
    expect(escapePath("a b/ü+*'()!~")).toBe('a%20b/%C3%BC%2B%2A%27%28%29%21~');
  });
});

describe('XML', () => {
  it('is read with prefixes, entities, CDATA, comments and empty elements', () => {
    const root = parseXml(
      '<?xml version="1.0"?><!-- x --><D:a xmlns:D="DAV:"><b k="1>2">&lt;&#65;&#x1F600;&amp;</b><c/><d><![CDATA[<x>]]></d><b>2</b></D:a>\n'.trim(),
    );
    expect([root.name, childText(root, 'b'), childText(root, 'c'), childText(root, 'd')]).toEqual(['a', '<A\u{1f600}&', '', '<x>']);
    expect(descendants(root, 'b')).toHaveLength(2);
  });

  it.each(['', '<a>', '<a></b>', '<a/><b/>', 'x', '<a>&lt;</a', '</a>'])('is refused when it is not well-formed: %j', (text) => {
    expect(() => parseXml(text)).toThrow(/XML/);
  });
});

describe('the S3 adapter', () => {
  let server: Server | undefined;
  afterEach(() => new Promise((resolve) => (server ? server.close(resolve) : resolve(null))));

  async function storeAt(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<S3Store> {
    server = createServer((request, response) => {
      request.resume();
      request.on('end', () => answer(request, response));
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new S3Store({ endpoint, bucket: 'b', credentials: { accessKeyId: 'AK', secretAccessKey: 'TOPSECRET' }, dialect: 'minio' });
  }

  it.each([
    [403, 'SignatureDoesNotMatch', 'ACCESS_DENIED', false],
    [404, 'NoSuchBucket', 'NO_SUCH_BUCKET', false],
    [409, 'ConditionalRequestConflict', 'PRECONDITION_FAILED', false],
    [412, 'PreconditionFailed', 'PRECONDITION_FAILED', false],
    [500, 'InternalError', 'UNAVAILABLE', true],
    [501, 'NotImplemented', 'UNSUPPORTED', false],
    [503, 'SlowDown', 'THROTTLED', false],
  ])('takes %i %s of a put for %s, and tells no secret', async (status, code, expected, mayHaveHappened) => {
    const store = await storeAt((_, response) => response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`));
    const error = await store.put('k', new Uint8Array(3), { ifNoneMatch: '*' }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: expected, mayHaveHappened });
    expect(JSON.stringify(error) + String(error)).not.toMatch(/TOPSECRET|Signature=/);
    await store.close();
  });

  it('says that a put may have happened when the connection breaks, and that it has not when nobody listens', async () => {
    const store = await storeAt((request) => request.socket.destroy());
    await expect(store.put('k', new Uint8Array(3))).rejects.toMatchObject({ code: 'UNAVAILABLE', mayHaveHappened: true });
    await expect(store.get('k')).rejects.toMatchObject({ code: 'UNAVAILABLE', mayHaveHappened: false });
    await new Promise((resolve) => server!.close(resolve));
    server = undefined;
    await expect(store.put('k', new Uint8Array(3))).rejects.toMatchObject({ code: 'UNAVAILABLE', mayHaveHappened: false });
  });

  it('does not take an answer that was cut short for a whole one', async () => {
    const store = await storeAt((request, response) => {
      response.writeHead(200, { 'content-length': '10', etag: '"e"' });
      response.write('12345');
      setTimeout(() => request.socket.destroy(), 5);
    });
    await expect(store.get('k')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await store.close();
  });
});
