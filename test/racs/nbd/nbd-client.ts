/** A small NBD client for tests: feeds a session byte strings and reads what it sends. Written from doc/proto.md alone. */

import { ByteAddressedStore } from '../../../src/racs/nbd/byte-addressed.ts';
import { type NbdExport, NbdSession, type NbdSessionOptions } from '../../../src/racs/nbd/session.ts';
import type { BlockStore } from '../../../src/base/block-store.ts';

export function exportOf(name: string, store: BlockStore): NbdExport {
  return { name, description: `disk ${name}`, disk: new ByteAddressedStore(store) };
}

export class TestClient {
  readonly session: NbdSession;
  closed = false;
  #received = new Uint8Array(0);
  #waiting: (() => void)[] = [];

  constructor(exports: NbdExport[], options?: NbdSessionOptions) {
    this.session = new NbdSession(
      exports,
      {
        send: (pieces) => {
          for (const piece of pieces) this.#received = concat(this.#received, piece);
          for (const wake of this.#waiting.splice(0)) wake();
        },
        close: () => {
          this.closed = true;
          for (const wake of this.#waiting.splice(0)) wake();
        },
      },
      options,
    );
    this.session.start();
  }

  send(...pieces: Uint8Array[]): void {
    for (const piece of pieces) this.session.receive(piece.slice());
  }

  async read(count: number): Promise<Uint8Array> {
    while (this.#received.length < count) {
      if (this.closed) throw new Error('closed');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const taken = this.#received.slice(0, count);
    this.#received = this.#received.slice(count);
    return taken;
  }

  get unread(): number {
    return this.#received.length;
  }

  /** Reads one option reply. */
  async optionReply(): Promise<{ option: number; type: number; data: Uint8Array }> {
    const head = view(await this.read(20));
    if (head.getBigUint64(0) !== 0x3e889045565a9n) throw new Error('bad option reply magic');
    return { option: head.getUint32(8), type: head.getUint32(12), data: await this.read(head.getUint32(16)) };
  }

  /** Greeting, client flags, GO for an export; ready for requests. */
  async go(name = ''): Promise<{ sizeBytes: bigint; flags: number }> {
    await this.read(18);
    this.send(be32(3), option(7, goData(name, [])));
    const info = await this.optionReply();
    await this.optionReply();
    return { sizeBytes: view(info.data).getBigUint64(2), flags: view(info.data).getUint16(10) };
  }

  async simpleReply(): Promise<{ error: number; cookie: bigint }> {
    const head = view(await this.read(16));
    if (head.getUint32(0) !== 0x67446698) throw new Error('bad simple reply magic');
    return { error: head.getUint32(4), cookie: head.getBigUint64(8) };
  }
}

export function option(kind: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const head = new Uint8Array(16);
  view(head).setBigUint64(0, 0x49484156454f5054n);
  view(head).setUint32(8, kind);
  view(head).setUint32(12, data.length);
  return concat(head, data);
}

export function goData(name: string, kinds: number[]): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  return concat(be32(bytes.length), bytes, be16(kinds.length), ...kinds.map(be16));
}

export function request(
  type: number,
  fields: { flags?: number; cookie?: bigint; offset?: number | bigint; length?: number; data?: Uint8Array } = {},
): Uint8Array {
  const head = new Uint8Array(28);
  view(head).setUint32(0, 0x25609513);
  view(head).setUint16(4, fields.flags ?? 0);
  view(head).setUint16(6, type);
  view(head).setBigUint64(8, fields.cookie ?? 1n);
  view(head).setBigUint64(16, BigInt(fields.offset ?? 0));
  view(head).setUint32(24, fields.length ?? fields.data?.length ?? 0);
  return concat(head, fields.data ?? new Uint8Array(0));
}

export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  view(bytes).setUint32(0, value);
  return bytes;
}

function be16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function concat(...pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
