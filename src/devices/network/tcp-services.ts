/**
 * Two TCP services of the responder: echo (port 7) sends back what it gets, discard (port 9) only acknowledges. The
 * network below loses and reorders nothing, so there is no retransmission: a segment out of sequence is acknowledged
 * with what is expected, and the peer sends again.
 * Sources: RFC 9293 (TCP), RFC 862 (echo), RFC 863 (discard).
 */
import { type Address, concatenate, internetChecksum, Protocol, pseudoHeader, read16, read32, u16, u32 } from './frames.ts';

const ECHO = 7;
const DISCARD = 9;
const Flag = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;
const HEADER_BYTES = 20;
const WINDOW = 0xffff;
const SEGMENT_BYTES = 1460;

interface Connection {
  /** Next sequence number that is expected, and next one to send. */
  receive: number;
  send: number;
  /** What the peer can still take, and what waits for it. */
  window: number;
  acknowledged: number;
  waiting: Uint8Array;
  closing: boolean;
  finished: boolean;
}

export interface TcpEnds {
  readonly own: Address;
  readonly peer: Address;
}

export class TcpServices {
  /** By the peer's address and both ports. */
  private connections = new Map<string, Connection>();

  /** Answers to a segment. */
  answer({ own, peer }: TcpEnds, segment: Uint8Array): Uint8Array[] {
    if (segment.length < HEADER_BYTES || (segment[12] >> 4) * 4 > segment.length) return [];
    if (internetChecksum(segment, pseudoHeader(peer, own, Protocol.TCP, segment.length)) !== 0) return [];
    const peerPort = read16(segment, 0);
    const ownPort = read16(segment, 2);
    const sequence = read32(segment, 4);
    const acknowledgement = read32(segment, 8);
    const flags = segment[13];
    const data = segment.subarray((segment[12] >> 4) * 4);
    const key = `${peer.join('.')}:${peerPort}:${ownPort}`;
    const make = (send: number, receive: number, bits: number, payload = new Uint8Array(0)): Uint8Array =>
      tcpSegment({ own, peer }, { ownPort, peerPort, send, receive, bits, payload });

    if ((flags & Flag.RST) !== 0) {
      this.connections.delete(key);
      return [];
    }
    const served = ownPort === ECHO || ownPort === DISCARD;
    if ((flags & Flag.SYN) !== 0 && served) {
      // The initial sequence number follows from the peer's: two runs agree.
      const send = (sequence ^ 0x5a5a_5a5a) >>> 0;
      this.connections.set(key, {
        receive: next(sequence, 1),
        send: next(send, 1),
        window: read16(segment, 14),
        acknowledged: next(send, 1),
        waiting: new Uint8Array(0),
        closing: false,
        finished: false,
      });
      return [make(send, next(sequence, 1), Flag.SYN | Flag.ACK)];
    }
    const connection = this.connections.get(key);
    if (connection === undefined) {
      const length = data.length + ((flags & (Flag.SYN | Flag.FIN)) !== 0 ? 1 : 0);
      return [make((flags & Flag.ACK) !== 0 ? acknowledgement : 0, next(sequence, length), Flag.RST | Flag.ACK)];
    }
    connection.window = read16(segment, 14);
    if ((flags & Flag.ACK) !== 0) connection.acknowledged = acknowledgement;
    let news = false;
    if (sequence === connection.receive) {
      if (data.length > 0) {
        connection.receive = next(connection.receive, data.length);
        if (ownPort === ECHO) connection.waiting = concatenate(connection.waiting, data);
        news = true;
      }
      if ((flags & Flag.FIN) !== 0) {
        connection.receive = next(connection.receive, 1);
        connection.closing = true;
        news = true;
      }
    } else news = true;

    const answers: Uint8Array[] = [];
    for (;;) {
      const flying = (connection.send - connection.acknowledged) >>> 0;
      const room = Math.min(SEGMENT_BYTES, connection.window - flying, connection.waiting.length);
      if (room <= 0) break;
      answers.push(make(connection.send, connection.receive, Flag.ACK | Flag.PSH, connection.waiting.slice(0, room)));
      connection.send = next(connection.send, room);
      connection.waiting = connection.waiting.slice(room);
    }
    if (connection.closing && !connection.finished && connection.waiting.length === 0) {
      answers.push(make(connection.send, connection.receive, Flag.FIN | Flag.ACK));
      connection.send = next(connection.send, 1);
      connection.finished = true;
    }
    if (connection.finished && connection.acknowledged === connection.send) this.connections.delete(key);
    if (news && answers.length === 0) answers.push(make(connection.send, connection.receive, Flag.ACK));
    return answers;
  }

  save(): unknown {
    return [...this.connections].map(([key, connection]) => [key, { ...connection, waiting: connection.waiting.slice() }]);
  }
  restore(data: unknown): void {
    const saved = data as [string, Connection][];
    this.connections = new Map(saved.map(([key, connection]) => [key, { ...connection, waiting: connection.waiting.slice() }]));
  }
}

function next(sequence: number, bytes: number): number {
  return (sequence + bytes) >>> 0;
}

interface Segment {
  readonly ownPort: number;
  readonly peerPort: number;
  readonly send: number;
  readonly receive: number;
  readonly bits: number;
  readonly payload: Uint8Array;
}

function tcpSegment({ own, peer }: TcpEnds, { ownPort, peerPort, send, receive, bits, payload }: Segment): Uint8Array {
  const header = [...u16(ownPort), ...u16(peerPort), ...u32(send), ...u32(receive), 0x50, bits, ...u16(WINDOW), 0, 0, 0, 0];
  const segment = concatenate(Uint8Array.from(header), payload);
  segment.set(u16(internetChecksum(segment, pseudoHeader(own, peer, Protocol.TCP, segment.length))), 16);
  return segment;
}
