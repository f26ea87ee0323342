import { describe, expect, it } from 'vitest';
import {
  concatenate,
  EtherType,
  ethernet,
  internetChecksum,
  ipv4,
  parseEthernet,
  parseIpv4,
  Protocol,
  pseudoHeader,
  read16,
  read32,
  u16,
  u32,
} from '../../src/devices/network/frames.ts';
import { NetworkResponder } from '../../src/devices/network/responder.ts';

const GUEST_MAC = [2, 0, 0, 0, 0, 1];
const HOST_MAC = [0x52, 0x54, 0, 0x12, 0x35, 2];
const GUEST = [10, 0, 2, 15];
const HOST = [10, 0, 2, 2];

function send(responder: NetworkResponder, protocol: number, payload: Uint8Array, destination = HOST): Uint8Array[] {
  const packet = ipv4({ source: GUEST, destination, protocol, payload });
  const frames = responder.answer(ethernet({ destination: HOST_MAC, source: GUEST_MAC, type: EtherType.IPV4, payload: packet }));
  return frames.map((frame) => {
    const link = parseEthernet(frame);
    expect(link?.destination).toEqual(GUEST_MAC);
    const answer = parseIpv4(link?.payload ?? new Uint8Array(0));
    if (answer === undefined) throw new Error('not IPv4');
    return answer.payload;
  });
}

function tcp(
  port: number,
  sequence: number,
  acknowledgement: number,
  flags: number,
  data = new Uint8Array(0),
  window = 0xffff,
): Uint8Array {
  const head = [...u16(4000), ...u16(port), ...u32(sequence), ...u32(acknowledgement), 0x50, flags, ...u16(window), 0, 0, 0, 0];
  const segment = concatenate(Uint8Array.from(head), data);
  segment.set(u16(internetChecksum(segment, pseudoHeader(GUEST, HOST, Protocol.TCP, segment.length))), 16);
  return segment;
}
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

describe('the responder', () => {
  it('answers pings to itself with the same bytes and a right sum', () => {
    const echo = Uint8Array.from([8, 0, 0, 0, 1, 2, 3, 4, 9, 9, 9]);
    echo.set(u16(internetChecksum(echo)), 2);
    const [answer] = send(new NetworkResponder(), Protocol.ICMP, echo);
    expect([answer[0], [...answer.subarray(4)], internetChecksum(answer)]).toEqual([0, [1, 2, 3, 4, 9, 9, 9], 0]);
    expect(send(new NetworkResponder(), Protocol.ICMP, echo, [10, 0, 2, 3])).toEqual([]);
  });

  it('offers and acknowledges an address', () => {
    const ask = (kind: number): Uint8Array => {
      const message = new Uint8Array(244);
      message.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
      message.set([99, 130, 83, 99, 53, 1, kind, 255], 236);
      return concatenate(Uint8Array.from([...u16(68), ...u16(67), ...u16(252), 0, 0]), message);
    };
    const answers = [1, 3, 7].map((kind) => send(new NetworkResponder(), Protocol.UDP, ask(kind), [255, 255, 255, 255]));
    expect(answers.map((all) => all.length)).toEqual([1, 1, 0]);
    const [offer] = answers[0];
    expect([...offer.subarray(8 + 4, 8 + 8)]).toEqual([0xde, 0xad, 0xbe, 0xef]);
    expect([...offer.subarray(8 + 16, 8 + 20)]).toEqual(GUEST);
    expect(offer[8 + 242]).toBe(2);
    expect(answers[1][0][8 + 242]).toBe(5);
  });

  it('sends back over TCP what it got, and closes when the other end does', () => {
    const responder = new NetworkResponder();
    const [opened] = send(responder, Protocol.TCP, tcp(7, 1000, 0, SYN));
    expect([opened[13], read32(opened, 8)]).toEqual([SYN | ACK, 1001]);
    const own = (read32(opened, 4) + 1) >>> 0;
    const [echoed] = send(responder, Protocol.TCP, tcp(7, 1001, own, ACK, Uint8Array.of(1, 2, 3)));
    expect([[...echoed.subarray(20)], read32(echoed, 8)]).toEqual([[1, 2, 3], 1004]);
    const [closed] = send(responder, Protocol.TCP, tcp(7, 1004, own + 3, FIN | ACK));
    expect([closed[13] & FIN, read32(closed, 8)]).toEqual([FIN, 1005]);
    send(responder, Protocol.TCP, tcp(7, 1005, own + 4, ACK));
    expect(send(responder, Protocol.TCP, tcp(7, 1005, own + 4, ACK))[0][13] & RST).toBe(RST); // it is forgotten
  });

  it('sends no more than the window lets it, and the rest later', () => {
    const responder = new NetworkResponder();
    const [opened] = send(responder, Protocol.TCP, tcp(7, 0, 0, SYN, undefined, 4));
    const own = (read32(opened, 4) + 1) >>> 0;
    const first = send(responder, Protocol.TCP, tcp(7, 1, own, ACK, new Uint8Array(10).fill(5), 4));
    expect(first.map((segment) => segment.length - 20)).toEqual([4]);
    const rest = send(responder, Protocol.TCP, tcp(7, 11, own + 4, ACK, undefined, 100));
    expect(rest.map((segment) => segment.length - 20)).toEqual([6]);
  });

  it('asks for what is missing, and refuses ports that nobody serves', () => {
    const responder = new NetworkResponder();
    const [opened] = send(responder, Protocol.TCP, tcp(9, 0, 0, SYN));
    const own = (read32(opened, 4) + 1) >>> 0;
    const [again] = send(responder, Protocol.TCP, tcp(9, 50, own, ACK, Uint8Array.of(1)));
    expect(read32(again, 8)).toBe(1);
    const [refused] = send(responder, Protocol.TCP, tcp(80, 0, 0, SYN));
    expect([refused[13] & RST, read16(refused, 0), read32(refused, 8)]).toEqual([RST, 80, 1]);
  });

  it('ignores broken and foreign frames', () => {
    const responder = new NetworkResponder();
    const damaged = tcp(7, 0, 0, SYN);
    damaged[5] ^= 1;
    expect(send(responder, Protocol.TCP, damaged)).toEqual([]);
    expect(responder.answer(new Uint8Array(5))).toEqual([]);
    expect(responder.answer(new Uint8Array(60))).toEqual([]);
  });
});
