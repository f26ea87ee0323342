/** System instructions one by one: privilege, checks, effects, what they charge and what leaves to a hypervisor. */
import { describe, expect, it } from 'vitest';
import { WESTMERE, ZEN3 } from '../../../src/cpu/cpuid/models.ts';
import { Status } from '../../../src/cpu/engine.ts';
import { setSecondStages } from '../../../src/cpu/mmu/second-stage.ts';
import { slowLoad } from '../../../src/cpu/mmu/access.ts';
import { Shadow } from '../../../src/cpu/shadow.ts';
import { writeFlags } from '../../../src/cpu/system/flags.ts';
import { checkPort } from '../../../src/cpu/system/ports.ts';
import type { GuestControl, PlatformCpu } from '../../../src/platform/cpu.ts';
import type { VmExit } from '../../../src/platform/virtualization.ts';
import { Cr4 } from '../../../src/x86/control-registers.ts';
import { buildSegmentDescriptor } from '../../../src/x86/descriptors.ts';
import { Segment } from '../../../src/x86/instruction.ts';
import { Msr } from '../../../src/x86/msr-index.ts';
import { Register } from '../../../src/x86/registers.ts';
import { execute } from '../support/execute.ts';
import {
  enterLongMode,
  GDT,
  KERNEL_CS,
  KERNEL_CS32,
  KERNEL_DS,
  RecordingTranslation,
  recorded,
  type TestProcessor,
  testProcessor,
  TSS,
  TSS_BASE,
  USER_CS,
  USER_DS,
} from '../support/test-processor.ts';

function longMode(cpl: 0 | 3 = 0, options: Parameters<typeof testProcessor>[0] = {}): TestProcessor {
  const test = testProcessor(options);
  enterLongMode(test, cpl);
  test.processor.state.set('rip', 0x1000n);
  test.processor.state.set('gpr', 0x30000n, Register.RSP);
  return test;
}

/** Runs the bytes and says what happened. */
function result(test: TestProcessor, hex: string): string {
  const status = execute(test, hex);
  if (status === Status.FAULT) return recorded(test.processor);
  return Object.entries(Status).find(([, value]) => value === status)?.[0] ?? '?';
}

describe('privilege', () => {
  const rows: [string, string][] = [
    ['MOV CR3, RAX', '0f 22 d8'],
    ['MOV RAX, CR0', '0f 20 c0'],
    ['MOV DR7, RAX', '0f 23 f8'],
    ['LGDT [RAX]', '0f 01 10'],
    ['LIDT [RAX]', '0f 01 18'],
    ['LLDT AX', '0f 00 d0'],
    ['LTR AX', '0f 00 d8'],
    ['LMSW AX', '0f 01 f0'],
    ['CLTS', '0f 06'],
    ['INVLPG [RAX]', '0f 01 38'],
    ['WBINVD', '0f 09'],
    ['RDMSR', '0f 32'],
    ['WRMSR', '0f 30'],
    ['HLT', 'f4'],
    ['CLI', 'fa'],
    ['STI', 'fb'],
    ['SWAPGS', '0f 01 f8'],
    ['IN AL, 0x60', 'e4 60'],
    ['SYSRET', '48 0f 07'],
  ];
  for (const [name, hex] of rows) {
    it(`of CPL 0 is asked by ${name}`, () => {
      expect(result(longMode(3), hex)).toBe('13(0)');
    });
  }

  it('does not keep SGDT, SMSW and STR from CPL 3, but under UMIP', () => {
    for (const [cr4, expected] of [
      [0, 'CONTINUE'],
      [Cr4.UMIP, '13(0)'],
    ] as const) {
      const test = longMode(3);
      test.processor.state.set('gpr', 0x5000n, Register.RBX);
      test.processor.state.set('cr4', BigInt(Cr4.PAE | cr4));
      for (const hex of ['0f 01 03', '0f 01 e0', '0f 00 c8']) expect(result(test, hex)).toBe(expected);
    }
  });
});

describe('control registers', () => {
  it('MOV CR3 drops the lookup table and what is not global in the TLB', () => {
    const translation = new RecordingTranslation();
    const test = longMode(0, { translation });
    const { processor } = test;
    slowLoad(processor, 0x5000n, 4);
    const generation = processor.state.get('tlbGeneration');
    processor.state.set('gpr', 0x1000n);
    expect(result(test, '0f 22 d8')).toBe('RESYNC');
    expect(processor.state.get('tlbGeneration')).toBe(generation + 1n);
    expect(translation.flushes).toEqual(['non-global 0']);
    expect(test.charged).toContain('mov_cr3');
  });

  it('toggling CR4.PGE drops global translations too', () => {
    const translation = new RecordingTranslation();
    const test = longMode(0, { translation });
    test.processor.state.set('gpr', BigInt(Cr4.PAE));
    expect(result(test, '0f 22 e0')).toBe('RESYNC');
    expect(translation.flushes).toEqual(['all 0']);
  });

  const bad: [string, string, bigint][] = [
    ['CR0 with PG and not PE', '0f 22 c0', 0x8000_0000n],
    ['CR0 with NW and not CD', '0f 22 c0', 0xa000_0001n],
    ['CR0 with upper bits', '0f 22 c0', 1n << 32n],
    ['CR0 without PG in 64-bit code', '0f 22 c0', 1n],
    ['CR3 with bits above the physical address', '0f 22 d8', 1n << 60n],
    ['CR4 without PAE in long mode', '0f 22 e0', 0n],
    ['CR4 with a bit that the model lacks', '0f 22 e0', BigInt(Cr4.PAE | Cr4.VMXE)],
    ['CR8 above 15', '44 0f 22 c0', 16n],
  ];
  for (const [name, hex, value] of bad) {
    it(`refuse ${name}`, () => {
      const test = longMode();
      test.processor.state.set('gpr', value);
      expect(result(test, hex)).toBe('13(0)');
    });
  }

  it('that do not exist are undefined', () => {
    expect(result(longMode(), '0f 22 c8')).toBe('6');
    expect(result(longMode(3), '0f 20 e8')).toBe('6');
  });

  it('lead into long mode in the order of the manual', () => {
    const test = longMode();
    const { state } = test.processor;
    state.set('efer', 0n);
    state.set('cr0', 0x11n);
    state.set('cr4', BigInt(Cr4.PAE));
    state.set32('segmentAttributes', 0xc09b, Segment.CS);
    state.set32('longMode', 0);
    state.set32('codeMode', 32);
    state.set('gpr', BigInt(Msr.IA32_EFER), Register.RCX);
    state.set('gpr', 0x100n, Register.RAX);
    state.set('gpr', 0n, Register.RDX);
    expect(result(test, '0f 30')).toBe('RESYNC');
    state.set('gpr', 0x8000_0011n);
    expect(result(test, '0f 22 c0')).toBe('RESYNC');
    expect(state.get('efer')).toBe(0x500n);
    expect(state.get32('codeMode')).toBe(32);
    expect(result(test, 'ea 00 20 00 00 08 00')).toBe('RESYNC');
    expect(state.get32('codeMode')).toBe(64);
    expect(state.get('rip')).toBe(0x2000n);
  });
});

describe('segment loads', () => {
  const rows: [string, string, number, string][] = [
    ['MOV SS, AX', '8e d0', 0, 'RESYNC'],
    ['MOV SS, AX', '8e d0', 3, '13(0)'],
    ['MOV SS, AX', '8e d0', USER_DS, '13(20)'],
    ['MOV SS, AX', '8e d0', KERNEL_CS, '13(8)'],
    ['MOV DS, AX', '8e d8', 0, 'CONTINUE'],
    ['MOV DS, AX', '8e d8', KERNEL_CS, 'CONTINUE'],
    ['MOV DS, AX', '8e d8', KERNEL_DS | 3, '13(10)'],
    ['MOV DS, AX', '8e d8', TSS, '13(40)'],
    ['MOV DS, AX', '8e d8', 0x80, '13(80)'],
    ['MOV DS, AX', '8e d8', 0x14, '13(14)'],
    ['MOV CS, AX', '8e c8', KERNEL_CS, '6'],
  ];
  for (const [name, hex, selector, expected] of rows) {
    it(`${name} of ${selector.toString(16)} gives ${expected}`, () => {
      const test = longMode();
      test.processor.state.set('gpr', BigInt(selector));
      expect(result(test, hex)).toBe(expected);
    });
  }

  it('of an absent segment raise #NP, or #SS for SS', () => {
    const test = longMode();
    test.memory.writeU64(GDT + 0x60, buildSegmentDescriptor({ base: 0n, limit: 0xffff, attributes: 0x13 }));
    test.processor.state.set('gpr', 0x60n);
    expect(result(test, '8e d8')).toBe('11(60)');
    expect(result(test, '8e d0')).toBe('12(60)');
  });

  it('set the accessed bit and load base, limit and rights', () => {
    const test = longMode();
    test.memory.writeU64(GDT + 0x60, buildSegmentDescriptor({ base: 0x12345678n, limit: 0xfffff, attributes: 0x4092 }));
    test.processor.state.set('gpr', 0x60n);
    expect(result(test, '8e e0')).toBe('CONTINUE');
    expect(test.memory.readU8(GDT + 0x65)).toBe(0x93);
    const { state } = test.processor;
    expect(state.get('segmentBase', Segment.FS)).toBe(0x12345678n);
    expect(state.get32('segmentLimit', Segment.FS)).toBe(0xfffff);
    expect(state.get32('segmentAttributes', Segment.FS)).toBe(0x4093);
  });

  it('of SS hold off interrupts for one instruction', () => {
    const test = longMode();
    test.processor.state.set('gpr', BigInt(KERNEL_DS));
    result(test, '8e d0');
    expect(test.processor.state.get32('interruptShadow')).toBe(Shadow.FRESH | Shadow.BY_SS);
  });

  it('POP FS takes 8 bytes, and PUSH FS gives them back', () => {
    const test = longMode();
    test.memory.writeU64(0x30000, BigInt(USER_DS));
    expect(result(test, '0f a1')).toBe('CONTINUE');
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x30008n);
    test.memory.writeU64(0x30000, -1n & 0xffff_ffff_ffff_ffffn);
    expect(result(test, '0f a0')).toBe('CONTINUE');
    expect(test.memory.readU64(0x30000)).toBe(BigInt(USER_DS));
  });
});

describe('system calls', () => {
  function withStar(cpl: 0 | 3, cpuid = WESTMERE): TestProcessor {
    const test = longMode(cpl, { cpuid });
    const { state } = test.processor;
    state.set('star', (0x1bn << 48n) | (BigInt(KERNEL_CS) << 32n));
    state.set('lstar', 0xffff_8000_0000_1000n);
    state.set('fmask', 0x200n);
    state.set('rflags', 0x10246n);
    return test;
  }

  it('SYSCALL saves RIP and RFLAGS in registers and enters flat ring 0 at LSTAR', () => {
    const test = withStar(3);
    const { state } = test.processor;
    expect(result(test, '0f 05')).toBe('RESYNC');
    expect(state.get('gpr', Register.RCX)).toBe(0x1002n);
    expect(state.get('gpr', Register.R11)).toBe(0x246n);
    expect(state.get('rip')).toBe(0xffff_8000_0000_1000n);
    expect(state.get('rflags')).toBe(0x46n);
    expect([state.get32('segmentSelector', Segment.CS), state.get32('segmentSelector', Segment.SS)]).toEqual([KERNEL_CS, KERNEL_DS]);
    expect([state.get32('cpl'), state.get32('codeMode')]).toEqual([0, 64]);
    expect(state.get('gpr', Register.RSP)).toBe(0x30000n);
    expect(test.charged).toContain('syscall');
  });

  it('SYSRET goes back to 64-bit or 32-bit code', () => {
    for (const [hex, cs, mode] of [
      ['48 0f 07', 0x2b, 64],
      ['0f 07', 0x1b, 32],
    ] as const) {
      const test = withStar(0);
      const { state } = test.processor;
      state.set('gpr', 0x40_1000n, Register.RCX);
      state.set('gpr', 0x1_0246n, Register.R11);
      expect(result(test, hex)).toBe('RESYNC');
      expect([state.get32('segmentSelector', Segment.CS), state.get32('segmentSelector', Segment.SS)]).toEqual([cs, 0x23]);
      expect([state.get32('cpl'), state.get32('codeMode'), state.get('rip')]).toEqual([3, mode, 0x40_1000n]);
      expect(state.get('rflags')).toBe(0x246n);
    }
  });

  it('SYSRET to an address that is not canonical faults at CPL 0 on Intel, and returns on AMD', () => {
    for (const [cpuid, expected] of [
      [WESTMERE, '13(0)'],
      [ZEN3, 'RESYNC'],
    ] as const) {
      const test = withStar(0, cpuid);
      test.processor.state.set('gpr', 1n << 47n, Register.RCX);
      expect(result(test, '48 0f 07')).toBe(expected);
      expect(test.processor.state.get32('cpl')).toBe(expected === 'RESYNC' ? 3 : 0);
    }
  });

  it('are undefined while EFER.SCE is off', () => {
    const test = withStar(3);
    test.processor.state.set('efer', 0xd00n);
    expect(result(test, '0f 05')).toBe('6');
    expect(result(test, '48 0f 07')).toBe('6');
  });

  it('at CPL 3 go to host code that owns ring 0, with RCX and R11 untouched', () => {
    const test = withStar(3);
    const seen: bigint[] = [];
    test.processor.platformCpu = {} as PlatformCpu;
    test.processor.owner = {
      syscall: () => {
        seen.push(test.processor.state.get('rip'), test.processor.state.get('gpr', Register.RCX));
      },
      sysenter: () => {},
      exception: () => {},
      interrupt: () => {},
    };
    test.processor.state.set('gpr', 77n, Register.RCX);
    expect(result(test, '0f 05')).toBe('RESYNC');
    expect(seen).toEqual([0x1002n, 77n]);
    expect(test.processor.state.get32('cpl')).toBe(3);
    expect(test.charged).toContain('syscall');
  });
});

describe('time stamps', () => {
  it('are whole cycles plus the offset, and are observed', () => {
    const test = longMode(3);
    const { processor } = test;
    const seen: bigint[] = [];
    processor.onTimestamp = (value) => seen.push(value);
    processor.state.set('cycles', 0x1_2345_6789n * 12n + 11n);
    processor.state.set('tscOffset', 0x10n);
    processor.state.set('tscAux', 5n);
    expect(result(test, '0f 01 f9')).toBe('CONTINUE');
    expect([Register.RAX, Register.RDX, Register.RCX].map((r) => processor.state.get('gpr', r))).toEqual([0x2345_6799n, 1n, 5n]);
    expect(seen).toEqual([0x1_2345_6799n]);
  });

  it('are kept from CPL 3 by CR4.TSD', () => {
    const test = longMode(3);
    test.processor.state.set('cr4', BigInt(Cr4.PAE | Cr4.TSD));
    expect(result(test, '0f 31')).toBe('13(0)');
  });
});

describe('MSRs', () => {
  function write(test: TestProcessor, index: number, value: bigint): string {
    const { state } = test.processor;
    state.set('gpr', BigInt(index), Register.RCX);
    state.set('gpr', value & 0xffff_ffffn, Register.RAX);
    state.set('gpr', value >> 32n, Register.RDX);
    return result(test, '0f 30');
  }

  const refused: [string, number, bigint][] = [
    ['an unknown one', 0x1234, 0n],
    ['LSTAR that is not canonical', Msr.IA32_LSTAR, 1n << 47n],
    ['FS_BASE that is not canonical', Msr.IA32_FS_BASE, 1n << 63n],
    ['PAT with a type that does not exist', Msr.IA32_PAT, 2n],
    ['EFER with reserved bits', Msr.IA32_EFER, 2n],
    ['EFER that leaves long mode under paging', Msr.IA32_EFER, 0n],
  ];
  for (const [name, index, value] of refused) it(`refuse ${name}`, () => expect(write(longMode(), index, value)).toBe('13(0)'));

  it('hold what was written, and LMA in EFER stays', () => {
    const test = longMode();
    expect(write(test, Msr.IA32_GS_BASE, 0xffff_8000_0000_0000n)).toBe('RESYNC');
    expect(test.processor.state.get('segmentBase', Segment.GS)).toBe(0xffff_8000_0000_0000n);
    expect(write(test, Msr.IA32_EFER, 0x901n)).toBe('RESYNC');
    expect(test.processor.state.get('efer')).toBe(0xd01n);
    expect(write(test, Msr.IA32_TSC, 1000n)).toBe('RESYNC');
    test.processor.state.set('cycles', 120n);
    result(test, '0f 31');
    expect(test.processor.state.get('gpr', Register.RAX)).toBe(1010n);
  });
});

describe('ports', () => {
  it('are open to CPL 0, to IOPL, and where the bitmap of the TSS is clear', () => {
    const test = longMode(3);
    const { processor, memory } = test;
    expect(checkPort(processor, 0x3f8, 1)).toBe(false);
    processor.state.set32('trLimit', 0x67 + 0x81);
    memory.writeBytes(TSS_BASE + 0x68, new Uint8Array(0x81).fill(0xff));
    expect(checkPort(processor, 0x3f8, 1)).toBe(false);
    memory.writeU8(TSS_BASE + 0x68 + 0x7f, 0xf0);
    expect(checkPort(processor, 0x3f8, 4)).toBe(true);
    expect(checkPort(processor, 0x3f9, 4)).toBe(false);
    expect(checkPort(processor, 0x3f8 + 8, 1)).toBe(false);
    processor.state.set('rflags', 0x3002n);
    expect(checkPort(processor, 0x3f9, 4)).toBe(true);
  });

  it('IN and OUT reach the bus with their width, and INS counts down between elements', () => {
    const test = longMode();
    const { state } = test.processor;
    test.bus.portValue = 0x8081_8283;
    state.set('gpr', 0x1f0n, Register.RDX);
    state.set('gpr', 0xffff_ffff_ffff_ffffn, Register.RAX);
    expect(result(test, 'ec')).toBe('CONTINUE');
    expect(state.get('gpr', Register.RAX)).toBe(0xffff_ffff_ffff_ff83n);
    expect(result(test, 'ed')).toBe('CONTINUE');
    expect(state.get('gpr', Register.RAX)).toBe(0x8081_8283n);
    expect(result(test, '66 e7 80')).toBe('CONTINUE');
    state.set('gpr', 2n, Register.RCX);
    state.set('gpr', 0x5000n, Register.RDI);
    expect(result(test, 'f3 66 6d')).toBe('REPEAT');
    expect(result(test, 'f3 66 6d')).toBe('CONTINUE');
    expect(state.get('gpr', Register.RDI)).toBe(0x5004n);
    expect(test.memory.readU32(0x5000)).toBe(0x8283_8283);
    expect(test.bus.log).toEqual(['in 1f0/1', 'in 1f0/4', 'out 80/2 8283', 'in 1f0/2', 'in 1f0/2']);
    expect(test.charged.filter((event) => event === 'port_io')).toHaveLength(5);
  });
});

describe('RFLAGS', () => {
  it('can be changed as the privilege allows', () => {
    const rows = [
      [0, 0n, 0x3_7fd7n, 0x7fd7n],
      [3, 0x202n, 0x3000n, 0x202n],
      [3, 0x3202n, 0n, 0x3002n],
    ] as const;
    for (const [cpl, before, value, after] of rows) {
      const { processor } = longMode(cpl);
      processor.state.set('rflags', before);
      writeFlags(processor, value, 32);
      expect(processor.state.get('rflags')).toBe(after);
    }
  });

  it('keep their upper half under a 16-bit POPF', () => {
    const test = longMode();
    test.processor.state.set('rflags', 0x24_0002n);
    test.memory.writeU16(0x30000, 0x0ad5);
    expect(result(test, '66 9d')).toBe('CONTINUE');
    expect(test.processor.state.get('rflags')).toBe(0x24_0ad7n);
    expect(test.processor.state.get('gpr', Register.RSP)).toBe(0x30002n);
  });

  it('STI opens a shadow only when interrupts were masked', () => {
    const test = longMode();
    test.processor.state.set('rflags', 2n);
    expect(result(test, 'fb')).toBe('RESYNC');
    expect(test.processor.state.get32('interruptShadow')).toBe(1);
    test.processor.state.set32('interruptShadow', 0);
    expect(result(test, 'fb')).toBe('CONTINUE');
    expect(test.processor.state.get32('interruptShadow')).toBe(0);
  });
});

describe('descriptor queries and tables', () => {
  it('LTR marks the segment busy, and a busy one is refused', () => {
    const test = longMode();
    test.memory.writeU64(GDT + 0x60, buildSegmentDescriptor({ base: 0x4000n, limit: 0x67, attributes: 0x89 }));
    test.memory.writeU64(GDT + 0x68, 0xffff_8000n);
    test.processor.state.set('gpr', 0x60n);
    expect(result(test, '0f 00 d8')).toBe('CONTINUE');
    expect(test.processor.state.get('trBase')).toBe(0xffff_8000_0000_4000n);
    expect(test.memory.readU8(GDT + 0x65)).toBe(0x8b);
    expect(result(test, '0f 00 d8')).toBe('13(60)');
  });

  it('LGDT reads ten bytes in 64-bit mode, and SGDT writes them', () => {
    const test = longMode();
    test.memory.writeU16(0x5ffc, 0x1234);
    test.memory.writeU32(0x5ffe, 0x89abcdef);
    test.memory.writeU32(0x6002, 0xffff8000);
    test.processor.state.set('gpr', 0x5ffcn);
    expect(result(test, '0f 01 10')).toBe('CONTINUE');
    expect([test.processor.state.get('gdtrBase'), test.processor.state.get32('gdtrLimit')]).toEqual([0xffff_8000_89ab_cdefn, 0x1234]);
    test.processor.state.set('gpr', 0x7ffcn);
    expect(result(test, '0f 01 00')).toBe('CONTINUE');
    expect(test.memory.readBytes(0x7ffc, 10)).toEqual(test.memory.readBytes(0x5ffc, 10));
  });

  it('LAR, LSL, VERR and VERW answer in ZF', () => {
    const rows: [string, number, boolean][] = [
      ['0f 02 d8', KERNEL_DS, true],
      ['0f 02 d8', TSS, true],
      ['0f 02 d8', KERNEL_DS | 3, false],
      ['0f 02 d8', 0, false],
      ['0f 03 d8', KERNEL_CS32, true],
      ['0f 00 e0', KERNEL_CS, true],
      ['0f 00 e8', KERNEL_CS, false],
      ['0f 00 e8', USER_DS, true],
      ['0f 00 e8', TSS, false],
      ['0f 00 e0', 0x7000, false],
    ];
    for (const [hex, selector, expected] of rows) {
      const test = longMode();
      test.processor.state.set('gpr', BigInt(selector));
      expect(result(test, hex)).toBe('CONTINUE');
      expect([hex, selector, (test.processor.state.get('rflags') & 0x40n) !== 0n]).toEqual([hex, selector, expected]);
    }
    const test = longMode();
    test.processor.state.set('gpr', BigInt(USER_CS));
    result(test, '0f 02 d8');
    expect(test.processor.state.get('gpr', Register.RBX)).toBe(0xaffb00n);
    result(test, '0f 03 d8');
    expect(test.processor.state.get('gpr', Register.RBX)).toBe(0xffff_ffffn);
  });
});

describe('far transfers', () => {
  it('through a 64-bit call gate switch to RSP0, and RETF comes back', () => {
    const test = longMode(3);
    const { state } = test.processor;
    const gate = 0x1234n | (BigInt(KERNEL_CS) << 16n) | (0xec00n << 32n);
    test.memory.writeU64(GDT + 0x60, gate);
    test.memory.writeU64(GDT + 0x68, 0xffff_8000n);
    test.memory.writeU32(0x5000, 0);
    test.memory.writeU16(0x5004, 0x63);
    state.set('gpr', 0x5000n);
    expect(result(test, 'ff 18')).toBe('RESYNC');
    expect([state.get32('cpl'), state.get('rip'), state.get('gpr', Register.RSP)]).toEqual([0, 0xffff_8000_0000_1234n, 0x20000n - 32n]);
    expect([0, 1, 2, 3].map((i) => test.memory.readU64(0x20000 - 32 + i * 8))).toEqual([
      0x1002n,
      BigInt(USER_CS),
      0x30000n,
      BigInt(USER_DS),
    ]);
    expect(result(test, '48 cb')).toBe('RESYNC');
    expect([state.get32('cpl'), state.get('rip'), state.get('gpr', Register.RSP)]).toEqual([3, 0x1002n, 0x30000n]);
    expect(test.charged.filter((event) => event === 'far_transfer')).toHaveLength(2);
  });

  it('refuse more privilege without a gate', () => {
    const test = longMode(3);
    test.memory.writeU16(0x5004, KERNEL_CS);
    test.processor.state.set('gpr', 0x5000n);
    expect(result(test, 'ff 28')).toBe('13(8)');
  });
});

describe('CPUID and RDMSR of models', () => {
  it('report vendor, version and features that are implemented', () => {
    const test = longMode(3, { cpuid: WESTMERE });
    const ask = (leaf: number): bigint[] => {
      test.processor.state.set('gpr', BigInt(leaf));
      test.processor.state.set('gpr', 0n, Register.RCX);
      expect(result(test, '0f a2')).toBe('CONTINUE');
      return [0, 3, 1, 2].map((register) => test.processor.state.get('gpr', register));
    };
    const [, ebx, ecx, edx] = ask(0);
    const text = Buffer.alloc(12);
    [ebx, edx, ecx].forEach((word, i) => {
      text.writeUInt32LE(Number(word), i * 4);
    });
    expect(text.toString()).toBe('GenuineIntel');
    const version = ask(1);
    expect(version[0]).toBe(0x206c2n);
    expect(version[3] & (1n << 26n)).not.toBe(0n);
    expect(version[2] & (1n << 5n)).toBe(0n);
    expect(ask(0x8000_0001)[3]).toBe((1n << 11n) | (1n << 20n) | (1n << 26n) | (1n << 27n) | (1n << 29n));
    expect(ask(0x8000_0008)[0]).toBe(0x3028n);
  });
});

describe('a guest in non-root operation', () => {
  function guest(intercepts: Partial<GuestControl['intercepts']> = {}, answer: (exit: VmExit, test: TestProcessor) => void = () => {}) {
    const test = longMode(0);
    const exits: VmExit[] = [];
    const rips: bigint[] = [];
    test.processor.platformCpu = {} as PlatformCpu;
    test.processor.control = {
      vpid: 3,
      secondStage: { machineFrame: (frame) => frame, writable: () => true, leafShift: () => 21, generation: 0 },
      ringZero: undefined,
      pendingInterrupt: undefined,
      interruptWindow: false,
      intercepts: { cr3: false, cr4Pge: false, cr0Ts: false, invlpg: false, rdtsc: false, kernelGsBase: false, ...intercepts },
      onExit(_cpu, exit) {
        exits.push(structuredClone(exit));
        rips.push(test.processor.state.get('rip'));
        answer(exit, test);
      },
    };
    test.processor.state.set32('vpid', 3);
    setSecondStages(test.processor, [test.processor.control.secondStage]);
    return { test, exits, rips };
  }

  it('leaves for CPUID, HLT, VMCALL and ports, after the instruction but for ports', () => {
    const { test, exits, rips } = guest({}, (exit, { processor }) => {
      if (exit.reason === 'cpuid') processor.state.set('gpr', 0x1111n, Register.RBX);
      if (exit.reason === 'io') exit.value = 0x42;
    });
    for (const hex of ['0f a2', 'f4', '0f 01 c1', 'e4 71', 'e6 70']) execute(test, hex);
    expect(exits.map((exit) => exit.reason)).toEqual(['cpuid', 'hlt', 'vmcall', 'io', 'io']);
    expect(rips.slice(0, 3)).toEqual([0x1002n, 0x1003n, 0x1006n]);
    expect(test.processor.state.get('gpr', Register.RBX)).toBe(0x1111n);
    expect(test.processor.state.get('gpr', Register.RAX) & 0xffn).toBe(0x42n);
    expect(exits[4]).toEqual({ reason: 'io', port: 0x70, size: 1, direction: 'out', value: 0x42 });
    expect(test.charged.filter((event) => event === 'vm_exit')).toHaveLength(5);
    expect(test.processor.state.get32('halted')).toBe(0);
  });

  it('does not leave for MOV CR3, INVLPG, SWAPGS, FS_BASE or KERNEL_GS_BASE unless asked', () => {
    for (const [asked, expected] of [
      [false, []],
      [true, ['cr-write', 'cr-write', 'cr-write', 'invlpg', 'wrmsr']],
    ] as const) {
      const { test, exits } = guest({ cr3: asked, cr4Pge: asked, cr0Ts: asked, invlpg: asked, kernelGsBase: asked });
      const { state } = test.processor;
      state.set('gpr', 0x1000n);
      execute(test, '0f 22 d8');
      state.set('gpr', BigInt(Cr4.PAE));
      execute(test, '0f 22 e0');
      state.set('cr0', state.get('cr0') | 8n);
      execute(test, '0f 06');
      execute(test, '0f 01 38');
      execute(test, '0f 01 f8');
      state.set('gpr', 0n, Register.RDX);
      for (const index of [Msr.IA32_FS_BASE, Msr.IA32_KERNEL_GS_BASE]) {
        state.set('gpr', BigInt(index), Register.RCX);
        execute(test, '0f 30');
      }
      expect(exits.map((exit) => exit.reason)).toEqual(expected);
      expect(state.get('cr4')).toBe(BigInt(Cr4.PAE));
    }
  });

  it('gets #GP(0) for an MSR that its hypervisor refuses, and the answer for one that it knows', () => {
    const { test, exits } = guest({}, (exit) => {
      if (exit.reason === 'rdmsr' && exit.index === 0x1b) exit.value = 0x1_0000_fee0n;
      else if (exit.reason === 'rdmsr' || exit.reason === 'wrmsr') exit.refused = true;
    });
    const { state } = test.processor;
    state.set('gpr', 0x1bn, Register.RCX);
    expect(result(test, '0f 32')).toBe('RESYNC');
    expect([state.get('gpr', Register.RDX), state.get('gpr', Register.RAX)]).toEqual([1n, 0xfee0n]);
    state.set('gpr', 0x1234n, Register.RCX);
    expect(result(test, '0f 32')).toBe('13(0)');
    expect(result(test, '0f 30')).toBe('13(0)');
    expect(exits).toHaveLength(3);
  });
});
