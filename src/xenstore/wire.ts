/**
 * Messages of the xenstore protocol: bytes to packets and back. A stream may cut a message anywhere; {@link takePacket}
 * finds the next whole one in the bytes that have gathered. There is no resynchronization: a length above 4096 is a
 * broken peer, and the connection ends. Text is Latin-1 here, so that every byte survives.
 * Source: Xen public/io/xs_wire.h.
 */

import { XENSTORE_HEADER_BYTES, XENSTORE_PAYLOAD_MAX, type XsErrorName } from '../xen-abi/io/xs-wire.ts';

export interface Packet {
  readonly type: number;
  readonly requestId: number;
  readonly transactionId: number;
  readonly payload: Uint8Array;
}

/** An answer of the store that is an error, with the name that goes over the wire. */
export class XsError extends Error {
  override readonly name = 'XsError';
  readonly code: XsErrorName;

  constructor(code: XsErrorName) {
    super(code);
    this.code = code;
  }
}

export function encodePacket(packet: Packet): Uint8Array {
  const bytes = new Uint8Array(XENSTORE_HEADER_BYTES + packet.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, packet.type, true);
  view.setUint32(4, packet.requestId, true);
  view.setUint32(8, packet.transactionId, true);
  view.setUint32(12, packet.payload.length, true);
  bytes.set(packet.payload, XENSTORE_HEADER_BYTES);
  return bytes;
}

export type TakenPacket =
  | { readonly kind: 'packet'; readonly packet: Packet; readonly rest: Uint8Array }
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  /** The length field is above XENSTORE_PAYLOAD_MAX: close the connection. */
  | { readonly kind: 'oversized'; readonly length: number };

/** The first message of `bytes`. Payload and rest are copies. */
export function takePacket(bytes: Uint8Array): TakenPacket {
  if (bytes.length < XENSTORE_HEADER_BYTES) return { kind: 'incomplete' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(12, true);
  if (length > XENSTORE_PAYLOAD_MAX) return { kind: 'oversized', length };
  const end = XENSTORE_HEADER_BYTES + length;
  if (bytes.length < end) return { kind: 'incomplete' };
  const packet = {
    type: view.getUint32(0, true),
    requestId: view.getUint32(4, true),
    transactionId: view.getUint32(8, true),
    payload: bytes.slice(XENSTORE_HEADER_BYTES, end),
  };
  return { kind: 'packet', packet, rest: bytes.slice(end) };
}

export function encodeText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function decodeText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Each string with its NUL. */
export function encodeStrings(...strings: readonly string[]): Uint8Array {
  return encodeText(strings.map((string) => `${string}\0`).join(''));
}

/** The NUL-terminated strings of a payload, or undefined when the last one has no NUL. */
export function decodeStrings(payload: Uint8Array): string[] | undefined {
  if (payload.length === 0) return [];
  if (payload[payload.length - 1] !== 0) return undefined;
  return decodeText(payload.subarray(0, -1)).split('\0');
}
