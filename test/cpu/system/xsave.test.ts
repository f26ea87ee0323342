/** XSAVE in its three forms and XRSTOR: what is written, what is kept, and what a header may say. */
import { describe, expect, it } from 'vitest';
import { Status } from '../../../src/cpu/engine.ts';
import { Cr4 } from '../../../src/x86/control-registers.ts';
import { Register } from '../../../src/x86/registers.ts';
import { execute } from '../support/execute.ts';
import { enterLongMode, recorded, type TestProcessor, testProcessor } from '../support/test-processor.ts';

const AREA = 0x6000;
const XSAVE = '0f ae 23'; // [rbx]
const XSAVEOPT = '0f ae 33';
const XSAVEC = '0f c7 23';
const XRSTOR = '0f ae 2b';
const COMPACTED = 1n << 63n;

function machine(components = 3n): TestProcessor {
  const test = testProcessor();
  enterLongMode(test);
  const { state } = test.processor;
  state.set('cr4', state.get('cr4') | BigInt(Cr4.OSXSAVE | Cr4.OSFXSR));
  state.set('xcr0', 3n);
  state.set('gpr', BigInt(AREA), Register.RBX);
  state.set('gpr', components, Register.RAX);
  state.set('gpr', 0n, Register.RDX);
  test.memory.writeBytes(AREA, new Uint8Array(576).fill(0xcc, 0, 512));
  return test;
}

const header = ({ memory }: TestProcessor): bigint[] => [memory.readU64(AREA + 512), memory.readU64(AREA + 520)];

describe('XSAVE', () => {
  it('writes what is asked for, and says what of it is in use', () => {
    const test = machine();
    test.processor.state.set('xmm', 0x1122n, 6);
    expect(execute(test, XSAVE)).toBe(Status.CONTINUE);
    expect(header(test)).toEqual([2n, 0n]);
    expect(test.memory.readU16(AREA)).toBe(0x37f);
    expect(test.memory.readU64(AREA + 160 + 48)).toBe(0x1122n);
    expect(test.memory.readU8(AREA + 416)).toBe(0xcc);
  });

  it('leaves the rest of the header and of the area', () => {
    const test = machine(1n);
    test.memory.writeU64(AREA + 512, 2n);
    test.processor.state.set('fpuTag', 1n);
    execute(test, XSAVE);
    expect(header(test)).toEqual([3n, 0n]);
    expect(test.memory.readU8(AREA + 160)).toBe(0xcc);
    expect(test.memory.readU8(AREA + 24)).toBe(0xcc); // MXCSR goes with SSE
  });

  it('in the optimized form does not write what is not in use', () => {
    const test = machine();
    execute(test, XSAVEOPT);
    expect(header(test)).toEqual([0n, 0n]);
    expect(test.memory.readU8(AREA)).toBe(0xcc);
    expect(test.memory.readU32(AREA + 24)).toBe(0x1f80);
  });

  it('in the compacted form names its components, and counts a changed MXCSR as SSE in use', () => {
    const test = machine();
    execute(test, XSAVEC);
    expect(header(test)).toEqual([0n, COMPACTED | 3n]);
    test.processor.state.set('mxcsr', 0x3f80n);
    execute(test, XSAVEC);
    expect(header(test)).toEqual([2n, COMPACTED | 3n]);
    expect(test.memory.readU32(AREA + 24)).toBe(0x3f80);
  });
});

describe('XRSTOR', () => {
  it('takes back what was saved, and only what is asked for', () => {
    const test = machine();
    const { state } = test.processor;
    state.set('xmm', 0x1122n, 6);
    state.set('fpuControl', 0x27fn);
    execute(test, XSAVE);
    state.set('xmm', 0n, 6);
    state.set('fpuControl', 0x37fn);
    state.set('gpr', 2n, Register.RAX);
    expect(execute(test, XRSTOR)).toBe(Status.CONTINUE);
    expect(state.get('xmm', 6)).toBe(0x1122n);
    expect(state.get('fpuControl')).toBe(0x37fn);
  });

  it.each([
    ['standard', 0n, 0x1fa0n],
    ['compacted', COMPACTED | 3n, 0x1f80n],
  ])('initializes components that the header lacks (%s), MXCSR too in the compacted form alone', (_form, format, mxcsr) => {
    const test = machine();
    const { state } = test.processor;
    state.set('xmm', 5n, 1);
    test.memory.writeU64(AREA + 520, format);
    test.memory.writeU32(AREA + 24, 0x1fa0);
    execute(test, XRSTOR);
    expect(state.get('xmm', 1)).toBe(0n);
    expect(state.get('mxcsr')).toBe(mxcsr);
  });

  it.each([
    ['a component that XCR0 has not', 4n, 0n, 0n],
    ['a format of the standard form', 0n, 1n, 0n],
    ['reserved bytes', 0n, 0n, 1n],
    ['a compacted component that the format lacks', 2n, COMPACTED | 1n, 0n],
  ])('refuses %s', (_name, components, format, reserved) => {
    const test = machine();
    for (const [i, word] of [components, format, reserved].entries()) test.memory.writeU64(AREA + 512 + i * 8, word);
    expect(execute(test, XRSTOR)).toBe(Status.FAULT);
    expect(recorded(test.processor)).toBe('13(0)');
  });
});
