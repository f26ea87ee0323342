/**
 * Runs single instructions (or short sequences) of user code on an engine, for tests that are tables of cases: what is set
 * before, what is expected after. Everything that a case does not name must be as it was.
 *
 * Machine: src/stacks/vectors/user-machine.ts. The code is at 0x10000, data at 0x20000-0x23fff, the stack pointer begins at
 * 0x31000; int3 follows the code, and a branch that leaves it ends at the int3 that it finds.
 */
import { describe, expect, it } from 'vitest';
import { INT3, type Stop, UserMachine } from '../../src/stacks/vectors/user-machine.ts';
import { Decoder } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import { pushesErrorCode, vectorName } from '../../src/x86/exceptions.ts';
import { ZEN3 } from '../../src/cpu/cpuid/models.ts';
import { generalRegisterName } from '../../src/x86/registers.ts';

export const ENGINES = ['reference', 'interpreter', 'jit'] as const;
export type EngineUnderTest = (typeof ENGINES)[number];

const CODE = 0x10000;
const STACK = 0x31000n;
/** Letters of the flags that a case may name, most significant first. */
const FLAG_LETTERS: readonly (readonly [letter: string, bit: bigint])[] = [
  ['O', 0x800n],
  ['D', 0x400n],
  ['S', 0x80n],
  ['Z', 0x40n],
  ['A', 0x10n],
  ['P', 0x4n],
  ['C', 0x1n],
];
const ALWAYS_SET = 0x202n;

type RegisterName = `r${'a' | 'b' | 'c' | 'd'}x` | 'rsp' | 'rbp' | 'rsi' | 'rdi' | `r${8 | 9 | 10 | 11 | 12 | 13 | 14 | 15}`;

export type Machine = { readonly [name in RegisterName]?: bigint } & {
  /** Letters of the flags that are set, of ODSZAPC. */
  readonly flags?: string;
  /** Hexadecimal bytes by address. */
  readonly memory?: Readonly<Record<number, string>>;
};

export type Expected = Machine & {
  /** Letters of flags that the manual leaves undefined: not looked at. */
  readonly undefinedFlags?: string;
  /** `#DE`, `#GP(0)`, `#PF(6) at 24000`; without it the code runs to its int3. */
  readonly fault?: string;
  /** Offset from the beginning of the code where it ends, when that is not behind the code (or at the faulting instruction). */
  readonly end?: number;
};

export interface Case {
  /** As the disassembler writes it; instructions are separated by `; `. */
  readonly text: string;
  readonly code: string;
  readonly before: Machine;
  readonly after: Expected;
  readonly mode: 64 | 32;
}

/** A case of 64-bit code. */
export const long = (text: string, code: string, before: Machine, after: Expected): Case => ({ text, code, before, after, mode: 64 });
/** A case of 32-bit code. */
export const legacy = (text: string, code: string, before: Machine, after: Expected): Case => ({ text, code, before, after, mode: 32 });

/** A test for each case, on the engines given. */
export function testCases(engine: EngineUnderTest, section: string, cases: readonly Case[]): void {
  const machines = { 64: new UserMachine(64, engine), 32: new UserMachine(32, engine) };
  describe(section, () => {
    it.each(cases.map((one) => [one.mode === 64 ? one.text : `${one.text} (32-bit)`, beforeText(one.before), one] as const))(
      '%s with %s',
      (_text, _before, one) => {
        expect(listing(one)).toBe(one.text);
        expect(runCase(machines[one.mode], one)).toEqual(expected(one));
      },
    );
  });
}

function beforeText(before: Machine): string {
  const parts = Object.entries(before).map(([name, value]) => {
    if (typeof value === 'bigint') return `${name} ${value.toString(16)}`;
    return name === 'flags' ? `flags ${String(value) || 'none'}` : 'memory';
  });
  return parts.join(', ') || 'nothing set';
}

function listing({ code, mode }: Case): string {
  const bytes = Buffer.concat([Buffer.from(code.replaceAll(' ', ''), 'hex'), Buffer.alloc(16, INT3)]);
  const decoder = new Decoder(ZEN3.features);
  const texts: string[] = [];
  for (let at = 0; at < bytes.length - 16; ) {
    const decoded = decoder.decode(bytes, at, bytes.length - at, mode);
    if (typeof decoded === 'string') return `${texts.join('; ')}; ${decoded}`;
    texts.push(disassemble(decoded, BigInt(CODE + at)));
    at += decoded.length;
  }
  return texts.join('; ');
}

function runCase(machine: UserMachine, { code, before, after }: Case): Record<string, unknown> {
  const { memory, processor } = machine;
  const { state } = processor;
  for (const [start, length, background] of [
    [CODE, 0x2000, INT3],
    [0x20000, 0x4000, 0],
    [0x30000, 0x2000, 0],
  ] as const) {
    memory.writeBytes(start, new Uint8Array(length).fill(background));
  }
  const bytes = Buffer.from(code.replaceAll(' ', ''), 'hex');
  memory.writeBytes(CODE, bytes);
  for (const [address, hex] of Object.entries(before.memory ?? {})) memory.writeBytes(Number(address), Buffer.from(hex, 'hex'));
  machine.enterUserMode();
  for (let n = 0; n < 16; n++) state.set('gpr', initialRegister(before, n), n);
  state.set('rip', BigInt(CODE));
  state.set('rflags', flagBits(before.flags ?? '') | ALWAYS_SET);
  const stop = machine.run();
  if (typeof stop === 'string') return { stop };
  const result: Record<string, unknown> = { fault: faultText(machine, stop), end: Number(endOf(machine, stop)) - CODE };
  for (let n = 0; n < 16; n++) result[generalRegisterName(n, 64)] = state.get('gpr', n);
  result.flags = flagText(state.get('rflags'), after.undefinedFlags);
  for (const address of Object.keys({ ...before.memory, ...after.memory }).map(Number)) {
    const length = (after.memory?.[address] ?? before.memory?.[address] ?? '').length / 2;
    result[`memory ${address.toString(16)}`] = Buffer.from(memory.readBytes(address, length)).toString('hex');
  }
  return result;
}

function expected({ code, before, after }: Case): Record<string, unknown> {
  const length = code.replaceAll(' ', '').length / 2;
  const result: Record<string, unknown> = { fault: after.fault ?? 'none', end: after.end ?? (after.fault === undefined ? length : 0) };
  for (let n = 0; n < 16; n++) {
    const name = generalRegisterName(n, 64) as RegisterName;
    result[name] = after[name] ?? initialRegister(before, n);
  }
  result.flags = flagText(flagBits(after.flags ?? before.flags ?? ''), after.undefinedFlags);
  for (const [address, hex] of Object.entries({ ...before.memory, ...after.memory }))
    result[`memory ${Number(address).toString(16)}`] = hex;
  return result;
}

function initialRegister(before: Machine, n: number): bigint {
  return before[generalRegisterName(n, 64) as RegisterName] ?? (n === 4 ? STACK : 0n);
}

function flagBits(letters: string): bigint {
  return FLAG_LETTERS.reduce((bits, [letter, bit]) => (letters.includes(letter) ? bits | bit : bits), 0n);
}

function flagText(bits: bigint, undefinedLetters = ''): string {
  const set = FLAG_LETTERS.filter(([letter, bit]) => (bits & bit) !== 0n && !undefinedLetters.includes(letter));
  return set.map(([letter]) => letter).join('');
}

/** The int3 behind the code is no fault. */
function isEnd({ memory }: UserMachine, { vector, rip, length }: Stop): boolean {
  return vector === 3 && memory.readU8(Number(rip) - length) === INT3;
}

function endOf(machine: UserMachine, stop: Stop): bigint {
  return isEnd(machine, stop) ? stop.rip - BigInt(stop.length) : stop.rip;
}

function faultText(machine: UserMachine, stop: Stop): string {
  if (isEnd(machine, stop)) return 'none';
  const { vector, errorCode, address } = stop;
  const name = vectorName(vector);
  return `${name}${pushesErrorCode(vector) ? `(${errorCode.toString(16)})` : ''}${address === undefined ? '' : ` at ${address.toString(16)}`}`;
}
