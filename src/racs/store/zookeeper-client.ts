/**
 * As much of a ZooKeeper client as registers need: one connection, requests in a pipeline, pings, a new session when
 * the old one is gone. No watches and no ephemeral nodes, so nothing of ours hangs on the session.
 * Source: ZooKeeper 3.8 `zookeeper.jute` (ConnectRequest, RequestHeader, ReplyHeader, Stat, and the requests below) and
 * `ZooDefs.OpCode`, `KeeperException.Code`. Records are jute: big-endian, buffers and strings with a 32-bit length.
 */

import { connect, type Socket } from 'node:net';
import { StoreError } from '../object-store.ts';

const opcodes = { create: 1, delete: 2, getData: 4, setData: 5, sync: 9, ping: 11, getChildren: 8, closeSession: -11 } as const;
export const zooErrors = { ok: 0, noNode: -101, badVersion: -103, nodeExists: -110, sessionExpired: -112 } as const;

/** Changes are those whose lost answer is unclear. */
const changing: readonly (keyof typeof opcodes)[] = ['create', 'delete', 'setData'];
const pingXid = -2;

export interface ZooReply {
  error: number;
  body: JuteReader;
}

interface Pending {
  xid: number;
  changes: boolean;
  resolve(reply: ZooReply): void;
  reject(error: StoreError): void;
}

export class ZooKeeperClient {
  readonly name: string;
  readonly #servers: { host: string; port: number }[];
  readonly #timeoutMs: number;
  #connection: Promise<Socket> | null = null;
  #pending: Pending[] = [];
  #xid = 0;
  #turn = 0;
  #ping: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(servers: readonly string[], timeoutMs = 6000) {
    this.name = `zookeeper ${servers.join()}`;
    this.#timeoutMs = timeoutMs;
    this.#servers = servers.map((server) => {
      const [, host, port] = /^(.*?)(?::(\d+))?$/.exec(server)!;
      return { host: host!, port: Number(port ?? 2181) };
    });
  }

  /** Sends a request; its error code is for the caller to judge. */
  async call(op: Exclude<keyof typeof opcodes, 'ping'>, body: Uint8Array, signal?: AbortSignal): Promise<ZooReply> {
    if (this.#closed) throw new StoreError('UNAVAILABLE', `${this.name}: closed`);
    if (signal?.aborted) throw new StoreError('ABORTED', `${this.name}: the caller gave up`);
    this.#connection ??= this.#connect();
    const socket = await this.#connection;
    const changes = changing.includes(op);
    const reply = await new Promise<ZooReply>((resolve, reject) => {
      const xid = ++this.#xid;
      const timer = setTimeout(() => {
        reject(new StoreError('TIMEOUT', `${this.name}: no answer`, { mayHaveHappened: changes }));
        socket.destroy();
      }, this.#timeoutMs);
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          then(value);
        };
      this.#pending.push({ xid, changes, resolve: settle(resolve), reject: settle(reject) });
      socket.write(frame(new JuteWriter().int(xid).int(opcodes[op]).bytes(body).done()));
    });
    if (reply.error === zooErrors.sessionExpired) {
      socket.destroy();
      throw new StoreError('UNAVAILABLE', `${this.name}: session expired`);
    }
    return reply;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const connection = this.#connection;
    if (connection) await this.call('closeSession', new Uint8Array(0)).catch(() => {});
    this.#closed = true;
    (await connection?.catch(() => null))?.destroy();
  }

  #connect(): Promise<Socket> {
    const server = this.#servers[this.#turn++ % this.#servers.length]!;
    return new Promise((resolve, reject) => {
      const socket = connect({ ...server, noDelay: true, timeout: this.#timeoutMs });
      let received = new Uint8Array(0);
      let greeted = false;
      const lost = (): void => {
        clearInterval(this.#ping);
        this.#connection = null;
        const pending = this.#pending;
        this.#pending = [];
        for (const { changes, reject: fail } of pending) {
          fail(new StoreError('UNAVAILABLE', `${this.name}: connection lost`, { mayHaveHappened: changes }));
        }
        reject(new StoreError('UNAVAILABLE', `${this.name}: no connection`));
      };
      socket.on('error', () => {});
      socket.on('timeout', () => socket.destroy());
      socket.on('close', lost);
      socket.on('connect', () => {
        // protocolVersion, lastZxidSeen, timeOut, sessionId, passwd
        socket.write(frame(new JuteWriter().int(0).long(0n).int(this.#timeoutMs).long(0n).buffer(new Uint8Array(16)).done()));
      });
      socket.on('data', (data: Buffer) => {
        received = received.length === 0 ? new Uint8Array(data) : new Uint8Array(Buffer.concat([received, data]));
        for (;;) {
          const length = received.length < 4 ? Number.POSITIVE_INFINITY : new DataView(received.buffer, received.byteOffset).getInt32(0);
          if (received.length < 4 + length) return;
          const reader = new JuteReader(Buffer.from(received.buffer, received.byteOffset + 4, length));
          received = received.subarray(4 + length);
          if (greeted) this.#answer(reader, socket);
          else {
            greeted = true;
            reader.int();
            const sessionMs = reader.int();
            if (sessionMs <= 0) {
              socket.destroy();
              return;
            }
            const ping = frame(new JuteWriter().int(pingXid).int(opcodes.ping).done());
            this.#ping = setInterval(() => socket.write(ping), sessionMs / 3);
            this.#ping.unref();
            resolve(socket);
          }
        }
      });
    });
  }

  #answer(reader: JuteReader, socket: Socket): void {
    const xid = reader.int();
    reader.long();
    const error = reader.int();
    if (xid < 0) return;
    const pending = this.#pending.shift();
    // Replies come in the order of requests; anything else means that we have lost count.
    if (pending?.xid !== xid) {
      if (pending) this.#pending.unshift(pending);
      socket.destroy();
      return;
    }
    pending.resolve({ error, body: reader });
  }
}

function frame(content: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(4 + content.length);
  framed.writeInt32BE(content.length);
  framed.set(content, 4);
  return framed;
}

export class JuteWriter {
  readonly #pieces: Uint8Array[] = [];

  int(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return this.bytes(bytes);
  }

  long(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return this.bytes(bytes);
  }

  bool(value: boolean): this {
    return this.bytes(Uint8Array.of(value ? 1 : 0));
  }

  buffer(value: Uint8Array): this {
    return this.int(value.length).bytes(value);
  }

  string(value: string): this {
    return this.buffer(new TextEncoder().encode(value));
  }

  bytes(value: Uint8Array): this {
    this.#pieces.push(value);
    return this;
  }

  done(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }
}

/** All rights for everybody, as the paper's prototype had: protect the service by its network. */
export const openAcl = (writer: JuteWriter): JuteWriter => writer.int(1).int(31).string('world').string('anyone');

export class JuteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  long(): bigint {
    this.#at += 8;
    return this.#bytes.readBigInt64BE(this.#at - 8);
  }

  /** A copy; null for the length -1. */
  buffer(): Uint8Array {
    const length = Math.max(0, this.int());
    this.#at += length;
    return new Uint8Array(this.#bytes.subarray(this.#at - length, this.#at));
  }

  string(): string {
    return new TextDecoder().decode(this.buffer());
  }

  /** The data version of a Stat, which follows czxid, mzxid, ctime and mtime. */
  statVersion(): number {
    for (let i = 0; i < 4; i++) this.long();
    const version = this.int();
    this.#at += 4 + 4 + 8 + 4 + 4 + 8;
    return version;
  }
}
