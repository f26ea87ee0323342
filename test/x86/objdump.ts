/**
 * The GNU disassembler as an independent decoder: runs it, reads its lines, and brings both texts to one notation.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CodeMode } from '../../src/x86/instruction.ts';

export interface ObjdumpLine {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly text: string;
}

function run(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'ignore'] }).toString();
  } catch {
    return undefined;
  }
}

export const HAS_OBJDUMP = run('objdump', ['--version']) !== undefined;

function readLines(text: string): ObjdumpLine[] {
  const lines: ObjdumpLine[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t(.*)$/.exec(line);
    if (match === null) continue;
    const bytes = Uint8Array.from(match[2]!.trim().split(' '), (byte) => Number.parseInt(byte, 16));
    lines.push({ address: Number.parseInt(match[1]!, 16), bytes, text: match[3]! });
  }
  return lines;
}

/** Disassembles the code sections of an object or executable file; undefined when that does not work here. */
export function objdumpFile(file: string): ObjdumpLine[] | undefined {
  const text = run('objdump', ['-d', '-Mintel', '--insn-width=16', file]);
  return text === undefined ? undefined : readLines(text);
}

/** Disassembles plain bytes that stand at address 0. */
export function objdumpBytes(bytes: Uint8Array, mode: CodeMode): ObjdumpLine[] {
  const folder = mkdtempSync(join(tmpdir(), 'decode-'));
  try {
    const file = join(folder, 'code.bin');
    writeFileSync(file, bytes);
    const machine = mode === 64 ? 'i386:x86-64' : mode === 32 ? 'i386' : 'i8086';
    return readLines(run('objdump', ['-D', '-b', 'binary', '-m', machine, '-Mintel', '--insn-width=16', file]) ?? '');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Compiles C for IA-32 and disassembles the object; undefined where no such compiler is installed. */
export function compile32(source: string): ObjdumpLine[] | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'decode-'));
  try {
    const file = join(folder, 'code.c');
    writeFileSync(file, source);
    const object = join(folder, 'code.o');
    if (run('gcc', ['-m32', '-O2', '-c', '-o', object, file]) === undefined) return undefined;
    return objdumpFile(object);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Notation of the GNU disassembler that is not the manual's: [theirs, ours], applied to whole texts. */
const THEIR_NOTATION: readonly (readonly [RegExp, string])[] = [
  [/#.*|<.*/, ''],
  [/\s+/g, ' '],
  [/, /g, ','],
  // Prefixes without effect, written as words.
  [/^(?:(?:rex(?:\.\w+)?|cs|ds|es|ss|data16|addr32|bnd|notrack) )+/, ''],
  [/^repz (?=ret)/, ''],
  [/^rep ret/, 'ret'],
  [/\brepz /, 'repe '],
  [/\brepnz /, 'repne '],
  [/\bmovabs\b/, 'mov'],
  [/^fwait/, 'wait'],
  [/st\(0\)/g, 'st'],
  [/\+0x0\]/, ']'],
  [/[+][re]iz\*1/, ''],
  [/oword ptr/, 'xmmword ptr'],
  // Displacements of RIP are written as unsigned 64-bit numbers.
  [/\[rip\+0xf{4,}[0-9a-f]+\]/, '[rip-]'],
  [/\[rip-0x[0-9a-f]+\]/, '[rip-]'],
  // Targets of branches have no prefix.
  [/^(j\w+|call|loop\w*) ([0-9a-f]+)$/, '$1 0x$2'],
  // Order of the operands of XCHG with the accumulator, and of NOP.
  [/^xchg ax,ax$/, 'nop'],
  [/^xchg (\w+),(ax|eax|rax)$/, 'xchg $2,$1'],
  // The size of a plain address is told by the register.
  [/^mov (\w+),(?:byte|word|dword|qword) ptr (\w\w:0x)/, 'mov $1,$2'],
  [/^mov (?:byte|word|dword|qword) ptr (\w\w:0x[0-9a-f]+),(al|ax|eax|rax)$/, 'mov $1,$2'],
  // Suffixes of operand size.
  [/^(push|pop)fw/, '$1f.16'],
  [/^(push|pop)f$/, '$1f.mode'],
  [/^(push|pop)aw/, '$1a.16'],
  [/^(push|pop)a$/, '$1a.mode'],
  [/^(push|pop)([af])d$/, '$1$2.32'],
  [/^iretd$/, 'iret.32'],
  [/^iretw/, 'iret.16'],
  [/^iret$/, 'iret.mode'],
  [/^(sysret|sysexit)d$/, '$1'],
  [/^([sl][gi]dt)[dw]/, '$1'],
  // Selectors have 16 bits whatever register holds them.
  [/^mov (es|cs|ss|ds|fs|gs),e?([abcd]x)/, 'mov $1,$2'],
  [/^(lar|lsl) (\w+),[er](\w+)/, '$1 $2,$3'],
  // Implied operands and sizes.
  [/^(blendvp[sd]|pblendvb|sha256rnds2) (.+,.+),xmm0$/, '$1 $2'],
  [/^(bound|invpcid|v?lddqu) (\w+),(?:\w+ ptr )?/, '$1 $2,'],
  [/^(v?)pclmul\w+ (.*?)(?:,0x\w+)?$/, '$1pclmulqdq $2'],
  [/^vcmp(?:[a-z_]+?)??([ps][sd]) (.*?)(?:,0x\w+)?$/, 'vcmp$1 $2'],
  // Hints that processors without the feature execute as NOP.
  [/^(?:bndldx|bndstx|cldemote|nop) .*/, 'nop hint'],
  [/\(8087 only\)|\(287 only\)/, ''],
];

/** The size suffix that the manual writes, in the notation of {@link THEIR_NOTATION}. */
function ourSuffixes(text: string, mode: CodeMode): string {
  const match = /^(pushf|popf|pusha|popa|iret)([dq]?)$/.exec(text);
  if (match === null) return text;
  const size = match[2] === '' ? 16 : match[2] === 'd' ? 32 : 64;
  // PUSHF and POPF have no 32-bit form in 64-bit mode, IRET has both and defaults to 32.
  const usual = mode === 64 ? (match[1] === 'iret' ? 32 : 64) : mode;
  if (mode === 64 && match[1] === 'iret' && size === 64) return 'iretq';
  return `${match[1]}${size === usual ? '.mode' : size === 16 ? '.16' : '.32'}`;
}

/** One notation for the texts of the GNU disassembler. */
export function normalise(text: string): string {
  let result = text.toLowerCase().trim();
  for (const [pattern, replacement] of THEIR_NOTATION) result = result.replace(pattern, replacement).trim();
  return result;
}

/** The same for our own. */
export function normaliseOurs(text: string, mode: CodeMode): string {
  return normalise(ourSuffixes(text, mode));
}
