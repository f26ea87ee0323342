/**
 * What a kernel image tells the domain builder: its "Xen" ELF notes, or the older `__xen_guest` string.
 * Lookup order (Xen public/elfnote.h, observed on Xen 4.17): PT_NOTE segments; if they have
 * no Xen note, SHT_NOTE sections; if those have none either, the section `__xen_guest`.
 * Used by Dom0's toolstack for DomUs and by the hypervisor for a Dom0 made of instructions. Unfit images are
 * {@link ConfigError}s of one line.
 */

import { type ElfImage, type ElfNote, EM_386, EM_X86_64, notesOfSections, notesOfSegments, PT_LOAD, text } from '../base/elf.ts';
import { ConfigError } from '../base/errors.ts';
import type { PvKernel } from './start-of-day.ts';

/** XEN_ELFNOTE_* of Xen public/elfnote.h. */
export const XEN_ELFNOTE = {
  INFO: 0,
  ENTRY: 1,
  HYPERCALL_PAGE: 2,
  VIRT_BASE: 3,
  PADDR_OFFSET: 4,
  XEN_VERSION: 5,
  GUEST_OS: 6,
  GUEST_VERSION: 7,
  LOADER: 8,
  PAE_MODE: 9,
  FEATURES: 10,
  BSD_SYMTAB: 11,
  HV_START_LOW: 12,
  L1_MFN_VALID: 13,
  SUSPEND_CANCEL: 14,
  INIT_P2M: 15,
  MOD_START_PFN: 16,
  SUPPORTED_FEATURES: 17,
  PHYS32_ENTRY: 18,
  PHYS32_RELOC: 19,
} as const;

/** Bit numbers are those of XENFEAT_* (Xen public/features.h); names as the FEATURES note spells them. */
const featureBits: Record<string, number> = {
  writable_page_tables: 0,
  writable_descriptor_tables: 1,
  auto_translated_physmap: 2,
  supervisor_mode_kernel: 3,
  pae_pgdir_above_4gb: 4,
  hvm_callback_vector: 8,
  dom0: 11,
};

export interface XenKernelInfo {
  readonly guestOs: string;
  readonly guestVersion: string;
  readonly loader: string;
  readonly xenVersion: string;
  /** Virtual address of the page to fill with stubs; undefined when the kernel issues SYSCALL itself. */
  readonly hypercallPage: bigint | undefined;
  readonly virtBase: bigint;
  readonly paddrOffset: bigint;
  readonly entry: bigint;
  readonly initP2m: bigint | undefined;
  readonly modStartPfn: boolean;
  readonly suspendCancel: boolean;
  readonly paeMode: string;
  readonly bsdSymtab: boolean;
  /** XENFEAT bits that the kernel can live with, and those that it demands. */
  readonly supportedFeatures: number;
  readonly requiredFeatures: number;
  readonly source: 'notes' | '__xen_guest';
}

/** A kernel that the builder can load as a 64-bit PV domain. */
export interface PvImage {
  readonly info: XenKernelInfo;
  readonly kernel: PvKernel;
  /** What goes where in the domain's virtual memory, above VIRT_BASE; the rest of each range is zero. */
  readonly segments: readonly { readonly virtual: bigint; readonly data: Uint8Array; readonly memoryBytes: bigint }[];
}

/**
 * Reads the kernel's own words, without judging whether it can run here.
 * @throws {ConfigError} when there are none, or they contradict each other.
 */
export function readXenKernelInfo(image: ElfImage): XenKernelInfo {
  const isXen = (note: ElfNote): boolean => note.owner === 'Xen';
  let notes = notesOfSegments(image).filter(isXen);
  if (notes.length === 0) notes = notesOfSections(image).filter(isXen);
  if (notes.length > 0) return infoFromNotes(image, notes);
  const legacy = image.sections.find(({ name }) => name === '__xen_guest');
  if (legacy !== undefined) return infoFromLegacyString(image, text(legacy.data, 0));
  throw new ConfigError('the image has no Xen ELF notes, so it is not a kernel for a PV domain');
}

/**
 * Checks that the image can be built as a 64-bit PV domain and computes where its segments go.
 * @throws {ConfigError} saying what is not fit.
 */
export function readPvImage(image: ElfImage): PvImage {
  const info = readXenKernelInfo(image);
  if (image.bits === 32 || image.machine === EM_386) throw new ConfigError('a 32-bit PV kernel: only 64-bit PV domains are supported');
  if (image.machine !== EM_X86_64) throw new ConfigError(`the image is for ELF machine ${image.machine}, not x86-64`);
  if (!info.xenVersion.startsWith('xen-3.0'))
    throw new ConfigError(`the image wants hypervisor interface "${info.xenVersion}", not xen-3.0`);
  if (!info.guestOs.startsWith('linux') && !info.loader.startsWith('generic'))
    throw new ConfigError(`the image wants loader "${info.loader}", not generic`);
  if ((info.requiredFeatures & (1 << 2)) !== 0)
    throw new ConfigError('the image requires auto_translated_physmap, which PV domains do not have');
  const loads = image.segments.filter(({ type, memoryBytes }) => type === PT_LOAD && memoryBytes > 0n);
  if (loads.length === 0) throw new ConfigError('the image has no segments to load');
  const segments = loads.map(({ physical, data, memoryBytes }) => ({
    virtual: BigInt.asUintN(64, physical - info.paddrOffset + info.virtBase),
    data,
    memoryBytes,
  }));
  let virtStart = segments[0]!.virtual;
  let virtEnd = virtStart;
  for (const { virtual, memoryBytes } of segments) {
    if (virtual < virtStart) virtStart = virtual;
    if (virtual + memoryBytes > virtEnd) virtEnd = virtual + memoryBytes;
  }
  if (info.hypercallPage !== undefined && (info.hypercallPage < virtStart || info.hypercallPage + 4096n > roundUpToPage(virtEnd)))
    throw new ConfigError(`HYPERCALL_PAGE 0x${info.hypercallPage.toString(16)} is outside the kernel`);
  if (info.hypercallPage !== undefined && info.hypercallPage % 4096n !== 0n)
    throw new ConfigError(`HYPERCALL_PAGE 0x${info.hypercallPage.toString(16)} is not page aligned`);
  const { virtBase, entry, initP2m, modStartPfn } = info;
  return { info, segments, kernel: { virtBase, virtStart, virtEnd, entry, initP2m, modStartPfn } };
}

function infoFromNotes(image: ElfImage, notes: readonly ElfNote[]): XenKernelInfo {
  const find = (type: number): Uint8Array | undefined => notes.findLast((note) => note.type === type)?.descriptor;
  const string = (type: number): string => text(find(type) ?? new Uint8Array(0), 0);
  const number = (type: number): bigint | undefined => {
    const descriptor = find(type);
    if (descriptor === undefined) return undefined;
    const view = new DataView(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength);
    if (descriptor.length === 8) return view.getBigUint64(0, true);
    if (descriptor.length === 4) return BigInt(view.getUint32(0, true));
    throw new ConfigError(`Xen ELF note ${type} has ${descriptor.length} bytes, but is a number of 4 or 8`);
  };
  const virtBase = number(XEN_ELFNOTE.VIRT_BASE);
  const paddrOffset = number(XEN_ELFNOTE.PADDR_OFFSET);
  if (paddrOffset !== undefined && virtBase === undefined) throw new ConfigError('Xen ELF note PADDR_OFFSET without VIRT_BASE');
  const features = parseFeatures(string(XEN_ELFNOTE.FEATURES));
  let supported = features.supported;
  const words = find(XEN_ELFNOTE.SUPPORTED_FEATURES);
  if (words !== undefined && words.length >= 4) supported |= new DataView(words.buffer, words.byteOffset).getUint32(0, true);
  return {
    guestOs: string(XEN_ELFNOTE.GUEST_OS),
    guestVersion: string(XEN_ELFNOTE.GUEST_VERSION),
    loader: string(XEN_ELFNOTE.LOADER),
    xenVersion: string(XEN_ELFNOTE.XEN_VERSION),
    hypercallPage: number(XEN_ELFNOTE.HYPERCALL_PAGE),
    virtBase: virtBase ?? 0n,
    paddrOffset: paddrOffset ?? 0n,
    entry: number(XEN_ELFNOTE.ENTRY) ?? image.entry,
    initP2m: number(XEN_ELFNOTE.INIT_P2M),
    modStartPfn: (number(XEN_ELFNOTE.MOD_START_PFN) ?? 0n) !== 0n,
    suspendCancel: (number(XEN_ELFNOTE.SUSPEND_CANCEL) ?? 0n) !== 0n,
    paeMode: string(XEN_ELFNOTE.PAE_MODE),
    bsdSymtab: string(XEN_ELFNOTE.BSD_SYMTAB).startsWith('yes'),
    supportedFeatures: supported,
    requiredFeatures: features.required,
    source: 'notes',
  };
}

/** `KEY=VALUE,KEY=VALUE,...`; HYPERCALL_PAGE is a page number above VIRT_BASE. */
function infoFromLegacyString(image: ElfImage, string: string): XenKernelInfo {
  const values = new Map<string, string>();
  for (const item of string.split(',')) {
    const equals = item.indexOf('=');
    const key = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    if (key.length > 31 || value.length > 127) throw new ConfigError(`__xen_guest: "${key.slice(0, 31)}" is too long`);
    values.set(key, value);
  }
  const number = (key: string): bigint | undefined => {
    const value = values.get(key);
    if (value === undefined) return undefined;
    if (!/^(0x[0-9a-f]{1,16}|[0-9]{1,19})$/i.test(value)) throw new ConfigError(`__xen_guest: ${key}=${value} is not a number`);
    return BigInt.asUintN(64, BigInt(value));
  };
  const virtBase = number('VIRT_BASE') ?? 0n;
  const page = number('HYPERCALL_PAGE');
  const features = parseFeatures(values.get('FEATURES') ?? '');
  return {
    guestOs: values.get('GUEST_OS') ?? '',
    guestVersion: values.get('GUEST_VER') ?? '',
    loader: values.get('LOADER') ?? '',
    xenVersion: values.get('XEN_VER') ?? '',
    hypercallPage: page === undefined ? undefined : BigInt.asUintN(64, (page << 12n) + virtBase),
    virtBase,
    paddrOffset: number('ELF_PADDR_OFFSET') ?? virtBase,
    entry: number('VIRT_ENTRY') ?? image.entry,
    initP2m: undefined,
    modStartPfn: false,
    suspendCancel: false,
    paeMode: values.get('PAE') ?? '',
    bsdSymtab: values.has('BSD_SYMTAB'),
    supportedFeatures: features.supported,
    requiredFeatures: features.required,
    source: '__xen_guest',
  };
}

/** Names joined by `|`; `!` makes one required. Unknown names count only when required. */
function parseFeatures(list: string): { supported: number; required: number } {
  let supported = 0;
  let required = 0;
  for (const item of list.split('|')) {
    if (item === '') continue;
    const name = item.replace(/^!/, '');
    const bit = Object.hasOwn(featureBits, name) ? featureBits[name] : undefined;
    if (bit === undefined) {
      if (item.startsWith('!')) throw new ConfigError(`the image requires the feature "${name}", which is unknown here`);
      continue;
    }
    supported |= 1 << bit;
    if (item.startsWith('!')) required |= 1 << bit;
  }
  return { supported, required };
}

const roundUpToPage = (address: bigint): bigint => (address + 4095n) & ~4095n;
