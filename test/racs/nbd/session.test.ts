import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BlockStore, MemoryBlockStore } from '../../../src/base/block-store.ts';
import { BackendError } from '../../../src/base/errors.ts';
import { be32, exportOf, goData, option, request, TestClient, view } from './nbd-client.ts';

const [READ, WRITE, DISC, FLUSH, TRIM, WRITE_ZEROES] = [0, 1, 2, 3, 4, 6];
const FUA = 1;

function memory(sectorCount = 64, readOnly = false): MemoryBlockStore {
  return new MemoryBlockStore({ sectorCount, readOnly });
}

describe('the NBD handshake', () => {
  it('greets with fixed newstyle and no zeroes (proto.md "Newstyle negotiation")', async () => {
    const client = new TestClient([exportOf('a', memory())]);
    const greeting = await client.read(18);
    expect(new TextDecoder().decode(greeting.subarray(0, 16))).toBe('NBDMAGICIHAVEOPT');
    expect(view(greeting).getUint16(16)).toBe(3);
  });

  it('lists exports, answers INFO with size, names and block sizes, and GO enters transmission', async () => {
    const client = new TestClient([exportOf('a', memory()), exportOf('b', memory(8, true))]);
    await client.read(18);
    client.send(be32(3), option(3));
    const names = [];
    for (let reply = await client.optionReply(); reply.type === 2; reply = await client.optionReply()) {
      names.push(new TextDecoder().decode(reply.data.subarray(4, 4 + view(reply.data).getUint32(0))));
    }
    expect(names).toEqual(['a', 'b']);
    client.send(option(6, goData('b', [1, 2, 3])));
    const info = await client.optionReply();
    expect([info.type, view(info.data).getBigUint64(2), view(info.data).getUint16(10) & 2]).toEqual([3, 4096n, 2]);
    expect(new TextDecoder().decode((await client.optionReply()).data.subarray(2))).toBe('b');
    expect(new TextDecoder().decode((await client.optionReply()).data.subarray(2))).toBe('disk b');
    const sizes = view((await client.optionReply()).data);
    expect([sizes.getUint32(2), sizes.getUint32(6), sizes.getUint32(10)]).toEqual([1, 4096, 32 << 20]);
    expect((await client.optionReply()).type).toBe(1);
    client.send(option(7, goData('a', [])));
    expect(view((await client.optionReply()).data).getBigUint64(2)).toBe(32768n);
    expect((await client.optionReply()).type).toBe(1);
    client.send(request(READ!, { cookie: 9n, offset: 0, length: 512 }));
    expect(await client.simpleReply()).toEqual({ error: 0, cookie: 9n });
    expect(await client.read(512)).toEqual(new Uint8Array(512));
  });

  it.each([
    ['STARTTLS', option(5), 0x80000001],
    ['an option that does not exist', option(99, new Uint8Array(3)), 0x80000001],
    ['GO for an unknown export', option(7, goData('nope', [])), 0x80000006],
    ['GO with a name longer than its data', option(7, be32(1000)), 0x80000003],
    ['LIST with data', option(3, new Uint8Array(1)), 0x80000003],
  ])('answers %s with an error and goes on', async (_, bytes, type) => {
    const client = new TestClient([exportOf('a', memory())]);
    await client.read(18);
    client.send(be32(3), bytes);
    expect((await client.optionReply()).type).toBe(type);
    client.send(option(2));
    expect((await client.optionReply()).type).toBe(1);
    expect(client.closed).toBe(true);
  });

  it('EXPORT_NAME answers size and flags, with 124 zeros for a client that did not refuse them', async () => {
    for (const [flags, length] of [
      [1, 134],
      [3, 10],
    ] as const) {
      const client = new TestClient([exportOf('a', memory())]);
      await client.read(18);
      client.send(be32(flags), option(1, new TextEncoder().encode('a')));
      expect(view(await client.read(length)).getBigUint64(0)).toBe(32768n);
      client.send(request(FLUSH!));
      expect(await client.simpleReply()).toEqual({ error: 0, cookie: 1n });
    }
  });

  it.each([
    ['flags without fixed newstyle', [be32(0)]],
    ['unknown flags', [be32(7)]],
    ['a wrong option magic', [be32(3), new Uint8Array(16)]],
    ['EXPORT_NAME for an unknown export', [be32(3), option(1, new TextEncoder().encode('nope'))]],
    ['an option of a gigabyte', [be32(3), option(1).with(12, 0x40)]],
  ])('hangs up on %s', async (_, pieces) => {
    const client = new TestClient([exportOf('a', memory())]);
    await client.read(18);
    client.send(...pieces);
    expect([client.closed, client.unread]).toEqual([true, 0]);
  });
});

describe('NBD transmission', () => {
  it.each([
    ['a read past the end', request(READ!, { offset: 32768, length: 1 }), 22],
    ['a write past the end', request(WRITE!, { offset: 32768, data: new Uint8Array(1) }), 28],
    ['an offset near 2^64', request(READ!, { offset: (1n << 64n) - 1n, length: 2 }), 22],
    ['a command that does not exist', request(77), 22],
    ['an unknown flag', request(READ!, { flags: 1 << 9, length: 1 }), 22],
    ['a read of more than 32 MiB', request(READ!, { length: 33 << 20 }), 75],
    ['FAST_ZERO together with NO_HOLE', request(WRITE_ZEROES!, { flags: 0x12, length: 512 }), 95],
  ])('answers %s with an error and goes on', async (_, bytes, error) => {
    const client = new TestClient([exportOf('a', memory())]);
    await client.go();
    client.send(bytes);
    expect((await client.simpleReply()).error).toBe(error);
    client.send(request(FLUSH!, { cookie: 2n }));
    expect(await client.simpleReply()).toEqual({ error: 0, cookie: 2n });
  });

  it('refuses every change of a read-only export with EPERM', async () => {
    const client = new TestClient([exportOf('a', memory(64, true))]);
    await client.go();
    for (const bytes of [
      request(WRITE!, { data: new Uint8Array(512) }),
      request(TRIM!, { length: 512 }),
      request(WRITE_ZEROES!, { length: 512 }),
    ]) {
      client.send(bytes);
      expect((await client.simpleReply()).error).toBe(1);
    }
  });

  it('turns failures of the store into EIO, and tells the log', async () => {
    const store: BlockStore = Object.assign(memory(), {
      write: () => Promise.reject(new BackendError('TOO_FEW_SHARES', 'two providers are gone')),
    });
    const errors: unknown[] = [];
    const client = new TestClient([exportOf('a', store)], { onError: (error) => errors.push(error) });
    await client.go();
    client.send(request(WRITE!, { data: new Uint8Array(512) }));
    expect((await client.simpleReply()).error).toBe(5);
    expect(errors).toHaveLength(1);
  });

  it('answers a FUA write only after a flush that began after it', async () => {
    const calls: string[] = [];
    const store = memory();
    const traced: BlockStore = {
      sectorCount: store.sectorCount,
      readOnly: false,
      read: (first, into) => store.read(first, into),
      write: async (first, from) => {
        await store.write(first, from);
        calls.push('written');
      },
      flush: async () => {
        calls.push('flush');
      },
      discard: (first, count) => store.discard(first, count),
    };
    const client = new TestClient([exportOf('a', traced)]);
    await client.go();
    client.send(request(WRITE!, { flags: FUA, data: new Uint8Array(512) }));
    await client.simpleReply();
    expect(calls).toEqual(['written', 'flush']);
  });

  it('gives structured replies to reads of a client that asked for them', async () => {
    const client = new TestClient([exportOf('a', memory())]);
    await client.read(18);
    client.send(be32(3), option(8), option(7, goData('', [])));
    for (let i = 0; i < 3; i++) await client.optionReply();
    client.send(request(READ!, { cookie: 5n, offset: 512, length: 512 }));
    const head = view(await client.read(28));
    expect([
      head.getUint32(0),
      head.getUint16(4),
      head.getUint16(6),
      head.getBigUint64(8),
      head.getUint32(16),
      head.getBigUint64(20),
    ]).toEqual([0x668e33ef, 1, 1, 5n, 520, 512n]);
    await client.read(512);
    client.send(request(READ!, { cookie: 6n, offset: 40000, length: 512 }));
    const error = view(await client.read(26));
    expect([error.getUint16(6), error.getUint32(16), error.getUint32(20)]).toEqual([0x8001, 6, 22]);
  });

  it('answers what is in flight before it hangs up on DISC', async () => {
    const client = new TestClient([exportOf('a', memory())]);
    await client.go();
    client.send(request(WRITE!, { cookie: 3n, data: new Uint8Array(512) }), request(DISC!));
    expect(await client.simpleReply()).toEqual({ error: 0, cookie: 3n });
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.closed).toBe(true);
  });

  it('takes no more requests than its bound while the store is slow', async () => {
    let running = 0;
    let most = 0;
    const release: (() => void)[] = [];
    const store: BlockStore = Object.assign(memory(65536 * 4), {
      write: async () => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => release.push(resolve));
        running--;
      },
    });
    const client = new TestClient([exportOf('a', store)], { maxInFlightBytes: 32 << 20 });
    await client.go();
    for (let i = 0; i < 20; i++) client.send(request(WRITE!, { data: new Uint8Array(8 << 20) }));
    expect([most, client.session.isBusy]).toEqual([4, true]);
    const idle = new Promise<void>((resolve) => client.session.onIdle(resolve));
    for (let answered = 0; answered < 20; answered++) {
      release.shift()!();
      await client.simpleReply();
    }
    await idle;
    expect(most).toBe(4);
  });

  it('agrees with a flat array for requests at any bytes, however the stream is cut into pieces', async () => {
    const size = 16 * 512;
    const command = fc.record({
      type: fc.constantFrom(READ!, WRITE!, WRITE_ZEROES!),
      offset: fc.integer({ min: 0, max: size }),
      length: fc.integer({ min: 0, max: 1500 }),
      seed: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
        async (commands, cuts) => {
          const client = new TestClient([exportOf('a', memory(16))]);
          await client.go();
          const model = new Uint8Array(size);
          for (const { type, offset, length: wanted, seed } of commands) {
            const length = Math.min(wanted, size - offset);
            const data = type === WRITE ? new Uint8Array(length).fill(seed) : undefined;
            const bytes = request(type, { offset, length, ...(data && { data }) });
            for (let at = 0, i = 0; at < bytes.length; i++) {
              const cut = cuts[i % cuts.length]!;
              client.send(bytes.subarray(at, at + cut));
              at += cut;
            }
            expect((await client.simpleReply()).error).toBe(0);
            if (type === READ) expect(await client.read(length)).toEqual(model.slice(offset, offset + length));
            else model.fill(type === WRITE ? seed : 0, offset, offset + length);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('keeps the neighbours of concurrent writes inside one sector', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 0, max: 2 ** 31 }), async (scheduler, seed) => {
        const store = memory(4);
        const delayed: BlockStore = {
          sectorCount: 4,
          readOnly: false,
          read: (first, into) => scheduler.schedule(Promise.resolve(), 'read').then(() => store.read(first, into)),
          write: (first, from) => scheduler.schedule(Promise.resolve(), 'write').then(() => store.write(first, from)),
          flush: () => store.flush(),
          discard: (first, count) => store.discard(first, count),
        };
        const client = new TestClient([exportOf('a', delayed)]);
        await client.go();
        // Eight writes of 200 bytes side by side, none overlapping, in an order that the seed picks.
        const starts = [0, 200, 400, 600, 800, 1000, 1200, 1400].sort((a, b) => ((a * 7919 + seed) % 13) - ((b * 7919 + seed) % 13));
        for (const offset of starts) client.send(request(WRITE!, { offset, data: new Uint8Array(200).fill(1 + offset / 200) }));
        const replies = await scheduler.waitFor(Promise.all(starts.map(() => client.simpleReply())));
        expect(replies.map(({ error }) => error)).toEqual(starts.map(() => 0));
        const all = new Uint8Array(2048);
        await store.read(0, all);
        expect(all.slice(0, 1600)).toEqual(Uint8Array.from({ length: 1600 }, (_, i) => 1 + Math.floor(i / 200)));
      }),
      { numRuns: 50 },
    );
  });
});
