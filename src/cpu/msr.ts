/**
 * Model-specific registers: which exist, what a write may hold, and what it changes. Used by RDMSR and WRMSR, and by
 * hypervisors through PlatformCpu.
 *
 * In non-root operation those that belong to the guest's own state are reached without an exit; all others exit.
 * Sources: SDM 4 Table 2-2; SDM 3A §2.2.1 (EFER), §4.10.4.1, §11.12 (PAT), §17.17 (TSC); AMD APM 2 §6.1.1 (STAR and others).
 */
import { Cr0, Efer } from '../x86/control-registers.ts';
import { Segment } from '../x86/instruction.ts';
import { Msr } from '../x86/msr-index.ts';
import { isCanonical } from '../x86/page-table-entry.ts';
import { flushLookup } from './mmu/lookup-table.ts';
import { updateMode } from './mode.ts';
import type { Processor } from './processor.ts';
import type { FieldName } from './state.ts';

interface MsrDefinition {
  read(processor: Processor): bigint;
  /** False: #GP(0). */
  write(processor: Processor, value: bigint): boolean;
  /** A guest reaches it without an exit. */
  readonly guestOwned: boolean;
}

function plain(field: FieldName, valid: (value: bigint) => boolean = () => true, index = 0): MsrDefinition {
  return {
    read: (processor) => processor.state.get(field, index),
    write(processor, value) {
      if (!valid(value)) return false;
      processor.state.set(field, value, index);
      return true;
    },
    guestOwned: true,
  };
}

const below32 = (value: bigint): boolean => value >> 32n === 0n;
const readOnly = (value: bigint): MsrDefinition => ({ read: () => value, write: () => false, guestOwned: false });

/** Memory types that an entry of PAT may name: UC, WC, WT, WP, WB, UC-. */
function validPat(value: bigint): boolean {
  for (let i = 0n; i < 64n; i += 8n) {
    const type = (value >> i) & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}

const efer: MsrDefinition = {
  read: (processor) => processor.state.get('efer'),
  write(processor, value) {
    const { state, cpuid } = processor;
    let allowed: number = Efer.LMA;
    if (cpuid.features.has('SYSCALL')) allowed |= Efer.SCE;
    if (cpuid.features.has('LM')) allowed |= Efer.LME;
    if (cpuid.features.has('NX')) allowed |= Efer.NXE;
    if (cpuid.features.has('FFXSR')) allowed |= Efer.FFXSR;
    if ((value & ~BigInt(allowed)) !== 0n) return false;
    const before = state.get32('efer');
    const bits = (Number(value) & ~Efer.LMA) | (before & Efer.LMA);
    const changed = before ^ bits;
    if ((changed & Efer.LME) !== 0 && (state.get32('cr0') & Cr0.PG) !== 0) return false;
    state.set('efer', BigInt(bits));
    if ((changed & Efer.NXE) !== 0) flushLookup(processor);
    updateMode(processor);
    return true;
  },
  guestOwned: true,
};

/** The TSC is the cycle counter plus an offset; a write moves the offset. */
const tsc: MsrDefinition = {
  read: (processor) => timestamp(processor),
  write(processor, value) {
    processor.state.set('tscOffset', BigInt.asUintN(64, value - processor.cycles));
    return true;
  },
  guestOwned: true,
};

export function timestamp(processor: Processor): bigint {
  return BigInt.asUintN(64, processor.cycles + processor.state.get('tscOffset'));
}

const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

/** Without a local APIC around the processor its base is a plain register. */
const apicBase: MsrDefinition = {
  read: (processor) => processor.state.get('apicBase'),
  write(processor, value) {
    // BSP flag, x2APIC enable (not offered), global enable, and the address.
    const reserved = 0x6ffn | (1n << 10n) | (~0n << BigInt(processor.cpuid.physicalAddressBits));
    if ((value & BigInt.asUintN(64, reserved)) !== 0n) return false;
    processor.state.set('apicBase', value);
    return true;
  },
  guestOwned: false,
};

const FIXED_TYPES = new Set([0n, 1n, 4n, 5n, 6n]);
const VARIABLE_RANGES = 8;
const FIXED_RANGES = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const FIRST_FIXED = 2 * VARIABLE_RANGES;
const DEFAULT_TYPE = FIRST_FIXED + FIXED_RANGES.length;

/** UC, WC, WT, WP, WB in each byte. */
function validFixed(value: bigint): boolean {
  for (let i = 0n; i < 64n; i += 8n) if (!FIXED_TYPES.has((value >> i) & 0xffn)) return false;
  return true;
}

/**
 * MTRRs are kept and checked as the processor does; memory has one type here, so nothing follows from them
 * (SDM 3A §12.11).
 */
function rangeRegisters(): [number, MsrDefinition][] {
  const owned = (definition: MsrDefinition): MsrDefinition => ({ ...definition, guestOwned: false });
  const registers: [number, MsrDefinition][] = [
    // Eight variable ranges, fixed ranges, write combining.
    [Msr.IA32_MTRRCAP, readOnly(BigInt(VARIABLE_RANGES) | 0x500n)],
    [Msr.IA32_MTRR_DEF_TYPE, owned(plain('mtrr', (value) => (value & ~0xcffn) === 0n && FIXED_TYPES.has(value & 0xffn), DEFAULT_TYPE))],
  ];
  for (let i = 0; i < VARIABLE_RANGES; i++) {
    const base = Msr.IA32_MTRR_PHYSBASE0 + 2 * i;
    registers.push([base, withinAddress('mtrr', 2 * i, 0xf00n, true)], [base + 1, withinAddress('mtrr', 2 * i + 1, 0x7ffn, false)]);
  }
  for (const [i, index] of FIXED_RANGES.entries()) registers.push([index, owned(plain('mtrr', validFixed, FIRST_FIXED + i))]);
  return registers;
}

/** A register with a physical address: bits above the processor's and `reserved` ones must be zero. */
function withinAddress(field: FieldName, index: number, reserved: bigint, typed: boolean): MsrDefinition {
  return {
    read: ({ state }) => state.get(field, index),
    write({ state, cpuid }, value) {
      const above = value >> BigInt(cpuid.physicalAddressBits) !== 0n;
      if (above || (value & reserved) !== 0n || (typed && !FIXED_TYPES.has(value & 0xffn))) return false;
      state.set(field, value, index);
      return true;
    },
    guestOwned: false,
  };
}

/** Machine check without a bank of errors: nothing is ever reported (SDM 3B §16.3). */
const machineCheck: [number, MsrDefinition][] = [
  [Msr.IA32_MCG_CAP, readOnly(0n)],
  [Msr.IA32_MCG_STATUS, { ...plain('machineCheck', (value) => value === 0n), guestOwned: false }],
];

/** FAST_STRING and LIMIT_CPUID_MAXVAL and others are kept; nothing follows from them. */
const miscEnable: MsrDefinition = { ...plain('miscEnable', below32), guestOwned: false };

const DEFINITIONS: ReadonlyMap<number, MsrDefinition> = new Map<number, MsrDefinition>([
  [Msr.IA32_TSC, tsc],
  [Msr.IA32_APIC_BASE, apicBase],
  [Msr.IA32_BIOS_SIGN_ID, { read: () => 0n, write: () => true, guestOwned: false }],
  [Msr.IA32_PLATFORM_ID, readOnly(0n)],
  [Msr.IA32_SYSENTER_CS, plain('sysenterCs', below32)],
  [Msr.IA32_SYSENTER_ESP, plain('sysenterEsp', isCanonical)],
  [Msr.IA32_SYSENTER_EIP, plain('sysenterEip', isCanonical)],
  [Msr.IA32_MISC_ENABLE, miscEnable],
  [Msr.IA32_PAT, plain('pat', validPat)],
  [Msr.IA32_EFER, efer],
  [Msr.IA32_STAR, plain('star')],
  [Msr.IA32_LSTAR, plain('lstar', isCanonical)],
  [Msr.IA32_CSTAR, plain('cstar', isCanonical)],
  [Msr.IA32_FMASK, plain('fmask', below32)],
  [Msr.IA32_FS_BASE, plain('segmentBase', isCanonical, Segment.FS)],
  [Msr.IA32_GS_BASE, plain('segmentBase', isCanonical, Segment.GS)],
  [Msr.IA32_KERNEL_GS_BASE, plain('kernelGsBase', isCanonical)],
  [Msr.IA32_TSC_AUX, plain('tscAux', below32)],
  ...rangeRegisters(),
  ...machineCheck,
]);

/** Whether a register is the local APIC's, where the machine has one. */
function ofApic(index: number): boolean {
  return index === Msr.IA32_APIC_BASE || index === Msr.IA32_TSC_DEADLINE || (index >= X2APIC_FIRST && index <= X2APIC_LAST);
}

/** Value, or undefined where the processor has no such register (#GP(0)). */
export function readMsr(processor: Processor, index: number): bigint | undefined {
  const { apic } = processor.bus;
  if (apic !== undefined && ofApic(index >>> 0)) return apic.readMsr(processor.index, index >>> 0);
  if (!exists(processor, index)) return undefined;
  return DEFINITIONS.get(index >>> 0)?.read(processor);
}

/** False: no such register, or a value that it cannot hold (#GP(0)). */
export function writeMsr(processor: Processor, index: number, value: bigint): boolean {
  const { apic } = processor.bus;
  if (apic !== undefined && ofApic(index >>> 0)) return apic.writeMsr(processor.index, index >>> 0, value);
  if (!exists(processor, index)) return false;
  return DEFINITIONS.get(index >>> 0)?.write(processor, value) ?? false;
}

/** Whether a guest's access leaves to its hypervisor. */
export function msrExits(processor: Processor, index: number, write: boolean): boolean {
  const { control } = processor;
  if (control === undefined) return false;
  if (write && index >>> 0 === Msr.IA32_KERNEL_GS_BASE && control.intercepts.kernelGsBase) return true;
  return !(DEFINITIONS.get(index >>> 0)?.guestOwned ?? false);
}

function exists(processor: Processor, index: number): boolean {
  const { features } = processor.cpuid;
  switch (index >>> 0) {
    case Msr.IA32_TSC_AUX:
      return features.has('RDTSCP');
    case Msr.IA32_PAT:
      return features.has('PAT');
    case Msr.IA32_MCG_CAP:
    case Msr.IA32_MCG_STATUS:
      return features.has('MCA');
    case Msr.IA32_MTRRCAP:
    case Msr.IA32_MTRR_DEF_TYPE:
      return features.has('MTRR');
    default:
      return !isRangeRegister(index >>> 0) || features.has('MTRR');
  }
}

function isRangeRegister(index: number): boolean {
  const variable = index >= Msr.IA32_MTRR_PHYSBASE0 && index < Msr.IA32_MTRR_PHYSBASE0 + 2 * VARIABLE_RANGES;
  return variable || FIXED_RANGES.includes(index);
}
