/**
 * GRUB's x86_64-xen image, which none of us wrote, as a PV domain that Dom0 builds and serves. What it asks of the
 * hypervisor is compared with what Debian's Xen 4.17 saw the same GRUB ask of it (64 MiB, one vCPU, without the disk):
 * set_version, setup_table, mmu_update, update_va_mapping, mmuext_op, then event sends and yields, then shutdown.
 * Needs guests/grub-xen/make.sh to work, that is Debian's package through apt, once; skipped elsewhere.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { seedRandom } from '../../src/base/random.ts';
import { Dom0 } from '../../src/dom0/dom0.ts';
import { BareMachine } from '../../src/machine/bare-machine.ts';
import { barePlatform } from '../../src/machine/bare-platform.ts';
import { machineParts } from '../../src/stacks/machine-parts.ts';
import { buildDom0 } from '../../src/xen/build-dom0.ts';
import { audit, census } from '../../src/xen/census.ts';
import { audit as auditPageTypes } from '../../src/xen/pv/audit.ts';
import { PvDomains } from '../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../src/xen/start.ts';

const make = fileURLToPath(new URL('../../guests/grub-xen/make.sh', import.meta.url));

function imageFolder(): string | undefined {
  try {
    return execFileSync(make, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

const folder = imageFolder();

function boot(name: string) {
  const parts = machineParts({ stack: 'pv', image: new Uint8Array(0), imageName: name, console: () => {} });
  const machine = new BareMachine({ ...parts.machine, cpuCount: 2, memoryBytes: 80 << 20, transmit: () => {} });
  const pv = new PvDomains();
  const mapped: { va: bigint; value: bigint }[] = [];
  const errors: string[] = [];
  const unknown: string[] = [];
  const hypervisor = startHypervisor(barePlatform(machine), {
    kinds: [pv],
    observers: [
      {
        hypercallEnter: ({ domain }, call, [va = 0n, value = 0n]) => {
          if (domain.id !== 0 && call.startsWith('update_va_mapping')) mapped.push({ va, value });
        },
        hypercallLeave: ({ domain }, call, result) => {
          if (domain.id !== 0 && typeof result === 'bigint' && BigInt.asIntN(64, result) < 0n)
            errors.push(`${call} ${BigInt.asIntN(64, result)}`);
        },
        unknown: (_domain, kind, detail) => unknown.push(`${kind} ${detail}`),
      },
    ],
  });
  let text = '';
  let reason: number | undefined;
  let counts: [string, number][] = [];
  let books: string[] = [];
  const dom0 = new Dom0({
    consoles: {
      output: (_domid, bytes) => {
        text += String.fromCharCode(...bytes);
      },
      input: () => new Uint8Array(0),
    },
    random: seedRandom(0n),
    observer: {
      failed: (_request, error) => {
        throw error;
      },
      shutDown: ({ domid }, code) => {
        reason = code;
        counts = [...hypervisor.domains.get(domid)!.counts];
        books = [...audit(hypervisor), ...auditPageTypes(pv.parts)];
      },
      destroyed: () => machine.stop({ reason: 'stopped' }),
    },
  });
  buildDom0(hypervisor, { pages: 1024, kernel: { hostCode: dom0 } });
  dom0.submit({ kind: 'create', config: { name: 'grub', kernel: readFileSync(`${folder}/${name}.bin`), memoryMiB: 64 } });
  const end = machine.run(50_000_000n);
  return { text, reason, counts, books, end, mapped, errors, unknown, after: census(hypervisor), hypervisor };
}

// Colours, and the carriage returns behind GRUB's line feeds.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken away
const plain = (text: string): string => text.replace(/\x1b\[[0-9;]*m|\r/g, '');

describe.skipIf(folder === undefined)('GRUB x86_64-xen in a PV domain of 64 MiB', () => {
  it('prints its line and halts with reason 0, with the hypercalls that Xen 4.17 saw', () => {
    const run = boot('halt');
    expect(plain(run.text)).toContain('Welcome to GRUB!\n\n=== GRUB XEN START\n=== GRUB XEN HALT\n');
    expect([run.end.reason, run.reason, run.errors, run.unknown, run.books]).toEqual(['stopped', 0, [], [], []]);
    // In the order of first use. Sends and yields depend on timing, there as here.
    expect(run.counts.map(([name, count]) => (/send|yield/.test(name) ? name : `${name}: ${count}`))).toEqual([
      'grant_table_op.set_version: 1',
      'grant_table_op.setup_table: 1',
      'mmu_update: 1',
      'mmu_update entry: MACHPHYS_UPDATE: 4',
      'update_va_mapping flags=2: 44',
      'mmuext_op: 1',
      'mmuext_op entry: PIN_L4: 1',
      'mmuext_op entry: NEW_BASEPTR: 1',
      'mmuext_op entry: UNPIN_TABLE: 1',
      'event_channel_op.send',
      'sched_op.yield',
      'sched_op.shutdown: 1',
    ]);
  });

  it("maps 44 times: each new table once through one page to fill it, that page away, the builder's 7 tables writable again", () => {
    const { mapped } = boot('halt');
    const window = mapped[0]!.va;
    const filled = mapped.filter(({ va, value }) => va === window && value !== 0n).length;
    const cleared = mapped.filter(({ va, value }) => va === window && value === 0n).length;
    const freed = mapped.slice(filled + cleared);
    // 16384 pages need 32 level-1 tables. Behind them GRUB maps the xenstore ring, shared_info, the console ring and a grant
    // table page, which need a 33rd; one table of each upper level makes 36. (The two rings change places with the last
    // two pages: that is the four MACHPHYS_UPDATEs.)
    expect([filled, cleared, freed.length]).toEqual([33 + 3, 1, 7]);
    expect(freed.every(({ va, value }, i) => va === freed[0]!.va + BigInt(i * 4096) && (value & 2n) !== 0n)).toBe(true);
  });

  it('reads its memory disk, its xenstore directory and its memory map as on Xen 4.17', () => {
    const { text, reason } = boot('explore');
    expect(plain(text).slice(plain(text).indexOf('=== GRUB XEN START'))).toBe(
      [
        '=== GRUB XEN START',
        'prefix=(memdisk)/boot/grub root=memdisk cpu=x86_64 platform=xen',
        '(memdisk) ',
        '27           19700101000000 hello.txt',
        '',
        'hello from the memory disk',
        '',
        ...'vm name cpu memory device control data drivers feature attr error domid store console'.split(' '),
        'base_addr = 0x0, length = 0x3fda000, available RAM',
        'base_addr = 0x3fda000, length = 0x26000, reserved RAM',
        '=== GRUB XEN HALT',
        '',
      ].join('\n'),
    );
    expect(reason).toBe(0);
  });

  it('leaves nothing behind when Dom0 has destroyed it', () => {
    const { after, hypervisor } = boot('halt');
    expect(after).toMatchObject({ domains: 1, ports: 2, activeGrants: 0, grantMappings: 0 });
    expect([after.frames.get(1), audit(hypervisor)]).toEqual([undefined, []]);
  });
});
