/**
 * A test vector: one instruction or a short sequence, the state before it and the state after it, recorded on a real
 * processor. The format is described in test/vectors/README.md.
 */

export interface X87State {
  readonly cw?: string;
  readonly sw?: string;
  readonly tw?: string;
  readonly r?: Readonly<Record<string, string>>;
}

/** Values are hexadecimal; what is missing is the default (initial) or unchanged (final). */
export interface VectorState {
  readonly rip: string;
  readonly regs?: Readonly<Record<string, string>>;
  readonly flags?: string;
  readonly mem?: Readonly<Record<string, string>>;
  readonly xmm?: Readonly<Record<string, string>>;
  readonly mxcsr?: string;
  readonly x87?: X87State;
}

export interface Vector {
  readonly id: string;
  readonly name: string;
  readonly mode: 64 | 32;
  readonly bytes: string;
  readonly initial: VectorState;
  readonly final: VectorState;
  readonly fault: { readonly vector: number; readonly error: string; readonly address?: string } | null;
  readonly undefinedFlags: string;
  readonly undefinedSw?: string;
  readonly ignoreRegs?: readonly string[];
  readonly ignoreX87?: readonly number[];
  readonly ignoreMem?: readonly (readonly [address: string, length: number])[];
  readonly approx?: 'x87trans' | 'rel12' | 'fprem-partial';
  readonly ulp?: number;
}

/** One vector a line. An Error, when a line is not one. */
export function parseVectors(text: string): Vector[] {
  const vectors: Vector[] = [];
  for (const [n, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const vector: unknown = JSON.parse(line);
    if (!isVector(vector)) throw new Error(`line ${n + 1} is not a vector`);
    vectors.push(vector);
  }
  return vectors;
}

/** Has what every vector has. */
function isVector(value: unknown): value is Vector {
  if (typeof value !== 'object' || value === null) return false;
  const { id, mode, bytes, initial, final, fault, undefinedFlags } = value as Partial<Vector>;
  const texts = [id, bytes, initial?.rip, final?.rip, undefinedFlags];
  return texts.every((text) => typeof text === 'string') && (mode === 64 || mode === 32) && typeof fault === 'object';
}

export const hexWord = (text: string): bigint => BigInt(`0x${text}`);

export function hexBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let n = 0; n < bytes.length; n++) bytes[n] = Number.parseInt(text.slice(n * 2, n * 2 + 2), 16);
  return bytes;
}
