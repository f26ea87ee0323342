/**
 * The handshake of a connection, as a pure state machine: bytes in, bytes out, and at the end an export to serve or a
 * reason to hang up. Options: EXPORT_NAME, ABORT, LIST, INFO, GO, STRUCTURED_REPLY; others are answered ERR_UNSUP, as
 * fixed newstyle asks. STARTTLS is among them: the server listens on loopback.
 * Source: NBD doc/proto.md, "Fixed newstyle negotiation", "Option types".
 */

import { sectorBytes } from '../../base/block-store.ts';
import type { ByteQueue } from './byte-queue.ts';
import {
  encodeOptionReply,
  IHAVEOPT,
  maxOptionBytes,
  maxPayloadBytes,
  NBD_FLAG,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
  NBDMAGIC,
} from './wire.ts';

/** What the handshake tells about an export. */
export interface NbdExportInfo {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

export interface NegotiationStep {
  send: Uint8Array[];
  /** `more`: wait for bytes; `transmission`: serve `exportName`; `close`: hang up once `send` is out. */
  outcome: 'more' | 'transmission' | 'close';
}

export class NbdNegotiation {
  readonly #exports: readonly NbdExportInfo[];
  #phase: 'client flags' | 'option header' | 'option data' | 'done' = 'client flags';
  #noZeroes = false;
  #option = 0;
  #optionLength = 0;
  /** Set by EXPORT_NAME and GO. */
  exportName: string | null = null;
  /** The client takes structured replies. */
  structuredReplies = false;

  /** @param exports the first one also answers to the empty name, which means "the default". */
  constructor(exports: readonly NbdExportInfo[]) {
    this.#exports = exports;
  }

  /** What the server says first. */
  greeting(): Uint8Array {
    const bytes = new Uint8Array(18);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, NBDMAGIC);
    view.setBigUint64(8, IHAVEOPT);
    view.setUint16(16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    return bytes;
  }

  /** Takes from the queue what it can use; leaves the bytes of the transmission phase there. */
  advance(queue: ByteQueue): NegotiationStep {
    const send: Uint8Array[] = [];
    for (;;) {
      const outcome = this.#step(queue, send);
      if (outcome !== 'again') return { send, outcome };
    }
  }

  #step(queue: ByteQueue, send: Uint8Array[]): NegotiationStep['outcome'] | 'again' {
    switch (this.#phase) {
      case 'client flags': {
        const bytes = queue.take(4);
        if (!bytes) return 'more';
        const flags = viewOf(bytes).getUint32(0);
        if ((flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) !== 0 || !(flags & NBD_FLAG_FIXED_NEWSTYLE)) return 'close';
        this.#noZeroes = (flags & NBD_FLAG_NO_ZEROES) !== 0;
        this.#phase = 'option header';
        return 'again';
      }
      case 'option header': {
        const bytes = queue.take(16);
        if (!bytes) return 'more';
        const view = viewOf(bytes);
        if (view.getBigUint64(0) !== IHAVEOPT) return 'close';
        this.#option = view.getUint32(8);
        this.#optionLength = view.getUint32(12);
        // A peer that sends longer ones means harm or does not speak the protocol; its bytes are not worth skipping.
        if (this.#optionLength > maxOptionBytes) {
          if (this.#option !== NBD_OPT.EXPORT_NAME) send.push(encodeOptionReply(this.#option, NBD_REP.ERR_TOO_BIG));
          return 'close';
        }
        this.#phase = 'option data';
        return 'again';
      }
      case 'option data': {
        const data = queue.take(this.#optionLength);
        if (!data) return 'more';
        this.#phase = 'option header';
        return this.#answer(data, send);
      }
      case 'done':
        return 'transmission';
    }
  }

  #answer(data: Uint8Array, send: Uint8Array[]): NegotiationStep['outcome'] | 'again' {
    const option = this.#option;
    const reply = (type: number, body?: Uint8Array): 'again' => {
      send.push(encodeOptionReply(option, type, body));
      return 'again';
    };
    switch (option) {
      case NBD_OPT.EXPORT_NAME: {
        const found = this.#find(text(data));
        if (!found) return 'close'; // the option has no error reply
        send.push(exportNameReply(found, this.#noZeroes));
        return this.#enter(found);
      }
      case NBD_OPT.ABORT:
        reply(NBD_REP.ACK);
        return 'close';
      case NBD_OPT.LIST:
        if (data.length > 0) return reply(NBD_REP.ERR_INVALID);
        for (const each of this.#exports) reply(NBD_REP.SERVER, serverBody(each));
        return reply(NBD_REP.ACK);
      case NBD_OPT.STRUCTURED_REPLY:
        if (data.length > 0) return reply(NBD_REP.ERR_INVALID);
        this.structuredReplies = true;
        return reply(NBD_REP.ACK);
      case NBD_OPT.INFO:
      case NBD_OPT.GO: {
        const asked = parseInfoRequest(data);
        if (!asked) return reply(NBD_REP.ERR_INVALID);
        const found = this.#find(asked.name);
        if (!found) return reply(NBD_REP.ERR_UNKNOWN);
        reply(NBD_REP.INFO, infoExport(found));
        if (asked.kinds.includes(NBD_INFO.NAME)) reply(NBD_REP.INFO, infoText(NBD_INFO.NAME, found.name));
        if (asked.kinds.includes(NBD_INFO.DESCRIPTION)) reply(NBD_REP.INFO, infoText(NBD_INFO.DESCRIPTION, found.description));
        if (asked.kinds.includes(NBD_INFO.BLOCK_SIZE)) reply(NBD_REP.INFO, infoBlockSize());
        reply(NBD_REP.ACK);
        return option === NBD_OPT.GO ? this.#enter(found) : 'again';
      }
      default:
        return reply(NBD_REP.ERR_UNSUP);
    }
  }

  #enter(found: NbdExportInfo): 'transmission' {
    this.exportName = found.name;
    this.#phase = 'done';
    return 'transmission';
  }

  #find(name: string | null): NbdExportInfo | undefined {
    return name === '' ? this.#exports[0] : this.#exports.find((each) => each.name === name);
  }
}

function transmissionFlags({ readOnly }: NbdExportInfo): number {
  const always = NBD_FLAG.HAS_FLAGS | NBD_FLAG.SEND_FLUSH | NBD_FLAG.SEND_FUA | NBD_FLAG.SEND_DF | NBD_FLAG.CAN_MULTI_CONN;
  if (readOnly) return always | NBD_FLAG.READ_ONLY;
  return always | NBD_FLAG.SEND_TRIM | NBD_FLAG.SEND_WRITE_ZEROES | NBD_FLAG.SEND_FAST_ZERO;
}

function exportNameReply(found: NbdExportInfo, noZeroes: boolean): Uint8Array {
  const bytes = new Uint8Array(10 + (noZeroes ? 0 : 124));
  viewOf(bytes).setBigUint64(0, BigInt(found.sizeBytes));
  viewOf(bytes).setUint16(8, transmissionFlags(found));
  return bytes;
}

function infoExport(found: NbdExportInfo): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = viewOf(bytes);
  view.setUint16(0, NBD_INFO.EXPORT);
  view.setBigUint64(2, BigInt(found.sizeBytes));
  view.setUint16(10, transmissionFlags(found));
  return bytes;
}

/** Minimum 1: requests inside a sector are served, only more slowly. Preferred: what the disk packs by. */
function infoBlockSize(): Uint8Array {
  const bytes = new Uint8Array(14);
  const view = viewOf(bytes);
  view.setUint16(0, NBD_INFO.BLOCK_SIZE);
  view.setUint32(2, 1);
  view.setUint32(6, 8 * sectorBytes);
  view.setUint32(10, maxPayloadBytes);
  return bytes;
}

function infoText(kind: number, value: string): Uint8Array {
  const encoded = new TextEncoder().encode(value);
  const bytes = new Uint8Array(2 + encoded.length);
  viewOf(bytes).setUint16(0, kind);
  bytes.set(encoded, 2);
  return bytes;
}

function serverBody({ name, description }: NbdExportInfo): Uint8Array {
  const encodedName = new TextEncoder().encode(name);
  const encodedDescription = new TextEncoder().encode(description);
  const bytes = new Uint8Array(4 + encodedName.length + encodedDescription.length);
  viewOf(bytes).setUint32(0, encodedName.length);
  bytes.set(encodedName, 4);
  bytes.set(encodedDescription, 4 + encodedName.length);
  return bytes;
}

function parseInfoRequest(data: Uint8Array): { name: string | null; kinds: number[] } | null {
  if (data.length < 6) return null;
  const view = viewOf(data);
  const nameLength = view.getUint32(0);
  if (nameLength > data.length - 6) return null;
  const count = view.getUint16(4 + nameLength);
  if (data.length !== 6 + nameLength + 2 * count) return null;
  const kinds = Array.from({ length: count }, (_, i) => view.getUint16(6 + nameLength + 2 * i));
  return { name: text(data.subarray(4, 4 + nameLength)), kinds };
}

/** null for bytes that are not UTF-8: no export has such a name. */
function text(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
