import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as domctl from '../../src/xen-abi/domctl.ts';
import * as evtchn from '../../src/xen-abi/event-channel.ts';
import * as grant from '../../src/xen-abi/grant-table.ts';
import { struct } from '../../src/xen-abi/layout.ts';
import * as memory from '../../src/xen-abi/memory.ts';
import * as physdev from '../../src/xen-abi/physdev.ts';
import * as sched from '../../src/xen-abi/sched.ts';
import * as sysctl from '../../src/xen-abi/sysctl.ts';
import * as vcpu from '../../src/xen-abi/vcpu.ts';
import * as version from '../../src/xen-abi/version.ts';
import * as xen from '../../src/xen-abi/xen.ts';

const sample = struct('sample', [12, 24], {
  word: [0, 'word'],
  small: [[4, 8], 'u16'],
  signed: [[6, 10], 's16'],
  bytes: [[8, 16], 'bytes4'],
});

const headers = { domctl, evtchn, grant, memory, physdev, sched, sysctl, vcpu, version, xen };
const structs = Object.entries(headers).flatMap(([header, exports]) =>
  Object.entries(exports)
    .filter(([, value]) => typeof value === 'object' && 'fields' in value && 'read' in value)
    .map(([name, value]) => ({ header, name, type: value as unknown as typeof sample })),
);

describe('a structure', () => {
  it('is read and written at the offsets of either ABI', () => {
    const bytes = sample.write({ word: 0x1122334455667788n, small: 0x9abc, signed: -2, bytes: Uint8Array.of(1, 2, 3, 4) });
    expect([...bytes]).toEqual([
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xbc, 0x9a, 0xfe, 0xff, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0,
    ]);
    const small = sample.write({ word: 0x1122334455667788n, signed: -2 }, undefined, 32);
    expect([...small]).toEqual([0x88, 0x77, 0x66, 0x55, 0, 0, 0xfe, 0xff, 0, 0, 0, 0]);
    expect(sample.read(small, 32).word).toBe(0x55667788n);
  });

  it('comes back as it was written, in both ABIs', () => {
    const values = fc.record({
      word: fc.bigInt(0n, 0xffff_ffffn),
      small: fc.integer({ min: 0, max: 0xffff }),
      signed: fc.integer({ min: -0x8000, max: 0x7fff }),
      bytes: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    });
    fc.assert(
      fc.property(values, fc.constantFrom(32 as const, 64 as const), (value, abi) => {
        const read = sample.read(sample.write(value, undefined, abi), abi);
        expect({ ...read, bytes: [...read.bytes] }).toEqual({ ...value, bytes: [...value.bytes] });
      }),
    );
  });

  it('keeps the bytes between the fields that are written', () => {
    const bytes = new Uint8Array(24).fill(0xee);
    sample.write({ small: 1 }, bytes);
    expect([...bytes].filter((byte) => byte !== 0xee)).toEqual([1, 0]);
  });
});

describe('the public headers', () => {
  it.each(structs)('$header $name fits its size in both ABIs', ({ type }) => {
    for (const abi of [32, 64] as const) {
      const size = type.size(abi);
      for (const [field, [, kind]] of Object.entries(type.fields)) {
        const digits = Number(/\d+/.exec(kind)?.[0]);
        const length = kind === ('word' as string) ? abi / 8 : kind.startsWith('bytes') ? digits : digits / 8;
        const offset = type.offset(field as 'word', abi);
        // The register block and trap table of vcpu_guest_context are smaller in the 32-bit ABI than their bytesN says.
        if (!(type.name === 'vcpu_guest_context' || type.name === 'xen_memory_exchange')) {
          expect(offset + length, `${field} in ${abi}-bit`).toBeLessThanOrEqual(size);
        }
      }
    }
  });

  it('has the sizes that the interface fixes', () => {
    expect(xen.vcpu_info.size()).toBe(64);
    expect([xen.shared_info.size(32), xen.shared_info.size(64)]).toEqual([2344, 3136]);
    expect([vcpu.vcpu_guest_context.size(32), vcpu.vcpu_guest_context.size(64)]).toEqual([2800, 5168]);
    expect(domctl.xen_domctl.size()).toBe(144);
    expect(sysctl.xen_sysctl.size()).toBe(136);
    expect([grant.gnttab_copy.size(32), grant.gnttab_copy.size(64)]).toEqual([24, 40]);
    expect([memory.xen_memory_exchange.size(32), memory.xen_memory_exchange.size(64)]).toEqual([44, 72]);
  });
});
