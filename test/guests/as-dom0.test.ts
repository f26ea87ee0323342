/**
 * The guests as the first domain, built by the hypervisor itself as real Xen builds its dom0: the hostile programs get the
 * answers that a hardware domain gets, and guests/builder builds, serves and destroys a DomU from instructions alone.
 * Real Xen 4.17 gives the same verdicts (test/real/hostile.sh).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseElf } from '../../src/base/elf.ts';
import { BareMachine } from '../../src/machine/bare-machine.ts';
import { barePlatform } from '../../src/machine/bare-platform.ts';
import { machineParts } from '../../src/stacks/machine-parts.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit, census } from '../../src/xen/census.ts';
import { hvmOp } from '../../src/xen/hvm/hvm-op.ts';
import { audit as auditPageTypes } from '../../src/xen/pv/audit.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../src/xen/start.ts';
import { readPvImage } from '../../src/xen-abi/elf-notes.ts';

const file = (name: string): Uint8Array => readFileSync(new URL(`../../guests/${name}`, import.meta.url));

function runAsDom0(kernel: string, commandLine = '', ramdisk?: Uint8Array) {
  const parts = machineParts({ stack: 'pv', image: new Uint8Array(0), imageName: kernel, console: () => {} });
  const machine = new BareMachine({ ...parts.machine, cpuCount: 2, memoryBytes: 96 << 20, transmit: () => {} });
  const pv = new PvDomains();
  const lines: string[] = [];
  let shutdown: { code: number; crash: string | undefined } | undefined;
  const hypervisor = startHypervisor(barePlatform(machine), {
    kinds: [pv],
    hypercalls: [hvmOp(() => undefined)],
    observers: [
      {
        console: (domain, line) => {
          if (domain?.id === 0) lines.push(line);
        },
        domainShutdown: (domain, code, crash) => {
          if (domain.id !== 0) return;
          shutdown = { code, crash };
          machine.stop({ reason: 'stopped' });
        },
      },
    ],
  });
  buildDom0(hypervisor, {
    pages: 8192,
    kernel: { image: readPvImage(parseElf(file(kernel))) },
    commandLine,
    ...(ramdisk && { ramdisk }),
  });
  const end = machine.run(60_000_000n);
  return { lines, shutdown, end, after: census(hypervisor), faults: () => [...audit(hypervisor), ...auditPageTypes(pv.parts)] };
}

describe('the guests as dom0', () => {
  it.each([
    ['errno', 327],
    ['typing', 122],
    ['frames', 204],
  ] as const)('%s.elf gets what Xen 4.17 gives its hardware domain', (program, verdicts) => {
    const { lines, shutdown, faults } = runAsDom0(`hostile/${program}.elf`);
    expect(lines.filter((line) => line !== '' && !/^(PASS|NOTE) /.test(line))).toEqual([
      `TOTAL passed=${verdicts} failed=0`,
      'VERDICT SUCCESS',
    ]);
    expect(shutdown).toEqual({ code: 0, crash: undefined });
    expect(faults()).toEqual([]);
  });

  it('the benchmark guest counts as it does as DomU', () => {
    const { lines, shutdown } = runAsDom0('nanokernel/nanokernel.elf', 'rows=fork-proc reps=1 kfork=0 ksys=0');
    expect(lines.find((line) => line.startsWith('PERITER fork-proc'))).toMatch(
      /hypercalls: mmu_update=4\.000 multicall=2\.000 update_va_mapping=91\.000 set_segment_base=2\.000 mmuext_op=22\.000 /,
    );
    expect([lines.at(-1), shutdown?.code]).toEqual(['DONE', 0]);
  });

  it('builder.elf builds a DomU, serves its console and destroys it, and all its memory is free again', () => {
    const domU = 'rows=null-call reps=1 kfork=0 ksys=0';
    const { lines, shutdown, after, faults } = runAsDom0('builder/builder.elf', `-- ${domU}`, file('nanokernel/nanokernel.elf'));
    expect(lines.join('\n')).toContain('nanokernel 1.0 on xen-pv');
    expect(lines.find((line) => line.startsWith('PERITER null-call'))).toMatch(/iret=1\.000 .* syscalls=1\.000/);
    expect(lines).toContain('DONE');
    const builder = lines.filter((line) => line.startsWith('BUILDER'));
    expect(builder.slice(0, 2)).toEqual([
      expect.stringMatching(/^BUILDER domain 1 pages=4096 /),
      'BUILDER domain 1 shut down with reason 0',
    ]);
    expect(builder[2]).toMatch(/^BUILDER free pages before=(\d+) after=\1$/);
    expect(shutdown).toEqual({ code: 0, crash: undefined });
    expect(after.domains).toBe(1);
    expect(faults()).toEqual([]);
  });
});
