import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { restoreStream, saveStream } from '../../src/base/persist.ts';
import { seedRandom } from '../../src/base/random.ts';
import { Dom0, type Dom0Request } from '../../src/dom0/dom0.ts';
import type { DomainConfig } from '../../src/dom0/toolstack/domain-config.ts';
import { XS } from '../../src/xen-abi/io/xs-wire.ts';
import { VIRQ_CONSOLE, VIRQ_DOM_EXC } from '../../src/xen-abi/xen.ts';
import { encodePacket, encodeStrings, takePacket } from '../../src/xenstore/wire.ts';
import { ascii, buildElf, concat, elfNote } from '../support/elf-builder.ts';
import { ModelHypervisor } from './model-hypervisor.ts';

const notes = concat(elfNote(5, 'xen-3.0'), elfNote(8, 'generic'), elfNote(2, 0x2000n));
const kernelFile = buildElf({
  entry: 0x1000n,
  segments: [
    { virtual: 0x1000n, data: concat(ascii('code'), new Uint8Array(4096), ascii('!')), memoryBytes: 0x5000n },
    { type: 4, virtual: 0n, data: notes },
  ],
});
const config: DomainConfig = { name: 'guest', kernel: kernelFile, commandLine: 'hello', memoryMiB: 8, vcpus: 2 };

function machine(options: { frames?: number } = {}) {
  const said: string[] = [];
  const typed = new Map<number, Uint8Array>();
  const output = new Map<number, string>();
  const dom0 = new Dom0({
    consoles: {
      output: (domid, bytes) => output.set(domid, (output.get(domid) ?? '') + String.fromCharCode(...bytes)),
      input: (domid, most) => {
        const bytes = typed.get(domid) ?? new Uint8Array(0);
        typed.set(domid, bytes.subarray(most));
        return bytes.subarray(0, most);
      },
    },
    observer: {
      created: ({ domid, name }) => said.push(`created ${domid} ${name}`),
      shutDown: ({ domid }, reason) => said.push(`shut down ${domid} ${reason}`),
      destroyed: ({ domid }) => said.push(`destroyed ${domid}`),
      failed: (_request, _error, message) => said.push(`failed: ${message}`),
    },
    random: seedRandom(1n),
  });
  const xen = new ModelHypervisor(dom0, options);
  xen.run();
  const ask = (...requests: Dom0Request[]): void => {
    for (const request of requests) dom0.submit(request);
    xen.virq(VIRQ_CONSOLE);
    xen.run();
  };
  return { dom0, xen, said, typed, output, ask };
}

type Machine = ReturnType<typeof machine>;

/** The domain's machine frames from its start_info, as its kernel would find them. */
function startInfoOf({ xen }: Machine, domid: number) {
  const context = new DataView(xen.domains.get(domid)!.context!.buffer);
  const frame = (gpfn: number): Uint8Array => {
    const [mfn] = [...xen.m2p].find(([each, pfn]) => pfn === gpfn && xen.owner.get(each) === domid)!;
    return xen.frames.get(mfn)!;
  };
  const rsi = Number(context.getBigUint64(520 + 104, true));
  const info = new DataView(frame(rsi >> 12).buffer);
  return {
    info,
    frame,
    rip: context.getBigUint64(520 + 128, true),
    cr3: Number(context.getBigUint64(5008, true) >> 12n),
    store: { page: xen.frames.get(Number(info.getBigUint64(56, true)))!, port: info.getUint32(64, true) },
    console: { page: xen.frames.get(Number(info.getBigUint64(72, true)))!, port: info.getUint32(80, true) },
  };
}

/** Puts bytes on a ring as a guest would: data area, size, consumer, producer. */
function put(page: Uint8Array, [data, size, , producer]: [number, number, number, number], bytes: Uint8Array): void {
  const view = new DataView(page.buffer);
  const at = view.getUint32(producer, true);
  bytes.forEach((byte, i) => {
    page[data + ((at + i) % size)] = byte;
  });
  view.setUint32(producer, at + bytes.length, true);
}

function take(page: Uint8Array, [data, size, consumer, producer]: [number, number, number, number]): Uint8Array {
  const view = new DataView(page.buffer);
  const [from, to] = [view.getUint32(consumer, true), view.getUint32(producer, true)];
  view.setUint32(consumer, to, true);
  return Uint8Array.from({ length: to - from }, (_, i) => page[data + ((from + i) % size)]!);
}

const req: [number, number, number, number] = [0, 1024, 2048, 2052];
const rsp: [number, number, number, number] = [1024, 1024, 2056, 2060];
const consoleIn: [number, number, number, number] = [0, 1024, 3072, 3076];
const consoleOut: [number, number, number, number] = [1024, 2048, 3080, 3084];

describe('Dom0 building a domain', () => {
  it('writes image, P2M list and start_info into frames that are not contiguous', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    expect(all.said).toEqual(['created 1 guest']);
    const { info, frame, rip, cr3 } = startInfoOf(all, 1);
    expect(rip).toBe(0x1000n);
    expect(String.fromCharCode(...new Uint8Array(info.buffer, 0, 14))).toBe('xen-3.0-x86_64');
    expect([info.getBigUint64(32, true), String.fromCharCode(...new Uint8Array(info.buffer, 128, 6))]).toEqual([2048n, 'hello\0']);
    // Kernel, with its bss cleared although the frames were full of other things.
    expect([...frame(1).subarray(0, 5)]).toEqual([...ascii('code'), 0]);
    expect([...frame(2).subarray(0, 8)]).toEqual([0, 0, 0, 0, 0x21, 0, 0, 0]);
    expect(frame(5).every((byte) => byte === 0)).toBe(true);
    const list = Number(info.getBigUint64(104, true));
    for (const pfn of [0, 511, 512, 2047]) {
      const mfn = Number(new DataView(frame((list >> 12) + (pfn >> 9)).buffer).getBigUint64(8 * (pfn & 511), true));
      expect([all.xen.m2p.get(mfn), all.xen.owner.get(mfn)]).toEqual([pfn, 1]);
    }
    const domain = all.xen.domains.get(1)!;
    expect([domain.pinned, all.xen.m2p.get(domain.hypercallPage), domain.paused]).toEqual([cr3, 2, false]);
  });

  it('makes page tables that map every page once, tables read-only', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    const { info, cr3 } = startInfoOf(all, 1);
    const tablePfns = new Set<number>();
    const mapped: [number, number, bigint][] = [];
    const visit = (mfn: number, level: number, address: number): void => {
      tablePfns.add(all.xen.m2p.get(mfn)!);
      const view = new DataView(all.xen.frames.get(mfn)!.buffer);
      for (let index = 0; index < 512; index++) {
        const entry = view.getBigUint64(8 * index, true);
        if ((entry & 1n) === 0n) continue;
        const target = Number((entry >> 12n) & 0xffffffffn);
        const at = address + index * 2 ** (3 + 9 * level);
        if (level > 1) visit(target, level - 1, at);
        else mapped.push([at / 4096, all.xen.m2p.get(target)!, entry & 0xfffn]);
      }
    };
    visit(cr3, 4, 0);
    expect(tablePfns.size).toBe(Number(info.getBigUint64(96, true)));
    expect(mapped.length).toBe(1024);
    for (const [page, pfn, flags] of mapped) expect([pfn, flags]).toEqual([page, tablePfns.has(pfn) ? 0x21n : 0x23n]);
  });

  it('leaves nothing mapped but the two granted pages, and describes the domain in xenstore', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    expect([all.xen.foreignMaps.size, all.xen.grants.size]).toEqual([2, 2]);
    expect(all.dom0.xenstored.request(XS.DIRECTORY, '/local/domain/1').split('\0').slice(0, -1)).toEqual(
      'vm name cpu memory device control data drivers feature attr error domid store console'.split(' '),
    );
    expect(all.dom0.xenstored.read('/local/domain/1/cpu/1/availability')).toBe('online');
    expect(all.dom0.xenstored.read('/local/domain/1/memory/target')).toBe('8192');
  });

  it('gives everything back when the domain is destroyed', () => {
    const all = machine();
    const before = {
      free: all.xen.freeFrames,
      ports: [...all.xen.domains.get(0)!.ports.keys()],
      nodes: all.dom0.xenstored.store.owned.get(0),
    };
    all.ask({ kind: 'create', config });
    all.ask({ kind: 'create', config: { ...config, name: 'second', memoryMiB: 4 } });
    expect(all.xen.freeFrames).toBe(before.free - 2048 - 1024 - 4);
    all.ask({ kind: 'destroy', domid: 1 }, { kind: 'destroy', domid: 2 });
    expect(all.said.slice(2)).toEqual(['destroyed 1', 'destroyed 2']);
    const after = {
      free: all.xen.freeFrames,
      ports: [...all.xen.domains.get(0)!.ports.keys()],
      nodes: all.dom0.xenstored.store.owned.get(0),
    };
    // /vm and /local/domain stay, empty.
    expect(after).toEqual({ ...before, nodes: before.nodes! + 1 });
    expect([all.xen.foreignMaps.size, all.xen.grants.size, all.dom0.xenstored.store.connections.size]).toEqual([0, 0, 1]);
  });

  it('goes on with small gaps in its window, and refuses a domain in one line when it is full', () => {
    const all = machine();
    const { used } = all.dom0.kernel.memory.state;
    used.forEach((_, i) => {
      used[i] = i % 4 < 2;
    });
    all.ask({ kind: 'create', config });
    expect(all.said).toEqual(['created 1 guest']);
    expect([startInfoOf(all, 1).frame(1).subarray(0, 4), all.xen.foreignMaps.size]).toEqual([ascii('code'), 2]);
    used.fill(true);
    const before = all.xen.freeFrames;
    all.ask({ kind: 'create', config: { ...config, name: 'second', memoryMiB: 4 } });
    expect(all.said.slice(1)).toEqual(['failed: Dom0 has no 1 pages in a row left to map frames of other domains']);
    expect([all.xen.freeFrames, all.xen.domains.size]).toEqual([before, 2]);
  });

  it('destroys what it began when memory runs out, and says so in one line', () => {
    const all = machine({ frames: 2000 });
    const free = all.xen.freeFrames;
    all.ask({ kind: 'create', config });
    expect(all.said).toEqual([expect.stringMatching(/^failed: not enough memory: \d+ of 2048 pages for domain 1 were there$/)]);
    expect([all.xen.freeFrames, all.xen.domains.size]).toEqual([free, 1]);
    all.ask({ kind: 'create', config: { ...config, memoryMiB: 2, kernel: ascii('MZ') } }, { kind: 'destroy', domid: 9 });
    expect(all.said.slice(1)).toEqual(['failed: not an ELF file (no 7f 45 4c 46 at the start)', 'failed: there is no domain 9']);
  });
});

describe('Dom0 serving a domain', () => {
  it('drains its console, also across the end of the ring, and passes input on', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    const { page, port } = startInfoOf(all, 1).console;
    all.xen.takePending(1);
    for (let i = 0; i < 5; i++) {
      put(page, consoleOut, ascii('x'.repeat(900)));
      all.xen.sendFrom(1, port);
      all.xen.run();
      expect(all.xen.takePending(1)).toEqual([port]);
    }
    expect(all.output.get(1)!.length).toBe(4500);
    all.typed.set(1, ascii('ls\n'));
    all.xen.virq(VIRQ_CONSOLE);
    all.xen.run();
    expect(take(page, consoleIn)).toEqual(ascii('ls\n'));
    expect(page[3088]).toBe(0);
  });

  it('stops serving a console with impossible indices, and only that one', () => {
    const all = machine();
    all.ask({ kind: 'create', config }, { kind: 'create', config: { ...config, name: 'second', memoryMiB: 4 } });
    const [first, second] = [startInfoOf(all, 1).console, startInfoOf(all, 2).console];
    new DataView(first.page.buffer).setUint32(3084, 5000, true);
    put(second.page, consoleOut, ascii('fine'));
    all.xen.sendFrom(1, first.port);
    all.xen.sendFrom(2, second.port);
    all.xen.run();
    expect([all.output.get(1), all.output.get(2)]).toEqual([undefined, 'fine']);
  });

  it('answers xenstore requests that come in pieces and in numbers, with answers that do not fit at once', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    const { page, port } = startInfoOf(all, 1).store;
    const request = (requestId: number, type: number, ...strings: string[]): Uint8Array =>
      encodePacket({ type, requestId, transactionId: 0, payload: encodeStrings(...strings) });
    all.dom0.xenstored.write('/local/domain/1/data/big', 'y'.repeat(800));
    const stream = concat(...Array.from({ length: 20 }, (_, i) => request(i, XS.READ, i % 2 === 0 ? 'name' : 'data/big')));
    const answers: string[] = [];
    let got: Uint8Array = new Uint8Array(0);
    for (let at = 0; at < stream.length || answers.length < 20; at += 37) {
      put(page, req, stream.subarray(at, at + 37));
      all.xen.sendFrom(1, port);
      all.xen.run();
      got = concat(got, take(page, rsp));
      for (let taken = takePacket(got); taken.kind === 'packet'; taken = takePacket(got)) {
        answers.push(`${taken.packet.requestId} ${String.fromCharCode(...taken.packet.payload).slice(0, 5)}`);
        got = taken.rest;
      }
      if (at > 5000) break;
    }
    expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => `${i} ${i % 2 === 0 ? 'guest' : 'yyyyy'}`));
  });

  it.each<[string, (page: Uint8Array) => void, number]>([
    ['impossible indices', (page) => new DataView(page.buffer).setUint32(2052, 3000, true), 2],
    ['a message above 4096 bytes', (page) => put(page, req, Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 16, 0, 0)), 3],
  ])('gives a xenstore ring up after %s, with the error in its page', (_title, spoil, error) => {
    const all = machine();
    all.ask({ kind: 'create', config });
    const { page, port } = startInfoOf(all, 1).store;
    spoil(page);
    all.xen.sendFrom(1, port);
    all.xen.run();
    expect(new DataView(page.buffer).getUint32(2072, true)).toBe(error);
    // The store itself goes on.
    expect(all.dom0.xenstored.read('/local/domain/1/name')).toBe('guest');
  });

  it('sends watch events of one domain that another one causes', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    const { page, port } = startInfoOf(all, 1).store;
    put(page, req, encodePacket({ type: XS.WATCH, requestId: 1, transactionId: 0, payload: encodeStrings('control/shutdown', 'tok') }));
    all.xen.sendFrom(1, port);
    all.xen.run();
    take(page, rsp);
    all.xen.takePending(1);
    all.ask({ kind: 'shutdown', domid: 1, how: 'poweroff' });
    expect(all.xen.takePending(1)).toContain(port);
    const taken = takePacket(take(page, rsp));
    expect(taken).toMatchObject({ packet: { type: XS.WATCH_EVENT, payload: encodeStrings('control/shutdown', 'tok') } });
    expect(all.dom0.xenstored.read('/local/domain/1/control/shutdown')).toBe('poweroff');
  });

  it.each([0, 1, 3, 0xab])('notices a shutdown with reason %i, reads the last console output, and destroys', (reason) => {
    const all = machine();
    all.ask({ kind: 'create', config });
    put(startInfoOf(all, 1).console.page, consoleOut, ascii('bye'));
    all.xen.domains.get(1)!.shutdown = reason;
    all.xen.virq(VIRQ_DOM_EXC);
    all.xen.run();
    expect(all.said).toEqual(['created 1 guest', `shut down 1 ${reason}`, 'destroyed 1']);
    expect([all.output.get(1), all.xen.domains.size]).toEqual(['bye', 1]);
  });

  it('keeps a domain that is to be preserved, announces its shutdown once, and notices one that died', () => {
    const all = machine();
    all.ask({ kind: 'create', config: { ...config, onShutdown: 'preserve' } });
    all.xen.domains.get(1)!.shutdown = 3;
    for (let i = 0; i < 2; i++) {
      all.xen.virq(VIRQ_DOM_EXC);
      all.xen.run();
    }
    expect(all.said).toEqual(['created 1 guest', 'shut down 1 3']);
    all.ask({ kind: 'destroy', domid: 1 });
    expect(all.said.at(-1)).toBe('destroyed 1');
  });
});

describe('a hostile domain', () => {
  it('that writes anything into its two ring pages, indices included, harms neither Dom0 nor another domain', () => {
    const all = machine();
    all.ask({ kind: 'create', config }, { kind: 'create', config: { ...config, name: 'honest', memoryMiB: 4 } });
    const [hostile, honest] = [startInfoOf(all, 1), startInfoOf(all, 2)];
    // Mostly near the rings' indices, and mostly values that pass as indices or as headers.
    const write = fc.record({
      ring: fc.constantFrom('store' as const, 'console' as const),
      offset: fc.oneof(fc.nat(4092), fc.constantFrom(0, 12, 2048, 2052, 2056, 2060, 2068, 3072, 3076, 3080, 3084, 3088)),
      value: fc.oneof(fc.nat(2100), fc.nat(30), fc.nat(0xffff_ffff)),
    });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 25 }), (writes) => {
        for (const { ring, offset, value } of writes) {
          new DataView(hostile[ring].page.buffer).setUint32(offset, value, true);
          all.xen.sendFrom(1, hostile[ring].port);
          all.xen.run();
        }
        put(honest.store.page, req, encodePacket({ type: XS.READ, requestId: 3, transactionId: 0, payload: encodeStrings('name') }));
        put(honest.console.page, consoleOut, ascii('.'));
        all.output.set(2, '');
        all.xen.sendFrom(2, honest.store.port);
        all.xen.sendFrom(2, honest.console.port);
        all.xen.run();
        expect([takePacket(take(honest.store.page, rsp)), all.output.get(2)]).toMatchObject([
          { packet: { payload: ascii('honest') } },
          '.',
        ]);
      }),
      { numRuns: 100 },
    );
    all.ask({ kind: 'destroy', domid: 1 });
    expect(all.said.at(-1)).toBe('destroyed 1');
  });
});

describe('the state of Dom0', () => {
  it('is plain data between two calls: a copy with another port goes on where the first one was', () => {
    const all = machine();
    all.ask({ kind: 'create', config });
    const bytes = saveStream((writer) => all.dom0.save(writer));
    const copy = new Dom0({ consoles: { output: () => {}, input: () => new Uint8Array(0) }, random: seedRandom(2n) });
    restoreStream(bytes, (reader) => copy.restore(reader));
    copy.attach(all.xen);
    expect(saveStream((writer) => copy.save(writer))).toEqual(bytes);
    const { page, port } = startInfoOf(all, 1).store;
    put(page, req, encodePacket({ type: XS.READ, requestId: 5, transactionId: 0, payload: encodeStrings('name') }));
    all.xen.sendFrom(1, port);
    copy.upcall(all.xen);
    expect(takePacket(take(page, rsp))).toMatchObject({ packet: { requestId: 5, payload: ascii('guest') } });
  });
});
