/**
 * A small model of the hypervisor as Dom0 sees it through its port: frames with owners, Dom0's page tables walked for
 * every access, and the hypercalls that Dom0's services use, with the checks that matter to them. No guest code runs: a
 * test plays the other domains by writing their frames. The whole is tested against the real hypervisor elsewhere.
 */

import { DOMCTL_U, xen_domctl, xen_domctl_getdomaininfo } from '../../src/xen-abi/domctl.ts';
import { evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_bind_virq } from '../../src/xen-abi/event-channel.ts';
import { gnttab_map_grant_ref, gnttab_setup_table, gnttab_unmap_grant_ref } from '../../src/xen-abi/grant-table.ts';
import type { GuestPort, HostGuest } from '../../src/xen-abi/guest-port.ts';
import { xen_memory_reservation } from '../../src/xen-abi/memory.ts';
import {
  encodeStartInfo,
  forEachTableEntry,
  HYPERVISOR_VIRT_END,
  HYPERVISOR_VIRT_START,
  planStartOfDay,
} from '../../src/xen-abi/start-of-day.ts';
import { Hypercall, shared_info } from '../../src/xen-abi/xen.ts';

const frameMask = 0x000f_ffff_ffff_f000n;
const [EPERM, ESRCH, ENOMEM, EINVAL, EOPNOTSUPP] = [1, 3, 12, 22, 95];

interface ModelDomain {
  readonly id: number;
  readonly sharedInfo: number;
  readonly grantFrame: number;
  maxPages: number;
  paused: boolean;
  shutdown: number | undefined;
  context: Uint8Array | undefined;
  pinned: number;
  hypercallPage: number;
  ports: Map<number, { remote: number; remotePort: number; bound: boolean }>;
}

export class ModelHypervisor implements GuestPort {
  readonly startInfo: bigint;
  readonly frames = new Map<number, Uint8Array>();
  readonly owner = new Map<number, number>();
  /** Frames of other domains that Dom0 has mapped, counted. */
  readonly foreignMaps = new Map<number, number>();
  readonly m2p = new Map<number, number>();
  readonly domains = new Map<number, ModelDomain>();
  readonly virqs = new Map<number, number>();
  readonly grants = new Map<number, { pte: number; index: number; mfn: number }>();
  /** Every hypercall, as `number.command`. */
  readonly log: string[] = [];
  readonly #free: number[];
  readonly #root: number;
  readonly #guest: HostGuest;
  #nextDomid = 1;
  #nextHandle = 1;

  constructor(guest: HostGuest, options: { frames?: number } = {}) {
    this.#guest = guest;
    const count = options.frames ?? 6144;
    // Neighbours are never given out one after the other.
    this.#free = Array.from({ length: count }, (_, i) => 16 + ((i * 769) % count));
    this.#newDomain(0);
    const { virtBase, pages } = guest.image;
    const virtEnd = virtBase + BigInt(pages * 4096);
    const kernel = { virtBase, virtStart: virtBase, virtEnd, entry: virtBase, initP2m: undefined, modStartPfn: false };
    const plan = planStartOfDay({ kernel, totalPages: 1024, ramdiskBytes: 0, initialDomain: true });
    const mfns = Array.from({ length: 1024 }, (_, pfn) => this.#allocate(0, pfn));
    forEachTableEntry(plan, (table, index, target, flags) => {
      this.#setEntry(mfns[table]!, index, (BigInt(mfns[target]!) << 12n) | BigInt(flags));
    });
    this.#root = mfns[plan.tables[0]!.pfn]!;
    const domain = this.domains.get(0)!;
    const values = {
      flags: 3,
      sharedInfoMfn: domain.sharedInfo,
      storeMfn: 0,
      storePort: 0,
      consoleMfn: 0,
      consolePort: 0,
      commandLine: '',
    };
    this.startInfo = plan.startInfoVirtual;
    this.frames.get(mfns[Number((plan.startInfoVirtual - virtBase) >> 12n)]!)!.set(encodeStartInfo(plan, values));
  }

  /** Starts Dom0, and calls it while events are pending. */
  run(): void {
    if (this.log.length === 0) this.#guest.start(this);
    for (let calls = 0; this.frames.get(this.domains.get(0)!.sharedInfo)![0] !== 0; calls++) {
      if (calls > 100) throw new Error('Dom0 never clears evtchn_upcall_pending');
      this.#guest.upcall(this);
    }
  }

  virq(virq: number): void {
    const port = this.virqs.get(virq);
    if (port !== undefined) this.#raise(0, port);
  }

  /** The other domain sends on one of its ports. */
  sendFrom(domid: number, port: number): void {
    const { remote, remotePort, bound } = this.domains.get(domid)!.ports.get(port)!;
    if (bound) this.#raise(remote, remotePort);
  }

  /** Ports pending in a domain, taken. */
  takePending(domid: number): number[] {
    const info = this.frames.get(this.domains.get(domid)!.sharedInfo)!;
    const at = shared_info.offset('evtchn_pending');
    const ports = Array.from({ length: 512 }, (_, i) => i).filter((i) => ((info[at + (i >> 3)]! >> (i & 7)) & 1) !== 0);
    info.fill(0, at, at + 64);
    return ports;
  }

  get freeFrames(): number {
    return this.#free.length;
  }

  readVirtual(address: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    return this.#access(address, length, false, (mfn, offset, at, count) => {
      bytes.set(this.#frameBytes(mfn).subarray(offset, offset + count), at);
    })
      ? bytes
      : this.#readM2p(address, length);
  }

  writeVirtual(address: bigint, bytes: Uint8Array): boolean {
    return this.#access(address, bytes.length, true, (mfn, offset, at, count) => {
      this.#frameBytes(mfn).set(bytes.subarray(at, at + count), offset);
    });
  }

  hypercall(number: number, ...args: bigint[]): bigint {
    this.log.push(`${number}.${args[0]}`);
    return BigInt(this.#call(number, args));
  }

  #call(number: number, args: bigint[]): number {
    const [a = 0n, b = 0n, c = 0n, d = 0n] = args;
    switch (number) {
      case Hypercall.update_va_mapping: {
        const leaf = this.#leaf(a);
        if (leaf === undefined) return -EINVAL;
        this.#setEntry(leaf.table, leaf.index, b);
        return 0;
      }
      case Hypercall.xen_version:
        return this.writeVirtual(
          b,
          Uint8Array.from('xen-3.0-x86_64 \0', (x) => x.charCodeAt(0)),
        )
          ? 0
          : -EINVAL;
      case Hypercall.mmu_update:
        return this.#mmuUpdate(a, Number(b), c, Number(d & 0xffffn));
      case Hypercall.mmuext_op: {
        const view = this.#view(a, 24);
        const mfn = Number(view.getBigUint64(8, true));
        if (view.getUint32(0, true) !== 3) return 0;
        if (this.owner.get(mfn) !== Number(d) || this.foreignMaps.has(mfn)) return -EINVAL;
        this.domains.get(Number(d))!.pinned = mfn;
        return 0;
      }
      case Hypercall.event_channel_op:
        return this.#eventChannel(Number(a), b);
      case Hypercall.memory_op:
        return Number(a) === 6 ? this.#populate(b) : -EOPNOTSUPP;
      case Hypercall.grant_table_op:
        return this.#grant(Number(a), b);
      case Hypercall.domctl:
        return this.#domctl(a);
      default:
        throw new Error(`the model has no hypercall ${number}`);
    }
  }

  #mmuUpdate(list: bigint, count: number, done: bigint, foreign: number): number {
    for (let i = 0; i < count; i++) {
      const view = this.#view(list + BigInt(16 * i), 16);
      const pointer = view.getBigUint64(0, true);
      const value = view.getBigUint64(8, true);
      const target = Number((value & frameMask) >> 12n);
      const from = foreign === 0x7ff0 ? 0 : foreign;
      if ((value & 1n) !== 0n && this.owner.get(target) !== from) return -EINVAL;
      if ((value & 1n) !== 0n && this.domains.get(from)?.pinned === target) return -EINVAL;
      this.#setEntry(Number(pointer >> 12n), Number((pointer & 0xfffn) >> 3n), value);
      this.writeVirtual(done, new Uint8Array(new Uint32Array([i + 1]).buffer));
    }
    return 0;
  }

  #eventChannel(command: number, at: bigint): number {
    const bytes = this.readVirtual(at, 12)!;
    if (command === 6) {
      const { dom, remote_dom } = evtchn_alloc_unbound.read(bytes);
      const port = this.#newPort(dom, { remote: remote_dom, remotePort: 0, bound: false });
      this.writeVirtual(at, evtchn_alloc_unbound.write({ port }, bytes).subarray(0, 8));
    } else if (command === 0) {
      const { remote_dom, remote_port } = evtchn_bind_interdomain.read(bytes);
      const remote = this.domains.get(remote_dom)?.ports.get(remote_port);
      if (remote === undefined || remote.bound) return -EINVAL;
      const port = this.#newPort(0, { remote: remote_dom, remotePort: remote_port, bound: true });
      Object.assign(remote, { remotePort: port, bound: true });
      this.writeVirtual(at, evtchn_bind_interdomain.write({ local_port: port }, bytes));
      this.#raise(0, port);
    } else if (command === 1) {
      const port = this.#newPort(0, { remote: 0, remotePort: 0, bound: false });
      this.virqs.set(evtchn_bind_virq.read(bytes).virq, port);
      this.writeVirtual(at, evtchn_bind_virq.write({ port }, bytes));
    } else {
      const port = new DataView(bytes.buffer).getUint32(0, true);
      const state = this.domains.get(0)!.ports.get(port);
      if (state === undefined) return -EINVAL;
      const remote = this.domains.get(state.remote)?.ports.get(state.remotePort);
      if (command === 3) {
        this.domains.get(0)!.ports.delete(port);
        if (remote !== undefined) remote.bound = false;
      } else if (remote !== undefined && state.bound) this.#raise(state.remote, state.remotePort);
    }
    return 0;
  }

  #populate(at: bigint): number {
    const { extent_start, nr_extents, extent_order, domid } = xen_memory_reservation.read(this.readVirtual(at, 32)!);
    const domain = this.domains.get(domid);
    if (domain === undefined || extent_order !== 0) return 0;
    let owned = this.ownedBy(domid);
    for (let i = 0n; i < nr_extents; i++) {
      if (this.#free.length === 0 || owned++ >= domain.maxPages) return Number(i);
      const gpfn = Number(this.#view(extent_start + 8n * i, 8).getBigUint64(0, true));
      const mfn = this.#allocate(domid, gpfn);
      // Old content, as memory that was not scrubbed: the builder must clear what has to be clear.
      this.frames.get(mfn)!.fill(0xaa);
      this.writeVirtual(extent_start + 8n * i, new Uint8Array(new BigUint64Array([BigInt(mfn)]).buffer));
    }
    return Number(nr_extents);
  }

  #grant(command: number, at: bigint): number {
    if (command === 2) {
      const table = gnttab_setup_table.read(this.readVirtual(at, 24)!);
      this.writeVirtual(table.frame_list, new Uint8Array(new BigUint64Array([BigInt(this.domains.get(table.dom)!.grantFrame)]).buffer));
      this.writeVirtual(at + 8n, new Uint8Array(2));
      return 0;
    }
    if (command === 0) {
      const map = gnttab_map_grant_ref.read(this.readVirtual(at, 32)!);
      const entry = new DataView(this.frames.get(this.domains.get(map.dom)!.grantFrame)!.buffer, 8 * map.ref, 8);
      const leaf = this.#leaf(map.host_addr);
      const granted = leaf !== undefined && (entry.getUint16(0, true) & 3) === 1 && entry.getUint16(2, true) === 0;
      if (!granted) {
        this.writeVirtual(at + 18n, Uint8Array.of(0xff, 0xff));
        return 0;
      }
      const mfn = entry.getUint32(4, true);
      this.#setEntry(leaf.table, leaf.index, (BigInt(mfn) << 12n) | 0x67n);
      const handle = this.#nextHandle++;
      this.grants.set(handle, { pte: leaf.table, index: leaf.index, mfn });
      const out = new Uint8Array(6);
      new DataView(out.buffer).setUint32(2, handle, true);
      this.writeVirtual(at + 18n, out);
      return 0;
    }
    const unmap = gnttab_unmap_grant_ref.read(this.readVirtual(at, 24)!);
    const grant = this.grants.get(unmap.handle);
    if (grant === undefined) {
      this.writeVirtual(at + 20n, Uint8Array.of(0xfc, 0xff));
      return 0;
    }
    this.#setEntry(grant.pte, grant.index, 0n);
    this.grants.delete(unmap.handle);
    this.#freeIfLast(grant.mfn);
    return 0;
  }

  #domctl(at: bigint): number {
    const bytes = this.readVirtual(at, 144)!;
    const { cmd, interface_version, domain: id } = xen_domctl.read(bytes);
    if (interface_version !== 0x15) return -13;
    const u = new DataView(bytes.buffer, DOMCTL_U);
    if (cmd === 1) {
      const domid = this.#nextDomid++;
      this.#newDomain(domid);
      this.writeVirtual(at, xen_domctl.write({ domain: domid }, bytes));
      return 0;
    }
    if (cmd === 5) {
      const next = [...this.domains.values()].filter((each) => each.id >= id).sort((x, y) => x.id - y.id)[0];
      if (next === undefined) return -ESRCH;
      const flags = (next.shutdown === undefined ? 0 : 4 | (next.shutdown << 16)) | (next.paused ? 8 : 0);
      const values = { domain: next.id, flags, shared_info_frame: BigInt(next.sharedInfo) };
      xen_domctl_getdomaininfo.write(values, bytes.subarray(DOMCTL_U));
      this.writeVirtual(at, xen_domctl.write({ domain: next.id }, bytes));
      return 0;
    }
    const domain = this.domains.get(id);
    if (domain === undefined || id === 0) return domain === undefined ? -ESRCH : -EPERM;
    if (cmd === 2) {
      this.domains.delete(id);
      for (const [mfn, owner] of [...this.owner]) if (owner === id && !this.foreignMaps.has(mfn)) this.#release(mfn);
    } else if (cmd === 3 || cmd === 4) domain.paused = cmd === 3;
    else if (cmd === 11)
      domain.maxPages = Number(u.getBigUint64(0, true) >> 2n) + 2; // the two that the hypervisor gave
    else if (cmd === 12) domain.context = this.readVirtual(u.getBigUint64(8, true), 5168);
    else if (cmd === 22) domain.hypercallPage = Number(u.getBigUint64(0, true));
    else if (cmd !== 15 && cmd !== 60) return -38;
    return 0;
  }

  #newDomain(id: number): void {
    const own = { sharedInfo: this.#allocate(id, -1), grantFrame: this.#allocate(id, -1) };
    const values = { maxPages: 1 << 20, paused: true, shutdown: undefined, context: undefined, pinned: -1, hypercallPage: -1 };
    this.domains.set(id, { id, ...own, ...values, ports: new Map() });
  }

  #newPort(domid: number, state: { remote: number; remotePort: number; bound: boolean }): number {
    const { ports } = this.domains.get(domid)!;
    let port = 1;
    while (ports.has(port)) port++;
    ports.set(port, state);
    return port;
  }

  #raise(domid: number, port: number): void {
    const info = this.frames.get(this.domains.get(domid)!.sharedInfo)!;
    info[shared_info.offset('evtchn_pending') + (port >> 3)]! |= 1 << (port & 7);
    info[8 + (port >> 9)]! |= 1 << ((port >> 6) & 7);
    info[0] = 1;
  }

  ownedBy(domid: number): number {
    return this.owner.values().reduce((sum, owner) => sum + (owner === domid ? 1 : 0), 0);
  }

  #allocate(domid: number, gpfn: number): number {
    const mfn = this.#free.shift();
    if (mfn === undefined) throw new Error(`-${ENOMEM}`);
    this.frames.set(mfn, new Uint8Array(4096));
    this.owner.set(mfn, domid);
    this.m2p.set(mfn, gpfn);
    return mfn;
  }

  #release(mfn: number): void {
    this.frames.delete(mfn);
    this.owner.delete(mfn);
    this.m2p.delete(mfn);
    this.#free.push(mfn);
  }

  /** A dead domain's frame goes when the last mapping of it goes. */
  #freeIfLast(mfn: number): void {
    const owner = this.owner.get(mfn);
    if (owner !== undefined && !this.domains.has(owner) && !this.foreignMaps.has(mfn)) this.#release(mfn);
  }

  #frameBytes(mfn: number): Uint8Array {
    const bytes = this.frames.get(mfn);
    if (bytes === undefined) throw new Error(`frame ${mfn} is mapped, but free`);
    return bytes;
  }

  #setEntry(table: number, index: number, value: bigint): void {
    const view = new DataView(this.#frameBytes(table).buffer);
    const count = (entry: bigint, change: number): void => {
      const mfn = Number((entry & frameMask) >> 12n);
      if ((entry & 1n) === 0n || this.owner.get(mfn) === 0) return;
      const sum = (this.foreignMaps.get(mfn) ?? 0) + change;
      if (sum === 0) this.foreignMaps.delete(mfn);
      else this.foreignMaps.set(mfn, sum);
    };
    count(value, 1);
    count(view.getBigUint64(8 * index, true), -1);
    view.setBigUint64(8 * index, value, true);
  }

  #leaf(address: bigint): { table: number; index: number } | undefined {
    let table = this.#root;
    for (let level = 4; ; level--) {
      const index = Number((address >> BigInt(3 + 9 * level)) & 0x1ffn);
      if (level === 1) return { table, index };
      const entry = new DataView(this.#frameBytes(table).buffer).getBigUint64(8 * index, true);
      if ((entry & 1n) === 0n) return undefined;
      table = Number((entry & frameMask) >> 12n);
    }
  }

  #access(
    address: bigint,
    length: number,
    write: boolean,
    each: (mfn: number, offset: number, at: number, count: number) => void,
  ): boolean {
    for (let at = 0; at < length; ) {
      const offset = Number((address + BigInt(at)) & 0xfffn);
      const leaf = this.#leaf(address + BigInt(at));
      if (leaf === undefined) return false;
      const entry = new DataView(this.#frameBytes(leaf.table).buffer).getBigUint64(8 * leaf.index, true);
      if ((entry & (write ? 3n : 1n)) !== (write ? 3n : 1n)) return false;
      const count = Math.min(4096 - offset, length - at);
      each(Number((entry & frameMask) >> 12n), offset, at, count);
      at += count;
    }
    return true;
  }

  #readM2p(address: bigint, length: number): Uint8Array | undefined {
    if (address < HYPERVISOR_VIRT_START || address >= HYPERVISOR_VIRT_END || length !== 8) return undefined;
    const gpfn = this.m2p.get(Number((address - HYPERVISOR_VIRT_START) / 8n)) ?? -1;
    return new Uint8Array(new BigInt64Array([BigInt(gpfn)]).buffer);
  }

  #view(address: bigint, length: number): DataView {
    const bytes = this.readVirtual(address, length);
    if (bytes === undefined) throw new Error(`hypercall argument at 0x${address.toString(16)} is not mapped`);
    return new DataView(bytes.buffer);
  }
}
