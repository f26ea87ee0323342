/** Bit and byte instructions (SDM 1 §5.1.6) with the counts of BMI1 and LZCNT, and CRC32, on every engine. */
import { describe } from 'vitest';
import { ENGINES, long, testCases } from '../../support/instruction-driver.ts';

const ONES = 0xffff_ffff_ffff_ffffn;
const DATA = 0x2_0100n;

describe.each(ENGINES)('bits and bytes on the %s engine', (engine) => {
  testCases(engine, 'BT and its kin take a register offset modulo the width, but reach through memory (SDM 2A BT)', [
    long('bt eax, ebx', '0fa3d8', { rax: 2n, rbx: 0x21n }, { flags: 'C', undefinedFlags: 'OSAP' }),
    long('bts rax, 0x3f', '480fbae83f', { flags: 'Z' }, { rax: 0x8000_0000_0000_0000n, flags: 'Z', undefinedFlags: 'OSAP' }),
    long('btr rax, rbx', '480fb3d8', { rax: ONES, rbx: 0x40n }, { rax: ONES - 1n, flags: 'C', undefinedFlags: 'OSAP' }),
    long('btc ax, 0xf', '660fbaf80f', { rax: 0x1_8000n }, { rax: 0x1_0000n, flags: 'C', undefinedFlags: 'OSAP' }),
    long(
      'bts dword ptr [rsi], eax',
      '0fab06',
      { rsi: DATA, rax: 0x24n, memory: { 131332: '00' } },
      { undefinedFlags: 'OSAP', memory: { 131332: '10' } },
    ),
    long(
      'btr qword ptr [rsi], rax',
      '480fb306',
      { rsi: DATA, rax: ONES, memory: { 131327: 'ff' } },
      { flags: 'C', undefinedFlags: 'OSAP', memory: { 131327: '7f' } },
    ),
    long(
      'lock btc dword ptr [rsi], 0x21',
      'f00fba3e21',
      { rsi: DATA, memory: { 131328: '0000000000' } },
      { undefinedFlags: 'OSAP', memory: { 131328: '0200000000' } },
    ),
    long('bt dword ptr [rsi], eax', '0fa306', { rsi: 0x2_3ffcn, rax: 0x20n }, { fault: '#PF(4) at 24000' }),
  ]);

  testCases(engine, 'BSF and BSR leave their destination for a source of zero (SDM 2A BSF, BSR; AMD APM 3)', [
    long('bsf rax, rbx', '480fbcc3', { rbx: 0x8000_0000_0000_0000n }, { rax: 63n, flags: '', undefinedFlags: 'OSAPC' }),
    long('bsf eax, ebx', '0fbcc3', { rax: ONES, rbx: 0x1_0000_0000n }, { flags: 'Z', undefinedFlags: 'OSAPC' }),
    long('bsr ax, bx', '660fbdc3', { rax: ONES, rbx: 0x1_0100n }, { rax: 0xffff_ffff_ffff_0008n, flags: '', undefinedFlags: 'OSAPC' }),
  ]);

  testCases(engine, 'TZCNT, LZCNT and POPCNT give the width for zero, or count (SDM 2)', [
    long('tzcnt eax, ebx', 'f30fbcc3', { rax: ONES, rbx: 0n }, { rax: 32n, flags: 'C', undefinedFlags: 'OSAP' }),
    long('tzcnt rax, rbx', 'f3480fbcc3', { rbx: 1n }, { rax: 0n, flags: 'Z', undefinedFlags: 'OSAP' }),
    long('lzcnt ax, bx', '66f30fbdc3', { rbx: 1n }, { rax: 15n, flags: '', undefinedFlags: 'OSAP' }),
    long('lzcnt rax, rbx', 'f3480fbdc3', { rbx: 0n }, { rax: 64n, flags: 'C', undefinedFlags: 'OSAP' }),
    long('popcnt rax, rbx', 'f3480fb8c3', { rbx: ONES, flags: 'OSZAPC' }, { rax: 64n, flags: '' }),
    long('popcnt eax, ebx', 'f30fb8c3', { rax: ONES, rbx: 0n, flags: 'OSAPC' }, { rax: 0n, flags: 'Z' }),
  ]);

  testCases(engine, 'SETcc writes one byte (SDM 2B SETcc)', [
    long('sete al', '0f94c0', { rax: ONES, flags: 'Z' }, { rax: 0xffff_ffff_ffff_ff01n }),
    long('setg ah', '0f9fc4', { rax: ONES, flags: 'SO' }, { rax: 0xffff_ffff_ffff_01ffn }),
    long('setbe byte ptr [rsi]', '0f9606', { rsi: DATA, memory: { 131328: 'ffff' } }, { memory: { 131328: '00ff' } }),
  ]);

  testCases(engine, 'BMI1 and BMI2 (SDM 2 ANDN, BLSR, BEXTR, BZHI, PDEP, PEXT)', [
    long('andn rax, rbx, rcx', 'c4e2e0f2c1', { rbx: 0xf0n, rcx: 0xffn, flags: 'OC' }, { rax: 0x0fn, flags: '', undefinedFlags: 'AP' }),
    long('blsr eax, ebx', 'c4e278f3cb', { rbx: 0n }, { rax: 0n, flags: 'ZC', undefinedFlags: 'AP' }),
    long('bextr rax, rbx, rcx', 'c4e2f0f7c3', { rbx: 0x1234_5678n, rcx: 0x0810n }, { rax: 0x34n, flags: '', undefinedFlags: 'SAP' }),
    long('bzhi rax, rbx, rcx', 'c4e2f0f5c3', { rbx: ONES, rcx: 0x40n }, { rax: ONES, flags: 'SC', undefinedFlags: 'AP' }),
    long('pdep rax, rbx, rcx', 'c4e2e3f5c1', { rbx: 0b101n, rcx: 0xf0f0n }, { rax: 0x50n }),
    long('pext rax, rbx, rcx', 'c4e2e2f5c1', { rbx: 0xa0c0n, rcx: 0xf0f0n }, { rax: 0xacn }),
  ]);

  testCases(engine, 'CRC32 takes the polynomial 11EDC6F41, reflected, without inversions (SDM 2A CRC32)', [
    // CRC-32C of "123456789" is E3069283: with the inversions done by hand, eight bytes and one.
    long(
      'crc32 rax, qword ptr [rsi]; crc32 eax, byte ptr [rsi+0x8]',
      'f2480f38f106f20f38f04608',
      { rax: 0xffff_ffffn, rsi: DATA, memory: { 131328: '313233343536373839' } },
      { rax: 0x1cf9_6d7cn },
    ),
  ]);
});
