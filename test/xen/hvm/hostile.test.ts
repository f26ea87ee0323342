/** Full guests that mean harm, or are just broken: whatever they do, the hypervisor's books stay right and others run. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { audit, census } from '../../../src/xen/census.ts';
import type { Domain } from '../../../src/xen/domain.ts';
import { asm, codeAddress, type FullMachine, fullMachine, loadAddress, multibootKernel } from '../../support/full-machine.ts';

/** Numbers that hit something: small ones, pointers into the image, page numbers, and the far end. */
const argument = fc.oneof(
  fc.nat(8),
  fc.nat(64).map((offset) => loadAddress + 4 * offset),
  fc.nat(1100).map((frame) => frame),
  fc.constantFrom(0x7ff0, 0x7ff1, 0x1f_f000, 0x3f_fffc, 0x40_0000, 0xffff_fffc, 0xffff_ffff, 0x8000_0000),
);
const call = fc.tuple(
  fc.oneof(fc.nat(63), fc.constantFrom(12, 17, 20, 24, 29, 32, 34, 36), fc.constant(0xffff_ffff)),
  fc.array(argument, { minLength: 6, maxLength: 6 }),
);

/** Registers of VMCALL in 32-bit code, then the call. */
function vmcall([number, args]: [number, number[]]): number[] {
  const [ebx, ecx, edx, esi, edi, ebp] = args as [number, number, number, number, number, number];
  const more = [0xbe, ...asm.dword(esi), 0xbf, ...asm.dword(edi), 0xbd, ...asm.dword(ebp)];
  return [...asm.eax(number), ...asm.ebx(ebx), ...asm.ecx(ecx), ...asm.edx(edx), ...more, ...asm.vmcall];
}

/** Every frame that the map names is the domain's own: nothing of another shows through. */
function ownFramesOnly(host: FullMachine, domain: Domain): void {
  const mapped = [...(domain.p2m ?? [])].filter((frame) => frame >= 0);
  expect(mapped.filter((frame) => host.hypervisor.frames.owner[frame] !== domain.id)).toEqual([]);
  expect(new Set(mapped).size).toBe(mapped.length);
}

function end(host: FullMachine, domid: number): void {
  host.ask({ kind: 'destroy', domid });
  host.run(20_000n);
  expect(host.said.at(-1)).toBe(`destroyed ${domid}`);
}

function othersRun(host: FullMachine): void {
  const good = host.boot(multibootKernel([...asm.print('fine\n'), ...asm.powerOff()]), 20_000n);
  expect(host.output.get(good.id)).toBe('fine\n');
  end(host, good.id);
}

describe('a hostile full guest', () => {
  it('cannot upset the books by any hypercall', () => {
    const host = fullMachine();
    const before = census(host.hypervisor);
    fc.assert(
      fc.property(fc.array(call, { minLength: 20, maxLength: 60 }), (calls) => {
        const domain = host.boot(multibootKernel([...calls.flatMap(vmcall), ...asm.powerOff()]), 20_000n);
        expect(audit(host.hypervisor)).toEqual([]);
        ownFramesOnly(host, domain);
        end(host, domain.id);
        expect(audit(host.hypervisor)).toEqual([]);
        expect(census(host.hypervisor)).toEqual(before);
      }),
      { numRuns: 20 },
    );
    othersRun(host);
  });

  it('cannot do it by any instructions either', () => {
    const host = fullMachine();
    const before = census(host.hypervisor);
    const fragment = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 16 }).map((bytes) => [...bytes]),
      fc.tuple(fc.nat(0xffff), fc.nat(0xff)).map(([port, byte]) => asm.out8(port, byte)),
      fc.nat(0xffff).map((port) => [0x66, 0xba, port & 0xff, port >> 8, 0xed]), // in eax, dx
      fc
        .tuple(fc.constantFrom(0x1b, 0x10, 0x1a0, 0x4000_0000, 0xc000_0080, 0xc000_0102), fc.nat(0xffff), fc.nat(3))
        .map(([msr, eax, edx]) => [...asm.ecx(msr), ...asm.eax(eax), ...asm.edx(edx), ...asm.wrmsr]),
      fc.constantFrom(
        ...[asm.cpuid, asm.hlt, asm.sti, asm.vmcall, [0x0f, 0x22, 0xc0], [0x0f, 0x22, 0xd8], [0x0f, 0x22, 0xe0], [0x0f, 0x01, 0x38]],
      ),
    );
    fc.assert(
      fc.property(fc.array(fragment, { minLength: 1, maxLength: 20 }), (fragments) => {
        const domain = host.boot(multibootKernel([...asm.esp(0x9_0000), ...fragments.flat()]), 20_000n);
        expect(audit(host.hypervisor)).toEqual([]);
        ownFramesOnly(host, domain);
        end(host, domain.id);
        expect(census(host.hypervisor)).toEqual(before);
      }),
      { numRuns: 30 },
    );
    othersRun(host);
  });

  it('cannot keep a page that it gave back', () => {
    const host = fullMachine();
    // decrease_reservation of guest frame 0x300, then a write there: the page is nobody's or another's by now.
    const list = codeAddress - 8;
    const reservation = codeAddress - 28;
    const fill = [list, 1, 0, 0, 0x7ff0].flatMap((word, i) => asm.store(reservation + 4 * i, word));
    const code = [
      ...asm.store(list, 0x300),
      ...fill,
      ...vmcall([12, [1, reservation, 0, 0, 0, 0]]),
      ...asm.storeEax(0x20_0000),
      ...asm.store(0x30_0000, 0xdead),
      ...asm.loadEax(0x30_0000),
      ...asm.storeEax(0x20_0004),
      ...asm.powerOff(),
    ];
    const domain = host.boot(multibootKernel(code));
    expect(host.word(domain, 0x20_0000)).toBe(1);
    expect(host.word(domain, 0x20_0004)).toBe(0xffff_ffff);
    expect(domain.totalPages).toBe(1024 + 2 - 1);
    expect(audit(host.hypervisor)).toEqual([]);
  });
});
