/**
 * The processors that can be chosen. Feature lists hold what is implemented: a real processor's list without what this
 * one does not execute yet (VMX and the like), so that software which looks before it uses never meets a #UD.
 * Sources: SDM 2A CPUID; AMD APM 3 appendix E; System V x86-64 psABI §3.1.1 (levels v1, v2, v3).
 */
import { type CpuidModel, cpuidModel } from './model.ts';

const V1 = 'FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT CLFSH MMX FXSR SSE SSE2 SYSCALL NX LM';
const V2 = `${V1} SSE3 SSSE3 SSE4.1 SSE4.2 CX16 POPCNT LAHF_LM`;
const V3 = `${V2} XSAVE AVX AVX2 BMI1 BMI2 F16C FMA LZCNT MOVBE`;

/**
 * The Intel Xeon X5670 of the Xen-Blanket paper (family 6, model 44). Without VMX, which nothing offers yet, without
 * MONITOR, and without the debug store, SpeedStep and thermal features that only firmware cares for.
 */
export const WESTMERE = cpuidModel({
  name: 'westmere',
  vendor: 'GenuineIntel',
  brand: 'Intel(R) Xeon(R) CPU           X5670  @ 2.93GHz',
  family: 6,
  model: 44,
  stepping: 2,
  physicalAddressBits: 40,
  maximumLeaf: 0xb,
  features: `${V2} PSE36 PCLMULQDQ AES PCID PAGE1GB RDTSCP INVARIANT_TSC`,
  leaves: {
    // L1 and L2 of the core, L3 shared by twelve threads (SDM 2A Table 3-8, leaf 4).
    '4.0': [0x1c004121, 0x01c0003f, 0x0000003f, 0],
    '4.1': [0x1c004122, 0x00c0003f, 0x0000007f, 0],
    '4.2': [0x1c004143, 0x01c0003f, 0x000001ff, 0],
    '4.3': [0x1c03c163, 0x03c0003f, 0x00002fff, 2],
    '4': [0, 0, 0, 0],
  },
});

/** The psABI's level 2 and nothing else: what a careful program may rely on. */
export const X86_64_V2 = cpuidModel({
  name: 'x86-64-v2',
  vendor: 'GenuineIntel',
  brand: 'x86-64-v2',
  family: 6,
  model: 44,
  stepping: 0,
  physicalAddressBits: 40,
  maximumLeaf: 7,
  features: V2,
});

/** Everything that is implemented and that current software likes. */
export const DEFAULT = cpuidModel({
  name: 'default',
  vendor: 'GenuineIntel',
  brand: 'paravane',
  family: 6,
  model: 44,
  stepping: 2,
  physicalAddressBits: 46,
  maximumLeaf: 0xd,
  features: `${V2} PSE36 PCLMULQDQ AES MOVBE LZCNT PREFETCHW BMI1 BMI2 ADX SHA PAGE1GB RDTSCP RDPID FSGSBASE SMEP SMAP UMIP
    PCID INVPCID XSAVE XSAVEOPT XSAVEC XGETBV_ECX1 X2APIC TSC_DEADLINE INVARIANT_TSC`,
});

/**
 * AMD EPYC of family 25 model 1, the processor of the golden vectors, with all that they cover, written or not: an
 * instruction without a definition raises #UD, and LZCNT and TZCNT must not decode as BSR and BSF. Without AVX, SVM.
 */
export const ZEN3 = cpuidModel({
  name: 'zen3',
  vendor: 'AuthenticAMD',
  brand: 'AMD EPYC 7763 64-Core Processor',
  family: 25,
  model: 1,
  stepping: 1,
  physicalAddressBits: 48,
  maximumLeaf: 0xd,
  features: `${V2} PSE36 PCLMULQDQ AES MOVBE MMXEXT FFXSR LZCNT PREFETCHW MISALIGNSSE SSE4A BMI1 BMI2 ADX SHA PAGE1GB RDTSCP
    RDPID FSGSBASE SMEP SMAP UMIP PCID INVPCID XSAVE XSAVEOPT XSAVEC XGETBV_ECX1 CLFLUSHOPT CLWB CR8_LEGACY INVARIANT_TSC`,
});

/** The psABI's level 3 and nothing else. */
export const X86_64_V3 = cpuidModel({
  name: 'x86-64-v3',
  vendor: 'GenuineIntel',
  brand: 'x86-64-v3',
  family: 6,
  model: 60,
  stepping: 0,
  physicalAddressBits: 40,
  maximumLeaf: 0xd,
  features: V3,
});

/** An Intel Core of the fourth generation (family 6, model 60), the first with AVX2 and FMA, without VMX, MONITOR, RDRAND, HLE and RTM. */
export const HASWELL = cpuidModel({
  name: 'haswell',
  vendor: 'GenuineIntel',
  brand: 'Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz',
  family: 6,
  model: 60,
  stepping: 3,
  physicalAddressBits: 39,
  maximumLeaf: 0xd,
  features: `${V3} PSE36 PCLMULQDQ AES PAGE1GB RDTSCP FSGSBASE SMEP PCID INVPCID XSAVEOPT INVARIANT_TSC`,
});

/** {@link ZEN3} with AVX: what its silicon has of vectors. */
export const ZEN3_AVX = cpuidModel({ ...ZEN3, name: 'zen3-avx', features: `${[...ZEN3.features].join(' ')} AVX AVX2 F16C FMA` });

export const CPUID_MODELS: ReadonlyMap<string, CpuidModel> = new Map(
  [WESTMERE, X86_64_V2, DEFAULT, ZEN3, X86_64_V3, HASWELL, ZEN3_AVX].map((model) => [model.name, model]),
);
