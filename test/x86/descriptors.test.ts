import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Attribute,
  buildGateDescriptor,
  buildSegmentDescriptor,
  buildSystemDescriptor,
  type GateDescriptor,
  parseGateDescriptor,
  parseSegmentDescriptor,
  SystemType,
} from '../../src/x86/descriptors.ts';

function halves(value: bigint): readonly [number, number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
}

describe('segment descriptors', () => {
  it('read flat kernel segments as every operating system writes them', () => {
    const code32 = parseSegmentDescriptor(0x0000_ffff, 0x00cf_9b00);
    expect(code32).toEqual({ base: 0n, limit: 0xffff_ffff, attributes: 0xc09b });
    expect(code32.attributes & Attribute.CODE && code32.attributes & Attribute.DB).toBeTruthy();
    const code64 = parseSegmentDescriptor(0x0000_ffff, 0x00af_9b00);
    expect(code64.attributes & (Attribute.L | Attribute.DB)).toBe(Attribute.L);
    const user = parseSegmentDescriptor(0x0000_ffff, 0x00cf_f300);
    expect((user.attributes & Attribute.DPL_MASK) >> Attribute.DPL_SHIFT).toBe(3);
  });

  it('spread base and limit over the bytes as the manual draws them', () => {
    expect(parseSegmentDescriptor(0x5678_4321, 0x1245_f334)).toEqual({ base: 0x1234_5678n, limit: 0x54321, attributes: 0x40f3 });
  });

  it('come back from their bytes', () => {
    const descriptor = fc.record({
      base: fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
      limit: fc.integer({ min: 0, max: 0xf_ffff }),
      attributes: fc.integer({ min: 0, max: 0xffff }).map((bits) => bits & Attribute.MASK),
    });
    fc.assert(
      fc.property(descriptor, ({ base, limit, attributes }) => {
        const bytes = attributes & Attribute.G ? limit * 4096 + 4095 : limit;
        const value = { base, limit: bytes, attributes };
        expect(parseSegmentDescriptor(...halves(buildSegmentDescriptor(value)))).toEqual(value);
      }),
    );
  });

  it('of a 64-bit TSS take 16 bytes', () => {
    const tss = { base: 0xffff_8300_1234_5678n, limit: 0x67, attributes: Attribute.P | SystemType.TSS_AVAILABLE };
    const [low, high] = buildSystemDescriptor(tss);
    expect(parseSegmentDescriptor(...halves(low), Number(high))).toEqual(tss);
  });
});

describe('gates', () => {
  it('read an interrupt gate of IA-32e mode', () => {
    // selector 0x10, IST 2, DPL 3, offset 0xffffffff81a00e80
    expect(parseGateDescriptor(0x0010_0e80, 0x81a0_ee02, 0xffff_ffff)).toMatchObject({
      selector: 0x10,
      offset: 0xffff_ffff_81a0_0e80n,
      type: SystemType.INTERRUPT_GATE,
      dpl: 3,
      present: true,
      ist: 2,
    });
  });

  it('come back from their bytes', () => {
    const gate = fc.record({
      selector: fc.integer({ min: 0, max: 0xffff }),
      offset: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      type: fc.constantFrom(...Object.values(SystemType)),
      dpl: fc.integer({ min: 0, max: 3 }),
      present: fc.boolean(),
      ist: fc.integer({ min: 0, max: 7 }),
    });
    fc.assert(
      fc.property(gate, (fields) => {
        // The field of IST and of the parameter count is the same.
        const value: GateDescriptor = { ...fields, parameters: fields.ist };
        const [low, high] = buildGateDescriptor(value);
        expect(parseGateDescriptor(...halves(low), Number(high))).toEqual(value);
      }),
    );
  });
});
