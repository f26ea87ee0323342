import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FunctionBody } from '../../src/wasm/function-body.ts';
import type { LaneAccessName, LaneName, LoadName, PlainName, StoreName } from '../../src/wasm/opcodes.ts';
import { laneAccess, lanes, loads, plain, stores } from '../../src/wasm/opcodes.ts';
import type { ValueType } from '../../src/wasm/types.ts';
import { functionOf, moduleOf } from './execution.ts';

const int64 = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, -(1n << 63n), (1n << 63n) - 1n),
  fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
);

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function countWhere(value: bigint, predicate: (bits: string) => number): bigint {
  return BigInt(predicate(u64(value).toString(2).padStart(64, '0')));
}

/** What each 64-bit operation means, on bigints; compared modulo 2**64. */
const binary64: Record<string, (a: bigint, b: bigint) => bigint | undefined> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div_s: (a, b) => (b === 0n || (a === -(1n << 63n) && b === -1n) ? undefined : a / b),
  div_u: (a, b) => (b === 0n ? undefined : u64(a) / u64(b)),
  rem_s: (a, b) => (b === 0n ? undefined : a % b),
  rem_u: (a, b) => (b === 0n ? undefined : u64(a) % u64(b)),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << (b & 63n),
  shr_s: (a, b) => a >> (b & 63n),
  shr_u: (a, b) => u64(a) >> (b & 63n),
  rotl: (a, b) => (u64(a) << (b & 63n)) | (u64(a) >> (64n - (b & 63n))),
  rotr: (a, b) => (u64(a) >> (b & 63n)) | (u64(a) << (64n - (b & 63n))),
};

const comparison64: Record<string, (a: bigint, b: bigint) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_s: (a, b) => a < b,
  lt_u: (a, b) => u64(a) < u64(b),
  gt_s: (a, b) => a > b,
  gt_u: (a, b) => u64(a) > u64(b),
  le_s: (a, b) => a <= b,
  le_u: (a, b) => u64(a) <= u64(b),
  ge_s: (a, b) => a >= b,
  ge_u: (a, b) => u64(a) >= u64(b),
};

const unary64: Record<string, (a: bigint) => bigint> = {
  clz: (a) => countWhere(a, (bits) => (bits.includes('1') ? bits.indexOf('1') : 64)),
  ctz: (a) => countWhere(a, (bits) => (bits.includes('1') ? 63 - bits.lastIndexOf('1') : 64)),
  popcnt: (a) => countWhere(a, (bits) => bits.replaceAll('0', '').length),
  extend8_s: (a) => BigInt.asIntN(8, a),
  extend16_s: (a) => BigInt.asIntN(16, a),
  extend32_s: (a) => BigInt.asIntN(32, a),
};

describe('numeric instructions by name', () => {
  for (const [name, meaning] of Object.entries(binary64))
    test(`i64.${name} computes what its name says`, () => {
      const run = functionOf(['i64', 'i64'], ['i64'], (body) => {
        body.local_get(0);
        body.local_get(1);
        body.emit(`i64.${name}` as PlainName);
      });
      fc.assert(
        fc.property(int64, int64, (a, b) => {
          const expected = meaning(a, b);
          if (expected === undefined) expect(() => run(a, b)).toThrow(WebAssembly.RuntimeError);
          else expect(run(a, b)).toBe(BigInt.asIntN(64, expected));
        }),
      );
    });

  for (const [name, meaning] of Object.entries(comparison64))
    test(`i64.${name} compares as its name says`, () => {
      const run = functionOf(['i64', 'i64'], ['i32'], (body) => {
        body.local_get(0);
        body.local_get(1);
        body.emit(`i64.${name}` as PlainName);
      });
      fc.assert(
        fc.property(int64, int64, (a, b) => {
          expect([run(a, b), run(a, a)]).toEqual([Number(meaning(a, b)), Number(meaning(a, a))]);
        }),
      );
    });

  for (const [name, meaning] of Object.entries(unary64))
    test(`i64.${name} computes what its name says`, () => {
      const run = functionOf(['i64'], ['i64'], (body) => {
        body.local_get(0);
        body.emit(`i64.${name}` as PlainName);
      });
      fc.assert(
        fc.property(int64, (a) => {
          expect(run(a)).toBe(meaning(a));
        }),
      );
    });

  test('saturating conversions clamp where trapping ones trap', () => {
    const saturating = functionOf(['f64'], ['i64'], (body) => {
      body.local_get(0);
      body.emit('i64.trunc_sat_f64_s');
    });
    const trapping = functionOf(['f64'], ['i64'], (body) => {
      body.local_get(0);
      body.emit('i64.trunc_f64_s');
    });
    expect([saturating(1e30), saturating(-1e30), saturating(Number.NaN), saturating(-1.9)]).toEqual([
      (1n << 63n) - 1n,
      -(1n << 63n),
      0n,
      -1n,
    ]);
    expect(trapping(-1.9)).toBe(-1n);
    expect(() => trapping(1e30)).toThrow(WebAssembly.RuntimeError);
  });
});

describe('every opcode in the tables', () => {
  // After `unreachable` the stack gives operands of any type, so validation checks opcode and immediates alone (§3.4.13).
  function accepts(write: (body: FunctionBody) => void): boolean {
    return WebAssembly.validate(
      moduleOf([], [], (body, module) => {
        module.memory({ minimum: 1 });
        body.emit('unreachable');
        write(body);
        body.emit('unreachable');
      }),
    );
  }

  test('the engine validates each of them', () => {
    for (const name of Object.keys(plain)) expect([name, accepts((body) => body.emit(name as PlainName))]).toEqual([name, true]);
    for (const name of Object.keys(loads)) expect([name, accepts((body) => body.load(name as LoadName, 5))]).toEqual([name, true]);
    for (const name of Object.keys(stores)) expect([name, accepts((body) => body.store(name as StoreName, 5))]).toEqual([name, true]);
    for (const name of Object.keys(lanes)) expect([name, accepts((body) => body.emit_lane(name as LaneName, 1))]).toEqual([name, true]);
    for (const name of Object.keys(laneAccess))
      expect([name, accepts((body) => body.access_lane(name as LaneAccessName, 1))]).toEqual([name, true]);
  });

  test('the stated alignment is the largest that validates', () => {
    for (const [name, [, alignment]] of Object.entries(loads))
      expect([name, accepts((body) => body.load(name as LoadName, 0, alignment + 1))]).toEqual([name, false]);
    for (const [name, [, alignment]] of Object.entries(stores))
      expect([name, accepts((body) => body.store(name as StoreName, 0, alignment + 1))]).toEqual([name, false]);
    for (const [name, [, alignment]] of Object.entries(laneAccess))
      expect([name, accepts((body) => body.access_lane(name as LaneAccessName, 1, 0, alignment + 1))]).toEqual([name, false]);
  });
});

describe('constants', () => {
  test('integers come back as written', () => {
    fc.assert(
      fc.property(int64, (value) => {
        expect(functionOf([], ['i64'], (body) => body.i64_const(value))()).toBe(value);
      }),
      { numRuns: 30 },
    );
    fc.assert(
      fc.property(fc.integer(), (value) => {
        expect(functionOf([], ['i32'], (body) => body.i32_const(value))()).toBe(value);
      }),
      {
        numRuns: 30,
      },
    );
    expect(functionOf([], ['i64'], (body) => body.i64_const_halves(-1, 5))()).toBe(0x5ffffffffn);
    expect(functionOf([], ['i64'], (body) => body.i64_const(-(2 ** 40) - 1))()).toBe(-(1n << 40n) - 1n);
  });

  test('doubles come back as written, NaN payloads by their bits', () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        expect(functionOf([], ['f64'], (body) => body.f64_const(value))()).toBe(value);
      }),
      {
        numRuns: 30,
      },
    );
    const bits = functionOf([], ['i64'], (body) => {
      body.f64_const_bits(0x7ff4_0000_0000_0001n);
      body.emit('i64.reinterpret_f64');
    });
    expect(bits()).toBe(0x7ff4_0000_0000_0001n);
    const bits32 = functionOf([], ['i32'], (body) => {
      body.f32_const_bits(0x7fa00001);
      body.emit('i32.reinterpret_f32');
    });
    expect(bits32()).toBe(0x7fa00001);
    expect(functionOf([], ['f32'], (body) => body.f32_const(0.5))()).toBe(0.5);
  });

  test('vectors keep the order of their lanes', () => {
    const lane = (index: number): unknown =>
      functionOf([], ['i64'], (body) => {
        body.v128_const_i64x2(0x1111n, -2n);
        body.v128_const_i32x4(1, 0, 2, 0);
        body.emit('i64x2.add');
        body.emit_lane('i64x2.extract_lane', index);
      })();
    expect([lane(0), lane(1)]).toEqual([0x1112n, 0n]);
    const shuffled = functionOf([], ['i32'], (body) => {
      body.v128_const_i32x4(0x03020100, 0, 0, 0);
      body.v128_const_i32x4(0x13121110, 0, 0, 0);
      body.i8x16_shuffle([0, 16, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      body.emit_lane('i32x4.extract_lane', 0);
    });
    expect(shuffled()).toBe(0x11011000);
  });
});

describe('control', () => {
  test('labels give branches their depth from anywhere inside', () => {
    const sum = functionOf(['i32'], ['i32'], (body) => {
      const total = body.local('i32');
      const exit = body.block();
      const again = body.loop();
      body.local_get(0);
      body.emit('i32.eqz');
      body.if();
      body.br(exit);
      body.else();
      body.local_get(0);
      body.local_get(total);
      body.emit('i32.add');
      body.local_set(total);
      body.end();
      body.local_get(0);
      body.i32_const(1);
      body.emit('i32.sub');
      body.local_tee(0);
      body.emit('drop');
      body.br(again);
      body.end();
      body.end();
      body.local_get(total);
    });
    expect([0, 1, 10, 100].map((count) => sum(count))).toEqual([0, 1, 55, 5050]);
  });

  test('br_table picks its label and falls to the default, and the function label returns', () => {
    const pick = functionOf(['i32'], ['i32'], (body) => {
      const one = body.block();
      const two = body.block();
      const other = body.block();
      body.local_get(0);
      body.br_table([one, two], other);
      body.end();
      body.i32_const(30);
      body.br(body.functionLabel);
      body.end();
      body.i32_const(20);
      body.return();
      body.end();
      body.i32_const(10);
    });
    expect([0, 1, 2, -1].map((value) => pick(value))).toEqual([10, 20, 30, 30]);
  });

  test('blocks with results and with parameters validate and run', () => {
    const run = functionOf(['i64'], ['i64'], (body, module) => {
      body.local_get(0);
      body.local_get(0);
      body.emit('i64.eqz');
      body.if(module.type(['i64'], ['i64']));
      body.emit('drop');
      body.i64_const(-7);
      body.end();
      body.block('i64');
      body.i64_const(1);
      body.end();
      body.emit('i64.add');
    });
    expect([run(0n), run(5n)]).toEqual([-6n, 6n]);
  });

  test('select takes the second operand on zero', () => {
    const run = functionOf(['i32'], ['i32'], (body) => {
      body.i32_const(1);
      body.i32_const(2);
      body.local_get(0);
      body.select('i32');
    });
    expect([run(1), run(0)]).toEqual([1, 2]);
  });

  test('misuse is refused at once', () => {
    const body = new FunctionBody(['i32']);
    expect(() => body.end()).toThrow('end without a block');
    expect(() => body.else()).toThrow('else outside an if');
    expect(() => body.br(1)).toThrow('label 1 is not open');
    body.block();
    expect(() => body.else()).toThrow('else outside an if');
    expect(() => moduleOf([], [], (open) => void open.loop())).toThrow('1 blocks left open');
    expect(() => body.free(0)).toThrow('local 0 is not an allocated local');
    expect(() => body.i8x16_shuffle([1, 2])).toThrow(RangeError);
  });
});

describe('locals', () => {
  test('freed locals come back for the same type only, and none twice', () => {
    const types = fc.constantFrom<ValueType>('i32', 'i64', 'f32', 'f64', 'v128', 'funcref', 'externref');
    fc.assert(
      fc.property(fc.array(fc.tuple(types, fc.boolean(), fc.nat()), { maxLength: 60 }), (steps) => {
        const body = new FunctionBody(['i64', 'i32']);
        const live: number[] = [];
        const typeOf = new Map<number, ValueType>();
        let highest = 0;
        for (const [type, release, choice] of steps) {
          if (release && live.length > 0) {
            const [local] = live.splice(choice % live.length, 1) as [number];
            body.free(local);
            expect(() => body.free(local)).toThrow();
          } else {
            const local = body.local(type);
            expect(local).toBeGreaterThanOrEqual(2);
            expect(live).not.toContain(local);
            expect(typeOf.get(local) ?? type).toBe(type);
            typeOf.set(local, type);
            live.push(local);
            highest = Math.max(highest, live.length);
          }
        }
        expect(typeOf.size).toBeLessThanOrEqual(steps.length);
        expect(typeOf.size).toBeGreaterThanOrEqual(highest);
      }),
    );
  });

  test('locals of mixed types are declared as they were allocated', () => {
    const run = functionOf(['i64'], ['f64'], (body) => {
      const kept = [body.local('i64'), body.local('i64'), body.local('f64'), body.local('v128'), body.local('f64')];
      body.free(kept[2]!);
      const reused = body.local('f64');
      expect(reused).toBe(kept[2]);
      body.local_get(0);
      body.local_set(kept[1]!);
      body.local_get(kept[1]!);
      body.emit('f64.convert_i64_s');
      body.local_tee(reused);
      body.local_get(kept[4]!);
      body.emit('f64.add');
    });
    expect(run(41n)).toBe(41);
  });
});
