/**
 * CPUID models as data: what a processor claims to be, and so which instructions it has (an instruction whose bit is off
 * raises #UD). Answers depend on the model and on a little state (APIC id, CR4.OSXSAVE); never on the host.
 * Sources: SDM 2A CPUID; AMD APM 3 appendix E.
 */
import { Xcr0 } from '../../x86/control-registers.ts';
import { CpuidLeaf, FEATURE_BITS, type CpuidRegister, featureMask } from '../../x86/cpuid-leaves.ts';

export type CpuidResult = [eax: number, ebx: number, ecx: number, edx: number];

export interface CpuidDescription {
  readonly name: string;
  readonly vendor: 'GenuineIntel' | 'AuthenticAMD';
  readonly brand: string;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly physicalAddressBits: number;
  /** Feature names of x86/cpuid-leaves.ts. */
  readonly features: string;
  /** Highest basic leaf. */
  readonly maximumLeaf: number;
  /** Leaves with fixed answers (caches, monitor), by `leaf` or `leaf.subleaf` in hexadecimal. */
  readonly leaves?: Readonly<Record<string, CpuidResult>>;
}

export interface CpuidModel extends Omit<CpuidDescription, 'features'> {
  readonly features: ReadonlySet<string>;
  readonly hasGigabytePages: boolean;
}

/** State that CPUID reports beside the model. */
export interface CpuidState {
  readonly apicId: number;
  readonly processors: number;
  readonly osxsave: boolean;
  readonly xcr0: bigint;
}

export function cpuidModel(description: CpuidDescription): CpuidModel {
  const features = new Set(description.features.trim().split(/\s+/));
  for (const feature of features) {
    if (!FEATURE_BITS.has(feature)) throw new Error(`CPUID model ${description.name}: no feature ${feature}`);
  }
  return { ...description, features, hasGigabytePages: features.has('PAGE1GB') };
}

/** Family, extended family, model and stepping as leaf 1 EAX packs them. */
function version({ family, model, stepping }: CpuidModel): number {
  const baseFamily = Math.min(family, 15);
  const extendedFamily = family > 15 ? family - 15 : 0;
  return (extendedFamily << 20) | ((model >> 4) << 16) | (baseFamily << 8) | ((model & 15) << 4) | stepping;
}

function words(text: string, count: number): number[] {
  const bytes = new Uint8Array(count * 4);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, i) => view.getUint32(i * 4, true));
}

/** Leaf 0xB: one thread a core, all cores in one package. */
function topology(model: CpuidModel, subleaf: number, { apicId, processors }: CpuidState): CpuidResult {
  if (model.maximumLeaf < CpuidLeaf.EXTENDED_TOPOLOGY) return [0, 0, 0, 0];
  if (subleaf === 0) return [0, 1, 0x100, apicId];
  if (subleaf === 1) return [32 - Math.clz32(processors - 1), processors, 0x201, apicId];
  return [0, 0, subleaf & 0xff, apicId];
}

/** Sizes of XSAVE areas: legacy region and header, then the AVX component where the model has it. */
const XSAVE_BASE_BYTES = 576;
const XSAVE_AVX_BYTES = 256;

function xsaveLeaf(model: CpuidModel, subleaf: number, { xcr0 }: CpuidState, options: number): CpuidResult {
  const avx = model.features.has('AVX');
  const enabled = XSAVE_BASE_BYTES + ((xcr0 & BigInt(Xcr0.AVX)) !== 0n ? XSAVE_AVX_BYTES : 0);
  const largest = XSAVE_BASE_BYTES + (avx ? XSAVE_AVX_BYTES : 0);
  if (subleaf === 0) return [Xcr0.X87 | Xcr0.SSE | (avx ? Xcr0.AVX : 0), enabled, largest, 0];
  if (subleaf === 1) return [options, enabled, 0, 0];
  return subleaf === 2 && avx ? [XSAVE_AVX_BYTES, XSAVE_BASE_BYTES, 0, 0] : [0, 0, 0, 0];
}

export function cpuid(model: CpuidModel, leaf: number, subleaf: number, state: CpuidState): CpuidResult {
  const unsigned = leaf >>> 0;
  const fixed = model.leaves?.[`${unsigned.toString(16)}.${(subleaf >>> 0).toString(16)}`] ?? model.leaves?.[unsigned.toString(16)];
  if (fixed !== undefined) return [...fixed];
  const mask = (register: CpuidRegister, at = unsigned, sub = 0): number => featureMask(model.features, at, sub, register);
  switch (unsigned) {
    case CpuidLeaf.VENDOR: {
      const [ebx, edx, ecx] = words(model.vendor, 3);
      return [model.maximumLeaf, ebx, ecx, edx];
    }
    case CpuidLeaf.VERSION: {
      const osxsave = state.osxsave ? 1 << 27 : 0;
      const ebx = ((state.apicId & 0xff) << 24) | ((state.processors & 0xff) << 16) | (8 << 8); // CLFLUSH line of 64 bytes
      const htt = state.processors > 1 ? 1 << 28 : 0;
      return [version(model), ebx >>> 0, (mask('ecx') | osxsave) >>> 0, (mask('edx') | htt) >>> 0];
    }
    case CpuidLeaf.STRUCTURED_FEATURES:
      if (model.maximumLeaf < unsigned || subleaf !== 0) return [0, 0, 0, 0];
      return [0, mask('ebx'), mask('ecx'), mask('edx')];
    case CpuidLeaf.EXTENDED_TOPOLOGY:
      return topology(model, subleaf >>> 0, state);
    case CpuidLeaf.XSAVE:
      if (!model.features.has('XSAVE')) return [0, 0, 0, 0];
      return xsaveLeaf(model, subleaf, state, mask('eax', unsigned, 1));
    case CpuidLeaf.EXTENDED_MAXIMUM: {
      const [ebx, edx, ecx] = model.vendor === 'AuthenticAMD' ? words(model.vendor, 3) : [0, 0, 0];
      return [0x8000_0008, ebx, ecx, edx];
    }
    case CpuidLeaf.EXTENDED_FEATURES:
      if (model.vendor === 'AuthenticAMD') {
        // AMD repeats the common bits of leaf 1 EDX (APM 3 appendix E.4.1).
        return [version(model), 0, mask('ecx'), (mask('edx') | (mask('edx', 1) & 0x0183_f3ff)) >>> 0];
      }
      return [0, 0, mask('ecx'), mask('edx')];
    case CpuidLeaf.BRAND_FIRST:
    case CpuidLeaf.BRAND_FIRST + 1:
    case CpuidLeaf.BRAND_LAST: {
      const [eax, ebx, ecx, edx] = words(model.brand, 12).slice((unsigned - CpuidLeaf.BRAND_FIRST) * 4);
      return [eax, ebx, ecx, edx];
    }
    case CpuidLeaf.POWER_MANAGEMENT:
      return [0, 0, 0, mask('edx')];
    case CpuidLeaf.ADDRESS_SIZES:
      return [model.physicalAddressBits | (48 << 8), mask('ebx'), 0, 0];
    default:
      // Above the highest basic leaf Intel answers with the data of that leaf; software must not ask, and gets zeros here.
      return [0, 0, 0, 0];
  }
}
