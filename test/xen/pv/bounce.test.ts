import { describe, expect, it } from 'vitest';
import type { ProcessorEvent } from '../../../src/platform/cpu.ts';
import { SmallDomain, VIRT_BASE } from './small-domain.ts';

const HANDLER = VIRT_BASE + 0x2000n;
const STACK = VIRT_BASE + 0x5ff8n; // not aligned on purpose
const USER_RIP = 0x7000_1234n;
const RAX = 0;
const RCX = 1;
const RSP = 4;
const R11 = 11;
const IF = 0x200n;

function withHandlers(): SmallDomain {
  const d = new SmallDomain();
  const traps: (bigint | number)[] = [];
  for (const vector of [0, 1, 3, 6, 7, 13, 14, 0x80]) traps.push(BigInt(vector) | (0xe033n << 16n), HANDLER + BigInt(vector));
  traps.push(0x40n | (3n << 8n) | (4n << 8n) | (0xe033n << 16n), HANDLER + 0x40n, 0, 0); // INT 0x40: DPL 3, masks events
  expect(d.call(0, d.put(traps))).toBe(0);
  d.state.kernelSp = STACK;
  d.cpu.setGpr(RSP, STACK - 0x100n);
  d.cpu.setGpr(RCX, 0xccn);
  return d;
}

function set(d: SmallDomain, registers: Partial<Record<'rip' | 'rflags', bigint>> & { gpr?: Record<number, bigint> }): void {
  if (registers.rip !== undefined) d.cpu.rip = registers.rip;
  if (registers.rflags !== undefined) d.cpu.rflags = registers.rflags;
  for (const [index, value] of Object.entries(registers.gpr ?? {})) d.cpu.setGpr(Number(index), value);
}

const event = (vector: number, more: Partial<ProcessorEvent> = {}): ProcessorEvent => ({
  vector,
  errorCode: undefined,
  faultAddress: 0n,
  kind: 'fault',
  instructionLength: 0,
  ...more,
});

function raise(d: SmallDomain, vector: number, more: Partial<ProcessorEvent> = {}): void {
  d.hypervisor.entered = d.cpu;
  d.hypervisor.kind(d.domain).exception(d.hypervisor, d.vcpu, d.cpu, event(vector, more));
  d.hypervisor.entered = undefined;
}

const syscall = (d: SmallDomain): void => d.hypervisor.kind(d.domain).syscall(d.hypervisor, d.vcpu, d.cpu);
const mask = (d: SmallDomain): number => d.memory.readU8(d.vcpu.infoFrame * 4096 + d.vcpu.infoOffset + 1);
const setMask = (d: SmallDomain, value: number): void => d.memory.writeU8(d.vcpu.infoFrame * 4096 + d.vcpu.infoOffset + 1, value);

/** Puts the vCPU into user mode on a root table of its own, which holds nothing but the hypervisor's slots. */
function enterUserMode(d: SmallDomain): number {
  const root = d.makeTable(40, {});
  expect(d.mmuext(15, root)).toBe(0);
  d.cpu.gsBase = 0x1111_0000n;
  d.cpu.kernelGsBase = 0x2222_0000n;
  setMask(d, 0);
  const frame = d.put([0xa, 0xb, 0xc, 0, USER_RIP, 0xe033, 0x3246n, 0x7fff_0000n, 0xe02b], d.virtual(601));
  set(d, { gpr: { [RSP]: frame, [RAX]: 23n } });
  syscall(d);
  return root;
}

describe('bounce frames of 64-bit guests (public/arch-x86/xen-x86_64.h)', () => {
  it('an exception of the kernel is pushed on the current stack, 16-aligned, with cs RPL 0 and the mask in byte 4', () => {
    const d = withHandlers();
    setMask(d, 1);
    set(d, { rip: 0x1000n, rflags: 0x5_4302n, gpr: { [R11]: 0x11n, [RCX]: 0xccn } });
    raise(d, 0);
    const base = (STACK - 0x100n) & ~15n;
    expect(d.cpu.gpr(RSP)).toBe(base - 56n);
    // rflags: IF = !mask = 0, IOPL 0
    expect(d.get(base - 56n, 7)).toEqual([0xccn, 0x11n, 0x1000n, 0x1_0000_e030n, 0x5_4302n & ~IF, STACK - 0x100n, 0xe02bn]);
    expect(d.cpu.rip).toBe(HANDLER);
    expect(d.cpu.rflags).toBe(0x202n); // AC RF NT TF gone, IF of the hardware stays
    expect([d.cpu.gpr(RCX), d.cpu.gpr(R11)]).toEqual([0xccn, 0x11n]);
    expect(d.cpu.charges.get('xen.kernel_fault_bounce')).toBe(1);
  });

  it('an error code lies below rip; #PF shows the guest mode in U, its address in CR2 and vcpu_info', () => {
    const d = withHandlers();
    setMask(d, 0);
    set(d, { rip: 0x1000n, rflags: 0x202n });
    raise(d, 14, { errorCode: 7, faultAddress: 0xdead_beef_000n });
    const base = (STACK - 0x100n) & ~15n;
    expect(d.cpu.gpr(RSP)).toBe(base - 64n);
    expect(d.get(base - 48n, 3)).toEqual([3n, 0x1000n, 0xe030n]);
    expect(d.get(base - 24n, 1)).toEqual([0x202n]);
    expect(d.memory.readU64(d.vcpu.infoFrame * 4096 + d.vcpu.infoOffset + 16)).toBe(0xdead_beef_000n);
    expect(d.cpu.cr2).toBe(0xdead_beef_000n);
  });

  it('user mode and back: roots, GS bases, kernel stack, U bit, iret', () => {
    const d = withHandlers();
    const root = enterUserMode(d);
    expect([d.state.kernelMode, d.cpu.cr3 >> 12n, d.cpu.gsBase, d.cpu.rip, d.cpu.gpr(RSP)]).toEqual([
      false,
      BigInt(root),
      0x2222_0000n,
      USER_RIP,
      0x7fff_0000n,
    ]);
    expect([d.cpu.gpr(RAX), d.cpu.gpr(R11), d.cpu.gpr(RCX)]).toEqual([0xan, 0xbn, 0xcn]);
    expect(d.cpu.rflags).toBe(0x246n); // IOPL dropped
    expect(mask(d)).toBe(0);
    raise(d, 14, { errorCode: 4, faultAddress: 0x7000_0000n });
    const base = STACK & ~15n;
    expect([d.state.kernelMode, d.cpu.cr3 >> 12n, d.cpu.gsBase]).toEqual([true, BigInt(d.table(0)), 0x1111_0000n]);
    expect(d.get(base - 64n, 8)).toEqual([0xcn, 0xbn, 4n, USER_RIP, 0xe033n, 0x246n, 0x7fff_0000n, 0xe02bn]);
    expect(d.cpu.charges.get('xen.user_fault_bounce')).toBe(1);
  });

  it('a SYSCALL of user mode enters at the syscall callback, with rcx = rip and r11 = flags', () => {
    const d = withHandlers();
    expect(d.call(30, 0, d.put([2n | (1n << 16n), HANDLER + 0x500n]))).toBe(0);
    enterUserMode(d);
    set(d, { rip: USER_RIP + 2n, rflags: 0x646n });
    syscall(d);
    const base = STACK & ~15n;
    expect(d.get(base - 56n, 7)).toEqual([USER_RIP + 2n, 0x646n, USER_RIP + 2n, 0xe033n, 0x646n, 0x7fff_0000n, 0xe02bn]);
    expect([d.cpu.rip, d.cpu.rflags, mask(d)]).toEqual([HANDLER + 0x500n, 0x246n, 1]);
    expect(d.cpu.charges.get('xen.syscall_bounce')).toBe(1);
  });

  it('without a syscall callback it is #UD at the instruction', () => {
    const d = withHandlers();
    enterUserMode(d);
    set(d, { rip: USER_RIP + 2n });
    syscall(d);
    expect(d.cpu.rip).toBe(HANDLER + 6n);
    expect(d.get((STACK & ~15n) - 40n, 1)).toEqual([USER_RIP]);
  });

  it('iret stays in the kernel for RPL 0 to 2, sets the mask from IF, and leaves rcx and r11 alone in_syscall', () => {
    const d = withHandlers();
    const frame = d.put([1, 2, 3, 0x100, 0x5555, 0xe030, 0x46, STACK, 0xe028], d.virtual(601));
    set(d, { gpr: { [RSP]: frame, [RAX]: 23n } });
    setMask(d, 0);
    syscall(d);
    expect([d.state.kernelMode, d.cpu.rip, d.cpu.segment(1).selector, d.cpu.segment(2).selector]).toEqual([true, 0x5555n, 0xe033, 0xe02b]);
    expect([d.cpu.rflags, mask(d), d.cpu.gpr(RCX), d.cpu.gpr(R11)]).toEqual([0x246n, 1, 0x5555n, 0x246n]);
  });

  it.each([
    ['rip not canonical', 0x8000_0000_0000n, 0xe033, 0xe02b, 0],
    ['cs beyond the tables', 0x5555n, 0x1003, 0xe02b, 0x1000],
    ['cs of the LDT that is not there', 0x5555n, 0x7, 0xe02b, 0x4],
    ['cs that is data', 0x5555n, 0xe02b, 0xe02b, 0xe028],
    ['ss NUL', 0x5555n, 0xe030, 0, 0],
    ['ss that is code', 0x5555n, 0xe030, 0xe033, 0xe030],
  ])('iret with %s is #GP for the guest', (_name, rip, cs, ss, errorCode) => {
    const d = withHandlers();
    const frame = d.put([1, 2, 3, 0, rip, cs & ~3, 0x202, STACK, ss], d.virtual(601));
    set(d, { gpr: { [RSP]: frame, [RAX]: 23n } });
    syscall(d);
    expect(d.cpu.rip).toBe(HANDLER + 13n);
    expect(d.get(d.cpu.gpr(RSP), 4).slice(2)).toEqual([BigInt(errorCode), rip]);
    expect(d.domain.shutDown).toBe(false);
  });

  it.each<[string, Partial<Record<number, bigint>> | ((d: SmallDomain) => Record<number, bigint>), 'syscall' | number, RegExp]>([
    ['a stack in the hole', { [RSP]: 0xffff_8000_0000_1000n }, 0, /cannot take the frame/],
    ['a stack that is not mapped', { [RSP]: 0x1000n }, 0, /cannot take the frame/],
    ['a stack in its own page tables', (d) => ({ [RSP]: d.virtual(d.plan.tables[1]?.pfn as number) + 0x800n }), 0, /cannot/],
    ['no handler', {}, 5, /no handler for #BR/],
    ['an unreadable iret frame', { [RSP]: 0x1000n, [RAX]: 23n }, 'syscall', /iret frame/],
    ['no user table', (d) => ({ [RSP]: d.put([0, 0, 0, 0, 0, 3, 0, 0, 0], d.virtual(601)), [RAX]: 23n }), 'syscall', /user page table/],
    ['#NM without TS', {}, 7, /#NM/],
  ])('the domain ends, with a report, for %s', (_name, registers, entry, reason) => {
    const d = withHandlers();
    set(d, { gpr: (typeof registers === 'function' ? registers(d) : registers) as Record<number, bigint> });
    if (entry === 'syscall') syscall(d);
    else raise(d, entry);
    expect([d.domain.shutDown, d.domain.shutdownCode]).toEqual([true, 3]);
    expect(d.domain.crashReason).toMatch(reason);
    expect(d.log.join('\n')).toMatch(/crashed: .*\n.*rip 0000/);
  });

  describe('INT n', () => {
    const int = (d: SmallDomain, vector: number): void => raise(d, vector, { kind: 'software', instructionLength: 2 });
    it('with enough DPL is a trap', () => {
      const d = withHandlers();
      set(d, { rip: 0x1002n });
      setMask(d, 0);
      int(d, 0x40);
      expect([d.cpu.rip, mask(d), d.get(d.cpu.gpr(RSP), 3)[2]]).toEqual([HANDLER + 0x40n, 1, 0x1002n]);
    });
    it('without is #GP(n*8+2) at the instruction', () => {
      const d = withHandlers();
      set(d, { rip: 0x1002n });
      int(d, 14);
      expect(d.cpu.rip).toBe(HANDLER + 13n);
      expect(d.get(d.cpu.gpr(RSP), 4).slice(2)).toEqual([14n * 8n + 2n, 0x1000n]);
    });
    it('INT3 and INT 0x80 ask for no DPL', () => {
      const d = withHandlers();
      int(d, 3);
      expect(d.cpu.rip).toBe(HANDLER + 3n);
      int(d, 0x80);
      expect(d.cpu.rip).toBe(HANDLER + 0x80n);
    });
  });

  it('#NM clears TS before the handler runs', () => {
    const d = withHandlers();
    expect(d.call(5, 1)).toBe(0);
    expect(d.cpu.cr0 & 8n).toBe(8n);
    raise(d, 7);
    expect([d.cpu.cr0 & 8n, d.cpu.rip]).toEqual([0n, HANDLER + 7n]);
  });

  it('an event is delivered when pending and not masked, and masks', () => {
    const d = withHandlers();
    expect(d.call(4, HANDLER + 0x700n, 0, 0)).toBe(0);
    const info = d.vcpu.infoFrame * 4096 + d.vcpu.infoOffset;
    d.memory.writeU8(info, 1);
    const exit = (): void => d.hypervisor.kind(d.domain).exitToGuest(d.hypervisor, d.vcpu, d.cpu);
    setMask(d, 1);
    const rip = d.cpu.rip;
    exit();
    expect(d.cpu.rip).toBe(rip);
    setMask(d, 0);
    exit();
    expect([d.cpu.rip, mask(d)]).toEqual([HANDLER + 0x700n, 1]);
  });

  it('failing registrations: types, commands, addresses', () => {
    const d = withHandlers();
    const register = (type: number, address: bigint): number | undefined => d.call(30, 0, d.put([BigInt(type), address]));
    expect(register(3, HANDLER)).toBe(-38);
    expect(register(2, 0x8000_0000_0000n)).toBe(-22);
    expect(d.call(30, 2, 0)).toBe(-38);
    expect(d.call(30, 1, d.put([0]))).toBe(-22);
    expect(d.call(30, 1, d.put([4]))).toBe(0);
    expect(d.call(30, 0, 0xffff_8000_0000_0000n)).toBe(-14);
    expect(d.call(0, d.put([1, 0x8000_0000_0000n]))).toBe(-22);
  });
});
