import { describe, expect, it } from 'vitest';
import { SmallDomain, VIRT_BASE } from './small-domain.ts';

const CODE = VIRT_BASE + 0x3000n;
const HANDLER = VIRT_BASE + 0x2000n;

interface Registers {
  [register: number]: bigint;
}

function withCode(bytes: string, registers: Registers = {}): SmallDomain {
  const d = new SmallDomain();
  const traps: (bigint | number)[] = [];
  for (let vector = 0; vector < 20; vector++) traps.push(BigInt(vector), HANDLER + BigInt(vector));
  d.call(0, d.put([...traps, 0, 0]));
  place(d, bytes, registers);
  return d;
}

function place(d: SmallDomain, bytes: string, registers: Registers = {}, at = CODE): void {
  const fault = d.cpu.writeVirtual(at, Uint8Array.from(bytes.split(' ').map((byte) => Number.parseInt(byte, 16))), true);
  expect(fault).toBeUndefined();
  d.cpu.rip = at;
  d.cpu.rflags = 0x202n;
  d.cpu.setGpr(4, VIRT_BASE + 0x5000n);
  for (const [index, value] of Object.entries(registers)) d.cpu.setGpr(Number(index), value as bigint);
}

function raise(d: SmallDomain, vector: number, errorCode: number | undefined, faultAddress = 0n): void {
  d.hypervisor.entered = d.cpu;
  const event = { vector, errorCode, faultAddress, kind: 'fault' as const, instructionLength: 0 };
  d.hypervisor.kind(d.domain).exception(d.hypervisor, d.vcpu, d.cpu, event);
  d.hypervisor.entered = undefined;
}
const gp = (d: SmallDomain): void => raise(d, 13, 0);
/** Where it went on: bytes behind the instruction's start, or the vector delivered. */
const wentOn = (d: SmallDomain): string => (d.cpu.rip >= CODE ? `+${d.cpu.rip - CODE}` : `#${d.cpu.rip - HANDLER}`);

describe('privileged instructions of a PV guest kernel', () => {
  it.each([
    ['cli without IOPL', 'fa', '#13'],
    ['hlt', 'f4', '#13'],
    ['swapgs', '0f 01 f8', '#13'],
    ['lgdt [rax]', '0f 01 10', '#13'],
    ['invlpg [rax]', '0f 01 38', '#13'],
    ['in al, dx without IOPL', 'ec', '#13'],
    ['clts', '0f 06', '+2'],
    ['wbinvd', '0f 09', '+2'],
    ['mov rax, cr8', '44 0f 20 c0', '#13'],
    ['mov dr4, rax without DE', '0f 23 e0', '+3'],
    ['cpuid', '0f a2', '+2'],
    ['rdtsc', '0f 31', '+2'],
    ['an instruction that never faults', '90', '#13'],
  ])('%s (%s) goes on at %s', (_name, bytes, expected) => {
    const d = withCode(bytes, { 0: 0n, 2: 0x3f8n });
    gp(d);
    expect(wentOn(d)).toBe(expected);
  });

  it('with IOPL: CLI and STI do nothing at all, ports read ones', () => {
    const d = withCode('fa');
    expect(d.call(33, 6, d.put([1]))).toBe(0);
    gp(d);
    expect([wentOn(d), d.cpu.rflags]).toEqual(['+1', 0x202n]);
    place(d, 'ed', { 0: 0x1234_5678_9abc_def0n, 2: 0x3f8n });
    gp(d);
    expect([wentOn(d), d.cpu.gpr(0)]).toEqual(['+1', 0xffff_ffffn]);
    place(d, 'ec', { 0: 0x1234_5678_9abc_def0n, 2: 0x3f8n });
    gp(d);
    expect(d.cpu.gpr(0)).toBe(0x1234_5678_9abc_deffn);
    // rep outsb: one element at a time
    const from = d.put([0x4142n], d.virtual(601));
    place(d, 'f3 6e', { 1: 2n, 6: from, 2: 0x3f8n });
    gp(d);
    expect([wentOn(d), d.cpu.gpr(1), d.cpu.gpr(6)]).toEqual(['+0', 1n, from + 1n]);
    gp(d);
    expect([wentOn(d), d.cpu.gpr(1)]).toEqual(['+2', 0n]);
  });

  it('the I/O bitmap allows single ports; one that cannot be read is #PF at its address', () => {
    const d = withCode('ec', { 2: 0x60n });
    const bitmap = d.put(Array(16).fill(~0n) as bigint[], d.virtual(601));
    d.cpu.writeVirtual(bitmap + 0xcn, Uint8Array.of(0xfe), true);
    expect(d.call(33, 7, d.put([bitmap, 0x100]))).toBe(0);
    gp(d);
    expect(wentOn(d)).toBe('+1');
    place(d, 'ec', { 2: 0x61n });
    gp(d);
    expect(wentOn(d)).toBe('#13');
    d.state.ioBitmap = { address: 0x1000n, ports: 0x100 };
    place(d, 'ec', { 2: 0x60n });
    gp(d);
    expect([wentOn(d), d.state.cr2]).toEqual(['#14', 0x100cn]);
  });

  it('control registers: reads and writes', () => {
    const d = withCode('0f 20 d8'); // mov rax, cr3
    gp(d);
    expect(d.cpu.gpr(0)).toBe(BigInt(d.table(0)) << 12n);
    place(d, '0f 20 e0'); // mov rax, cr4
    gp(d);
    expect(d.cpu.gpr(0)).toBe(0x660n);
    place(d, '0f 22 e0', { 0: 0xffff_ffffn }); // mov cr4, rax: never faults
    gp(d);
    place(d, '0f 20 e0');
    gp(d);
    expect(d.cpu.gpr(0)).toBe(0x660n | 0xcn | 0x10000n); // TSD, DE, FSGSBASE stick
    place(d, '0f 20 c0'); // mov rax, cr0
    gp(d);
    const cr0 = d.cpu.gpr(0);
    expect(cr0 & 0x8000_0008n).toBe(0x8000_0000n);
    place(d, '0f 22 c0', { 0: cr0 | 8n });
    gp(d);
    expect([wentOn(d), d.state.taskSwitched]).toEqual(['+3', true]);
    place(d, '0f 22 c0', { 0: cr0 | 4n });
    gp(d);
    expect(wentOn(d)).toBe('#13');
    place(d, '0f 22 d8', { 0: BigInt(d.table(1)) << 12n }); // mov cr3: no L4
    gp(d);
    expect(wentOn(d)).toBe('#13');
    expect(d.audit()).toEqual([]);
  });

  it.each([
    ['PAT is fixed', 0x277, 0x0501_0007_0406n, 0x0501_0007_0406n, '#13'],
    ['APIC_BASE', 0x1b, 0xfee0_0900n, 0xfee0_0900n, '#13'],
    ['EFER must stay', 0xc000_0080, 0xd01n, 0xd01n, '+2'],
    ['EFER must not change', 0xc000_0080, 0xd01n, 0xd00n, '#13'],
    ['FS_BASE', 0xc000_0100, 0n, 0x7fff_1234n, '+2'],
    ['FS_BASE not canonical', 0xc000_0100, 0n, 0x8000_0000_0000n, '#13'],
    ['performance counter', 0xc1, 0n, 5n, '+2'],
    ['LSTAR', 0xc000_0082, undefined, 0n, '#13'],
    ['x2APIC', 0x802, undefined, 0n, '#13'],
    ['hypercall page at a table', 0x4000_0000, 0n, 0x1n, '#13'],
  ])('MSR %s', (_name, index, value, written, expected) => {
    const d = withCode('0f 32', { 1: BigInt(index) });
    gp(d);
    if (value === undefined) expect(wentOn(d)).toBe('#13');
    else expect((d.cpu.gpr(2) << 32n) | d.cpu.gpr(0)).toBe(value);
    place(d, '0f 30', { 1: BigInt(index), 0: written & 0xffff_ffffn, 2: written >> 32n });
    gp(d);
    expect(wentOn(d)).toBe(expected);
  });

  it('MSR 0x40000000 fills the hypercall page', () => {
    const d = withCode('0f 30', { 1: 0x4000_0000n, 2: 0n });
    d.cpu.setGpr(0, BigInt(d.mfn(50)) << 12n);
    gp(d);
    expect(wentOn(d)).toBe('+2');
    expect([...d.memory.readBytes(d.mfn(50) * 4096 + 14 * 32, 14)]).toEqual([
      0x51, 0x41, 0x53, 0xb8, 14, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3,
    ]);
    expect([...d.memory.readBytes(d.mfn(50) * 4096 + 23 * 32, 11)]).toEqual([0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05]);
    expect(d.audit()).toEqual([]);
  });

  it('forced-emulation CPUID answers Xen’s leaves and advances by 7; other bytes behind UD2 are #UD', () => {
    const d = withCode('0f 0b 78 65 6e 0f a2', { 0: 0x4000_0000n, 1: 0n });
    raise(d, 6, undefined);
    const text = [3, 1, 2].map((register) => d.cpu.gpr(register));
    expect([wentOn(d), ...text]).toEqual(['+7', 0x566e_6558n, 0x6558_4d4dn, 0x4d4d_566en]);
    place(d, '0f 0b 78 65 6e 0f 31');
    raise(d, 6, undefined);
    expect(wentOn(d)).toBe('#6');
  });

  it('CPUID hides what ring 3 cannot have', () => {
    const d = withCode('0f a2', { 0: 1n, 1: 0n });
    gp(d);
    expect(d.cpu.gpr(1) & 0x0422_0028n).toBe(0n); // XSAVE X2APIC PCID VMX MONITOR
    expect(d.cpu.gpr(1) & 0x8000_0000n).toBe(0x8000_0000n);
    expect(d.cpu.gpr(2) & 0x2000n).toBe(0n); // PGE
  });

  it('single-stepping over an emulated instruction raises #DB behind it, with BS', () => {
    const d = withCode('0f 06');
    d.cpu.rflags = 0x302n;
    gp(d);
    expect(wentOn(d)).toBe('#1');
    expect(d.state.debug[6] & 0x4000n).toBe(0x4000n);
    expect(d.get(d.cpu.gpr(4), 3)[2]).toBe(CODE + 2n);
  });

  it('an instruction that crosses into a page that is not there is #PF at that page', () => {
    const d = withCode('90');
    const last = d.virtual(0x3ff) + 0xfffn; // last byte of the mapping
    place(d, '0f', {}, last);
    gp(d);
    expect([wentOn(d), d.state.cr2]).toEqual(['#14', last + 1n]);
  });
});

describe('writable page tables (vm_assist 2)', () => {
  const target = 20; // guest frame of the table
  function withTable(): SmallDomain {
    const d = withCode('90');
    const l1 = d.makeTable(target, { 1: d.entry(d.mfn(30), 0x67) });
    d.mmuext(0, l1);
    d.call(21, 0, 2);
    return d;
  }
  const address = (d: SmallDomain, index: number, offset = 0): bigint => d.virtual(target) + BigInt(8 * index + offset);
  const read = (d: SmallDomain, index: number): bigint => d.memory.readU64(d.at(d.mfn(target), index));
  const fault = (d: SmallDomain, at: bigint): void => raise(d, 14, 7, at);
  const RDI = 7;

  it.each<[string, string, Registers, (d: SmallDomain, old: bigint) => bigint]>([
    ['mov [rdi], rax', '48 89 07', {}, (d) => d.entry(d.mfn(31), 0x167 | 0)],
    ['xchg [rdi], rax', '48 87 07', {}, (d) => d.entry(d.mfn(31), 0x167)],
    ['lock btr qword [rdi], 1', 'f0 48 0f ba 37 01', {}, (_d, old) => old & ~2n],
    ['lock and qword [rdi], -3', 'f0 48 83 27 fd', {}, (_d, old) => old & ~2n],
    ['or byte [rdi], 0x40', '80 0f 40', {}, (_d, old) => old | 0x40n],
    ['mov dword [rdi], 0', 'c7 07 00 00 00 00', {}, (_d, old) => (old >> 32n) << 32n],
    ['mov qword [rdi], 0', '48 c7 07 00 00 00 00', {}, () => 0n],
  ])('%s', (_name, bytes, registers, expected) => {
    const d = withTable();
    const old = read(d, 1);
    place(d, bytes, { [RDI]: address(d, 1), 0: d.entry(d.mfn(31), 0x67), ...registers });
    fault(d, address(d, 1));
    expect(wentOn(d)).toBe(`+${bytes.split(' ').length}`);
    expect(read(d, 1)).toBe(expected(d, old));
    if (bytes === '48 87 07') expect(d.cpu.gpr(0)).toBe(old);
    expect(d.cpu.charges.get('xen.trapped_pte_store')).toBe(1);
    expect(d.audit()).toEqual([]);
  });

  it('lock cmpxchg [rdi], rbx stores when equal, loads rax when not, with ZF', () => {
    const d = withTable();
    const old = read(d, 1);
    place(d, 'f0 48 0f b1 1f', { [RDI]: address(d, 1), 0: 1n, 3: 0n });
    fault(d, address(d, 1));
    expect([d.cpu.gpr(0), read(d, 1), d.cpu.rflags & 0x40n]).toEqual([old, old, 0n]);
    place(d, 'f0 48 0f b1 1f', { [RDI]: address(d, 1), 0: old, 3: 0n });
    fault(d, address(d, 1));
    expect([read(d, 1), d.cpu.rflags & 0x40n, wentOn(d)]).toEqual([0n, 0x40n, '+5']);
    expect(d.audit()).toEqual([]);
  });

  it('xadd leaves the old value in the register and sets the flags of ADD', () => {
    const d = withTable();
    place(d, '48 0f c1 07', { [RDI]: address(d, 2), 0: 0x1000n << 12n });
    fault(d, address(d, 2));
    expect([d.cpu.gpr(0), read(d, 2), d.cpu.rflags & 0x8d5n]).toEqual([0n, 0x100_0000n, 0x4n]);
  });

  it('bts with a register reaches the entry that the bit number names', () => {
    const d = withTable();
    place(d, '48 0f ab 07', { [RDI]: address(d, 0), 0: 64n + 6n }); // bts [rdi], rax
    const old = read(d, 1);
    fault(d, address(d, 1));
    expect([read(d, 1), wentOn(d)]).toEqual([old | 0x40n, '+4']);
  });

  it.each<[string, string, (d: SmallDomain) => bigint]>([
    ['values that mmu_update refuses', '48 89 07', (d) => d.entry(d.table(3), 3)],
    ['flags that the guest may not have', '48 89 07', (d) => d.entry(d.mfn(30), 0x1b)],
    ['instructions that only look like a write', '48 8b 07', () => 0n],
    ['vector stores', '0f 11 07', () => 0n],
  ])('%s leave the table alone and are the guest’s #PF, with U clear', (_name, bytes, value) => {
    const d = withTable();
    const old = read(d, 1);
    place(d, bytes, { [RDI]: address(d, 1), 0: value(d) });
    fault(d, address(d, 1));
    expect([wentOn(d), read(d, 1), d.get(d.cpu.gpr(4), 3)[2]]).toEqual(['#14', old, 3n]);
    expect(d.audit()).toEqual([]);
  });

  it('is off without the assist, for user mode, for misaligned writes and for L2 tables', () => {
    const d = withTable();
    place(d, '89 07', { [RDI]: address(d, 1, 2), 0: 0n });
    fault(d, address(d, 1, 2));
    expect(wentOn(d)).toBe('#14');
    const l2 = d.makeTable(21, {});
    d.mmuext(1, l2);
    place(d, '48 89 07', { [RDI]: d.virtual(21), 0: 0n });
    fault(d, d.virtual(21));
    expect(wentOn(d)).toBe('#14');
    d.call(21, 1, 2);
    place(d, '48 89 07', { [RDI]: address(d, 1), 0: 0n });
    fault(d, address(d, 1));
    expect(wentOn(d)).toBe('#14');
  });
});
