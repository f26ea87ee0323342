/**
 * Indices of model-specific registers.
 * Sources: SDM 4 Table 2-2 (architectural MSRs); AMD APM 2 appendix A (0xC001_xxxx).
 */

export const Msr = {
  IA32_TSC: 0x10,
  IA32_PLATFORM_ID: 0x17,
  IA32_APIC_BASE: 0x1b,
  IA32_FEATURE_CONTROL: 0x3a,
  IA32_TSC_ADJUST: 0x3b,
  IA32_SPEC_CTRL: 0x48,
  IA32_PRED_CMD: 0x49,
  IA32_BIOS_SIGN_ID: 0x8b,
  IA32_MPERF: 0xe7,
  IA32_APERF: 0xe8,
  IA32_MTRRCAP: 0xfe,
  IA32_ARCH_CAPABILITIES: 0x10a,
  IA32_SYSENTER_CS: 0x174,
  IA32_SYSENTER_ESP: 0x175,
  IA32_SYSENTER_EIP: 0x176,
  IA32_MCG_CAP: 0x179,
  IA32_MCG_STATUS: 0x17a,
  IA32_PERFEVTSEL0: 0x186,
  IA32_MISC_ENABLE: 0x1a0,
  IA32_DEBUGCTL: 0x1d9,
  IA32_MTRR_PHYSBASE0: 0x200,
  IA32_MTRR_PHYSMASK0: 0x201,
  IA32_MTRR_FIX64K_00000: 0x250,
  IA32_PAT: 0x277,
  IA32_MTRR_DEF_TYPE: 0x2ff,
  IA32_MC0_CTL: 0x400,
  IA32_MC0_STATUS: 0x401,
  IA32_TSC_DEADLINE: 0x6e0,
  IA32_X2APIC_APICID: 0x802,
  IA32_XSS: 0xda0,
  IA32_EFER: 0xc000_0080,
  IA32_STAR: 0xc000_0081,
  IA32_LSTAR: 0xc000_0082,
  /** SYSCALL target of compatibility mode (AMD). */
  IA32_CSTAR: 0xc000_0083,
  IA32_FMASK: 0xc000_0084,
  IA32_FS_BASE: 0xc000_0100,
  IA32_GS_BASE: 0xc000_0101,
  IA32_KERNEL_GS_BASE: 0xc000_0102,
  IA32_TSC_AUX: 0xc000_0103,
  SYSCFG: 0xc001_0010,
  HWCR: 0xc001_0015,
  VM_CR: 0xc001_0114,
  VM_HSAVE_PA: 0xc001_0117,
} as const;

const MSR_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(Msr).map(([name, index]) => [index, name]));

/** `IA32_LSTAR`, or the number of a register without a name. */
export function msrName(index: number): string {
  return MSR_NAMES.get(index) ?? `MSR 0x${index.toString(16)}`;
}
