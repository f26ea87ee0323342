/**
 * One NBD connection: negotiation, then requests against a block store. It knows no sockets: bytes are pushed in, and
 * `send` takes what goes out. Requests run at the same time and are answered as they finish, which the protocol allows;
 * memory is bounded, since parsing stops while the requests in flight hold more than `maxInFlightBytes`.
 * Source: NBD doc/proto.md, "Transmission", "Ordering of messages and writes" (FLUSH covers the writes that were
 * answered before it was sent, FUA the write that carries it).
 */

import { BackendError } from '../../base/errors.ts';
import type { ByteAddressedStore } from './byte-addressed.ts';
import { ByteQueue } from './byte-queue.ts';
import { NbdNegotiation } from './negotiation.ts';
import {
  decodeRequest,
  encodeErrorChunk,
  encodeReadChunk,
  encodeSimpleReply,
  maxPayloadBytes,
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_ERROR,
  type NbdRequest,
  requestHeaderBytes,
} from './wire.ts';

export interface NbdExport {
  readonly name: string;
  readonly description: string;
  /** Shared by all connections to the export. */
  readonly disk: ByteAddressedStore;
}

export interface NbdPeer {
  /** Sends pieces one after another; resolves when more may be sent. Pieces belong to the peer. */
  send(pieces: Uint8Array[]): Promise<void> | void;
  /** Hangs up after everything sent has left. */
  close(): void;
}

export interface NbdSessionOptions {
  /** Payload bytes of requests in flight per connection, 64 MiB unless told; at least one largest request. */
  maxInFlightBytes?: number;
  /** Told of a failed request, for a log. */
  onError?: (error: unknown) => void;
}

const maxInFlightRequests = 128;

export class NbdSession {
  readonly #exports: readonly NbdExport[];
  readonly #peer: NbdPeer;
  readonly #options: NbdSessionOptions;
  readonly #maxInFlightBytes: number;
  readonly #queue = new ByteQueue();
  readonly #negotiation: NbdNegotiation;
  #export: NbdExport | null = null;
  #request: NbdRequest | null = null;
  #inFlight = 0;
  #inFlightBytes = 0;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(exports: readonly NbdExport[], peer: NbdPeer, options: NbdSessionOptions = {}) {
    this.#exports = exports;
    this.#peer = peer;
    this.#options = options;
    this.#maxInFlightBytes = Math.max(options.maxInFlightBytes ?? 2 * maxPayloadBytes, maxPayloadBytes);
    this.#negotiation = new NbdNegotiation(
      exports.map(({ name, description, disk }) => ({ name, description, sizeBytes: disk.sizeBytes, readOnly: disk.store.readOnly })),
    );
  }

  start(): void {
    void this.#peer.send([this.#negotiation.greeting()]);
  }

  /** Takes bytes from the peer. While {@link isBusy}, the caller should stop reading; `onIdle` says when to go on. */
  receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#queue.push(bytes);
    this.#advance();
  }

  /** More is in flight, or waits here, than should be added to. */
  get isBusy(): boolean {
    return !this.#closed && (this.#isFull() || this.#queue.length > maxPayloadBytes + requestHeaderBytes);
  }

  /** Calls once when the session can take bytes again. */
  onIdle(call: () => void): void {
    this.#idle.push(call);
  }

  /** The peer is gone: nothing more is parsed; requests in flight end by themselves. */
  end(): void {
    this.#closed = true;
  }

  #isFull(): boolean {
    return this.#inFlight >= maxInFlightRequests || this.#inFlightBytes >= this.#maxInFlightBytes;
  }

  #advance(): void {
    if (!this.#export && !this.#closed) this.#negotiate();
    while (this.#export && !this.#closed && !this.#isFull() && this.#next(this.#export)) {
      // each turn takes one request off the queue
    }
  }

  #negotiate(): void {
    const { send, outcome } = this.#negotiation.advance(this.#queue);
    if (send.length > 0) void this.#peer.send(send);
    if (outcome === 'transmission') this.#export = this.#exports.find(({ name }) => name === this.#negotiation.exportName) ?? null;
    if (outcome === 'close') this.#close();
  }

  #close(): void {
    this.#closed = true;
    this.#peer.close();
  }

  /** @returns whether a request was taken. */
  #next(target: NbdExport): boolean {
    if (!this.#request) {
      const header = this.#queue.take(requestHeaderBytes);
      if (!header) return false;
      this.#request = decodeRequest(header);
      if (!this.#request) {
        this.#close();
        return false;
      }
    }
    const request = this.#request;
    let payload: Uint8Array | null = null;
    if (request.type === NBD_CMD.WRITE) {
      // The payload must be skipped even when the request is refused; one beyond our limit is not worth it.
      if (request.length > maxPayloadBytes) {
        this.#close();
        return false;
      }
      payload = this.#queue.take(request.length);
      if (!payload) return false;
    }
    this.#request = null;
    if (request.type === NBD_CMD.DISC) {
      this.#disconnect();
      return false;
    }
    const holds = request.type === NBD_CMD.READ || request.type === NBD_CMD.WRITE ? Math.min(request.length, maxPayloadBytes) : 0;
    this.#inFlight++;
    this.#inFlightBytes += holds;
    void this.#run(target, request, payload).finally(() => {
      this.#inFlight--;
      this.#inFlightBytes -= holds;
      this.#advance();
      if (!this.isBusy) for (const call of this.#idle.splice(0)) call();
    });
    return true;
  }

  /** A polite client has no requests open; one that has gets their answers first. */
  #disconnect(): void {
    if (this.#inFlight === 0) {
      this.#close();
      return;
    }
    this.#closed = true;
    const wait = (): void => {
      if (this.#inFlight === 0) this.#peer.close();
      else this.onIdle(wait);
    };
    this.onIdle(wait);
  }

  async #run(target: NbdExport, request: NbdRequest, payload: Uint8Array | null): Promise<void> {
    let pieces: Uint8Array[];
    try {
      const refusal = refuse(target, request);
      pieces = refusal === 0 ? await this.#perform(target.disk, request, payload) : this.#failure(request, refusal);
    } catch (error) {
      this.#options.onError?.(error);
      pieces = this.#failure(request, errorNumber(error));
    }
    await this.#peer.send(pieces);
  }

  async #perform(disk: ByteAddressedStore, request: NbdRequest, payload: Uint8Array | null): Promise<Uint8Array[]> {
    const offset = Number(request.offset);
    switch (request.type) {
      case NBD_CMD.READ: {
        const data = new Uint8Array(request.length);
        await disk.read(offset, data);
        const head = this.#negotiation.structuredReplies
          ? encodeReadChunk(request.cookie, request.offset, data.length)
          : encodeSimpleReply(request.cookie, 0);
        return [head, data];
      }
      case NBD_CMD.WRITE:
        await disk.write(offset, payload ?? new Uint8Array(0));
        break;
      case NBD_CMD.TRIM:
        await disk.trim(offset, request.length);
        break;
      case NBD_CMD.WRITE_ZEROES: {
        const allocate = (request.flags & NBD_CMD_FLAG.NO_HOLE) !== 0;
        if (allocate && request.flags & NBD_CMD_FLAG.FAST_ZERO) return this.#failure(request, NBD_ERROR.ENOTSUP);
        await disk.zero(offset, request.length, { allocate });
        break;
      }
      case NBD_CMD.FLUSH:
        await disk.flush();
        break;
    }
    if (request.flags & NBD_CMD_FLAG.FUA && request.type !== NBD_CMD.FLUSH) await disk.flush();
    return [encodeSimpleReply(request.cookie, 0)];
  }

  #failure(request: NbdRequest, error: number): Uint8Array[] {
    const structured = this.#negotiation.structuredReplies && request.type === NBD_CMD.READ;
    return [structured ? encodeErrorChunk(request.cookie, error) : encodeSimpleReply(request.cookie, error)];
  }
}

const allowedFlags: Record<number, number> = {
  [NBD_CMD.READ]: NBD_CMD_FLAG.DF | NBD_CMD_FLAG.FUA,
  [NBD_CMD.WRITE]: NBD_CMD_FLAG.FUA,
  [NBD_CMD.FLUSH]: NBD_CMD_FLAG.FUA,
  [NBD_CMD.TRIM]: NBD_CMD_FLAG.FUA,
  [NBD_CMD.WRITE_ZEROES]: NBD_CMD_FLAG.FUA | NBD_CMD_FLAG.NO_HOLE | NBD_CMD_FLAG.FAST_ZERO,
};

/** The error for a request that needs no store to be refused, or 0. */
function refuse({ disk }: NbdExport, request: NbdRequest): number {
  const allowed = allowedFlags[request.type];
  if (allowed === undefined || (request.flags & ~allowed) !== 0) return NBD_ERROR.EINVAL;
  if (request.type === NBD_CMD.FLUSH) return request.offset === 0n && request.length === 0 ? 0 : NBD_ERROR.EINVAL;
  const writes = request.type !== NBD_CMD.READ;
  if (writes && disk.store.readOnly) return NBD_ERROR.EPERM;
  if (request.type === NBD_CMD.READ && request.length > maxPayloadBytes) return NBD_ERROR.EOVERFLOW;
  if (request.offset + BigInt(request.length) > BigInt(disk.sizeBytes)) return writes ? NBD_ERROR.ENOSPC : NBD_ERROR.EINVAL;
  return 0;
}

function errorNumber(error: unknown): number {
  if (!(error instanceof BackendError)) return NBD_ERROR.EIO;
  switch (error.code) {
    case 'READ_ONLY':
      return NBD_ERROR.EPERM;
    case 'OUT_OF_RANGE':
    case 'BAD_LENGTH':
      return NBD_ERROR.EINVAL;
    case 'FENCED':
      return NBD_ERROR.ESHUTDOWN;
    default:
      return NBD_ERROR.EIO;
  }
}
