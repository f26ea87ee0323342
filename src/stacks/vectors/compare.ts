/**
 * Compares the state after a vector with its final state: everything that `final` does not name must be unchanged, and
 * nothing is masked but what the vector masks. Source: test/vectors/README.md ("Fields").
 */
import type { CpuState } from '../../cpu/state.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import type { MemoryImage } from './memory-image.ts';
import { hexWord, type Vector } from './vector.ts';

export interface Ending {
  readonly rip: bigint;
  readonly fault: { readonly vector: number; readonly errorCode: number; readonly address: bigint | undefined } | undefined;
}

const RESUME_FLAG = 0x10000n;
const X87_EXCEPTIONS_OF_APPROXIMATION = 0x30n; // UE, PE
const RELATIVE_ERROR_OF_ESTIMATES = 1.5 * 2 ** -12;

const hex = (value: bigint | number): string => value.toString(16);

export function compareState(
  state: CpuState,
  registerNames: readonly string[],
  memory: PhysicalMemory,
  image: MemoryImage,
  vector: Vector,
  ending: Ending,
): string[] {
  const found: string[] = [];
  const expect = (what: string, actual: bigint, expected: bigint, mask = -1n): void => {
    if (((actual ^ expected) & mask) !== 0n) found.push(`${what} ${hex(actual)}, expected ${hex(expected)}`);
  };
  const { initial, final } = vector;
  compareFault(found, vector, ending);
  expect('rip', ending.rip, hexWord(final.rip));
  registerNames.forEach((name, n) => {
    if (vector.ignoreRegs?.includes(name)) return;
    expect(name, state.get('gpr', n), hexWord(final.regs?.[name] ?? initial.regs?.[name] ?? '0'));
  });
  const flags = hexWord(final.flags ?? initial.flags ?? '202');
  expect('flags', state.get('rflags'), flags, ~(hexWord(vector.undefinedFlags) | RESUME_FLAG));
  for (let n = 0; n < 16; n++) {
    const expected = hexWord(final.xmm?.[n] ?? initial.xmm?.[n] ?? '0');
    const actual = (state.get('xmm', n * 2 + 1) << 64n) | state.get('xmm', n * 2);
    if (vector.approx === 'rel12' && closeEstimates(actual, expected)) continue;
    expect(`xmm${n}`, actual, expected);
  }
  expect('mxcsr', BigInt(state.get32('mxcsr')), hexWord(final.mxcsr ?? initial.mxcsr ?? '1f80'));
  compareX87(expect, state, vector);
  compareMemory(found, memory, image, vector);
  return found;
}

type Expect = (what: string, actual: bigint, expected: bigint, mask?: bigint) => void;

function compareFault(found: string[], { fault }: Vector, ending: Ending): void {
  const expected = fault === null ? 'none' : faultText(fault.vector, fault.error, fault.address);
  const { fault: happened } = ending;
  const address = happened?.address === undefined ? undefined : hex(happened.address);
  const actual = happened === undefined ? 'none' : faultText(happened.vector, hex(happened.errorCode), address);
  if (actual !== expected) found.push(`fault ${actual}, expected ${expected}`);
}

function faultText(vector: number, error: string, address: string | undefined): string {
  return `${vector}(${error}${address === undefined ? '' : ` at ${address}`})`;
}

function compareX87(expect: Expect, state: CpuState, vector: Vector): void {
  const initial = vector.initial.x87;
  const final = vector.final.x87;
  expect('x87 control', BigInt(state.get32('fpuControl')), hexWord(final?.cw ?? initial?.cw ?? '37f'));
  let undefinedStatus = hexWord(vector.undefinedSw ?? '0');
  if (vector.approx === 'x87trans') undefinedStatus |= X87_EXCEPTIONS_OF_APPROXIMATION;
  expect('x87 status', BigInt(state.get32('fpuStatus')), hexWord(final?.sw ?? initial?.sw ?? '0'), ~undefinedStatus);
  expect('x87 tags', BigInt(state.get32('fpuTag')), hexWord(final?.tw ?? initial?.tw ?? '0'));
  for (let n = 0; n < 8; n++) {
    if (vector.ignoreX87?.includes(n)) continue;
    const expected = hexWord(final?.r?.[n] ?? initial?.r?.[n] ?? '0');
    const actual = (BigInt.asUintN(16, state.get('st', n * 2 + 1)) << 64n) | state.get('st', n * 2);
    // Encodings of one sign are ordered as integers, and neighbours are one unit in the last place apart.
    const distance = actual < expected ? expected - actual : actual - expected;
    if (vector.approx === 'x87trans' && distance <= BigInt(vector.ulp ?? 0)) continue;
    expect(`x87 r${n}`, actual, expected);
  }
}

/** Each 32-bit element is equal, or within the error that RCP and RSQRT are allowed. */
function closeEstimates(actual: bigint, expected: bigint): boolean {
  const view = new DataView(new ArrayBuffer(4));
  const float = (bits: bigint): number => {
    view.setUint32(0, Number(bits));
    return view.getFloat32(0);
  };
  for (let at = 0n; at < 128n; at += 32n) {
    const a = (actual >> at) & 0xffff_ffffn;
    const e = (expected >> at) & 0xffff_ffffn;
    if (a === e) continue;
    const value = float(e);
    const error = Math.abs(float(a) - value) / Math.abs(value);
    if (!(Number.isFinite(value) && error <= RELATIVE_ERROR_OF_ESTIMATES)) return false;
  }
  return true;
}

function compareMemory(found: string[], memory: PhysicalMemory, image: MemoryImage, vector: Vector): void {
  const ignored = (vector.ignoreMem ?? []).map(([address, length]) => [Number.parseInt(address, 16), length] as const);
  const different = image
    .differences(memory)
    .filter((address) => !ignored.some(([start, length]) => address >= start && address < start + length));
  for (let n = 0; n < different.length; ) {
    let end = n + 1;
    while (end < different.length && different[end] === different[end - 1] + 1) end++;
    const addresses = different.slice(n, end);
    const text = (byte: (address: number) => number): string => addresses.map((a) => byte(a).toString(16).padStart(2, '0')).join('');
    found.push(`memory ${hex(addresses[0])}: ${text((a) => memory.readU8(a))}, expected ${text((a) => image.byte(a))}`);
    n = end;
  }
}
