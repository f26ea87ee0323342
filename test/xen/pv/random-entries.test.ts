import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SmallDomain, VIRT_BASE } from './small-domain.ts';

/**
 * A hostile guest's way into the hypervisor that is not a hypercall's argument: random instructions that fault, random
 * registers, frames, stacks and handlers. No path may throw, no count may change its truth, and a domain may only end for
 * the four reasons that the ABI names.
 */

const CODE = VIRT_BASE + 0x3000n;
const REASONS = /no handler|cannot take the frame|cannot be read|without a user page table|#NM while CR0.TS is clear|exception with vector/;

const word = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.integer({ min: 0, max: 1099 }).map((pfn) => VIRT_BASE + BigInt(pfn) * 4096n + 0x800n),
  fc.constantFrom(0n, 1n, 23n, 0xffff_8000_0000_0000n, 0xffff_8200_0000_0008n, 0xffff_87ff_ffff_fff8n, 0x7fff_ffff_ffffn, 0xe033n, 0xe02bn),
  fc.constantFrom(0xc000_0080n, 0xc000_0101n, 0x4000_0000n, 0x1bn, 0x277n),
);

const prefixes = [[], [0x48], [0x66], [0xf3], [0x67], [0xf0, 0x48], [0x64, 0x48], [0x2e], [0xf2, 0x66]];
const bodies = [
  [0x0f, 0x20], [0x0f, 0x21], [0x0f, 0x22], [0x0f, 0x23], [0x0f, 0x30], [0x0f, 0x32], [0x0f, 0xa2], [0x0f, 0x31], [0x0f, 0x01],
  [0x0f, 0x06], [0x0f, 0x09], [0xe4], [0xe5], [0xe6], [0xec], [0xed], [0xee], [0xef], [0x6c], [0x6d], [0x6e], [0x6f], [0xfa], [0xf4],
  [0x89], [0x87], [0x0f, 0xb1], [0x0f, 0xc1], [0x0f, 0xc7], [0x0f, 0xab], [0x81], [0x83], [0xc7], [0xf7], [0xff], [0xa4], [0xab],
  [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2],
]; // biome-ignore format: opcodes

const entry = fc.record({
  kind: fc.constantFrom('gp', 'ud', 'pf', 'software', 'other', 'syscall', 'syscall', 'iret', 'sysenter', 'exit'),
  code: fc.tuple(fc.constantFrom(...prefixes), fc.constantFrom(...bodies), fc.uint8Array({ minLength: 6, maxLength: 6 })),
  registers: fc.array(word, { minLength: 16, maxLength: 16 }),
  frame: fc.array(word, { minLength: 9, maxLength: 9 }),
  rflags: fc.constantFrom(0x202n, 0x302n, 0x4_0602n, 0x1_4202n),
  errorCode: fc.integer({ min: 0, max: 31 }),
  vector: fc.integer({ min: 0, max: 255 }),
  stackIsGood: fc.integer({ min: 0, max: 19 }).map((n) => n > 0),
  inTable: fc.boolean(),
});

function step(d: SmallDomain, e: typeof entry extends fc.Arbitrary<infer T> ? T : never): void {
  const { cpu, hypervisor } = d;
  // stack_switch with random words is one of the calls.
  if (e.stackIsGood) d.state.kernelSp = VIRT_BASE + 0x6000n;
  const kind = hypervisor.kind(d.domain);
  const bytes = Uint8Array.from([...e.code[0], ...e.code[1], ...e.code[2]]);
  cpu.writeVirtual(CODE, bytes, true);
  for (const [i, value] of e.registers.entries()) cpu.setGpr(i, value);
  if (e.stackIsGood) cpu.setGpr(4, VIRT_BASE + 0x6000n);
  cpu.rip = e.errorCode === 31 ? (e.registers[3] as bigint) : CODE;
  cpu.rflags = e.rflags;
  const table = d.virtual(20) + BigInt(e.errorCode * 8);
  if (e.inTable) cpu.setGpr(7, table);
  const event = { vector: e.vector, errorCode: undefined as number | undefined, faultAddress: 0n, instructionLength: 0 };
  const raise = (more: Partial<typeof event>, how: 'fault' | 'software' = 'fault'): void =>
    kind.exception(hypervisor, d.vcpu, cpu, { ...event, ...more, kind: how });
  switch (e.kind) {
    case 'gp':
      return raise({ vector: 13, errorCode: e.vector < 200 ? 0 : e.vector });
    case 'ud':
      return raise({ vector: 6 });
    case 'pf':
      return raise({ vector: 14, errorCode: e.inTable ? 7 : e.errorCode, faultAddress: e.inTable ? table : (e.registers[2] as bigint) });
    case 'software':
      return raise({ instructionLength: 2 }, 'software');
    case 'other':
      return raise({ vector: e.vector & 31 });
    case 'iret':
      cpu.setGpr(4, d.virtual(602));
      cpu.writeVirtual(d.virtual(602), new Uint8Array(new BigUint64Array(likelyFrame(e.frame, e.errorCode)).buffer), true);
      cpu.setGpr(0, 23n);
      return kind.syscall(hypervisor, d.vcpu, cpu);
    case 'syscall':
      cpu.setGpr(0, BigInt([0, 2, 3, 4, 5, 8, 9, 10, 13, 14, 17, 21, 22, 23, 25, 26, 28, 30, 1, e.vector][e.vector % 20] as number));
      return kind.syscall(hypervisor, d.vcpu, cpu);
    case 'sysenter':
      // From the kernel it has no stack: the end.
      if (d.state.kernelMode && e.errorCode !== 0) return;
      return kind.sysenter(hypervisor, d.vcpu, cpu);
    default:
      hypervisor.memory.writeU8(d.vcpu.infoFrame * 4096 + d.vcpu.infoOffset, 1);
      return kind.exitToGuest(hypervisor, d.vcpu, cpu);
  }
}

/** Frames that are wrong in one place, if at all: a wholly random one ends the domain at once, and the run with it. */
function likelyFrame(words: bigint[], choice: number): bigint[] {
  const frame = [...words];
  if (choice !== 0) frame[7] = VIRT_BASE + 0x6000n;
  if (choice !== 1) frame[5] = choice % 2 === 0 ? 0xe033n : 0xe030n;
  if (choice !== 2) frame[8] = 0xe02bn;
  return frame;
}

function hostileDomain(): SmallDomain {
  const d = new SmallDomain();
  const traps: (bigint | number)[] = [];
  for (let vector = 0; vector < 250; vector++) traps.push(BigInt(vector) | (BigInt(vector % 4) << 8n), CODE + 0x100n + BigInt(vector));
  d.call(0, d.put([...traps, 0, 0]));
  for (const type of [0, 1, 2, 4, 5, 7]) d.call(30, 0, d.put([type, CODE + 0x400n]));
  d.state.kernelSp = VIRT_BASE + 0x6000n;
  d.mmuext(15, d.table(0)); // one table for both modes, as XTF has it
  d.mmuext(0, d.makeTable(20, { 1: d.entry(d.mfn(30), 0x67), 9: d.entry(d.mfn(31), 1) }));
  d.call(21, 0, 2);
  d.call(33, 6, d.put([1]));
  return d;
}

describe('random faults, frames and registers of a hostile PV guest', () => {
  it('never throw, never upset a count, and end the domain only for the reasons that the ABI names', () => {
    let ended = 0;
    let entries = 0;
    fc.assert(
      fc.property(fc.array(entry, { minLength: 5, maxLength: 40, size: 'max' }), (steps) => {
        const d = hostileDomain();
        for (const one of steps) {
          d.hypervisor.entered = d.cpu;
          step(d, one);
          d.hypervisor.entered = undefined;
          entries++;
          if (d.domain.shutDown) {
            if (d.domain.shutdownCode === 3) expect(d.domain.crashReason).toMatch(REASONS);
            ended++;
            break;
          }
        }
        expect(d.audit()).toEqual([]);
      }),
      { numRuns: 80 },
    );
    // The generator must neither crash at once nor never.
    expect([entries > 300, ended > 3]).toEqual([true, true]);
  });
});
