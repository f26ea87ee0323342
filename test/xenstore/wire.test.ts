import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeStrings, encodePacket, encodeStrings, type Packet, takePacket } from '../../src/xenstore/wire.ts';
import { concat } from '../support/elf-builder.ts';

const packet = fc.record({
  type: fc.nat(0xffff_ffff),
  requestId: fc.nat(0xffff_ffff),
  transactionId: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: 4096 }),
});

describe('the xenstore wire', () => {
  it('puts type, request, transaction and length in front, little-endian (xs_wire.h xsd_sockmsg)', () => {
    expect([...encodePacket({ type: 2, requestId: 0x0102, transactionId: 3, payload: encodeStrings('/a') })]).toEqual([
      2, 0, 0, 0, 2, 1, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x2f, 0x61, 0,
    ]);
  });

  it('gives all packets back from a stream cut anywhere', () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 4 }), fc.infiniteStream(fc.integer({ min: 1, max: 700 })), (packets, cuts) => {
        const stream = concat(...packets.map(encodePacket));
        const found: Packet[] = [];
        let gathered: Uint8Array = new Uint8Array(0);
        for (let at = 0; at < stream.length; ) {
          const length = cuts.next().value;
          gathered = concat(gathered, stream.subarray(at, at + length));
          at += length;
          for (let taken = takePacket(gathered); taken.kind === 'packet'; taken = takePacket(gathered)) {
            found.push(taken.packet);
            gathered = taken.rest;
          }
        }
        expect(found).toEqual(packets);
        expect(gathered.length).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('refuses a length above 4096, as soon as the header is there', () => {
    const header = encodePacket({ type: 2, requestId: 0, transactionId: 0, payload: new Uint8Array(0) });
    new DataView(header.buffer).setUint32(12, 4097, true);
    expect(takePacket(header)).toEqual({ kind: 'oversized', length: 4097 });
    expect(takePacket(header.subarray(0, 15))).toEqual({ kind: 'incomplete' });
  });

  it('knows strings by their NULs', () => {
    expect(decodeStrings(encodeStrings('a', '', '\u00ff'))).toEqual(['a', '', '\u00ff']);
    expect(decodeStrings(Uint8Array.of(65))).toBeUndefined();
    expect(decodeStrings(new Uint8Array(0))).toEqual([]);
  });
});
