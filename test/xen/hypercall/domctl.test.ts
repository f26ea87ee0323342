import { describe, expect, it } from 'vitest';
import * as abi from '../../../src/xen-abi/domctl.ts';
import * as sys from '../../../src/xen-abi/sysctl.ts';
import { sched_shutdown } from '../../../src/xen-abi/sched.ts';
import { evtchn_bind_virq } from '../../../src/xen-abi/event-channel.ts';
import { cpu_user_regs, VGCF_online, vcpu_guest_context, vcpu_guest_context_64 } from '../../../src/xen-abi/vcpu.ts';
import { Hypercall, VIRQ_DOM_EXC } from '../../../src/xen-abi/xen.ts';
import { audit, census } from '../../../src/xen/census.ts';
import { isPending } from '../../../src/xen/event-delivery.ts';
import { TestGuest, testHost } from '../core-guest.ts';

const grantVersion1 = { grant_opts: 1 };
const creation = {
  handle: Uint8Array.from({ length: 16 }, (_, i) => i),
  max_vcpus: 2,
  max_evtchn_port: 1023,
  max_grant_frames: -1,
  max_maptrack_frames: -1,
  ...grantVersion1,
};

function machine() {
  const host = testHost({ cpus: 3 });
  return { host, dom0: new TestGuest(host, { id: 0 }), guest: new TestGuest(host, { id: 1 }) };
}

function domctl(who: TestGuest, cmd: number, domain: number, u: Uint8Array = new Uint8Array(0), version = 0x15) {
  const bytes = abi.xen_domctl.write({ cmd, interface_version: version, domain });
  bytes.set(u, abi.DOMCTL_U);
  who.write(0, bytes);
  const result = who.call(Hypercall.domctl, [who.at(0)]);
  const after = abi.xen_domctl.read(who.read(0, 144));
  return { result, domain: after.domain, u: after.u };
}

const create = (who: TestGuest, more: object = {}, domain = 0) =>
  domctl(who, abi.XEN_DOMCTL_createdomain, domain, abi.xen_domctl_createdomain.write({ ...creation, ...more }));
const information = (who: TestGuest, id: number) => abi.xen_domctl_getdomaininfo.read(domctl(who, 5, id).u);

describe('domctl', () => {
  it('refuses another interface version before it looks at rights', () => {
    const { dom0, guest } = machine();
    expect(domctl(guest, 5, 1, undefined, 0x12).result).toBe(-13n);
    expect(domctl(dom0, 5, 1, undefined, 0x12).result).toBe(-13n);
    expect(domctl(guest, 5, 1).result).toBe(-1n);
    expect(domctl(dom0, 5, 1).result).toBe(0n);
  });

  it('creates, describes, and destroys a domain, and leaves nothing of it', () => {
    const { host, dom0 } = machine();
    const before = census(host.hypervisor);
    const created = create(dom0);
    expect(created).toMatchObject({ result: 0n, domain: 2 });
    expect(domctl(dom0, abi.XEN_DOMCTL_max_vcpus, 2, abi.xen_domctl_max_vcpus.write({ max: 3 })).result).toBe(-22n);
    expect(domctl(dom0, abi.XEN_DOMCTL_max_vcpus, 2, abi.xen_domctl_max_vcpus.write({ max: 2 })).result).toBe(0n);
    expect(domctl(dom0, abi.XEN_DOMCTL_max_mem, 2, abi.xen_domctl_max_mem.write({ max_memkb: 64n })).result).toBe(0n);
    expect(information(dom0, 2)).toMatchObject({
      domain: 2,
      tot_pages: 0n,
      max_pages: 16n,
      nr_online_vcpus: 0,
      max_vcpu_id: 1,
      handle: creation.handle,
      shared_info_frame: BigInt(host.hypervisor.domains.get(2)?.sharedInfoFrame as number),
    });
    expect(information(dom0, 2).flags & abi.XEN_DOMINF_paused).not.toBe(0);
    expect(domctl(dom0, abi.XEN_DOMCTL_destroydomain, 2).result).toBe(0n);
    expect(domctl(dom0, abi.XEN_DOMCTL_destroydomain, 2).result).toBe(-3n);
    expect(census(host.hypervisor)).toEqual(before);
  });

  it.each([
    ['no vCPUs', { max_vcpus: 0 }],
    ['too many vCPUs', { max_vcpus: 4096 }],
    ['unknown flags', { flags: 0x8000_0000 }],
    ['hardware-assisted paging for a PV domain', { flags: abi.XEN_DOMCTL_CDF_hap }],
    ['a kind of domain that is not there', { flags: abi.XEN_DOMCTL_CDF_hvm }],
    ['emulated devices for a PV domain', { emulation_flags: 1 }],
    ['no grant table version', { grant_opts: 0 }],
  ])('does not create a domain with %s', (_name, more) => {
    const { host, dom0 } = machine();
    const before = census(host.hypervisor);
    expect(create(dom0, more).result).toBe(-22n);
    expect(census(host.hypervisor)).toEqual(before);
  });

  it('gives a particular id if it is free', () => {
    const { dom0 } = machine();
    expect(create(dom0, {}, 7)).toMatchObject({ result: 0n, domain: 7 });
    expect(create(dom0, {}, 7).result).toBe(-17n);
    expect(create(dom0)).toMatchObject({ result: 0n, domain: 2 });
  });

  it('walks the list of domains: an unused id stands for the next higher one', () => {
    const { dom0 } = machine();
    create(dom0, {}, 7);
    expect([0, 1, 2, 7].map((id) => information(dom0, id).domain)).toEqual([0, 1, 7, 7]);
    expect(domctl(dom0, 5, 8).result).toBe(-3n);
    expect(domctl(dom0, 5, 0x7ff0).result).toBe(-22n);
    expect(domctl(dom0, 3, 8).result).toBe(-3n);
  });

  it('pauses a domain as often as it is asked to, and not itself', () => {
    const { host, dom0, guest } = machine();
    expect([domctl(dom0, 3, 0).result, domctl(dom0, 2, 0).result]).toEqual([-22n, -22n]);
    expect([domctl(dom0, 3, 1).result, domctl(dom0, 3, 1).result]).toEqual([0n, 0n]);
    host.platform.settle();
    expect(guest.vcpu.running).toBe(false);
    domctl(dom0, 4, 1);
    host.platform.settle();
    expect(guest.vcpu.running).toBe(false);
    domctl(dom0, 4, 1);
    host.platform.settle();
    expect(guest.vcpu.running).toBe(true);
    expect(domctl(dom0, 4, 1).result).toBe(-22n);
  });

  it('starts a vCPU from a context that the builder gives', () => {
    const { host, dom0 } = machine();
    create(dom0);
    domctl(dom0, abi.XEN_DOMCTL_max_vcpus, 2, abi.xen_domctl_max_vcpus.write({ max: 2 }));
    domctl(dom0, abi.XEN_DOMCTL_max_mem, 2, abi.xen_domctl_max_mem.write({ max_memkb: 64n }));
    const domain = host.hypervisor.domains.get(2);
    const image = vcpu_guest_context.write({
      flags: BigInt(VGCF_online),
      user_regs: cpu_user_regs.write({ rip: 0x4000n }),
    });
    const set = (vcpu: number, context = dom0.at(0x2000)): bigint =>
      domctl(dom0, 12, 2, abi.xen_domctl_vcpucontext.write({ vcpu, ctxt: context })).result;
    dom0.write(0x2000, image);
    expect([set(0), set(5), set(0, 0xffff_8000_0000_0000n)]).toEqual([-22n, -22n, -14n]);
    // Its root table must be the domain's own.
    const frame = host.hypervisor.allocator.allocate();
    host.hypervisor.allocator.release(frame);
    dom0.write(0x2000, vcpu_guest_context_64.write({ ctrlreg3: BigInt(dom0.pages[0] as number) << 12n }, image));
    expect(set(0)).toBe(-22n);
    expect(domain?.vcpus[0]?.initialised).toBe(false);
    domctl(dom0, abi.XEN_DOMCTL_destroydomain, 2);
    expect(audit(host.hypervisor)).toEqual([]);
  });

  it('tells Dom0 by VIRQ_DOM_EXC that a domain has shut down, and resumes it', () => {
    const { host, dom0, guest } = machine();
    dom0.call(Hypercall.event_channel_op, [1n, dom0.write(0, evtchn_bind_virq.write({ virq: VIRQ_DOM_EXC }))]);
    guest.call(Hypercall.sched_op, [2n, guest.write(0, sched_shutdown.write({ reason: 2 }))]);
    expect(isPending(host.hypervisor, dom0.domain, 1)).toBe(true);
    const { flags } = information(dom0, 1);
    expect([flags & abi.XEN_DOMINF_shutdown, (flags >> abi.XEN_DOMINF_shutdownshift) & 0xff]).toEqual([4, 2]);
    expect(guest.vcpu.running).toBe(false);
    expect(domctl(dom0, abi.XEN_DOMCTL_resumedomain, 1).result).toBe(0n);
    host.platform.settle();
    expect(guest.vcpu.running).toBe(true);
    expect((information(dom0, 1).flags >> 16) & 0xff).toBe(0xff);
  });

  it('fills a frame with the hypercall page', () => {
    const { host, dom0, guest } = machine();
    const frame = guest.pages[5] as number;
    const init = (mfn: number): bigint =>
      domctl(dom0, abi.XEN_DOMCTL_hypercall_init, 1, abi.xen_domctl_hypercall_init.write({ gmfn: BigInt(mfn) })).result;
    expect(init(frame)).toBe(0n);
    expect([...host.platform.memory.readBytes(frame * 4096 + 32, 14)]).toEqual([
      0x51, 0x41, 0x53, 0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3,
    ]);
    expect(init(dom0.pages[0] as number)).toBe(-13n);
  });

  it('does not know everything', () => {
    const { dom0 } = machine();
    expect(domctl(dom0, 999, 1).result).toBe(-38n);
    expect(domctl(dom0, 83, 1).result).toBe(-38n);
  });
});

describe('sysctl', () => {
  const sysctl = (who: TestGuest, cmd: number, u: Uint8Array = new Uint8Array(0), version = 0x15) => {
    const bytes = sys.xen_sysctl.write({ cmd, interface_version: version });
    bytes.set(u, sys.SYSCTL_U);
    who.write(0, bytes);
    return { result: who.call(Hypercall.sysctl, [who.at(0)]), u: sys.xen_sysctl.read(who.read(0, 136)).u };
  };

  it('tells the host, and lists its domains from any id on', () => {
    const { host, dom0, guest } = machine();
    expect([sysctl(guest, 3, undefined, 1).result, sysctl(guest, 3).result]).toEqual([-13n, -1n]);
    expect(sys.xen_sysctl_physinfo.read(sysctl(dom0, 3).u)).toMatchObject({
      nr_cpus: 3,
      total_pages: 2048n,
      free_pages: BigInt(host.hypervisor.allocator.free),
      cpu_khz: host.platform.tscKhz,
    });
    const list = (first: number, max: number): number[] => {
      const request = sys.xen_sysctl_getdomaininfolist.write({ first_domain: first, max_domains: max, buffer: dom0.at(0x1000) });
      const count = sys.xen_sysctl_getdomaininfolist.read(sysctl(dom0, 6, request).u).num_domains;
      return Array.from({ length: count }, (_, i) => abi.xen_domctl_getdomaininfo.read(dom0.read(0x1000 + 112 * i, 112)).domain);
    };
    expect([list(0, 10), list(1, 10), list(0, 1), list(2, 10)]).toEqual([[0, 1], [1], [0], []]);
  });
});
