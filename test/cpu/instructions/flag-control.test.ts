/** Flag control instructions (SDM 1 §5.1.12), on every engine: user code changes the status flags and DF, and nothing else. */
import { describe } from 'vitest';
import { ENGINES, legacy, long, testCases } from '../../support/instruction-driver.ts';

const STACK = 0x3_1000n;

describe.each(ENGINES)('flag control on the %s engine', (engine) => {
  testCases(engine, 'CF and DF one by one (SDM 2)', [
    long('stc', 'f9', { flags: 'OSZAP' }, { flags: 'OSZAPC' }),
    long('clc', 'f8', { flags: 'OSZAPC' }, { flags: 'OSZAP' }),
    long('cmc', 'f5', { flags: 'C' }, { flags: '' }),
    long('cmc', 'f5', {}, { flags: 'C' }),
    long('std', 'fd', {}, { flags: 'D' }),
    long('cld', 'fc', { flags: 'DZ' }, { flags: 'Z' }),
  ]);

  testCases(engine, 'LAHF and SAHF: SF, ZF, AF, PF, CF, with bit 1 set and bits 3 and 5 clear (SDM 2A LAHF, 2B SAHF)', [
    long('lahf', '9f', { rax: 0xffff_ffff_ffff_ffffn, flags: '' }, { rax: 0xffff_ffff_ffff_02ffn }),
    long('lahf', '9f', { flags: 'OSZAPC' }, { rax: 0xd700n }),
    long('sahf', '9e', { rax: 0xff00n, flags: '' }, { flags: 'SZAPC' }),
    long('sahf', '9e', { rax: 0n, flags: 'OSZAPC' }, { flags: 'O' }),
  ]);

  testCases(engine, 'PUSHF and POPF: IF and IOPL stay as they are at CPL 3 (SDM 2B POPF, Table 4-21)', [
    long('pushfq', '9c', { flags: 'OSZAPC' }, { rsp: STACK - 8n, memory: { 200696: 'd70a000000000000' } }),
    long('popfq', '9d', { memory: { 200704: 'd73c000000000000' } }, { rsp: STACK + 8n, flags: 'ODSZAPC' }),
    long('popfq; pushfq', '9d9c', { memory: { 200704: '0030000000000000' } }, { flags: '', memory: { 200704: '0202000000000000' } }),
    long('popf', '669d', { flags: 'C', memory: { 200704: '4000' } }, { rsp: STACK + 2n, flags: 'Z' }),
    legacy('popfd', '9d', { memory: { 200704: '01000000' } }, { rsp: STACK + 4n, flags: 'C' }),
  ]);

  testCases(engine, 'CLI and STI are for those whom IOPL lets (SDM 2A CLI, 2B STI)', [
    long('cli', 'fa', {}, { fault: '#GP(0)' }),
    long('sti', 'fb', {}, { fault: '#GP(0)' }),
    long('hlt', 'f4', {}, { fault: '#GP(0)' }),
  ]);
});
