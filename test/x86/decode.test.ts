/**
 * Encodings that are odd, rare, reserved or forbidden, in the notation of a listing: bytes, and what a processor makes of them.
 * Sources: SDM 2A §2.1 (prefixes), §2.2.1 (REX), SDM 3A Table 6-2 (priorities); AMD APM 3 §1.2.
 */

import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/x86/decode.ts';
import { disassemble } from '../../src/x86/disassemble.ts';
import type { CodeMode, Instruction } from '../../src/x86/instruction.ts';
import { NO_REGISTER, RIP_REGISTER, Segment } from '../../src/x86/instruction.ts';
import { ALL_ROW_FEATURES } from '../../src/x86/opcode-table.ts';

const decoder = new Decoder(ALL_ROW_FEATURES);

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.split(' '), (byte) => Number.parseInt(byte, 16));
}

function decodeHex(hex: string, mode: CodeMode = 64, withDecoder = decoder): ReturnType<Decoder['decode']> {
  const bytes = bytesOf(hex);
  return withDecoder.decode(bytes, 0, bytes.length, mode);
}

function textOf(hex: string, mode: CodeMode = 64, withDecoder = decoder): string {
  const result = decodeHex(hex, mode, withDecoder);
  if (typeof result === 'string') return result;
  return result.length === bytesOf(hex).length ? disassemble(result, 0n) : `${disassemble(result, 0n)} (${result.length} bytes)`;
}

function instructionOf(hex: string, mode: CodeMode = 64): Instruction {
  const result = decodeHex(hex, mode);
  if (typeof result === 'string') throw new Error(`${hex}: ${result}`);
  return result;
}

describe('prefixes', () => {
  it.each([
    ['90', 'nop'],
    ['66 90', 'nop'],
    ['48 90', 'nop'],
    ['f3 90', 'pause'],
    ['f2 90', 'nop'],
    ['41 90', 'xchg eax, r8d'],
    ['49 90', 'xchg rax, r8'],
    ['0f 1f 44 00 00', 'nop dword ptr [rax+rax*1]'],
    ['66 66 2e 0f 1f 84 00 00 00 00 00', 'nop word ptr [rax+rax*1]'],
    ['48 66 89 c1', 'mov cx, ax'],
    ['66 48 89 c1', 'mov rcx, rax'],
    ['40 48 89 c1', 'mov rcx, rax'],
    ['48 40 89 c1', 'mov ecx, eax'],
    ['4f 3e 88 e0', 'mov al, ah'],
    ['f3 01 c8', 'add eax, ecx'],
    ['f2 f3 a4', 'rep movs byte ptr es:[rdi], byte ptr ds:[rsi]'],
    ['f3 f2 a4', 'repne movs byte ptr es:[rdi], byte ptr ds:[rsi]'],
    ['f3 a6', 'repe cmps byte ptr ds:[rsi], byte ptr es:[rdi]'],
    ['64 f3 48 a5', 'rep movs qword ptr es:[rdi], qword ptr fs:[rsi]'],
    ['64 48 8b 04 25 28 00 00 00', 'mov rax, qword ptr fs:0x28'],
    ['64 3e 8b 00', 'mov eax, dword ptr fs:[rax]'],
    ['67 8b 00', 'mov eax, dword ptr [eax]'],
    ['66 67 a5', 'movs word ptr es:[edi], word ptr ds:[esi]'],
    ['66 f2 0f 10 c1', 'movsd xmm0, xmm1'],
    ['f2 66 0f 38 f1 c1', 'crc32 eax, cx'],
    ['66 f2 48 0f 38 f1 c1', 'crc32 rax, rcx'],
    ['f3 66 0f b8 c1', 'popcnt ax, cx'],
    ['66 48 0f 6e c0', 'movq xmm0, rax'],
    ['66 0f 6e c0', 'movd xmm0, eax'],
    ['f3 0f 1e fa', 'endbr64'],
    ['f3 0f 1e c8', 'nop eax'],
    ['66 e8 00 00 00 00', 'call 0x6'],
    ['66 c3', 'ret'],
    ['66 50', 'push ax'],
    ['66 68 11 22', 'push 0x2211'],
    ['67 e3 fd', 'jecxz 0x0'],
  ])('%s is %s in 64-bit code', (hex, text) => {
    expect(textOf(hex)).toBe(text);
  });

  it.each([
    [32, '66 90', 'nop'],
    [32, '48 90', 'dec eax (1 bytes)'],
    [32, '67 8b 00', 'mov eax, dword ptr [bx+si]'],
    [32, '67 8b 46 80', 'mov eax, dword ptr [bp-0x80]'],
    [32, '67 8b 06 34 12', 'mov eax, dword ptr ds:0x1234'],
    [32, '36 8b 00', 'mov eax, dword ptr ss:[eax]'],
    [32, '3e 8b 45 00', 'mov eax, dword ptr ds:[ebp]'],
    [32, '8b 05 00 00 00 80', 'mov eax, dword ptr ds:0x80000000'],
    [32, '66 e9 fc ff', 'jmp 0x0'],
    [32, '67 e3 fd', 'jcxz 0x0'],
    [32, '9a 78 56 34 12 08 00', 'call 0x8:0x12345678'],
    [32, '66 ea 34 12 08 00', 'jmp 0x8:0x1234'],
    [32, 'c5 00', 'lds eax, fword ptr [eax]'],
    [32, 'c4 e2 78 f2 c1', 'andn eax, eax, ecx'],
    [32, 'c4 e2 f8 f2 c1', 'andn eax, eax, ecx'],
    [16, '8b 00', 'mov ax, word ptr [bx+si]'],
    [16, '66 67 8b 00', 'mov eax, dword ptr [eax]'],
    [16, 'e9 fd ff', 'jmp 0x0'],
    [16, 'a1 34 12', 'mov ax, word ptr ds:0x1234'],
    [16, 'c8 34 12 05', 'enter 0x1234, 0x5'],
  ] as const)('in %i-bit code %s is %s', (mode, hex, text) => {
    expect(textOf(hex, mode)).toBe(text);
  });
});

describe('undefined encodings', () => {
  it.each([
    ['8d c0', 'LEA of a register'],
    ['0f c7 c8', 'CMPXCHG8B of a register'],
    ['0f 01 c5', 'an unassigned form of group 7'],
    ['8e c8', 'MOV to CS'],
    ['8e f0', 'MOV to segment register 6'],
    ['8c f8', 'MOV from segment register 7'],
    ['0f 20 c8', 'MOV from CR1'],
    ['44 0f 20 c8', 'MOV from CR9'],
    ['44 0f 21 c0', 'MOV from DR8'],
    ['8f c8', 'POP with /1'],
    ['c6 c8 00', 'C6 with /1'],
    ['fe d0', 'FE with /2'],
    ['ff f8', 'FF with /7'],
    ['ff d8', 'far CALL through a register'],
    ['0f ba c0 00', 'BT group with /0'],
    ['f3 0f 54 c1', 'ANDPS with F3'],
    ['66 0f 77', 'EMMS with 66'],
    ['f3 0f c3 00', 'MOVNTI with F3'],
    ['0f b8 c0', 'POPCNT without F3'],
    ['66 c4 e2 78 f2 c1', 'VEX after 66'],
    ['48 c4 e2 78 f2 c1', 'VEX after REX'],
    ['f0 c4 e2 78 f2 c1', 'VEX after LOCK'],
    ['c4 e2 7c f2 c1', 'ANDN with VEX.L'],
    ['c4 e0 78 f2 c1', 'VEX map 0'],
    ['62 01 02 03', 'BOUND in 64-bit code'],
    ...['06', '0e', '16', '1e', '07', '17', '1f', '27', '2f', '37', '3f', '60', '61', 'ce', 'd6'].map(
      (hex) => [hex, 'an opcode of IA-32 in 64-bit code'] as const,
    ),
    ['9a 00', 'far CALL in 64-bit code'],
    ['ea 00', 'far JMP in 64-bit code'],
    ['82 c0 01', 'alias 82 in 64-bit code'],
    ['d4 0a', 'AAM in 64-bit code'],
    ['d5 0a', 'AAD in 64-bit code'],
  ] as const)('%s (%s)', (hex) => {
    expect(decodeHex(hex)).toBe('undefined');
  });

  it('recognises SWAPGS, MOVSXD and JRCXZ in 64-bit code only', () => {
    expect(textOf('0f 01 f8')).toBe('swapgs');
    expect(textOf('0f 01 f8', 32)).toBe('undefined');
    expect(textOf('63 c8')).toBe('movsxd ecx, eax');
    expect(textOf('63 c8', 32)).toBe('arpl ax, cx');
  });
});

describe('LOCK', () => {
  it.each([
    ['f0 01 08', 'lock add dword ptr [rax], ecx'],
    ['f0 83 00 01', 'lock add dword ptr [rax], 0x1'],
    ['f0 0f ab 08', 'lock bts dword ptr [rax], ecx'],
    ['f0 48 0f c7 08', 'lock cmpxchg16b xmmword ptr [rax]'],
    ['f0 87 08', 'lock xchg dword ptr [rax], ecx'],
    ['f0 f7 10', 'lock not dword ptr [rax]'],
    ['f0 01 c8', 'undefined'],
    ['f0 03 08', 'undefined'],
    ['f0 39 08', 'undefined'],
    ['f0 0f a3 08', 'undefined'],
    ['f0 89 08', 'undefined'],
    ['f0 90', 'undefined'],
    ['f0 f3 a4', 'undefined'],
    ['f0 f7 20', 'undefined'],
  ])('%s is %s', (hex, text) => {
    expect(textOf(hex)).toBe(text);
  });
});

describe('operands', () => {
  it('takes the displacement of RIP from the end of the instruction, whatever follows it', () => {
    const { memory, immediate, length } = instructionOf('81 05 fc ff ff ff 78 56 34 12');
    expect(memory).toEqual({ segment: Segment.DS, base: RIP_REGISTER, index: NO_REGISTER, scale: 0, displacement: -4n });
    expect([immediate, length]).toEqual([0x12345678n, 10]);
  });

  it('reads a plain 32-bit address in 64-bit code sign-extended, and zero-extended under 67', () => {
    expect(instructionOf('8b 04 25 00 00 00 80').memory?.displacement).toBe(-0x8000_0000n);
    expect(instructionOf('67 8b 04 25 00 00 00 80').memory?.displacement).toBe(0x8000_0000n);
  });

  it('gives SS to addresses with RSP or RBP as base, but not R12, R13 or an index', () => {
    expect(instructionOf('8b 04 24').memory?.segment).toBe(Segment.SS);
    expect(instructionOf('8b 45 00').memory?.segment).toBe(Segment.SS);
    expect(instructionOf('41 8b 04 24').memory).toMatchObject({ segment: Segment.DS, base: 12, index: NO_REGISTER });
    expect(instructionOf('41 8b 45 00').memory).toMatchObject({ segment: Segment.DS, base: 13 });
    expect(instructionOf('8b 04 2d 00 00 00 00').memory).toMatchObject({ segment: Segment.DS, base: NO_REGISTER, index: 5 });
  });

  it('has R12 but not RSP as an index', () => {
    expect(instructionOf('8b 04 60').memory).toMatchObject({ base: 0, index: NO_REGISTER });
    expect(instructionOf('42 8b 04 60').memory).toMatchObject({ base: 0, index: 12, scale: 1 });
  });

  it('needs a displacement with R13 as base, as with RBP, and has no RIP there', () => {
    expect(textOf('41 8b 05 10 00 00 00')).toBe('mov eax, dword ptr [rip+0x10]');
    expect(textOf('43 8b 44 25 10')).toBe('mov eax, dword ptr [r13+r12*1+0x10]');
  });

  it('reads AH only without REX', () => {
    expect(instructionOf('88 e0').operands[1]).toEqual({ kind: 'register', width: 8, index: 0, high: true });
    expect(instructionOf('40 88 e0').operands[1]).toEqual({ kind: 'register', width: 8, index: 4, high: false });
  });

  it('sign-extends what the row says and nothing else', () => {
    expect(instructionOf('48 83 c0 80').immediate).toBe(-128n);
    expect(instructionOf('04 80').immediate).toBe(0x80n);
    expect(instructionOf('48 05 00 00 00 80').immediate).toBe(-0x8000_0000n);
    expect(instructionOf('c2 00 80').immediate).toBe(0x8000n);
    expect(instructionOf('48 b8 00 00 00 00 00 00 00 80').immediate).toBe(-0x8000_0000_0000_0000n);
  });

  it('ignores mod of moves with control registers', () => {
    expect(textOf('0f 22 18')).toBe('mov cr3, rax');
    expect(textOf('44 0f 20 c0')).toBe('mov rax, cr8');
    expect(textOf('0f 22 d8', 32)).toBe('mov cr3, eax');
  });

  it('reads port instructions with 32 bits under REX.W', () => {
    expect(textOf('48 ed')).toBe('in eax, dx');
    expect(instructionOf('48 6d').operandSize).toBe(32);
  });

  it.each([
    ['0f 01 10', 64],
    ['50', 64],
    ['c3', 64],
    ['ff d0', 64],
    ['c9', 64],
    ['cf', 32],
    ['cb', 32],
    ['ff 18', 32],
    ['0f 20 c0', 64],
  ] as const)('%s has an operand size of %i in 64-bit code', (hex, size) => {
    expect(instructionOf(hex).operandSize).toBe(size);
  });
});

describe('missing features', () => {
  it('decodes LZCNT and TZCNT as BSR and BSF, as processors without them do', () => {
    const old = new Decoder(new Set(['CMOV']));
    expect(textOf('f3 0f bd c1')).toBe('lzcnt eax, ecx');
    expect(textOf('f3 0f bd c1', 64, old)).toBe('bsr eax, ecx');
    expect(textOf('f3 0f bc c1')).toBe('tzcnt eax, ecx');
    expect(textOf('f3 0f bc c1', 64, old)).toBe('bsf eax, ecx');
  });

  it.each([
    ['f3 0f b8 c1', 'POPCNT'],
    ['0f 38 f0 00', 'MOVBE'],
    ['48 0f c7 08', 'CX16'],
    ['c4 e2 78 f2 c1', 'BMI1'],
    ['66 0f 38 f6 c1', 'ADX'],
    ['0f 01 cb', 'SMAP'],
    ['f3 0f ae c0', 'FSGSBASE'],
    ['0f 58 c1', 'SSE'],
  ])('%s is undefined without %s', (hex, feature) => {
    expect(typeof decodeHex(hex)).toBe('object');
    const without = new Decoder(new Set([...ALL_ROW_FEATURES].filter((name) => name !== feature)));
    expect(decodeHex(hex, 64, without)).toBe('undefined');
  });
});

describe('length', () => {
  it('accepts 15 bytes and refuses 16', () => {
    expect(textOf(`${'66 '.repeat(13)}89 c1`)).toBe('mov cx, ax');
    expect(decodeHex(`${'66 '.repeat(14)}89 c1`)).toBe('too-long');
    expect(decodeHex('66 '.repeat(15).trim())).toBe('too-long');
    expect(textOf(`${'3e '.repeat(10)}05 78 56 34 12`)).toBe('add eax, 0x12345678');
    expect(decodeHex(`${'3e '.repeat(11)}05 78 56 34 12`)).toBe('too-long');
  });

  it('asks for more bytes when the 15th has not been seen, even if the instruction will be too long', () => {
    expect(decodeHex(`${'3e '.repeat(11)}05 78`)).toBe('need-more-bytes');
    expect(decodeHex('66 '.repeat(14).trim())).toBe('need-more-bytes');
  });

  it.each([
    ['0f 3a', 'need-more-bytes'],
    ['8b', 'need-more-bytes'],
    ['8b 04', 'need-more-bytes'],
    ['8b 04 25 00 00 00', 'need-more-bytes'],
    ['e8 00 00 00', 'need-more-bytes'],
    ['c4', 'need-more-bytes'],
    ['06', 'undefined'],
    ['0f 04', 'undefined'],
    ['8d c0', 'undefined'],
    ['fe d0', 'undefined'],
    ['f0 8b', 'undefined'],
    ['f3 0f 54', 'undefined'],
    ['c6 48', 'undefined'],
    ['81', 'need-more-bytes'],
  ])('%s at the end of a page is %s', (hex, result) => {
    expect(decodeHex(hex)).toBe(result);
  });

  it('reads only what it is given', () => {
    const bytes = bytesOf('cc cc 81 c0 78 56 34 12 cc');
    expect(decoder.decode(bytes, 2, 5, 64)).toBe('need-more-bytes');
    expect(decoder.decode(bytes, 2, 6, 64)).toMatchObject({ length: 6, immediate: 0x12345678n });
    expect(decoder.decode(bytes, 2, 100, 64)).toMatchObject({ length: 6 });
    expect(decoder.decode(bytes, 9, 15, 64)).toBe('need-more-bytes');
  });
});
