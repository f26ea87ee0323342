/**
 * What lives at the other end of a guest's network: one host, 10.0.2.2, that answers ARP for itself, pings, DHCP (giving
 * 10.0.2.15), and TCP echo and discard. Nothing of the host's network is reached, and equal runs get equal answers.
 * Sources: RFC 826, RFC 792, RFC 2131 and RFC 2132 (DHCP and its options).
 */
import {
  type Address,
  concatenate,
  type Ethernet,
  EtherType,
  ethernet,
  type Ipv4,
  internetChecksum,
  ipv4,
  parseEthernet,
  parseIpv4,
  Protocol,
  pseudoHeader,
  read16,
  sameAddress,
  u16,
  u32,
} from './frames.ts';
import { TcpServices } from './tcp-services.ts';

const HOST_MAC: Address = [0x52, 0x54, 0x00, 0x12, 0x35, 0x02];
const HOST: Address = [10, 0, 2, 2];
const GUEST: Address = [10, 0, 2, 15];
const NETMASK: Address = [255, 255, 255, 0];
const BROADCAST: Address = [255, 255, 255, 255];
const DHCP_SERVER = 67;
const DHCP_CLIENT = 68;
const LEASE_SECONDS = 86_400;
const DHCP_COOKIE = 0x6382_5363;
const DHCP_OPTIONS = 240;
const Dhcp = { DISCOVER: 1, OFFER: 2, REQUEST: 3, ACK: 5 } as const;

export class NetworkResponder {
  private readonly tcp = new TcpServices();

  /** Frames that come back for one that the guest has sent. */
  answer(frame: Uint8Array): Uint8Array[] {
    const link = parseEthernet(frame);
    if (link === undefined) return [];
    if (link.type === EtherType.ARP) return this.arp(link);
    const packet = link.type === EtherType.IPV4 ? parseIpv4(link.payload) : undefined;
    if (packet === undefined) return [];
    if (packet.protocol === Protocol.UDP) return this.udp(link, packet);
    if (!sameAddress(packet.destination, HOST)) return [];
    if (packet.protocol === Protocol.ICMP) return this.ping(link, packet);
    if (packet.protocol !== Protocol.TCP) return [];
    const segments = this.tcp.answer({ own: HOST, peer: packet.source }, packet.payload);
    return segments.map((payload) => reply(link, ipv4({ source: HOST, destination: packet.source, protocol: Protocol.TCP, payload })));
  }

  save(): unknown {
    return this.tcp.save();
  }
  restore(data: unknown): void {
    this.tcp.restore(data);
  }

  private arp(link: Ethernet): Uint8Array[] {
    const { payload } = link;
    const asksForHost = payload.length >= 28 && read16(payload, 6) === 1 && sameAddress(payload.subarray(24, 28), HOST);
    if (!asksForHost) return [];
    const sender = payload.subarray(8, 18);
    const answer = [...payload.subarray(0, 6), 0, 2, ...HOST_MAC, ...HOST, ...sender];
    return [ethernet({ destination: link.source, source: HOST_MAC, type: EtherType.ARP, payload: Uint8Array.from(answer) })];
  }

  private ping(link: Ethernet, { source, payload }: Ipv4): Uint8Array[] {
    if (payload.length < 8 || payload[0] !== 8 || internetChecksum(payload) !== 0) return [];
    const answer = payload.slice();
    answer.set([0, 0, 0, 0]);
    answer.set(u16(internetChecksum(answer)), 2);
    return [reply(link, ipv4({ source: HOST, destination: source, protocol: Protocol.ICMP, payload: answer }))];
  }

  private udp(link: Ethernet, { payload }: Ipv4): Uint8Array[] {
    if (payload.length < 8 || read16(payload, 2) !== DHCP_SERVER) return [];
    const request = payload.subarray(8);
    if (request.length < DHCP_OPTIONS || request[0] !== 1) return [];
    const kind = dhcpOption(request, 53)?.[0];
    const answerKind = kind === Dhcp.DISCOVER ? Dhcp.OFFER : kind === Dhcp.REQUEST ? Dhcp.ACK : undefined;
    if (answerKind === undefined) return [];
    const message = new Uint8Array(DHCP_OPTIONS);
    message.set([2, 1, 6, 0]);
    message.set(request.subarray(4, 8), 4); // transaction
    message.set(request.subarray(10, 12), 10); // flags
    message.set(GUEST, 16);
    message.set(HOST, 20);
    message.set(request.subarray(28, 44), 28); // hardware address
    message.set(u32(DHCP_COOKIE), 236);
    const options = [
      ...[53, 1, answerKind],
      ...[54, 4, ...HOST],
      ...[51, 4, ...u32(LEASE_SECONDS)],
      ...[1, 4, ...NETMASK],
      ...[3, 4, ...HOST],
      255,
    ];
    const body = concatenate(message, Uint8Array.from(options));
    const datagram = concatenate(Uint8Array.from([...u16(DHCP_SERVER), ...u16(DHCP_CLIENT), ...u16(8 + body.length), 0, 0]), body);
    const sum = internetChecksum(datagram, pseudoHeader(HOST, BROADCAST, Protocol.UDP, datagram.length));
    datagram.set(u16(sum === 0 ? 0xffff : sum), 6);
    return [reply(link, ipv4({ source: HOST, destination: BROADCAST, protocol: Protocol.UDP, payload: datagram }))];
  }
}

function reply(link: Ethernet, payload: Uint8Array): Uint8Array {
  return ethernet({ destination: link.source, source: HOST_MAC, type: EtherType.IPV4, payload });
}

function dhcpOption(message: Uint8Array, wanted: number): Uint8Array | undefined {
  for (let at = DHCP_OPTIONS; at + 1 < message.length && message[at] !== 255; ) {
    if (message[at] === 0) {
      at += 1;
      continue;
    }
    const length = message[at + 1];
    if (message[at] === wanted) return message.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
  return undefined;
}
