/**
 * HTTP for the adapters: node:http with kept connections, which takes a third of the processor time of `fetch` for a
 * megabyte. Turns failures of the network into StoreErrors: a connection that was refused has changed nothing; one
 * that broke after the request went out may have.
 */

import http from 'node:http';
import https from 'node:https';
import { StoreError } from '../object-store.ts';

export interface HttpRequest {
  method: string;
  /** Path and query, already escaped. */
  path: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Reads the rest of the answer; must be called, or `stream` read to its end. */
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
  stream: AsyncIterable<Uint8Array>;
}

export class HttpClient {
  readonly origin: URL;
  readonly #agent: http.Agent;
  readonly #name: string;
  #closed = false;

  constructor(name: string, endpoint: string, options: { connections?: number } = {}) {
    this.#name = name;
    this.origin = new URL(endpoint);
    const agentOptions = { keepAlive: true, maxSockets: options.connections ?? 64, noDelay: true };
    this.#agent = this.origin.protocol === 'https:' ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
  }

  async request(request: HttpRequest, host = this.origin.hostname): Promise<HttpResponse> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.#once(request, host);
      } catch (error) {
        // A kept connection that the server closed in the same moment: nothing was read of the request.
        if (!(error instanceof ReusedConnectionError) || tries >= 2) throw error instanceof ReusedConnectionError ? error.failure : error;
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  #once({ method, path, headers, body, signal }: HttpRequest, host: string): Promise<HttpResponse> {
    if (this.#closed) throw new StoreError('UNAVAILABLE', `${this.#name}: closed`);
    if (signal?.aborted) throw new StoreError('ABORTED', `${this.#name}: the caller gave up`);
    const changes = method !== 'GET' && method !== 'HEAD' && method !== 'PROPFIND';
    return new Promise((resolve, reject) => {
      const send = this.origin.protocol === 'https:' ? https.request : http.request;
      const length = body ? { 'content-length': String(body.length) } : changes && method !== 'DELETE' ? { 'content-length': '0' } : {};
      const request = send({
        ...{ agent: this.#agent, host, method, path, headers: { ...length, ...headers } },
        ...(this.origin.port && { port: this.origin.port }),
        ...(signal && { signal }),
      });
      const failed = (error: NodeJS.ErrnoException): StoreError => {
        if (signal?.aborted) return new StoreError('ABORTED', `${this.#name}: the caller gave up`, { mayHaveHappened: changes });
        const before = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(error.code ?? '');
        const what = `${this.#name}: ${method}: ${error.code ?? 'connection broken'}`;
        return new StoreError('UNAVAILABLE', what, { mayHaveHappened: changes && !before });
      };
      request.once('error', (error: NodeJS.ErrnoException) => {
        const reused = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE') && !changes;
        reject(reused ? new ReusedConnectionError(failed(error)) : failed(error));
      });
      request.once('response', (response) => {
        async function* stream(): AsyncGenerator<Uint8Array> {
          try {
            for await (const piece of response as AsyncIterable<Buffer>) yield new Uint8Array(piece.buffer, piece.byteOffset, piece.length);
          } catch (error) {
            throw failed(error as NodeJS.ErrnoException);
          }
          if (!response.complete) throw failed(new Error('answer cut short'));
        }
        const pieces = stream();
        const bytes = async (): Promise<Uint8Array> => {
          const gathered: Uint8Array[] = [];
          for await (const piece of pieces) gathered.push(piece);
          return gathered.length === 1 ? gathered[0]! : new Uint8Array(Buffer.concat(gathered));
        };
        resolve({
          ...{ status: response.statusCode ?? 0, headers: response.headers, bytes, stream: pieces },
          text: async () => new TextDecoder().decode(await bytes()),
        });
      });
      request.end(body);
    });
  }
}

class ReusedConnectionError extends Error {
  readonly failure: StoreError;

  constructor(failure: StoreError) {
    super('connection was closed while idle');
    this.failure = failure;
  }
}

/** A key in a path: all but unreserved characters and slashes escaped (RFC 3986 §2.3, as SigV4 wants it). */
export function escapePath(key: string): string {
  return key.split('/').map(escapeComponent).join('/');
}

export function escapeComponent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The error for a status that no adapter expects; `detail` is the store's own code. */
export function statusError(
  store: string,
  status: number,
  detail: string,
  changes: boolean,
  headers: http.IncomingHttpHeaders = {},
): StoreError {
  const message = `${store}: ${status}${detail ? ` ${detail}` : ''}`;
  const seconds = Number(headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1000 } : {};
  if (status === 401 || status === 403) return new StoreError('ACCESS_DENIED', message);
  if (status === 404) return new StoreError('NOT_FOUND', message);
  if (status === 408) return new StoreError('TIMEOUT', message, { mayHaveHappened: changes });
  if (status === 412) return new StoreError('PRECONDITION_FAILED', message);
  if (status === 413) return new StoreError('TOO_LARGE', message);
  if (status === 416) return new StoreError('INVALID_RANGE', message);
  if (status === 429 || status === 503) return new StoreError('THROTTLED', message, retryAfterMs);
  if (status === 501) return new StoreError('UNSUPPORTED', message);
  if (status >= 500) return new StoreError('UNAVAILABLE', message, { mayHaveHappened: changes, ...retryAfterMs });
  return new StoreError('BAD_REQUEST', message);
}

/** Size of the whole object and where the answer begins, from Content-Range or Content-Length. */
export function extentOf(headers: http.IncomingHttpHeaders): { first: number; size: number; length: number } {
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers['content-range'] ?? '');
  if (range) return { first: Number(range[1]), size: Number(range[3]), length: Number(range[2]) - Number(range[1]) + 1 };
  const length = Number(headers['content-length'] ?? 0);
  return { first: 0, size: length, length };
}

export function rangeHeader(range: { first: number; end?: number } | { suffix: number } | undefined): Record<string, string> {
  if (!range) return {};
  if ('suffix' in range) return { range: `bytes=-${range.suffix}` };
  return { range: `bytes=${range.first}-${range.end === undefined ? '' : range.end - 1}` };
}

export const unquote = (etag: string | undefined): string => (etag ?? '').replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
