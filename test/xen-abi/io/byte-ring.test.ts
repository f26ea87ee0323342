import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { putBytes, ringLevel, type SharedPage, takeBytes } from '../../../src/xen-abi/io/byte-ring.ts';
import { consoleRing } from '../../../src/xen-abi/io/console.ts';
import { xenstoreRing } from '../../../src/xen-abi/io/xs-wire.ts';

function page(): SharedPage & { bytes: Uint8Array } {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  return {
    bytes,
    read: (offset, length) => bytes.slice(offset, offset + length),
    write: (offset, from) => bytes.set(from, offset),
    readU32: (offset) => view.getUint32(offset, true),
    writeU32: (offset, value) => view.setUint32(offset, value, true),
  };
}

describe('a byte ring in a shared page', () => {
  it.each([
    ['console in', consoleRing.in],
    ['console out', consoleRing.out],
    ['xenstore req', xenstoreRing.req],
    ['xenstore rsp', xenstoreRing.rsp],
  ])('%s carries any bytes in order, across its end and the wrap of its indices', (_name, ring) => {
    const chunk = fc.record({ put: fc.uint8Array({ maxLength: 3000 }), take: fc.nat(3000) });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 12 }), fc.nat(5000), (chunks, start) => {
        const shared = page();
        shared.writeU32(ring.consumer, -start >>> 0);
        shared.writeU32(ring.producer, -start >>> 0);
        const sent: number[] = [];
        const got: number[] = [];
        for (const { put, take } of chunks) {
          const count = putBytes(shared, ring, put)!;
          expect(count).toBe(Math.min(put.length, ring.size - (sent.length - got.length)));
          sent.push(...put.subarray(0, count));
          got.push(...takeBytes(shared, ring, take)!);
          expect(ringLevel(shared, ring)).toBe(sent.length - got.length);
        }
        got.push(...takeBytes(shared, ring, ring.size)!);
        expect(got).toEqual(sent);
      }),
      { numRuns: 60 },
    );
  });

  it('with more bytes than it holds is corrupt, and nothing moves', () => {
    const shared = page();
    shared.writeU32(xenstoreRing.req.producer, 1025);
    expect([takeBytes(shared, xenstoreRing.req, 10), putBytes(shared, xenstoreRing.req, Uint8Array.of(1))]).toEqual([undefined, undefined]);
    expect(shared.readU32(xenstoreRing.req.consumer)).toBe(0);
  });
});
