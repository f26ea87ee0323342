/** Data transfer instructions (SDM 1 §5.1.1), on every engine. */
import { describe } from 'vitest';
import { ENGINES, legacy, long, testCases } from '../../support/instruction-driver.ts';

const ONES = 0xffff_ffff_ffff_ffffn;

describe.each(ENGINES)('data transfer on the %s engine', (engine) => {
  testCases(engine, 'MOV keeps the rest of a register for 8 and 16 bits and clears it for 32 (SDM 1 §3.4.1.1)', [
    long('mov al, 0x80', 'b080', { rax: ONES }, { rax: 0xffff_ffff_ffff_ff80n }),
    long('mov ah, bl', '88dc', { rax: ONES, rbx: 0x12n }, { rax: 0xffff_ffff_ffff_12ffn }),
    long('mov spl, bl', '4088dc', { rbx: 0x12n }, { rsp: 0x3_1012n }),
    long('mov ax, 0x8000', '66b80080', { rax: ONES }, { rax: 0xffff_ffff_ffff_8000n }),
    long('mov eax, ebx', '89d8', { rax: ONES, rbx: 0xffff_ffff_8000_0000n }, { rax: 0x8000_0000n }),
    long('mov rax, 0xffffffff80000000', '48c7c000000080', {}, { rax: 0xffff_ffff_8000_0000n }),
    long('mov rbx, qword ptr [rax]', '488b18', { rax: 0x2_0000n, memory: { 131072: '0102030405060708' } }, { rbx: 0x0807_0605_0403_0201n }),
    long(
      'mov dword ptr [rax+rcx*4-0x4], 0x11223344',
      'c74488fc44332211',
      { rax: 0x2_0000n, rcx: 2n, memory: { 131075: '555555555555' } },
      { memory: { 131075: '554433221155' } },
    ),
    long('mov ax, ds', '668cd8', { rax: ONES }, { rax: 0xffff_ffff_ffff_002bn }),
    long('mov eax, ds', '8cd8', { rax: ONES }, { rax: 0x2bn }),
  ]);

  testCases(engine, 'MOV that faults changes nothing (SDM 3A §6.5)', [
    long('mov rax, qword ptr [rbx]', '488b03', { rax: 1n, rbx: 0x2_4000n }, { fault: '#PF(4) at 24000' }),
    long('mov qword ptr [rbx], rax', '488903', { rax: ONES, rbx: 0x2_3ffcn, memory: { 147452: '00000000' } }, { fault: '#PF(6) at 24000' }),
    long('mov rax, qword ptr [rbx]', '488b03', { rbx: 0x8000_0000_0000n }, { fault: '#GP(0)' }),
    long('mov rax, qword ptr [rbp]', '488b4500', { rbp: 0x8000_0000_0000n }, { fault: '#SS(0)' }),
  ]);

  testCases(engine, 'CMOVcc clears the upper half also when it does not move (SDM 2A CMOVcc)', [
    long('cmove eax, ebx', '0f44c3', { rax: ONES, rbx: 5n, flags: 'Z' }, { rax: 5n }),
    long('cmove eax, ebx', '0f44c3', { rax: ONES, rbx: 5n }, { rax: 0xffff_ffffn }),
    long('cmovl rax, rbx', '480f4cc3', { rax: 1n, rbx: 2n, flags: 'S' }, { rax: 2n }),
    long('cmovl rax, rbx', '480f4cc3', { rax: 1n, rbx: 2n, flags: 'SO' }, {}),
    long('cmova eax, dword ptr [rbx]', '0f4703', { rbx: 0x2_4000n, flags: 'C' }, { fault: '#PF(4) at 24000' }),
  ]);

  testCases(engine, 'XCHG, XADD and CMPXCHG exchange with memory (SDM 2)', [
    long(
      'xchg qword ptr [rbx], rax',
      '488703',
      { rax: 1n, rbx: 0x2_0000n, memory: { 131072: '0200000000000000' } },
      { rax: 2n, memory: { 131072: '0100000000000000' } },
    ),
    long('xchg ah, al', '86c4', { rax: 0x1234n }, { rax: 0x3412n }),
    long(
      'lock xadd dword ptr [rbx], eax',
      'f00fc103',
      { rax: 0xffff_ffff_0000_0001n, rbx: 0x2_0000n, memory: { 131072: 'ffffffff' } },
      { rax: 0xffff_ffffn, flags: 'ZAPC', memory: { 131072: '00000000' } },
    ),
    long(
      'cmpxchg qword ptr [rbx], rcx',
      '480fb10b',
      { rax: 7n, rcx: 9n, rbx: 0x2_0000n, memory: { 131072: '0700000000000000' } },
      { flags: 'ZP', memory: { 131072: '0900000000000000' } },
    ),
    long('cmpxchg ebx, ecx', '0fb1cb', { rax: 7n, rcx: 9n, rbx: 8n }, { rax: 8n, flags: 'SAPC' }),
    long(
      'cmpxchg8b qword ptr [rsi]',
      '0fc70e',
      { rax: 1n, rdx: 2n, rbx: 3n, rcx: 4n, rsi: 0x2_0000n, memory: { 131072: '0100000002000000' } },
      { flags: 'Z', memory: { 131072: '0300000004000000' } },
    ),
    long('cmpxchg16b xmmword ptr [rsi]', '480fc70e', { rsi: 0x2_0008n }, { fault: '#GP(0)' }),
    long('bswap eax', '0fc8', { rax: 0xffff_ffff_1122_3344n }, { rax: 0x4433_2211n }),
  ]);

  testCases(engine, 'PUSH and POP (SDM 1 §6.2)', [
    long('push rsp', '54', {}, { rsp: 0x3_0ff8n, memory: { 200696: '0010030000000000' } }),
    long('push 0xffffffffffffff80', '6a80', {}, { rsp: 0x3_0ff8n, memory: { 200696: '80ffffffffffffff' } }),
    long('push ax', '6650', { rax: 0x1234n }, { rsp: 0x3_0ffen, memory: { 200702: '3412' } }),
    long('pop rsp', '5c', { memory: { 200704: '8877665544332211' } }, { rsp: 0x1122_3344_5566_7788n }),
    long(
      'pop qword ptr [rsp+0x8]',
      '8f442408',
      { memory: { 200704: '0100000000000000', 200720: '0000000000000000' } },
      { rsp: 0x3_1008n, memory: { 200720: '0100000000000000' } },
    ),
    long('push rax', '50', { rsp: 0x3_0000n }, { fault: '#PF(6) at 2fff8' }),
    legacy(
      'pushad',
      '60',
      { rax: 1n, rcx: 2n, rdx: 3n, rbx: 4n, rbp: 6n, rsi: 7n, rdi: 8n },
      { rsp: 0x3_0fe0n, memory: { 200672: '0800000007000000060000000010030004000000030000000200000001000000' } },
    ),
    legacy(
      'popad',
      '61',
      { memory: { 200704: '0800000007000000060000009999999904000000030000000200000001000000' } },
      { rax: 1n, rcx: 2n, rdx: 3n, rbx: 4n, rbp: 6n, rsi: 7n, rdi: 8n, rsp: 0x3_1020n },
    ),
    long(
      'enter 0x10, 0x1',
      'c8100001',
      { rbp: 0x3_1100n },
      { rbp: 0x3_0ff8n, rsp: 0x3_0fe0n, memory: { 200688: 'f80f0300000000000011030000000000' } },
    ),
    long('leave', 'c9', { rbp: 0x3_0f00n, memory: { 200448: '0011030000000000' } }, { rbp: 0x3_1100n, rsp: 0x3_0f08n }),
  ]);

  testCases(engine, 'conversions and extensions (SDM 2 CBW, CWD, MOVSX, MOVZX, MOVSXD)', [
    long('cbw', '6698', { rax: 0xffff_0080n }, { rax: 0xffff_ff80n }),
    long('cwde', '98', { rax: 0xffff_ffff_0000_8000n }, { rax: 0xffff_8000n }),
    long('cdqe', '4898', { rax: 0x8000_0000n }, { rax: 0xffff_ffff_8000_0000n }),
    long('cwd', '6699', { rax: 0x8000n, rdx: (ONES << 16n) & ONES }, { rdx: ONES }),
    long('cdq', '99', { rax: 0x8000_0000n, rdx: ONES }, { rdx: 0xffff_ffffn }),
    long('cqo', '4899', { rax: 1n, rdx: ONES }, { rdx: 0n }),
    long('movsx rax, bl', '480fbec3', { rbx: 0x80n }, { rax: 0xffff_ffff_ffff_ff80n }),
    long('movzx ax, bh', '660fb6c7', { rax: ONES, rbx: 0x8034n }, { rax: 0xffff_ffff_ffff_0080n }),
    long('movsxd rax, ebx', '4863c3', { rbx: 0x8000_0000n }, { rax: 0xffff_ffff_8000_0000n }),
    long('movbe eax, dword ptr [rbx]', '0f38f003', { rbx: 0x2_0000n, memory: { 131072: '11223344' } }, { rax: 0x1122_3344n }),
  ]);
});
