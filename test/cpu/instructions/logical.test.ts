/** Logical instructions (SDM 1 §5.1.4), on every engine: CF and OF become 0, SF, ZF and PF follow the result, AF is undefined. */
import { describe } from 'vitest';
import { ENGINES, long, testCases } from '../../support/instruction-driver.ts';

const ONES = 0xffff_ffff_ffff_ffffn;
const DATA = 0x2_0000n;

describe.each(ENGINES)('logical instructions on the %s engine', (engine) => {
  testCases(engine, 'AND, OR and XOR (SDM 2)', [
    long('and al, 0xf0', '24f0', { rax: 0xffffn, flags: 'OC' }, { rax: 0xfff0n, flags: 'SP', undefinedFlags: 'A' }),
    long('and eax, ebx', '21d8', { rax: ONES, rbx: ONES }, { rax: 0xffff_ffffn, flags: 'SP', undefinedFlags: 'A' }),
    long('and rax, 0xffffffffffffff00', '482500ffffff', { rax: 0xffn }, { rax: 0n, flags: 'ZP', undefinedFlags: 'A' }),
    long('or ax, bx', '6609d8', { rax: 0x1000n, rbx: 0x8001n, flags: 'OZC' }, { rax: 0x9001n, flags: 'S', undefinedFlags: 'A' }),
    long('or rax, rbx', '4809d8', { flags: 'OSC' }, { flags: 'ZP', undefinedFlags: 'A' }),
    long('xor eax, eax', '31c0', { rax: ONES, flags: 'OSAC' }, { rax: 0n, flags: 'ZP', undefinedFlags: 'A' }),
    long(
      'xor qword ptr [rbx], 0xffffffffffffffff',
      '488333ff',
      { rbx: DATA, memory: { 131072: '00ff00ff00ff00ff' } },
      { flags: '', undefinedFlags: 'AP', memory: { 131072: 'ff00ff00ff00ff00' } },
    ),
    long(
      'lock or byte ptr [rbx], 0x1',
      'f0800b01',
      { rbx: DATA, memory: { 131072: '02' } },
      { flags: 'P', undefinedFlags: 'A', memory: { 131072: '03' } },
    ),
  ]);

  testCases(engine, 'NOT changes no flag (SDM 2B NOT)', [
    long('not rax', '48f7d0', { rax: 0x00ff_00ff_00ff_00ffn, flags: 'OSZAPC' }, { rax: 0xff00_ff00_ff00_ff00n }),
    long('not ax', '66f7d0', { rax: 0x1_0000n }, { rax: 0x1_ffffn }),
    long('lock not dword ptr [rbx]', 'f0f713', { rbx: DATA, memory: { 131072: '0f0f0f0f' } }, { memory: { 131072: 'f0f0f0f0' } }),
  ]);

  testCases(engine, 'TEST writes nothing but flags (SDM 2B TEST)', [
    long('test al, 0x80', 'a880', { rax: 0xffn, flags: 'OC' }, { flags: 'S', undefinedFlags: 'A' }),
    long('test rax, rbx', '4885d8', { rax: 0xf0n, rbx: 0x0fn }, { flags: 'ZP', undefinedFlags: 'A' }),
    long('test dword ptr [rbx], 0x3', 'f70303000000', { rbx: DATA, memory: { 131072: 'ff000000' } }, { flags: 'P', undefinedFlags: 'A' }),
  ]);

  testCases(engine, 'a read-modify-write on memory that may not be reached faults as a write (SDM 3A §4.7)', [
    long('and dword ptr [rbx], eax', '2103', { rbx: 0x2_4000n, flags: 'OC' }, { fault: '#PF(6) at 24000' }),
    long('test dword ptr [rbx], eax', '8503', { rbx: 0x2_4000n, flags: 'OC' }, { fault: '#PF(4) at 24000' }),
  ]);
});
