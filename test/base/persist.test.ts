import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashStream, type Persistent, restoreStream, type SaveReader, type SaveWriter, saveStream } from '../../src/base/persist.ts';
import { itKeepsThePersistContract } from '../support/persist-contract.ts';

describe('the save stream', () => {
  it('has the documented layout', () => {
    const bytes = saveStream((w) => w.section('ab', 3, () => w.u32(0x0102_0304)));
    expect(Buffer.from(bytes).toString('hex')).toBe('50564e53' + '0100' + '01' + '02000000' + '6162' + '0300' + '04030201' + '02' + '03');
  });

  it('gives back every kind of field, across the borders of its buffer', () => {
    const field = fc.oneof(
      fc.integer({ min: 0, max: 0xff }).map((v) => ['u8', v] as const),
      fc.boolean().map((v) => ['bool', v] as const),
      fc.integer({ min: 0, max: 0xffff }).map((v) => ['u16', v] as const),
      fc.integer({ min: 0, max: 0xffff_ffff }).map((v) => ['u32', v] as const),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((v) => ['u64', v] as const),
      fc.maxSafeNat().map((v) => ['safeInteger', v] as const),
      fc.double().map((v) => ['f64', v] as const),
      fc.string({ unit: 'grapheme' }).map((v) => ['string', v] as const),
      fc.integer({ min: 0, max: 40_000 }).map((length) => ['bytes', new Uint8Array(length).fill(length)] as const),
    );
    fc.assert(
      fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
        const bytes = saveStream((w) => {
          // biome-ignore lint/suspicious/noExplicitAny: the pair's type ties method and value, which TypeScript loses here
          for (const [kind, value] of fields) (w[kind] as any)(value);
        });
        const back = restoreStream(bytes, (r) => fields.map(([kind]) => [kind, r[kind]()]));
        expect(back.map(comparable)).toEqual(fields.map(comparable));
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['u8', 256],
    ['u8', -1],
    ['u16', 1.5],
    ['u32', 2 ** 32],
    ['safeInteger', 2 ** 53],
    ['u64', 1n << 64n],
  ] as const)('refuses to write a %s of %s, naming the section', (kind, value) => {
    // biome-ignore lint/suspicious/noExplicitAny: the values are wrong on purpose
    expect(() => saveStream((w) => w.section('cpu', 1, () => (w[kind] as any)(value)))).toThrow(/^cpu: /);
  });

  it('hashes to the SHA-256 of its bytes without building them', () => {
    const save = (w: SaveWriter) => w.section('memory', 1, () => w.bytes(new Uint8Array(100_000).fill(3)));
    expect(hashStream(save)).toBe(createHash('sha256').update(saveStream(save)).digest('hex'));
  });

  it('tells the reader the section version and refuses a newer one', () => {
    const bytes = saveStream((w) => w.section('tlb', 2, () => w.u8(1)));
    expect(restoreStream(bytes, (r) => r.section('tlb', 3, (version) => [version, r.u8()]))).toEqual([2, 1]);
    expect(() => restoreStream(bytes, (r) => r.section('tlb', 1, () => r.u8()))).toThrow('section tlb has version 2, but only 1 is known');
  });

  it.each<[string, (r: SaveReader) => unknown]>([
    ['section a expected, found b', (r) => r.section('a', 1, () => {})],
    ['the end of section b expected', (r) => r.section('b', 1, () => r.u8())],
    ['section c expected', (r) => r.section('b', 1, () => r.section('c', 1, () => {}))],
    ['the end of the stream expected', () => {}],
    ['the stream is cut', (r) => r.raw(1000)],
    ['3 bytes expected, found 2', (r) => r.section('b', 1, () => r.array(new Uint8Array(3)))],
    ['a list of 84148224 items is longer than the stream', (r) => r.section('b', 1, () => [r.u16(), r.list(() => r.u8())])],
  ])('answers a wrong reader with "%s"', (message, read) => {
    const bytes = saveStream((w) => w.section('b', 1, () => w.bytes(Uint8Array.of(4, 5))));
    expect(() => restoreStream(bytes, read)).toThrow(/^saved state: at byte \d+/);
    expect(() => restoreStream(bytes, read)).toThrow(message);
  });

  it('never takes damaged bytes for anything but a ConfigError', () => {
    const whole = saveStream((w) => {
      w.section('plain', 1, () => w.plain({ list: [1, 2n, 'three', null, undefined, true], map: new Map([[1, new Uint16Array([4, 5])]]) }));
      w.section('list', 1, () => w.list([1, 2, 3], (v) => w.u32(v)));
    });
    const read = (r: SaveReader) => {
      r.section('plain', 1, () => r.plain());
      r.section('list', 1, () => r.list(() => r.u32()));
    };
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), fc.nat({ max: whole.length }), (at, byte, cut) => {
        const damaged = whole.slice(0, cut);
        if (at < cut) damaged[at] = byte;
        try {
          restoreStream(damaged, read);
        } catch (error) {
          expect(error).toMatchObject({ name: 'ConfigError' });
        }
      }),
    );
    expect(() => restoreStream(Uint8Array.of(1, 2, 3, 4, 5, 6), read)).toThrow('not a save stream');
  });

  it('refuses bytes after the end', () => {
    const bytes = saveStream(() => {});
    expect(() => restoreStream(new Uint8Array([...bytes, 0]), () => {})).toThrow('1 bytes after the end');
  });
});

describe('plain data in the save stream', () => {
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, undefined, true, false),
      fc.integer(),
      fc.double(),
      fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
      fc.string(),
      fc.uint8Array(),
      fc.float64Array(),
      fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })).map((v) => BigUint64Array.from(v)),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(
        fc.string(),
        fc.oneof(fc.integer(), tie('value')).filter((v) => v !== undefined),
        { noNullPrototype: true },
      ),
      fc.array(fc.tuple(fc.string(), tie('value')), { maxLength: 4 }).map((v) => new Map(v)),
      fc.array(fc.integer(), { maxLength: 4 }).map((v) => new Set(v)),
    ),
  })).value;

  it('comes back equal', () => {
    fc.assert(
      fc.property(plain, (value) => {
        if (hasProto(value)) return;
        const back = restoreStream(
          saveStream((w) => w.plain(value)),
          (r) => r.plain(),
        );
        expect(back).toStrictEqual(value);
      }),
    );
  });

  it('does not depend on the order in which members were set, nor on undefined ones', () => {
    const bytes = (value: unknown) => saveStream((w) => w.plain(value));
    expect(bytes({ b: 1, a: 2, c: undefined })).toEqual(bytes({ a: 2, b: 1 }));
  });

  it('tells 1, 1n, -0 and 0 apart', () => {
    const texts = [1, 1n, -0, 0].map((value) => hashStream((w) => w.plain(value)));
    expect(new Set(texts).size).toBe(4);
  });

  it.each([
    ['a function', () => {}],
    ['a class instance', new (class Engine {})()],
    ['a symbol', Symbol('x')],
    ['a bigint of 65 bits', 1n << 64n],
  ])('refuses %s', (_, value) => {
    expect(() => saveStream((w) => w.plain({ value }))).toThrow(/is not plain data|more than 64 bits/);
  });

  it('refuses a circle', () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(() => saveStream((w) => w.plain(circle))).toThrow('in a circle');
  });
});

/** Bytes as text: vitest compares long typed arrays slowly. */
function comparable([kind, value]: readonly unknown[]): unknown[] {
  return [kind, value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value];
}

function hasProto(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasProto);
  if (value instanceof Map) return [...value.values()].some(hasProto);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  return Object.entries(value).some(([key, member]) => key === '__proto__' || hasProto(member));
}

describe('the shared persist contract', () => {
  class Counter implements Persistent {
    count = 0;
    names = new Map<string, number>();
    save(writer: SaveWriter): void {
      writer.section('counter', 1, () => {
        writer.safeInteger(this.count);
        writer.plain(this.names);
      });
    }
    restore(reader: SaveReader): void {
      reader.section('counter', 1, () => {
        this.count = reader.safeInteger();
        this.names = reader.plain();
      });
    }
  }

  itKeepsThePersistContract({
    create: () => new Counter(),
    disturb: (counter) => {
      counter.count = 5;
      counter.names.set('x', 1);
    },
  });
});
