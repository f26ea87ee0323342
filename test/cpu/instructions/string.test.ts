/** String instructions (SDM 1 §5.1.8), on every engine. */
import { describe } from 'vitest';
import { ENGINES, legacy, long, testCases } from '../../support/instruction-driver.ts';

const SOURCE = 0x2_0000n;
const TARGET = 0x2_1000n;
const HELLO = '48656c6c6f';

describe.each(ENGINES)('strings on the %s engine', (engine) => {
  testCases(engine, 'one element moves by its size, downwards with DF (SDM 1 §7.3.9)', [
    long(
      'movs byte ptr es:[rdi], byte ptr ds:[rsi]',
      'a4',
      { rsi: SOURCE, rdi: TARGET, memory: { 131072: '11', 135168: '00' } },
      { rsi: SOURCE + 1n, rdi: TARGET + 1n, memory: { 135168: '11' } },
    ),
    long(
      'movs qword ptr es:[rdi], qword ptr ds:[rsi]',
      '48a5',
      { rsi: SOURCE, rdi: TARGET, flags: 'D', memory: { 131072: '1122334455667788' } },
      { rsi: SOURCE - 8n, rdi: TARGET - 8n, memory: { 135168: '1122334455667788' } },
    ),
    long(
      'lods ax, word ptr ds:[rsi]',
      '66ad',
      { rax: 0xffff_ffffn, rsi: SOURCE, memory: { 131072: '3412' } },
      { rax: 0xffff_1234n, rsi: SOURCE + 2n },
    ),
    long('stos dword ptr es:[rdi], eax', 'ab', { rax: 0x1_1122_3344n, rdi: TARGET }, { rdi: TARGET + 4n, memory: { 135168: '44332211' } }),
    long(
      'cmps byte ptr ds:[rsi], byte ptr es:[rdi]',
      'a6',
      { rsi: SOURCE, rdi: TARGET, memory: { 131072: '01', 135168: '02' } },
      { rsi: SOURCE + 1n, rdi: TARGET + 1n, flags: 'SAPC' },
    ),
    long('scas al, byte ptr es:[rdi]', 'ae', { rax: 0x80n, rdi: TARGET, memory: { 135168: '01' } }, { rdi: TARGET + 1n, flags: 'OA' }),
  ]);

  testCases(engine, 'REP counts in the address size, and a count of zero does nothing (SDM 2B REP)', [
    long(
      'rep movs byte ptr es:[rdi], byte ptr ds:[rsi]',
      'f3a4',
      { rcx: 5n, rsi: SOURCE, rdi: TARGET, memory: { 131072: HELLO } },
      { rcx: 0n, rsi: SOURCE + 5n, rdi: TARGET + 5n, memory: { 135168: HELLO } },
    ),
    long(
      'rep movs byte ptr es:[rdi], byte ptr ds:[rsi]',
      'f3a4',
      { rcx: 4n, rsi: SOURCE, rdi: SOURCE + 1n, memory: { 131072: '4142434445' } },
      { rcx: 0n, rsi: SOURCE + 4n, rdi: SOURCE + 5n, memory: { 131072: '4141414141' } },
    ),
    long('rep stos qword ptr es:[rdi], rax', 'f348ab', { rcx: 0n, rdi: 0x8000_0000_0000n }, {}),
    long(
      'rep stos byte ptr es:[edi], al',
      '67f3aa',
      { rax: 0x55n, rcx: 0xffff_ffff_0000_0002n, rdi: 0x1_0002_1000n },
      { rcx: 0n, rdi: TARGET + 2n, memory: { 135168: '555500' } },
    ),
  ]);

  testCases(engine, 'REPE and REPNE end behind the element that decides', [
    long(
      'repe cmps byte ptr ds:[rsi], byte ptr es:[rdi]',
      'f3a6',
      { rcx: 5n, rsi: SOURCE, rdi: TARGET, memory: { 131072: HELLO, 135168: '48656c6d6f' } },
      { rcx: 1n, rsi: SOURCE + 4n, rdi: TARGET + 4n, flags: 'SAPC' },
    ),
    long(
      'repne scas al, byte ptr es:[rdi]',
      'f2ae',
      { rax: 0x6cn, rcx: 5n, rdi: SOURCE, memory: { 131072: HELLO } },
      { rcx: 2n, rdi: SOURCE + 3n, flags: 'ZP' },
    ),
    long('repne scas al, byte ptr es:[rdi]', 'f2ae', { rcx: 0n, rdi: SOURCE, flags: 'OSC' }, {}),
  ]);

  testCases(engine, 'a fault in the middle leaves the registers at the element that faulted (SDM 2B REP)', [
    long(
      'rep stos byte ptr es:[rdi], al',
      'f3aa',
      { rax: 0x77n, rcx: 10n, rdi: 0x2_3ffen },
      { rcx: 8n, rdi: 0x2_4000n, fault: '#PF(6) at 24000', memory: { 147454: '7777' } },
    ),
    long(
      'rep movs dword ptr es:[rdi], dword ptr ds:[rsi]',
      'f3a5',
      { rcx: 2n, rsi: 0x2_3ffan, rdi: TARGET, memory: { 147450: '010203040506' } },
      { rcx: 1n, rsi: 0x2_3ffen, rdi: TARGET + 4n, fault: '#PF(4) at 24000', memory: { 135168: '0102030400000000' } },
    ),
    long('movs qword ptr es:[rdi], qword ptr ds:[rsi]', '48a5', { rsi: SOURCE, rdi: 0x2_4000n }, { fault: '#PF(6) at 24000' }),
  ]);

  testCases(engine, '16-bit addresses wrap at 64 KiB and leave the upper half (SDM 1 §3.7.5)', [
    legacy('lods al, byte ptr ds:[si]', '67ac', { rsi: 0x1234_8fffn, memory: { 36863: '9a' } }, { rax: 0x9an, rsi: 0x1234_9000n }),
  ]);
});
