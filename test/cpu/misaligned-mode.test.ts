/** MXCSR.MM on both engines: which operands may be misaligned, and that it exists on AMD's model alone. */
import { describe, expect, it } from 'vitest';
import { DEFAULT, ZEN3 } from '../../src/cpu/cpuid/models.ts';
import { instructionDefinitions } from '../../src/cpu/instructions/index.ts';
import { ReferenceEngine } from '../../src/cpu/reference/engine.ts';
import { Status } from '../../src/cpu/engine.ts';
import { BareMachine } from '../../src/machine/bare-machine.ts';
import { FREE_COSTS, FREE_TRANSLATION } from '../../src/timing/model.ts';
import { Cr4 } from '../../src/x86/control-registers.ts';
import { Decoder } from '../../src/x86/decode.ts';
import { Register } from '../../src/x86/registers.ts';
import { enterLongMode, type TestProcessor, testProcessor } from './support/test-processor.ts';

const MM = 0x2_0000n;
const CODE = 0x5000;

function onReference(hex: string, mxcsr: bigint): Status {
  const test = testProcessor({ cpuid: ZEN3 });
  prepare(test, hex, mxcsr);
  return new ReferenceEngine(instructionDefinitions(), new Decoder(ZEN3.features), FREE_COSTS).step(test.processor);
}

function onInterpreter(hex: string, mxcsr: bigint): Status {
  const machine = new BareMachine({
    cpuCount: 1,
    memoryBytes: 8 << 20,
    engine: 'interpreter',
    costs: FREE_COSTS,
    newTranslation: () => ({ ...FREE_TRANSLATION, save() {} }),
    cpuid: ZEN3,
    tscKhz: 1_000_000,
    transmit: () => {},
  });
  const [processor] = machine.processors;
  prepare({ processor, memory: machine.memory } as TestProcessor, hex, mxcsr);
  return machine.engine.step(processor);
}

function prepare(test: TestProcessor, hex: string, mxcsr: bigint): void {
  enterLongMode(test);
  const { state } = test.processor;
  state.set('cr4', state.get('cr4') | BigInt(Cr4.OSFXSR));
  state.set('mxcsr', mxcsr);
  state.set('rip', BigInt(CODE));
  state.set('gpr', 0x6004n, Register.RBX);
  test.memory.writeBytes(CODE, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

describe('a misaligned operand', () => {
  it.each([
    ['addps xmm0, [rbx]', '0f 58 03', Status.CONTINUE],
    ['paddb xmm0, [rbx]', '66 0f fc 03', Status.CONTINUE],
    ['movaps xmm0, [rbx]', '0f 28 03', Status.FAULT],
    ['movdqa xmm0, [rbx]', '66 0f 6f 03', Status.FAULT],
    ['movaps [rbx], xmm0', '0f 29 03', Status.FAULT],
  ])('of %s', (_text, hex, masked) => {
    for (const engine of [onReference, onInterpreter]) {
      expect(engine(hex, 0x1f80n)).toBe(Status.FAULT);
      expect(engine(hex, 0x1f80n | MM)).toBe(masked);
    }
  });

  it('is allowed by a bit that only AMD has', () => {
    expect(testProcessor({ cpuid: ZEN3 }).processor.state.get('mxcsrMask') & MM).toBe(MM);
    expect(testProcessor({ cpuid: DEFAULT }).processor.state.get('mxcsrMask') & MM).toBe(0n);
  });
});

describe('LOCK MOV CR0', () => {
  const bytes = Uint8Array.of(0xf0, 0x0f, 0x22, 0xc0, 0x90);

  it.each([16, 32, 64] as const)('names CR8 in %d-bit code where CPUID says so', (mode) => {
    const decoded = new Decoder(ZEN3.features).decode(bytes, 0, 5, mode);
    expect(decoded).toMatchObject({
      length: 4,
      operands: [
        { kind: 'control', index: 8 },
        { kind: 'register', index: 0 },
      ],
    });
    expect(new Decoder(DEFAULT.features).decode(bytes, 0, 5, mode)).toBe('undefined');
  });

  it('is undefined for other registers', () => {
    expect(new Decoder(ZEN3.features).decode(Uint8Array.of(0xf0, 0x0f, 0x22, 0xd8), 0, 4, 32)).toBe('undefined');
  });
});
