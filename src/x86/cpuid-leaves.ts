/**
 * Where CPUID reports each feature, and how a set of features becomes register values and back.
 * The names are those of the opcode rows' feature column.
 * Sources: SDM 2A CPUID Tables 3-8 to 3-11 and 3-24; AMD APM 3 appendix E (8000_0001H, 8000_0008H, 8000_000AH).
 */

export type CpuidRegister = 'eax' | 'ebx' | 'ecx' | 'edx';

export interface FeatureBit {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: CpuidRegister;
  readonly bit: number;
}

/** leaf, subleaf, register, then `name:bit` of every feature. */
const FEATURE_LINES = `
1 0 edx FPU:0 VME:1 DE:2 PSE:3 TSC:4 MSR:5 PAE:6 MCE:7 CX8:8 APIC:9 SEP:11 MTRR:12 PGE:13 MCA:14 CMOV:15 PAT:16 PSE36:17 CLFSH:19
1 0 edx DS:21 ACPI:22 MMX:23 FXSR:24 SSE:25 SSE2:26 SS:27 HTT:28 TM:29 PBE:31
1 0 ecx SSE3:0 PCLMULQDQ:1 DTES64:2 MONITOR:3 VMX:5 EIST:7 SSSE3:9 FMA:12 CX16:13 PDCM:15 PCID:17 SSE4.1:19 SSE4.2:20 X2APIC:21
1 0 ecx MOVBE:22 POPCNT:23 TSC_DEADLINE:24 AES:25 XSAVE:26 OSXSAVE:27 AVX:28 F16C:29 RDRAND:30 HYPERVISOR:31
7 0 ebx FSGSBASE:0 TSC_ADJUST:1 BMI1:3 AVX2:5 SMEP:7 BMI2:8 ERMS:9 INVPCID:10 RTM:11 RDSEED:18 ADX:19 SMAP:20 CLFLUSHOPT:23
7 0 ebx CLWB:24 SHA:29
7 0 ecx UMIP:2 PKU:3 OSPKE:4 VAES:9 VPCLMULQDQ:10 LA57:16 RDPID:22
7 0 edx FSRM:4
13 1 eax XSAVEOPT:0 XSAVEC:1 XGETBV_ECX1:2 XSAVES:3
2147483649 0 edx SYSCALL:11 NX:20 MMXEXT:22 FFXSR:25 PAGE1GB:26 RDTSCP:27 LM:29
2147483649 0 ecx LAHF_LM:0 CMP_LEGACY:1 SVM:2 EXTAPIC:3 CR8_LEGACY:4 LZCNT:5 SSE4A:6 MISALIGNSSE:7 PREFETCHW:8 MONITORX:29
2147483655 0 edx INVARIANT_TSC:8
2147483656 0 ebx CLZERO:0 WBNOINVD:9
2147483658 0 edx NPT:0
`;

function parseFeatureBits(): ReadonlyMap<string, FeatureBit> {
  const bits = new Map<string, FeatureBit>();
  for (const line of FEATURE_LINES.trim().split('\n')) {
    const [leaf, subleaf, register, ...names] = line.split(' ') as [string, string, CpuidRegister, ...string[]];
    for (const entry of names) {
      const [name, bit] = entry.split(':') as [string, string];
      bits.set(name, { leaf: Number(leaf), subleaf: Number(subleaf), register, bit: Number(bit) });
    }
  }
  return bits;
}

/** Feature name to its place in CPUID. */
export const FEATURE_BITS: ReadonlyMap<string, FeatureBit> = parseFeatureBits();

/** Value of the feature bits of one register of a leaf, for a processor with `features`; other fields are zero. */
export function featureMask(features: ReadonlySet<string>, leaf: number, subleaf: number, register: CpuidRegister): number {
  let mask = 0;
  for (const name of features) {
    const place = FEATURE_BITS.get(name);
    if (place?.leaf === leaf && place.subleaf === subleaf && place.register === register) mask |= 1 << place.bit;
  }
  return mask >>> 0;
}

/** Numbers of the leaves that software asks for. */
export const CpuidLeaf = {
  /** Highest basic leaf and vendor. */
  VENDOR: 0,
  /** Version and features. */
  VERSION: 1,
  CACHE_PARAMETERS: 4,
  MONITOR: 5,
  STRUCTURED_FEATURES: 7,
  EXTENDED_TOPOLOGY: 0xb,
  XSAVE: 0xd,
  TSC_FREQUENCY: 0x15,
  /** First leaf of hypervisors; the next range is 0x100 above. */
  HYPERVISOR: 0x4000_0000,
  EXTENDED_MAXIMUM: 0x8000_0000,
  EXTENDED_FEATURES: 0x8000_0001,
  BRAND_FIRST: 0x8000_0002,
  BRAND_LAST: 0x8000_0004,
  L1_CACHE: 0x8000_0005,
  L2_CACHE: 0x8000_0006,
  POWER_MANAGEMENT: 0x8000_0007,
  ADDRESS_SIZES: 0x8000_0008,
  SVM: 0x8000_000a,
} as const;
