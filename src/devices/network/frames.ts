/**
 * Frames of Ethernet with ARP, IPv4, ICMP and UDP, as bytes: what the responder of the in-process network reads and writes.
 * Sources: RFC 826 (ARP), RFC 791 (IPv4), RFC 792 (ICMP), RFC 768 (UDP), RFC 1071 (checksum).
 */
export type Address = readonly number[];

export const EtherType = { IPV4: 0x0800, ARP: 0x0806 } as const;
export const Protocol = { ICMP: 1, TCP: 6, UDP: 17 } as const;
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;

export interface Ethernet {
  readonly destination: Address;
  readonly source: Address;
  readonly type: number;
  readonly payload: Uint8Array;
}

export interface Ipv4 {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

export const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
export const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];
export const read16 = (bytes: Uint8Array, at: number): number => (bytes[at] << 8) | bytes[at + 1];
export const read32 = (bytes: Uint8Array, at: number): number => read16(bytes, at) * 0x1_0000 + read16(bytes, at + 2);
export const sameAddress = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.from(a).every((byte, n) => byte === b[n]);

export function parseEthernet(frame: Uint8Array): Ethernet | undefined {
  if (frame.length < ETHERNET_BYTES) return undefined;
  return {
    destination: [...frame.subarray(0, 6)],
    source: [...frame.subarray(6, 12)],
    type: read16(frame, 12),
    payload: frame.subarray(ETHERNET_BYTES),
  };
}

export function ethernet({ destination, source, type, payload }: Ethernet): Uint8Array {
  // Frames have at least 60 bytes without their check sequence.
  const frame = new Uint8Array(Math.max(60, ETHERNET_BYTES + payload.length));
  frame.set([...destination, ...source, ...u16(type)]);
  frame.set(payload, ETHERNET_BYTES);
  return frame;
}

/** Undefined: not IPv4, broken, or a fragment. */
export function parseIpv4(packet: Uint8Array): Ipv4 | undefined {
  if (packet.length < IPV4_BYTES || packet[0] >> 4 !== 4) return undefined;
  const headerBytes = (packet[0] & 15) * 4;
  const length = read16(packet, 2);
  const fragment = (read16(packet, 6) & 0x3fff) !== 0;
  if (headerBytes < IPV4_BYTES || length < headerBytes || length > packet.length || fragment) return undefined;
  if (internetChecksum(packet.subarray(0, headerBytes)) !== 0) return undefined;
  return {
    source: [...packet.subarray(12, 16)],
    destination: [...packet.subarray(16, 20)],
    protocol: packet[9],
    payload: packet.subarray(headerBytes, length),
  };
}

export function ipv4({ source, destination, protocol, payload }: Ipv4): Uint8Array {
  const header = Uint8Array.from([
    ...[0x45, 0, ...u16(IPV4_BYTES + payload.length)],
    ...[0, 0, 0x40, 0], // do not fragment
    ...[64, protocol, 0, 0],
    ...source,
    ...destination,
  ]);
  header.set(u16(internetChecksum(header)), 10);
  return concatenate(header, payload);
}

/** One's complement sum of 16-bit words, complemented; over a packet with a right sum it is 0. */
export function internetChecksum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

/** Sum of the pseudo header of UDP and TCP. */
export function pseudoHeader(source: Address, destination: Address, protocol: number, length: number): number {
  const bytes = Uint8Array.from([...source, ...destination, 0, protocol, ...u16(length)]);
  return ~internetChecksum(bytes) & 0xffff;
}

export function concatenate(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
