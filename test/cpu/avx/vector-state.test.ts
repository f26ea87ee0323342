/** When VEX instructions may execute at all, what they do to upper halves, alignment, and faults in the middle of a gather. */
import { describe, expect, it } from 'vitest';
import { cpuid } from '../../../src/cpu/cpuid/model.ts';
import { DEFAULT, HASWELL, X86_64_V3, ZEN3, ZEN3_AVX } from '../../../src/cpu/cpuid/models.ts';
import { instructionDefinitions } from '../../../src/cpu/instructions/index.ts';
import { systemHandler } from '../../../src/cpu/system/execute.ts';
import { UserMachine, type UserMachineOptions } from '../../../src/stacks/vectors/user-machine.ts';
import { Cr0, Cr4 } from '../../../src/x86/control-registers.ts';
import { Vector } from '../../../src/x86/exceptions.ts';
import type { Instruction } from '../../../src/x86/instruction.ts';
import { OPCODE_ROWS } from '../../../src/x86/opcode-table.ts';
import type { Case } from './host-vectors.ts';
import { VectorRunner } from './vector-runner.ts';

const ON: UserMachineOptions = { cpuid: HASWELL, setCr4: Cr4.OSXSAVE, xcr0: 7n };
const ENGINES = ['reference', 'interpreter', 'jit'] as const;

/** Vector that the instruction raises; 3 (the int3 behind it) when none. */
function vectorOf(engine: (typeof ENGINES)[number], mode: 64 | 32, hex: string, options: UserMachineOptions): number {
  const machine = new UserMachine(mode, engine, options);
  machine.memory.writeBytes(0x10000, Buffer.from(`${hex.replaceAll(' ', '')}cc`, 'hex'));
  machine.processor.state.set('rip', 0x10000n);
  machine.processor.state.set('gpr', 0x21001n, 0);
  machine.processor.state.set('mxcsr', 0x1f80n);
  const stop = machine.run();
  return typeof stop === 'string' ? -1 : stop.vector;
}

function blank(hex: string, mode: 64 | 32 = 64): Case {
  return {
    mode,
    code: Buffer.from(hex.replaceAll(' ', ''), 'hex'),
    gpr: new BigUint64Array(16),
    rflags: 0x202,
    mxcsr: 0x1f80,
    ymm: BigUint64Array.from({ length: 64 }, (_, n) => BigInt(n + 1)),
    window: new Uint8Array(0x400),
  };
}

const VADDPS = 'c5 f0 58 d3'; // vaddps xmm2, xmm1, xmm3
const VPCMPISTRI = 'c4 e3 79 63 c1 00';

describe.each(ENGINES)('VEX instructions on the %s engine', (engine) => {
  it.each([
    ['execute with CR4.OSXSAVE and SSE and AVX in XCR0', {}, Vector.BP],
    ['raise #UD without CR4.OSXSAVE', { setCr4: 0 }, Vector.UD],
    ['raise #UD without AVX in XCR0', { xcr0: 3n }, Vector.UD],
    ['raise #NM with CR0.TS', { setCr0: Cr0.TS }, Vector.NM],
    ['raise #UD rather than #NM', { setCr0: Cr0.TS, xcr0: 3n }, Vector.UD],
    ['do not ask CR0.EM or CR4.OSFXSR', { setCr0: Cr0.EM, clearCr4: Cr4.OSFXSR }, Vector.BP],
    ['raise #UD on a processor without AVX', { cpuid: DEFAULT }, Vector.UD],
  ] as const)('%s', (_, options, expected) => {
    for (const mode of [64, 32] as const) {
      expect(vectorOf(engine, mode, VADDPS, { ...ON, ...options })).toBe(expected);
      expect(vectorOf(engine, mode, VPCMPISTRI, { ...ON, ...options })).toBe(expected);
    }
  });

  it('raise #GP for unaligned memory in aligned moves only', () => {
    expect(vectorOf(engine, 64, 'c5 fc 28 08', ON)).toBe(Vector.GP); // vmovaps ymm1, [rax]
    expect(vectorOf(engine, 64, 'c5 fc 2b 08', ON)).toBe(Vector.GP); // vmovntps [rax], ymm1
    expect(vectorOf(engine, 64, 'c5 fc 10 08', ON)).toBe(Vector.BP); // vmovups ymm1, [rax]
    expect(vectorOf(engine, 64, 'c5 f4 58 08', ON)).toBe(Vector.BP); // vaddps ymm1, ymm1, [rax]
    expect(vectorOf(engine, 64, '0f 58 08', ON)).toBe(Vector.GP); // addps xmm1, [rax]
  });

  it('clear the upper half of what they write with 128 bits, and legacy instructions keep it', () => {
    const runner = new VectorRunner(64, engine, HASWELL);
    expect([...runner.run(blank('c5 f0 57 d3')).ymm.subarray(8, 12)]).toEqual([5n ^ 13n, 6n ^ 14n, 0n, 0n]); // vxorps xmm2, xmm1, xmm3
    expect([...runner.run(blank('0f 57 d3')).ymm.subarray(8, 12)]).toEqual([9n ^ 13n, 10n ^ 14n, 11n, 12n]); // xorps xmm2, xmm3
    expect([...runner.run(blank('c5 f4 57 d3')).ymm.subarray(8, 12)]).toEqual([5n ^ 13n, 6n ^ 14n, 7n ^ 15n, 8n ^ 16n]);
  });

  it('clear eight registers with VZEROUPPER and VZEROALL outside 64-bit mode', () => {
    const initial = blank('').ymm;
    for (const [code, kept] of [
      ['c5 f8 77', 2],
      ['c5 fc 77', 0],
    ] as const) {
      const { ymm } = new VectorRunner(32, engine, HASWELL).run(blank(code, 32));
      expect([...ymm]).toEqual([...initial].map((word, n) => (n >= 32 || (n & 3) < kept ? word : 0n)));
      const all = new VectorRunner(64, engine, HASWELL).run(blank(code)).ymm;
      expect([...all]).toEqual([...initial].map((word, n) => ((n & 3) < kept ? word : 0n)));
    }
  });

  it('keep what a gather has loaded when a later element faults, and go on from there', () => {
    const runner = new VectorRunner(64, engine, HASWELL);
    const one = blank('c4 e2 f5 90 14 18'); // vpgatherdq ymm2, [rax+xmm3*1], ymm1
    one.gpr[0] = 0x21000n;
    one.window.fill(0x5a);
    const top = 1n << 63n;
    one.ymm.set([top, 0n, top, top], 4);
    one.ymm.set([8n, 0x7000n << 32n], 12); // offsets 8, 0, 0, 0x7000
    const faulted = runner.run(one);
    expect([faulted.vector, faulted.rip, faulted.cr2]).toEqual([Vector.PF, 0x10000n, 0x28000n]);
    const loaded = 0x5a5a_5a5a_5a5a_5a5an;
    expect([...faulted.ymm.subarray(8, 12)]).toEqual([loaded, 10n, loaded, 12n]);
    expect([...faulted.ymm.subarray(4, 8)]).toEqual([0n, 0n, 0n, top]);
    faulted.ymm[13] = 16n << 32n;
    const ended = runner.run({ ...one, ymm: faulted.ymm });
    expect(ended.vector).toBe(Vector.BP);
    expect([...ended.ymm.subarray(4, 12)]).toEqual([0n, 0n, 0n, 0n, loaded, 10n, loaded, loaded]);
  });
});

describe('processor models', () => {
  it.each([HASWELL, X86_64_V3, ZEN3_AVX])('$name executes every instruction of its features', (model) => {
    const definitions = instructionDefinitions();
    const missing = OPCODE_ROWS.filter(({ vex, feature }) => vex && feature !== undefined && model.features.has(feature))
      .filter((row) => !definitions.has(row.mnemonic) && systemHandler({ row, operands: [] } as unknown as Instruction) === undefined)
      .map(({ mnemonic }) => mnemonic);
    expect(missing).toEqual([]);
  });

  it('tell in leaf 0xD what XSAVE needs', () => {
    const state = { apicId: 0, processors: 1, osxsave: true };
    expect(cpuid(HASWELL, 0xd, 0, { ...state, xcr0: 7n })).toEqual([7, 832, 832, 0]);
    expect(cpuid(HASWELL, 0xd, 0, { ...state, xcr0: 3n })).toEqual([7, 576, 832, 0]);
    expect(cpuid(HASWELL, 0xd, 2, { ...state, xcr0: 7n })).toEqual([256, 576, 0, 0]);
    expect(cpuid(ZEN3, 0xd, 0, { ...state, xcr0: 3n })).toEqual([3, 576, 576, 0]);
    expect(cpuid(ZEN3, 0xd, 2, { ...state, xcr0: 3n })).toEqual([0, 0, 0, 0]);
  });
});
