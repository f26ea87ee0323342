/** HTTP for the S3 proxy, and the host's hashes. Listens on loopback unless told otherwise: there is no TLS here. */

import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { BackendError } from '../../base/errors.ts';
import type { Hashing, HttpRequest, HttpResponse } from '../proxy/message.ts';
import type { S3Proxy } from '../proxy/s3-proxy.ts';

export const nodeHashing: Hashing = {
  hash: (name) => {
    const hash = createHash(name);
    return { update: (bytes) => void hash.update(bytes), digest: () => new Uint8Array(hash.digest()) };
  },
  hmacSha256: (key, data) => new Uint8Array(createHmac('sha256', key).update(data).digest()),
};

export interface S3Server {
  readonly host: string;
  readonly port: number;
  /** Stops listening, and ends connections once their requests are answered. */
  close(): Promise<void>;
}

/** @throws {BackendError} LISTEN when the address cannot be had. */
export async function serveS3(proxy: S3Proxy, address: { host: string; port: number }): Promise<S3Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, outgoing) => {
    void answer(proxy, incoming, outgoing);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new BackendError('LISTEN', `cannot listen on ${address.host}:${address.port} (${error.code ?? 'error'})`, { cause: error })),
    );
    server.listen(address, () => resolve());
  });
  const bound = server.address();
  return {
    host: address.host,
    port: bound !== null && typeof bound === 'object' ? bound.port : address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

async function answer(proxy: S3Proxy, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  incoming.on('error', () => {});
  outgoing.on('error', () => {});
  try {
    const response = await proxy.handle(requestOf(incoming));
    // A body that was not read to its end would be taken for the next request.
    const unread = !incoming.complete;
    if (unread) response.headers['connection'] = 'close';
    await send(response, outgoing, incoming.method === 'HEAD');
    if (unread) drainBriefly(incoming);
  } catch {
    // The answer had begun: cutting the connection is all that tells the client.
    outgoing.destroy();
  }
}

function requestOf(incoming: IncomingMessage): HttpRequest {
  const url = incoming.url ?? '/';
  const at = url.indexOf('?');
  const headers = new Map<string, string>();
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    const name = incoming.rawHeaders[i]!.toLowerCase();
    const value = incoming.rawHeaders[i + 1]!;
    headers.set(name, headers.has(name) ? `${headers.get(name)},${value}` : value);
  }
  return {
    method: incoming.method ?? 'GET',
    path: at < 0 ? url : url.slice(0, at),
    query: at < 0 ? '' : url.slice(at + 1),
    headers,
    body: incoming,
  };
}

async function send({ status, headers, body }: HttpResponse, outgoing: ServerResponse, headOnly: boolean): Promise<void> {
  if (body instanceof Uint8Array) headers['content-length'] = String(body.length);
  else if (body === undefined && !headOnly && status !== 204 && status !== 304) headers['content-length'] = '0';
  outgoing.writeHead(status, headers);
  if (body instanceof Uint8Array) outgoing.end(body);
  else if (body === undefined || headOnly) outgoing.end();
  else {
    for await (const piece of body) {
      if (outgoing.destroyed) return;
      if (!outgoing.write(piece)) await writable(outgoing);
    }
    outgoing.end();
  }
}

function writable(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done);
      outgoing.off('close', done);
      resolve();
    };
    outgoing.on('drain', done);
    outgoing.on('close', done);
  });
}

/** Lets a client that is still sending see the answer, but not for long. */
function drainBriefly(incoming: IncomingMessage): void {
  incoming.resume();
  setTimeout(() => incoming.destroy(), 2000).unref();
}
