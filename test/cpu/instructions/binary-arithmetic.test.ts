/** Binary arithmetic instructions (SDM 1 §5.1.2), on every engine. */
import { describe } from 'vitest';
import { ENGINES, long, testCases } from '../../support/instruction-driver.ts';

const ONES = 0xffff_ffff_ffff_ffffn;
const LOWEST = 0x8000_0000_0000_0000n;

describe.each(ENGINES)('binary arithmetic on the %s engine', (engine) => {
  testCases(engine, 'ADD: carry out of the width, overflow of the signed sum, carry out of bit 3 (SDM 2A ADD)', [
    long('add al, bl', '00d8', { rax: 0xffn, rbx: 1n }, { rax: 0n, flags: 'ZAPC' }),
    long('add al, bl', '00d8', { rax: 0x7fn, rbx: 1n }, { rax: 0x80n, flags: 'OSA' }),
    long('add ax, bx', '6601d8', { rax: 0x8000n, rbx: 0x8000n }, { rax: 0n, flags: 'OZPC' }),
    long('add eax, ebx', '01d8', { rax: ONES, rbx: 1n }, { rax: 0n, flags: 'ZAPC' }),
    long('add rax, rbx', '4801d8', { rax: 0x7fff_ffff_ffff_ffffn, rbx: 1n }, { rax: LOWEST, flags: 'OSAP' }),
    long('add rax, 0xffffffffffffff80', '4883c080', { rax: 0x80n }, { rax: 0n, flags: 'ZPC' }),
    long(
      'lock add dword ptr [rbx], eax',
      'f00103',
      { rax: 2n, rbx: 0x2_0000n, memory: { 131072: 'feffffff' } },
      { flags: 'ZAPC', memory: { 131072: '00000000' } },
    ),
    long('add qword ptr [rbx], rax', '480103', { rax: 1n, rbx: 0x2_4000n, flags: 'C' }, { fault: '#PF(6) at 24000' }),
  ]);

  testCases(engine, 'ADC and SBB take the carry into AF, CF and OF (SDM 2A ADC, 2B SBB)', [
    long('adc al, 0xff', '14ff', { rax: 0n, flags: 'C' }, { rax: 0n, flags: 'ZAPC' }),
    long('adc al, 0xff', '14ff', { rax: 0xffn, flags: 'C' }, { rax: 0xffn, flags: 'SAPC' }),
    long('adc al, 0x7f', '147f', { rax: 0n, flags: 'C' }, { rax: 0x80n, flags: 'OSA' }),
    long('adc rax, rbx', '4811d8', { rax: ONES, rbx: ONES, flags: 'C' }, { flags: 'SAPC' }),
    long('sbb eax, eax', '19c0', { rax: 5n, flags: 'C' }, { rax: 0xffff_ffffn, flags: 'SAPC' }),
    long('sbb al, 0xff', '1cff', { rax: 0n, flags: 'C' }, { rax: 0n, flags: 'ZAPC' }),
    long('sbb rax, rbx', '4819d8', { rax: LOWEST, rbx: 0n, flags: 'C' }, { rax: 0x7fff_ffff_ffff_ffffn, flags: 'OAP' }),
  ]);

  testCases(engine, 'SUB, CMP and NEG (SDM 2)', [
    long('sub al, bl', '28d8', { rax: 0n, rbx: 1n }, { rax: 0xffn, flags: 'SAPC' }),
    long('sub ax, bx', '6629d8', { rax: 0x8000n, rbx: 1n }, { rax: 0x7fffn, flags: 'OAP' }),
    long('cmp eax, ebx', '39d8', { rax: 1n, rbx: 2n }, { flags: 'SAPC' }),
    long('cmp rax, rbx', '4839d8', { rax: LOWEST, rbx: LOWEST }, { flags: 'ZP' }),
    long('neg al', 'f6d8', { rax: 0x80n }, { flags: 'OSC' }),
    long('neg rax', '48f7d8', { rax: 0n, flags: 'C' }, { flags: 'ZP' }),
    long('neg eax', 'f7d8', { rax: 0xffff_ffff_0000_0001n }, { rax: 0xffff_ffffn, flags: 'SAPC' }),
  ]);

  testCases(engine, 'INC and DEC keep CF (SDM 2A INC, DEC)', [
    long('inc al', 'fec0', { rax: 0xffn, flags: 'C' }, { rax: 0n, flags: 'ZAPC' }),
    long('inc eax', 'ffc0', { rax: 0x7fff_ffffn }, { rax: 0x8000_0000n, flags: 'OSAP' }),
    long('dec rax', '48ffc8', { rax: 0n }, { rax: ONES, flags: 'SAP' }),
    long('dec ax', '66ffc8', { rax: 0x8000n, flags: 'C' }, { rax: 0x7fffn, flags: 'OAPC' }),
  ]);

  testCases(engine, 'MUL and IMUL: CF and OF tell that the upper half means something (SDM 2A IMUL, 2B MUL)', [
    long('mul bl', 'f6e3', { rax: 0xffn, rbx: 0xffn }, { rax: 0xfe01n, flags: 'OC', undefinedFlags: 'SZAP' }),
    long('mul ebx', 'f7e3', { rax: 0x1_0000n, rbx: 0x1_0000n, rdx: ONES }, { rax: 0n, rdx: 1n, flags: 'OC', undefinedFlags: 'SZAP' }),
    long('mul rbx', '48f7e3', { rax: ONES, rbx: ONES }, { rax: 1n, rdx: 0xffff_ffff_ffff_fffen, flags: 'OC', undefinedFlags: 'SZAP' }),
    long('mul rbx', '48f7e3', { rax: 3n, rbx: 5n, rdx: 1n, flags: 'OC' }, { rax: 15n, rdx: 0n, flags: '', undefinedFlags: 'SZAP' }),
    long('imul bl', 'f6eb', { rax: 0x80n, rbx: 0xffn }, { rax: 0x80n, flags: 'OC', undefinedFlags: 'SZAP' }),
    long('imul rbx', '48f7eb', { rax: ONES, rbx: 5n }, { rax: 0xffff_ffff_ffff_fffbn, rdx: ONES, flags: '', undefinedFlags: 'SZAP' }),
    long('imul eax, ebx', '0fafc3', { rax: 0x1_0000n, rbx: 0x8000n }, { rax: 0x8000_0000n, flags: 'OC', undefinedFlags: 'SZAP' }),
    long('imul rax, rbx, 0xffffffffffffffff', '486bc3ff', { rbx: LOWEST }, { rax: LOWEST, flags: 'OC', undefinedFlags: 'SZAP' }),
  ]);

  testCases(engine, 'DIV and IDIV truncate, and raise #DE for zero and for quotients that do not fit (SDM 2A DIV, IDIV)', [
    long('div bl', 'f6f3', { rax: 0x0107n, rbx: 0x10n }, { rax: 0x0710n, undefinedFlags: 'OSZAPC' }),
    long('div rbx', '48f7f3', { rax: 5n, rdx: 1n, rbx: 2n }, { rax: 0x8000_0000_0000_0002n, rdx: 1n, undefinedFlags: 'OSZAPC' }),
    long(
      'idiv ebx',
      'f7fb',
      { rax: 0xffff_fff9n, rdx: 0xffff_ffffn, rbx: 2n },
      { rax: 0xffff_fffdn, rdx: 0xffff_ffffn, undefinedFlags: 'OSZAPC' },
    ),
    long(
      'idiv rbx',
      '48f7fb',
      { rax: 7n, rdx: 0n, rbx: 0xffff_ffff_ffff_fffen },
      { rax: 0xffff_ffff_ffff_fffdn, rdx: 1n, undefinedFlags: 'OSZAPC' },
    ),
    long('div ebx', 'f7f3', { rax: 1n }, { fault: '#DE' }),
    long('div bl', 'f6f3', { rax: 0x1000n, rbx: 0x10n }, { fault: '#DE' }),
    long('div rbx', '48f7f3', { rax: 0n, rdx: 2n, rbx: 2n }, { fault: '#DE' }),
    long('idiv al', 'f6f8', { rax: 0xff80n }, { rax: 1n, undefinedFlags: 'OSZAPC' }),
    long('idiv rbx', '48f7fb', { rax: LOWEST, rdx: ONES, rbx: ONES }, { fault: '#DE' }),
    long('idiv bx', '66f7fb', { rax: 0x8000n, rdx: 0xffffn, rbx: 0xffffn }, { fault: '#DE' }),
  ]);

  testCases(engine, 'ADCX and ADOX carry in a flag each (SDM 2A ADCX, ADOX)', [
    long('adcx rax, rbx', '66480f38f6c3', { rax: ONES, rbx: 0n, flags: 'OSZAPC' }, { rax: 0n, flags: 'OSZAPC' }),
    long('adcx eax, ebx', '660f38f6c3', { rax: 1n, rbx: 1n, flags: 'OC' }, { rax: 3n, flags: 'O' }),
    long('adox rax, rbx', 'f3480f38f6c3', { rax: ONES, rbx: 1n }, { rax: 0n, flags: 'O' }),
  ]);
});
