/** Shift and rotate instructions (SDM 1 §5.1.5), on every engine. */
import { describe } from 'vitest';
import { ENGINES, long, testCases } from '../../support/instruction-driver.ts';

const ONES = 0xffff_ffff_ffff_ffffn;
const TOP = 0x8000_0000_0000_0000n;

describe.each(ENGINES)('shifts and rotations on the %s engine', (engine) => {
  testCases(engine, 'a count of zero after masking changes nothing, no flag either (SDM 2B SAL/SAR/SHL/SHR)', [
    long('shl eax, cl', 'd3e0', { rax: ONES, rcx: 0x20n, flags: 'OSZAPC' }, { rax: 0xffff_ffffn }),
    long('shl rax, cl', '48d3e0', { rax: ONES, rcx: 0x40n, flags: 'OSZAPC' }, {}),
    long('ror al, 0x0', 'c0c800', { rax: 0x81n, flags: 'O' }, {}),
    long('shld rax, rbx, 0x40', '480fa4d840', { rax: 1n, rbx: ONES, flags: 'OSZAPC' }, {}),
  ]);

  testCases(engine, 'SHL: the last bit that left is CF; OF tells for one bit whether the sign changed', [
    long('shl al, 1', 'd0e0', { rax: 0x80n }, { rax: 0n, flags: 'OZPC', undefinedFlags: 'A' }),
    long('shl al, 1', 'd0e0', { rax: 0xc0n }, { rax: 0x80n, flags: 'SC', undefinedFlags: 'A' }),
    long('shl eax, 0x1f', 'c1e01f', { rax: 3n }, { rax: 0x8000_0000n, flags: 'SPC', undefinedFlags: 'OA' }),
    long('shl rax, 0x3f', '48c1e03f', { rax: 2n }, { rax: 0n, flags: 'ZPC', undefinedFlags: 'OA' }),
    long('shl ax, 0x11', '66c1e011', { rax: 0xffff_ffffn }, { rax: 0xffff_0000n, flags: 'ZP', undefinedFlags: 'OAC' }),
  ]);

  testCases(engine, 'SHR and SAR: OF is the old sign for one bit, and 0', [
    long('shr al, 1', 'd0e8', { rax: 0x81n }, { rax: 0x40n, flags: 'OC', undefinedFlags: 'A' }),
    long('shr rax, 0x3f', '48c1e83f', { rax: TOP }, { rax: 1n, flags: '', undefinedFlags: 'OA' }),
    long('sar al, 1', 'd0f8', { rax: 0x81n }, { rax: 0xc0n, flags: 'SPC', undefinedFlags: 'A' }),
    long('sar eax, 0x1f', 'c1f81f', { rax: 0x8000_0000n }, { rax: 0xffff_ffffn, flags: 'SP', undefinedFlags: 'OA' }),
    long('sar ax, 0x1f', '66c1f81f', { rax: 0x8000n }, { rax: 0xffffn, flags: 'SPC', undefinedFlags: 'OA' }),
    long(
      'sar qword ptr [rbx], cl',
      '48d33b',
      { rbx: 0x2_0000n, rcx: 4n, memory: { 131072: '0000000000000080' } },
      { flags: 'SP', undefinedFlags: 'OA', memory: { 131072: '00000000000000f8' } },
    ),
  ]);

  testCases(engine, 'ROL and ROR turn within the width and change only CF and OF (SDM 2B RCL/RCR/ROL/ROR)', [
    long('rol al, 1', 'd0c0', { rax: 0x80n, flags: 'SZAP' }, { rax: 1n, flags: 'OSZAPC' }),
    long('rol al, 0x8', 'c0c008', { rax: 0x81n }, { flags: 'C', undefinedFlags: 'O' }),
    long('rol rax, 0x21', '48c1c021', { rax: 0x8000_0000n }, { rax: 1n, flags: 'C', undefinedFlags: 'O' }),
    long('ror al, 1', 'd0c8', { rax: 1n }, { rax: 0x80n, flags: 'OC' }),
    long('ror eax, 0x4', 'c1c804', { rax: 0xffff_ffff_0000_000fn }, { rax: 0xf000_0000n, flags: 'C', undefinedFlags: 'O' }),
  ]);

  testCases(engine, 'RCL and RCR turn a ring of the width and CF: 9 and 17 bits come round within a count of 31', [
    long('rcl al, 1', 'd0d0', { rax: 0x80n }, { rax: 0n, flags: 'OC' }),
    long('rcl al, 1', 'd0d0', { rax: 0n, flags: 'C' }, { rax: 1n, flags: '' }),
    long('rcl al, 0x9', 'c0d009', { rax: 0x5an, flags: 'C' }, { undefinedFlags: 'O' }),
    long('rcl ax, 0x12', '66c1d012', { rax: 0x8000n }, { rax: 0n, flags: 'C', undefinedFlags: 'O' }),
    long('rcr al, 1', 'd0d8', { rax: 1n, flags: 'C' }, { rax: 0x80n, flags: 'OC' }),
    long('rcr rax, 0x3f', '48c1d83f', { rax: TOP }, { rax: 1n, flags: '', undefinedFlags: 'O' }),
    long('rcr eax, cl', 'd3d8', { rax: 1n, rcx: 1n }, { rax: 0n, flags: 'C' }),
  ]);

  testCases(engine, 'SHLD and SHRD shift in from the second operand (SDM 2B SHLD, SHRD)', [
    long(
      'shld eax, ebx, 0x8',
      '0fa4d808',
      { rax: 0x1122_3344n, rbx: 0xaabb_ccddn },
      { rax: 0x2233_44aan, flags: 'PC', undefinedFlags: 'OA' },
    ),
    long(
      'shrd rax, rbx, cl',
      '480fadd8',
      { rax: 0xffn, rbx: 1n, rcx: 8n },
      { rax: 0x0100_0000_0000_0000n, flags: 'PC', undefinedFlags: 'OA' },
    ),
    long('shrd ax, bx, 0x10', '660facd810', { rax: 0x8000n, rbx: 0x1234n }, { rax: 0x1234n, flags: 'C', undefinedFlags: 'OA' }),
  ]);

  testCases(engine, 'the shifts of BMI2 change no flag (SDM 2 SARX/SHLX/SHRX, RORX)', [
    long('shlx rax, rbx, rcx', 'c4e2f1f7c3', { rbx: 1n, rcx: 0x7fn, flags: 'OSZAPC' }, { rax: TOP }),
    long('sarx eax, ebx, ecx', 'c4e272f7c3', { rax: ONES, rbx: 0x8000_0000n, rcx: 4n }, { rax: 0xf800_0000n }),
    long('rorx rax, rbx, 0x4', 'c4e3fbf0c304', { rbx: 0xfn }, { rax: 0xf000_0000_0000_0000n }),
  ]);
});
