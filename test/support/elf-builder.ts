/** Builds small 64-bit ELF files from parts, so that loader tests need no compiler. */

export interface ElfParts {
  entry?: bigint;
  machine?: number;
  segments?: { type?: number; flags?: number; virtual: bigint; physical?: bigint; data: Uint8Array; memoryBytes?: bigint }[];
  sections?: { name: string; type: number; data: Uint8Array; address?: bigint; link?: number }[];
}

export function buildElf(parts: ElfParts): Uint8Array {
  const segments = parts.segments ?? [];
  const names = ['', ...(parts.sections ?? []).map(({ name }) => name), '.shstrtab'];
  const strings = ascii(`${names.join('\0')}\0`);
  const sections = [...(parts.sections ?? []), { name: '.shstrtab', type: 3, data: strings }];
  const chunks = [...segments.map(({ data }) => data), ...sections.map(({ data }) => data)];
  const offsets: number[] = [];
  let at = 64 + segments.length * 56;
  for (const chunk of chunks) {
    offsets.push(at);
    at += Math.ceil(chunk.length / 8) * 8;
  }
  const sectionTable = at;
  const file = new Uint8Array(sectionTable + (sections.length + 1) * 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, parts.machine ?? 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, parts.entry ?? 0n, true);
  view.setBigUint64(32, segments.length > 0 ? 64n : 0n, true);
  view.setBigUint64(40, BigInt(sectionTable), true);
  [64, 56, segments.length, 64, sections.length + 1, sections.length].forEach((value, i) => {
    view.setUint16(52 + 2 * i, value, true);
  });
  segments.forEach((segment, i) => {
    const row = 64 + i * 56;
    view.setUint32(row, segment.type ?? 1, true);
    view.setUint32(row + 4, segment.flags ?? 7, true);
    const length = BigInt(segment.data.length);
    [BigInt(offsets[i]!), segment.virtual, segment.physical ?? segment.virtual, length, segment.memoryBytes ?? length, 4096n].forEach(
      (value, k) => {
        view.setBigUint64(row + 8 + 8 * k, value, true);
      },
    );
  });
  let nameAt = 1;
  sections.forEach((section, i) => {
    const row = sectionTable + (i + 1) * 64;
    view.setUint32(row, nameAt, true);
    nameAt += section.name.length + 1;
    view.setUint32(row + 4, section.type, true);
    view.setBigUint64(row + 16, ('address' in section && section.address) || 0n, true);
    view.setBigUint64(row + 24, BigInt(offsets[segments.length + i]!), true);
    view.setBigUint64(row + 32, BigInt(section.data.length), true);
    view.setUint32(row + 40, ('link' in section && section.link) || 0, true);
  });
  chunks.forEach((chunk, i) => {
    file.set(chunk, offsets[i]!);
  });
  return file;
}

/** One note; a string descriptor gets its NUL, a bigint becomes 8 bytes. */
export function elfNote(type: number, descriptor: string | bigint | Uint8Array, owner = 'Xen'): Uint8Array {
  const bytes = typeof descriptor === 'string' ? ascii(`${descriptor}\0`) : typeof descriptor === 'bigint' ? u64(descriptor) : descriptor;
  const ownerBytes = ascii(`${owner}\0`);
  const note = new Uint8Array(12 + pad(ownerBytes.length) + pad(bytes.length));
  const view = new DataView(note.buffer);
  view.setUint32(0, ownerBytes.length, true);
  view.setUint32(4, bytes.length, true);
  view.setUint32(8, type, true);
  note.set(ownerBytes, 12);
  note.set(bytes, 12 + pad(ownerBytes.length));
  return note;
}

export function concat(...pieces: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const pad = (bytes: number): number => Math.ceil(bytes / 4) * 4;

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}
