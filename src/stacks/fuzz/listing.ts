/** A program as text, to be read and to be run again by hand: its instructions, and the parts of its state that are not zero. */
import { Decoder } from '../../x86/decode.ts';
import { disassemble } from '../../x86/disassemble.ts';
import { generalRegisterName } from '../../x86/registers.ts';
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { CODE_START, layOut, type Program } from './program.ts';

const HEX_COLUMN = 32;

export function programListing(program: Program, model: CpuidModel): string[] {
  const { mode, initial } = program;
  const { code } = layOut(program);
  const decoder = new Decoder(model.features);
  const lines: string[] = [];
  const padded = new Uint8Array(code.length + 16).fill(0xcc);
  padded.set(code);
  for (let at = 0; at < code.length; ) {
    const decoded = decoder.decode(padded, at, padded.length - at, mode);
    if (typeof decoded === 'string') {
      lines.push(`${(CODE_START + at).toString(16)}  (${decoded})`);
      break;
    }
    const bytes = [...padded.subarray(at, at + decoded.length)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    lines.push(`${(CODE_START + at).toString(16)}  ${bytes.padEnd(HEX_COLUMN)} ${disassemble(decoded, BigInt(CODE_START + at))}`);
    at += decoded.length;
  }
  const values = [...initial.gpr].flatMap((value, n) => (value === 0n ? [] : [`${generalRegisterName(n, 64)}=${value.toString(16)}`]));
  const vectors = [...initial.xmm].flatMap((value, n) => (value === 0n ? [] : [`xmm${n >> 1}${n & 1 ? 'h' : 'l'}=${value.toString(16)}`]));
  const upper = [...initial.ymmHigh].flatMap((value, n) => (value === 0n ? [] : [`ymm${n >> 1}.${2 + (n & 1)}=${value.toString(16)}`]));
  const stack = [...initial.st].flatMap((value, n) => (value === 0n ? [] : [`r${n >> 1}${n & 1 ? 'e' : 's'}=${value.toString(16)}`]));
  lines.push(`${mode}-bit code, rflags=${initial.rflags.toString(16)} mxcsr=${initial.mxcsr.toString(16)} ${values.join(' ')}`);
  if (vectors.length > 0) lines.push(vectors.join(' '));
  if (upper.length > 0) lines.push(upper.join(' '));
  const { fpuControl, fpuStatus, fpuTag } = initial;
  lines.push(`x87 cw=${fpuControl.toString(16)} sw=${fpuStatus.toString(16)} tags=${fpuTag.toString(16)} ${stack.join(' ')}`);
  return lines;
}
