/**
 * ACPI machine language, as much as a DSDT of a plain PC needs: every function gives the bytes of one term.
 * Source: ACPI 6.4 §20.2 (grammar and encodings), §6.4.2 and §6.4.3 (resource descriptors), §19.3.4 (EISAID).
 */
export type Aml = readonly number[];

const word = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
const dword = (value: number): number[] => [...word(value & 0xffff), ...word(Math.floor(value / 0x1_0000) & 0xffff)];

/** ZeroOp, OneOp, or the shortest constant. */
export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  if (value < 0x100) return [0x0a, value];
  return value < 0x1_0000 ? [0x0b, ...word(value)] : [0x0c, ...dword(value)];
}

/** A path of 4-character names, `\\` at the start for the root. Shorter names are filled up with `_`. */
export function name(path: string): Aml {
  const root = path.startsWith('\\') ? [0x5c] : [];
  const parts = path.replace('\\', '').split('.');
  const segments = parts.flatMap((part) => [...part.padEnd(4, '_')].map((letter) => letter.charCodeAt(0)));
  const prefix = parts.length === 1 ? [] : parts.length === 2 ? [0x2e] : [0x2f, parts.length];
  return [...root, ...prefix, ...segments];
}

/** PkgLength counts its own bytes. */
function withLength(body: Aml): number[] {
  if (body.length < 0x3f) return [body.length + 1, ...body];
  const length = body.length + 2;
  if (length < 0x1000) return [0x40 | (length & 0xf), length >> 4, ...body];
  const longer = body.length + 3;
  return [0x80 | (longer & 0xf), (longer >> 4) & 0xff, longer >> 12, ...body];
}

/** Name (path, object). */
export const named = (path: string, object: Aml): Aml => [0x08, ...name(path), ...object];
export const scope = (path: string, ...terms: Aml[]): Aml => [0x10, ...withLength([...name(path), ...terms.flat()])];
export const device = (path: string, ...terms: Aml[]): Aml => [0x5b, 0x82, ...withLength([...name(path), ...terms.flat()])];
export const packageOf = (...elements: Aml[]): Aml => [0x12, ...withLength([elements.length, ...elements.flat()])];
export const buffer = (bytes: Aml): Aml => [0x11, ...withLength([...integer(bytes.length), ...bytes])];

/** `PNP0501` as its compressed number. */
export function eisaId(text: string): Aml {
  const [a, b, c] = [0, 1, 2].map((n) => text.charCodeAt(n) - 0x40);
  const product = Number.parseInt(text.slice(3), 16);
  return [0x0c, ((a << 2) | (b >> 3)) & 0xff, ((b << 5) | c) & 0xff, product >> 8, product & 0xff];
}

/** ResourceTemplate: the descriptors, closed by an end tag without checksum. */
export const resources = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0]);
/** IO (Decode16, base, base, 1, length). */
export const ports = (base: number, length: number): Aml => [0x47, 1, ...word(base), ...word(base), 1, length];
/** IRQNoFlags: an edge, active high. */
export const irq = (number: number): Aml => [0x22, ...word(1 << number)];
/** Bus numbers of a bridge. */
export const busNumbers = (first: number, last: number): Aml => {
  const fields = [0, first, last, 0, last - first + 1].flatMap(word);
  return [0x88, fields.length + 3, 0, 2, 0x0c, 0, ...fields];
};
/** Ports that a bridge passes down. */
export const portWindow = (first: number, last: number): Aml => {
  const fields = [0, first, last, 0, last - first + 1].flatMap(word);
  return [0x88, fields.length + 3, 0, 1, 0x0c, 3, ...fields];
};
/** Memory that a bridge passes down, uncached, writable. */
export const memoryWindow = (first: number, last: number): Aml => {
  const fields = [0, first, last, 0, last - first + 1].flatMap(dword);
  return [0x87, ...word(fields.length + 3), 0, 0x0c, 1, ...fields];
};
