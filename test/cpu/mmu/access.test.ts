/** The slow paths of engines: what they return, charge, enter in the lookup table, and leave untouched when they fault. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commitStore, fetchBytes, fetchCode, prepareStore, slowLoad } from '../../../src/cpu/mmu/access.ts';
import { dropPage, findHostAddress, flushLookup, markCodeFrame, unmarkCodeFrame } from '../../../src/cpu/mmu/lookup-table.ts';
import { setSecondStages } from '../../../src/cpu/mmu/second-stage.ts';
import { Access } from '../../../src/cpu/mmu/walk-result.ts';
import { walkTables } from '../../../src/cpu/mmu/walk.ts';
import { readVirtual, writeVirtual } from '../../../src/cpu/mmu/virtual.ts';
import type { Processor } from '../../../src/cpu/processor.ts';
import { LOOKUP_ENTRY_BYTES, LOOKUP_SUPERVISOR, LOOKUP_USER, OFFSET, TAG_TRAP_WRITES } from '../../../src/cpu/state.ts';
import type { GuestControl, PlatformCpu } from '../../../src/platform/cpu.ts';
import type { VmExit } from '../../../src/platform/virtualization.ts';
import { Cr4 } from '../../../src/x86/control-registers.ts';
import { Pte } from '../../../src/x86/page-table-entry.ts';
import { enterLongMode, leafAddress, RecordingTranslation, recorded, setCpl, testProcessor } from '../support/test-processor.ts';

function longMode(cpl: 0 | 3 = 0) {
  const translation = new RecordingTranslation();
  const test = testProcessor({ translation });
  enterLongMode(test, cpl);
  return { ...test, translation };
}

/** Which tags of the entry for a page hold the page, as letters, with `!` for a diverted write tag. */
function tags(processor: Processor, linear: number, user: boolean): string {
  const at = ((user ? LOOKUP_USER : LOOKUP_SUPERVISOR) + ((linear >> 12) & 1023) * LOOKUP_ENTRY_BYTES) >> 3;
  const { u64 } = processor.state;
  const wanted = BigInt(linear & ~0xfff) | processor.state.get('tlbGeneration');
  return ['r', 'w', 'x']
    .map((letter, i) => {
      const tag = u64[at + i];
      if ((tag & ~TAG_TRAP_WRITES) !== wanted) return '-';
      return (tag & TAG_TRAP_WRITES) !== 0n ? `${letter}!` : letter;
    })
    .join('');
}

function bytesAt(processor: Processor, host: number, size: number): string {
  return Buffer.from(processor.memory.memory.buffer, host, size).toString('hex');
}

/** A store of `bytes` as an engine makes it; false when it faulted. */
function store(processor: Processor, linear: bigint, bytes: number[], stack = false): boolean {
  const host = prepareStore(processor, linear, bytes.length, stack);
  if (host === 0) return false;
  new Uint8Array(processor.memory.memory.buffer).set(bytes, host);
  commitStore(processor);
  return true;
}

describe('the lookup table', () => {
  it('gets a read tag from a load, and a write tag only once the page is dirty', () => {
    const { processor } = longMode();
    expect(slowLoad(processor, 0x123010n, 4)).toBe(processor.memory.base + 0x123010);
    expect(tags(processor, 0x123000, false)).toBe('r-x');
    expect(prepareStore(processor, 0x123010n, 4)).toBe(processor.memory.base + 0x123010);
    expect(tags(processor, 0x123000, false)).toBe('rwx');
    expect(tags(processor, 0x123000, true)).toBe('---');
    flushLookup(processor);
    slowLoad(processor, 0x123010n, 4);
    expect(tags(processor, 0x123000, false)).toBe('rwx');
  });

  it('gets a fetch tag only where the privilege may execute', () => {
    const { processor, memory } = longMode();
    memory.writeU64(leafAddress(0x123000), 0x123000n | Pte.P | Pte.US | Pte.XD);
    slowLoad(processor, 0x123000n, 1);
    expect(tags(processor, 0x123000, false)).toBe('r--');
    processor.state.set('cr4', processor.state.get('cr4') | BigInt(Cr4.SMEP));
    slowLoad(processor, 0x124000n, 1);
    expect(tags(processor, 0x124000, false)).toBe('r--');
    setCpl(processor, 3);
    slowLoad(processor, 0x124000n, 1);
    expect(tags(processor, 0x124000, true)).toBe('r-x');
  });

  it('holds no user page for the supervisor under SMAP', () => {
    const { processor } = longMode();
    processor.state.set('cr4', processor.state.get('cr4') | BigInt(Cr4.SMAP));
    processor.state.set('rflags', 1n << 18n);
    expect(slowLoad(processor, 0x123000n, 8)).not.toBe(0);
    expect(tags(processor, 0x123000, false)).toBe('--x');
    processor.state.set('rflags', 2n);
    expect(slowLoad(processor, 0x123000n, 8)).toBe(0);
    expect(recorded(processor)).toBe('14(1)');
  });

  it('asks the timing model on a miss and charges its answer, and on a hit neither', () => {
    const { processor, translation } = longMode(3);
    translation.cost = 50;
    slowLoad(processor, 0x123000n, 4);
    slowLoad(processor, 0x123ff0n, 4);
    expect(processor.state.get('cycles')).toBe(50n);
    expect(translation.requests).toHaveLength(1);
    expect(translation.requests[0]).toMatchObject({
      page: 0x123,
      fetch: false,
      write: false,
      vpid: 0,
      pageShift: 12,
      levels: 4,
      secondStages: 0,
    });
    expect([...translation.requests[0].entries]).toEqual([0x1000, 0x2000, 0x3000, leafAddress(0x123000)]);
  });

  it('is emptied by a flush, and survives the wrap of the generation', () => {
    const { processor } = longMode();
    slowLoad(processor, 0x123000n, 4);
    for (let i = 0; i < 0x7ff * 2 + 5; i++) {
      flushLookup(processor);
      if (tags(processor, 0x123000, false) !== '---') throw new Error(`an entry lives on after flush ${i}`);
    }
    expect(processor.state.get('tlbGeneration')).toBeGreaterThan(0n);
  });

  it('loses one page of both privileges to dropPage, and only that', () => {
    const { processor } = longMode();
    slowLoad(processor, 0x123000n, 4);
    slowLoad(processor, 0x124000n, 4);
    setCpl(processor, 3);
    slowLoad(processor, 0x123000n, 4);
    dropPage(processor, 0x123fffn);
    expect([tags(processor, 0x123000, false), tags(processor, 0x123000, true)]).toEqual(['---', '---']);
    expect(tags(processor, 0x124000, false)).toBe('r-x');
  });
});

describe('the lookup table against walks', () => {
  it('never lets through what the tables refuse, nor to another place, after any sequence of accesses and flushes', () => {
    const pages = [0x123, 0x124, 0x523, 0x524, 0x5ff];
    const flag = fc.constantFrom(0n, Pte.US, Pte.RW, Pte.US | Pte.RW, Pte.XD, Pte.US | Pte.XD, Pte.US | Pte.RW | Pte.XD, Pte.D | Pte.RW);
    const step = fc.record({
      page: fc.constantFrom(...pages),
      kind: fc.constantFrom('load', 'store', 'fetch', 'map', 'mark'),
      cpl: fc.constantFrom<0 | 3>(0, 3),
      flags: flag,
      frame: fc.constantFrom(0x300, 0x301, 0x302),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { processor, memory } = longMode();
        for (const { page, kind, cpl, flags, frame } of steps) {
          const linear = BigInt(page) << 12n;
          setCpl(processor, cpl);
          if (kind === 'load') slowLoad(processor, linear, 8);
          else if (kind === 'store') store(processor, linear, [1]);
          else if (kind === 'fetch') fetchCode(processor, linear);
          else if (kind === 'mark') markCodeFrame(processor, frame);
          else {
            memory.writeU64(leafAddress(page << 12), BigInt(frame << 12) | Pte.P | flags);
            dropPage(processor, linear);
          }
        }
        for (const page of pages) {
          const linear = BigInt(page) << 12n;
          for (const user of [false, true]) {
            const held = tags(processor, page << 12, user);
            for (const [letter, access] of [
              ['r', Access.READ],
              ['w', Access.WRITE],
              ['x', Access.FETCH],
            ] as const) {
              const host = findHostAddress(processor, linear, access, user);
              expect(host !== -1).toBe(held.includes(letter));
              if (host === -1) continue;
              const dirtyBefore = memory.readU64(leafAddress(page << 12)) & Pte.D;
              expect(walkTables(processor, linear, access, user, false)).toBe(true);
              expect(host).toBe(memory.base + processor.walk.machine);
              if (letter === 'w') expect(dirtyBefore).toBe(Pte.D);
              if (letter === 'w') expect(held.includes('w!')).toBe(memory.codeFrames[processor.walk.machine >> 12] !== 0);
            }
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('a load', () => {
  it('joins the parts of an operand that crosses a page', () => {
    const { processor, memory } = longMode();
    memory.writeU64(leafAddress(0x124000), 0x200000n | Pte.P | Pte.RW | Pte.US);
    memory.writeU32(0x123ffc, 0x44332211);
    memory.writeU32(0x200000, 0x88776655);
    const host = slowLoad(processor, 0x123ffdn, 6);
    expect(host).toBe(processor.state.base + OFFSET.loadScratch);
    expect(bytesAt(processor, host, 6)).toBe('223344556677');
  });

  it('reports the first byte of the page that faults', () => {
    const { processor, memory } = longMode(3);
    memory.writeU64(leafAddress(0x124000), 0n);
    expect(slowLoad(processor, 0x123ffdn, 8)).toBe(0);
    expect(recorded(processor)).toBe('14(4)');
    expect(processor.state.get('faultAddress')).toBe(0x124000n);
  });

  it('raises #GP(0), or #SS(0) through SS, for an address that is not canonical', () => {
    const { processor } = longMode();
    expect(slowLoad(processor, 0x8000_0000_0000n, 1)).toBe(0);
    expect(recorded(processor)).toBe('13(0)');
    expect(slowLoad(processor, 0x7fff_ffff_fffcn, 8, true)).toBe(0);
    expect(recorded(processor)).toBe('12(0)');
  });

  it('reads device memory through the bus, and enters nothing', () => {
    const { processor, memory, bus } = longMode();
    memory.writeU64(leafAddress(0x123000), 0xfee0_0000n | Pte.P | Pte.RW);
    const host = slowLoad(processor, 0x123020n, 4);
    expect(bytesAt(processor, host, 4)).toBe('88776655');
    expect(bus.log).toEqual(['read fee00020/4']);
    expect(tags(processor, 0x123000, false)).toBe('---');
  });
});

describe('a store', () => {
  it('that crosses into a page it may not write changes neither', () => {
    const { processor, memory } = longMode();
    memory.writeU64(leafAddress(0x124000), 0x124000n | Pte.P);
    expect(store(processor, 0x123ffen, [1, 2, 3, 4])).toBe(false);
    expect(recorded(processor)).toBe('14(3)');
    expect(processor.state.get('faultAddress')).toBe(0x124000n);
    expect(memory.readU16(0x123ffe)).toBe(0);
  });

  it('that crosses a page reaches both', () => {
    const { processor, memory } = longMode();
    memory.writeU64(leafAddress(0x124000), 0x300000n | Pte.P | Pte.RW);
    expect(store(processor, 0x123ffen, [1, 2, 3, 4])).toBe(true);
    expect(memory.readU16(0x123ffe)).toBe(0x0201);
    expect(memory.readU16(0x300000)).toBe(0x0403);
  });

  it('to a frame with translated code tells the engine, before and after the mark', () => {
    const { processor, memory } = longMode();
    const told: string[] = [];
    memory.onCodeWrite = (address, length) => told.push(`${address.toString(16)}+${length}`);
    store(processor, 0x123000n, [1]);
    expect(tags(processor, 0x123000, false)).toBe('rwx');
    markCodeFrame(processor, 0x123);
    expect(tags(processor, 0x123000, false)).toBe('rw!x');
    store(processor, 0x123004n, [5, 6]);
    store(processor, 0x122fffn, [9, 9]);
    expect(told).toEqual(['123004+2', '123000+1']);
    expect(memory.readU16(0x123004)).toBe(0x0605);
    unmarkCodeFrame(processor, 0x123);
    expect(store(processor, 0x123008n, [7])).toBe(true);
    expect(tags(processor, 0x123000, false)).toBe('rwx');
    expect(told).toHaveLength(2);
  });

  it('to a code frame does not ask the timing model again', () => {
    const { processor, translation } = longMode();
    markCodeFrame(processor, 0x123);
    for (let i = 0n; i < 4n; i++) store(processor, 0x123000n + i, [1]);
    expect(translation.requests).toHaveLength(1);
  });

  it('to device memory goes to the bus when it is committed', () => {
    const { processor, memory, bus } = longMode();
    memory.writeU64(leafAddress(0x123000), 0xfec0_0000n | Pte.P | Pte.RW);
    const host = prepareStore(processor, 0x123010n, 4);
    expect(bus.log).toEqual([]);
    new DataView(memory.memory.buffer).setUint32(host, 0xcafe, true);
    commitStore(processor);
    expect(bus.log).toEqual(['write fec00010/4 cafe']);
  });
});

describe('code fetch', () => {
  it('copies bytes across a page end, and faults for the second page at its start', () => {
    const { processor, memory } = longMode(3);
    memory.writeBytes(0x123ffe, new Uint8Array([1, 2, 3, 4, 5]));
    const into = new Uint8Array(5);
    expect(fetchBytes(processor, 0x123ffen, into, 5)).toBe(true);
    expect([...into]).toEqual([1, 2, 3, 4, 5]);
    memory.writeU64(leafAddress(0x124000), 0x124000n | Pte.P | Pte.US | Pte.XD);
    flushLookup(processor);
    expect(fetchBytes(processor, 0x123ffen, into, 5)).toBe(false);
    expect(recorded(processor)).toBe('14(15)');
    expect(processor.state.get('faultAddress')).toBe(0x124000n);
  });

  it('raises #GP(0) at an address that is not canonical, and #UD where no memory answers', () => {
    const { processor, memory } = longMode();
    expect(fetchCode(processor, 0x8000_0000_0000_0000n)).toBe(0);
    expect(recorded(processor)).toBe('13(0)');
    memory.writeU64(leafAddress(0x123000), 0xfee0_0000n | Pte.P);
    expect(fetchCode(processor, 0x123000n)).toBe(0);
    expect(recorded(processor)).toBe('6');
  });
});

describe('a second stage', () => {
  function guest(answer: (exit: VmExit, map: Map<number, number>) => void) {
    const test = longMode();
    const { processor } = test;
    const map = new Map(Array.from({ length: 2048 }, (_, frame) => [frame, frame]));
    map.delete(0x200);
    let generation = 0;
    const exits: VmExit[] = [];
    const control: GuestControl = {
      vpid: 7,
      secondStage: {
        machineFrame: (frame) => map.get(frame) ?? -1,
        writable: () => true,
        leafShift: () => 12,
        get generation() {
          return generation;
        },
      },
      ringZero: undefined,
      pendingInterrupt: undefined,
      interruptWindow: false,
      intercepts: { cr3: false, cr4Pge: false, cr0Ts: false, invlpg: false, rdtsc: false, kernelGsBase: false },
      onExit(_cpu, exit) {
        exits.push(structuredClone(exit));
        answer(exit, map);
        generation++;
      },
    };
    processor.platformCpu = {} as PlatformCpu;
    processor.control = control;
    processor.state.set32('vpid', 7);
    setSecondStages(processor, [control.secondStage]);
    return { ...test, exits };
  }

  it('lets a device of the hypervisor answer a load and take a store', () => {
    const { processor, exits, charged } = guest((exit) => {
      if (exit.reason === 'second-stage-violation' && exit.mmio && exit.access === 'read') exit.mmio.value = 0x1234n;
    });
    const host = slowLoad(processor, 0x200010n, 4);
    expect(bytesAt(processor, host, 4)).toBe('34120000');
    expect(store(processor, 0x200020n, [0xaa, 0, 0, 0])).toBe(true);
    expect(exits).toEqual([
      { reason: 'second-stage-violation', guestPhysical: 0x200010, access: 'read', mmio: { size: 4, value: 0xffff_ffffn } },
      { reason: 'second-stage-violation', guestPhysical: 0x200020, access: 'write', mmio: { size: 4, value: 0xaan } },
    ]);
    expect(charged.filter((event) => event === 'vm_exit')).toHaveLength(2);
    expect(processor.boundaryDue).toBe(true);
  });

  it('is tried again when the exit mapped the frame', () => {
    const { processor, memory, translation } = guest((_exit, map) => map.set(0x200, 0x300));
    memory.writeU32(0x300010, 0xbeef);
    expect(bytesAt(processor, slowLoad(processor, 0x200010n, 4), 4)).toBe('efbe0000');
    expect(store(processor, 0x200014n, [1, 2])).toBe(true);
    expect(memory.readU16(0x300014)).toBe(0x0201);
    expect(translation.flushes).toContain('second-stage 7');
  });

  it('reads as ones where nobody maps or answers', () => {
    const { processor } = guest(() => {});
    expect(bytesAt(processor, slowLoad(processor, 0x200010n, 8), 8)).toBe('ffffffffffffffff');
    expect(fetchCode(processor, 0x200010n)).toBe(0);
    expect(recorded(processor)).toBe('6');
  });
});

describe('host access to virtual memory', () => {
  it('honours rights and sets A and D, and neither fills nor charges', () => {
    const { processor, memory, translation } = longMode(3);
    memory.writeU64(leafAddress(0x124000), 0x124000n | Pte.P | Pte.US);
    expect(writeVirtual(processor, 0x123ffen, new Uint8Array([1, 2, 3]), true)).toEqual({ address: 0x124000n, errorCode: 7 });
    expect(memory.readU16(0x123ffe)).toBe(0x0201);
    expect(memory.readU64(leafAddress(0x123000)) & Pte.D).toBe(Pte.D);
    const into = new Uint8Array(3);
    expect(readVirtual(processor, 0x123ffen, into, true)).toBeUndefined();
    expect([...into]).toEqual([1, 2, 0]);
    expect(readVirtual(processor, 1n << 47n, into, false)).toEqual({ address: 1n << 47n, errorCode: 0 });
    expect(translation.requests).toEqual([]);
    expect(tags(processor, 0x123000, true)).toBe('---');
  });
});
