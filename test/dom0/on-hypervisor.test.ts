/**
 * Dom0 on the hypervisor, with DomUs whose kernel is host code too: everything is real but the processor. What is built,
 * run and destroyed must leave the hypervisor's books as they were.
 */

import { describe, expect, it } from 'vitest';
import { restoreStream, saveStream } from '../../src/base/persist.ts';
import { seedRandom } from '../../src/base/random.ts';
import { Dom0, type Dom0Request } from '../../src/dom0/dom0.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit, census } from '../../src/xen/census.ts';
import { sendGlobalVirq } from '../../src/xen/event-delivery.ts';
import { attachHostGuest } from '../../src/xen/host-guest.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import type { GuestPort, HostGuest } from '../../src/xen-abi/guest-port.ts';
import { putBytes, type SharedPage, takeBytes } from '../../src/xen-abi/io/byte-ring.ts';
import { consoleRing } from '../../src/xen-abi/io/console.ts';
import { XS, xenstoreRing } from '../../src/xen-abi/io/xs-wire.ts';
import { Hypercall, VIRQ_CONSOLE } from '../../src/xen-abi/xen.ts';
import { encodePacket, encodeStrings, takePacket } from '../../src/xenstore/wire.ts';
import { ascii, buildElf, concat, elfNote } from '../support/elf-builder.ts';
import { FakePlatform } from '../support/fake-platform.ts';

const notes = concat(elfNote(5, 'xen-3.0'), elfNote(8, 'generic'), elfNote(2, 0x2000n));
const kernel = buildElf({
  entry: 0x1000n,
  segments: [
    { virtual: 0x1000n, data: ascii('code'), memoryBytes: 0x5000n },
    { type: 4, virtual: 0n, data: notes },
  ],
});

function host(frames = 16384) {
  const platform = new FakePlatform({ frames });
  const pv = new PvDomains();
  const hypervisor = startHypervisor(platform, { kinds: [pv] });
  const said: string[] = [];
  const output = new Map<number, string>();
  const options = {
    consoles: {
      output: (domid: number, bytes: Uint8Array) => {
        output.set(domid, (output.get(domid) ?? '') + String.fromCharCode(...bytes));
      },
      input: () => new Uint8Array(0),
    },
    random: seedRandom(1n),
    observer: {
      created: ({ domid }: { domid: number }) => said.push(`created ${domid}`),
      shutDown: ({ domid }: { domid: number }, reason: number) => said.push(`shut down ${domid} ${reason}`),
      destroyed: ({ domid }: { domid: number }) => said.push(`destroyed ${domid}`),
      failed: (_request: Dom0Request, _error: unknown, message: string) => said.push(`failed: ${message}`),
    },
  };
  const dom0 = new Dom0(options);
  const { port } = buildDom0(hypervisor, { pages: 1024, kernel: { hostCode: dom0 } });
  platform.settle();
  const ask = (...requests: Dom0Request[]): void => {
    for (const request of requests) dom0.submit(request);
    sendGlobalVirq(hypervisor, VIRQ_CONSOLE);
    platform.settle();
  };
  return { platform, hypervisor, dom0, said, output, ask, options, port: port! };
}

/** A kernel in host code: says something, reads its name from xenstore, says it, and shuts down. */
class TalkingGuest implements HostGuest {
  readonly image = { virtBase: 0n, pages: 0 };
  readonly #reason: number;

  constructor(reason: number) {
    this.#reason = reason;
  }

  start(port: GuestPort): void {
    const hypercallPage = port.readVirtual(0x2000n, 3);
    this.#say(port, `page ${hypercallPage} code ${String.fromCharCode(...port.readVirtual(0x1000n, 4)!)}`);
    const name = encodePacket({ type: XS.READ, requestId: 1, transactionId: 0, payload: encodeStrings('name') });
    putBytes(page(port, port.startInfo + 0x1000n), xenstoreRing.req, name);
    this.#send(port, u32(port, port.startInfo + 64n));
    // The shared_info of a PV guest is mapped by itself, over some page of its own.
    const machine = u64(port, port.startInfo + 40n);
    port.hypercall(Hypercall.update_va_mapping, 0x3000n, machine | 0x63n, 2n);
    port.writeVirtual(0x3001n, Uint8Array.of(0));
  }

  upcall(port: GuestPort): void {
    port.writeVirtual(0x3000n, Uint8Array.of(0));
    port.writeVirtual(0x3008n, new Uint8Array(8));
    port.writeVirtual(0x3800n, new Uint8Array(512));
    const answer = takeBytes(page(port, port.startInfo + 0x1000n), xenstoreRing.rsp, 1024)!;
    const taken = takePacket(answer);
    if (taken.kind !== 'packet') return;
    this.#say(port, ` name ${String.fromCharCode(...taken.packet.payload)}`);
    port.writeVirtual(0x4000n, Uint8Array.of(this.#reason, 0, 0, 0));
    port.hypercall(Hypercall.sched_op, 2n, 0x4000n);
  }

  attach(): void {}
  save(): void {}
  restore(): void {}

  #say(port: GuestPort, text: string): void {
    putBytes(page(port, port.startInfo + 0x2000n), consoleRing.out, ascii(text));
    this.#send(port, u32(port, port.startInfo + 80n));
  }

  #send(port: GuestPort, eventPort: number): void {
    port.writeVirtual(0x4000n, new Uint8Array(new Uint32Array([eventPort]).buffer));
    expect(port.hypercall(Hypercall.event_channel_op, 4n, 0x4000n)).toBe(0n);
  }
}

const u64 = (port: GuestPort, address: bigint): bigint => new DataView(port.readVirtual(address, 8)!.buffer).getBigUint64(0, true);
const u32 = (port: GuestPort, address: bigint): number => new DataView(port.readVirtual(address, 4)!.buffer).getUint32(0, true);

function page(port: GuestPort, address: bigint): SharedPage {
  return {
    read: (offset, length) => port.readVirtual(address + BigInt(offset), length)!,
    write: (offset, bytes) => {
      expect(port.writeVirtual(address + BigInt(offset), bytes)).toBe(true);
    },
    readU32: (offset) => u32(port, address + BigInt(offset)),
    writeU32: (offset, value) => {
      port.writeVirtual(address + BigInt(offset), new Uint8Array(new Uint32Array([value]).buffer));
    },
  };
}

type Host = ReturnType<typeof host>;

/** Creates a domain, puts host code in the place of its kernel, and lets it run. */
function runGuest(
  { hypervisor, platform, ask }: Host,
  name: string,
  guest: HostGuest,
  onShutdown: 'destroy' | 'preserve' = 'destroy',
): void {
  const before = new Set(hypervisor.domains.keys());
  ask({ kind: 'create', config: { name, kernel, memoryMiB: 8, onShutdown }, paused: true });
  const domain = [...hypervisor.domains.values()].find(({ id }) => !before.has(id))!;
  const vcpu = domain.vcpus[0]!;
  attachHostGuest(hypervisor, vcpu, guest, vcpu.context.gpr[6]!);
  ask({ kind: 'unpause', domid: domain.id });
  platform.settle();
}

describe('Dom0 on the hypervisor', () => {
  it('starts with two VIRQ ports, its window, and consistent books', () => {
    const { hypervisor } = host();
    expect(census(hypervisor)).toMatchObject({ domains: 1, ports: 2, activeGrants: 0, grantMappings: 0 });
    expect(audit(hypervisor)).toEqual([]);
  });

  it('builds a domain whose context, tables and grants the hypervisor accepts', () => {
    const all = host();
    all.ask({ kind: 'create', config: { name: 'guest', kernel, memoryMiB: 8, vcpus: 2 }, paused: true });
    expect(all.said).toEqual(['created 1']);
    const domain = all.hypervisor.domains.get(1)!;
    expect([domain.totalPages, domain.vcpus.length, domain.vcpus[0]!.context.rip]).toEqual([2048, 2, 0x1000n]);
    expect(census(all.hypervisor)).toMatchObject({ ports: 6, activeGrants: 2, grantMappings: 2 });
    expect(audit(all.hypervisor)).toEqual([]);
  });

  it('serves a domain that runs, notices its end and frees everything: frames, ports, grants, nodes', () => {
    const all = host();
    // The first domain leaves /vm and /local behind in the store, which later ones find again.
    runGuest(all, 'warm-up', new TalkingGuest(0));
    const before = { census: census(all.hypervisor), nodes: [...all.dom0.xenstored.store.owned] };
    for (const [name, reason] of [
      ['one', 0],
      ['two', 1],
      ['three', 3],
    ] as const)
      runGuest(all, name, new TalkingGuest(reason));
    expect(all.said.slice(3)).toEqual(
      [2, 3, 4].flatMap((domid) => [`created ${domid}`, `shut down ${domid} ${[0, 1, 3][domid - 2]}`, `destroyed ${domid}`]),
    );
    expect([2, 3, 4].map((domid) => all.output.get(domid))).toEqual(
      ['one', 'two', 'three'].map((name) => `page 81,65,83 code code name ${name}`),
    );
    expect({ census: census(all.hypervisor), nodes: [...all.dom0.xenstored.store.owned] }).toEqual(before);
    expect(audit(all.hypervisor)).toEqual([]);
  });

  it('runs two domains at a time and destroys one of them without the other', () => {
    const all = host();
    runGuest(all, 'one', new TalkingGuest(0), 'preserve');
    const alone = census(all.hypervisor);
    runGuest(all, 'two', new TalkingGuest(0), 'preserve');
    expect(all.said).toEqual(['created 1', 'shut down 1 0', 'created 2', 'shut down 2 0']);
    all.ask({ kind: 'destroy', domid: 2 });
    expect(census(all.hypervisor)).toEqual(alone);
    expect(all.dom0.xenstored.read('/local/domain/1/name')).toBe('one');
    all.ask({ kind: 'destroy', domid: 1 });
    expect([census(all.hypervisor).domains, audit(all.hypervisor)]).toEqual([1, []]);
  });

  it('takes back what it built when the machine has too little memory', () => {
    const all = host(3000);
    const before = census(all.hypervisor);
    all.ask({ kind: 'create', config: { name: 'large', kernel, memoryMiB: 64 } });
    expect(all.said).toEqual([expect.stringMatching(/^failed: not enough memory: \d+ of 16384 pages for domain 1 were there$/)]);
    expect(census(all.hypervisor)).toEqual(before);
    expect(audit(all.hypervisor)).toEqual([]);
  });

  it('goes on from its saved state as another object', () => {
    const all = host();
    runGuest(all, 'one', new TalkingGuest(0), 'preserve');
    const bytes = saveStream((writer) => all.dom0.save(writer));
    const copy = new Dom0({ ...all.options, random: seedRandom(9n) });
    restoreStream(bytes, (reader) => copy.restore(reader));
    attachHostGuest(all.hypervisor, all.hypervisor.domains.get(0)!.vcpus[0]!, copy, all.port.startInfo);
    copy.submit({ kind: 'destroy', domid: 1 });
    copy.submit({ kind: 'create', config: { name: 'two', kernel, memoryMiB: 4 }, paused: true });
    sendGlobalVirq(all.hypervisor, VIRQ_CONSOLE);
    all.platform.settle();
    expect(all.said.slice(2)).toEqual(['destroyed 1', 'created 2']);
    expect(audit(all.hypervisor)).toEqual([]);
  });
});
