/** Control transfer instructions (SDM 1 §5.1.7), on every engine. The code begins at 0x10000. */
import { describe } from 'vitest';
import { ENGINES, legacy, long, testCases } from '../../support/instruction-driver.ts';

const STACK = 0x3_1000n;

describe.each(ENGINES)('control transfer on the %s engine', (engine) => {
  // Each goes to 0x10010, where an int3 is, or falls through to the int3 behind it.
  const conditions: readonly (readonly [name: string, opcode: string, taken: string, not: string])[] = [
    ['jo', '70', 'O', ''],
    ['jb', '72', 'C', 'Z'],
    ['je', '74', 'Z', 'C'],
    ['jbe', '76', 'C', 'SO'],
    ['ja', '77', 'SOP', 'Z'],
    ['js', '78', 'S', 'O'],
    ['jp', '7a', 'P', 'A'],
    ['jl', '7c', 'S', 'SO'],
    ['jge', '7d', 'SO', 'O'],
    ['jle', '7e', 'Z', 'SO'],
    ['jg', '7f', 'SO', 'SOZ'],
  ];
  testCases(
    engine,
    'Jcc by the flags of its condition (SDM 2A Jcc)',
    conditions.flatMap(([name, opcode, taken, not]) => [
      long(`${name} 0x10010`, `${opcode}0e`, { flags: taken }, { end: 0x10 }),
      long(`${name} 0x10010`, `${opcode}0e`, { flags: not }, {}),
    ]),
  );

  testCases(engine, 'JMP near, relative and through registers and memory (SDM 2A JMP)', [
    long('jmp 0x10080', 'eb7e', {}, { end: 0x80 }),
    long('jmp 0x10fff', 'e9fa0f0000', {}, { end: 0xfff }),
    long('jmp rax', 'ffe0', { rax: 0x1_0123n }, { end: 0x123 }),
    long('jmp qword ptr [rax]', 'ff20', { rax: 0x2_0000n, memory: { 131072: '0001010000000000' } }, { end: 0x100 }),
    long('jmp rax', 'ffe0', { rax: 0x8000_0000_0000n }, { fault: '#GP(0)' }),
    long('jmp rax', 'ffe0', { rax: 0x2_0000n }, { fault: '#PF(15) at 20000', end: 0x1_0000 }),
    long('jmp rax', 'ffe0', { rax: 0x1_2000n }, { fault: '#PF(14) at 12000', end: 0x2000 }),
  ]);

  testCases(engine, 'CALL pushes the address behind it, RET goes there (SDM 2A CALL, 2B RET)', [
    long('call 0x10100', 'e8fb000000', {}, { end: 0x100, rsp: STACK - 8n, memory: { 200696: '0500010000000000' } }),
    long('call rax', 'ffd0', { rax: 0x1_0200n }, { end: 0x200, rsp: STACK - 8n, memory: { 200696: '0200010000000000' } }),
    long('call rax', 'ffd0', { rax: 0x1_0200n, rsp: 0x3_0000n }, { fault: '#PF(6) at 2fff8' }),
    long('ret', 'c3', { memory: { 200704: '4000010000000000' } }, { end: 0x40, rsp: STACK + 8n }),
    long('ret 0x10', 'c21000', { memory: { 200704: '4000010000000000' } }, { end: 0x40, rsp: STACK + 0x18n }),
    long('ret', 'c3', { memory: { 200704: '0000000000008000' } }, { fault: '#GP(0)' }),
    legacy('call 0x10100', 'e8fb000000', {}, { end: 0x100, rsp: STACK - 4n, memory: { 200700: '05000100' } }),
  ]);

  testCases(engine, 'LOOP and JRCXZ count in the address size (SDM 2A LOOP, Jcc)', [
    long('loop 0x10010', 'e20e', { rcx: 2n }, { rcx: 1n, end: 0x10 }),
    long('loop 0x10010', 'e20e', { rcx: 1n, flags: 'OSZAPC' }, { rcx: 0n }),
    long('loop 0x10010', '67e20d', { rcx: 0x1_0000_0000n }, { rcx: 0xffff_ffffn, end: 0x10 }),
    long('loope 0x10010', 'e10e', { rcx: 5n, flags: 'Z' }, { rcx: 4n, end: 0x10 }),
    long('loopne 0x10010', 'e00e', { rcx: 5n, flags: 'Z' }, { rcx: 4n }),
    long('jrcxz 0x10010', 'e30e', {}, { end: 0x10 }),
    long('jrcxz 0x10010', 'e30e', { rcx: 0x1_0000_0000n }, {}),
    long('jecxz 0x10010', '67e30d', { rcx: 0x1_0000_0000n }, { end: 0x10 }),
  ]);

  testCases(engine, 'software interrupts and traps (SDM 2A INT n, INTO, BOUND, UD)', [
    long('int 0x3', 'cd03', {}, { fault: '#BP', end: 2 }),
    long('int 0x20', 'cd20', {}, { fault: '#GP(102)' }),
    long('ud2', '0f0b', {}, { fault: '#UD' }),
    legacy('into', 'ce', { flags: 'O' }, { fault: '#OF', end: 1 }),
    legacy('into', 'ce', {}, {}),
    legacy('bound eax, [ebx]', '6203', { rax: 4n, rbx: 0x2_0000n, memory: { 131072: '0000000004000000' } }, {}),
    legacy('bound eax, [ebx]', '6203', { rax: 5n, rbx: 0x2_0000n, memory: { 131072: '0000000004000000' } }, { fault: '#BR' }),
  ]);

  testCases(engine, 'far transfers between code segments of one privilege (SDM 2A CALL, SDM 2B RET)', [
    long(
      'iretq',
      '48cf',
      { memory: { 200704: '50000100000000003300000000000000d70e000000000000f00f0300000000002b00000000000000' } },
      { end: 0x50, rsp: 0x3_0ff0n, flags: 'ODSZAPC' },
    ),
    long('retf', 'cb', { memory: { 200704: '6000010033000000' } }, { end: 0x60, rsp: STACK + 8n }),
    legacy('call 0x23:0x10070', '9a700001002300', {}, { end: 0x70, rsp: STACK - 8n, memory: { 200696: '0700010023000000' } }),
    legacy('jmp 0x23:0x10070', 'ea700001002300', {}, { end: 0x70 }),
    legacy('jmp 0x0:0x10070', 'ea700001000000', {}, { fault: '#GP(0)' }),
    legacy('jmp 0x8:0x10070', 'ea700001000800', {}, { fault: '#GP(8)' }),
  ]);
});
