/** Event channels of a full domain: the upcall by vector, and shared_info in its guest-physical map. */

import { expect, it } from 'vitest';
import { restoreStream, saveStream } from '../../../src/base/persist.ts';
import { Dom0 } from '../../../src/dom0/dom0.ts';
import { seedRandom } from '../../../src/base/random.ts';
import { barePlatform } from '../../../src/machine/bare-platform.ts';
import { attachHostGuest } from '../../../src/xen/host-guest.ts';
import { FullDomains } from '../../../src/xen/hvm/full-domains.ts';
import { XEN_PROFILE } from '../../../src/xen/hvm/profile.ts';
import { PvDomains } from '../../../src/xen/pv/pv-domains.ts';
import { restoreHypervisor, saveHypervisor } from '../../../src/xen/save-state.ts';
import { startHypervisor } from '../../../src/xen/start.ts';
import { asm, codeAddress, fullMachine, loadGdt, loadIdt, multibootKernel } from '../../support/full-machine.ts';

const scratch = 0x20_0000;
const structure = 0x20_0100;
const sharedInfo = 0x30_0000;
const vector = 0x30;
const domidSelf = 0x7ff0;

const hypercall = (number: number, command: number): number[] => [
  ...asm.eax(number),
  ...asm.ebx(command),
  ...asm.ecx(structure),
  ...asm.vmcall,
];
const put = (...words: number[]): number[] => words.flatMap((word, i) => asm.store(structure + 4 * i, word));

it('takes an event that it sends itself as an interrupt of the vector that it chose', () => {
  // Handler: inc dword [scratch]; mov byte [sharedInfo], 0; iret
  const handler = [0xff, 0x05, ...asm.dword(scratch), 0xc6, 0x05, ...asm.dword(sharedInfo), 0, 0xcf];
  const code = [
    ...asm.esp(0x9_0000),
    ...loadGdt(),
    ...loadIdt(vector, codeAddress + 2),
    ...put(domidSelf, 0, 0, sharedInfo >> 12), // space shared_info
    ...hypercall(12, 7), // add_to_physmap
    ...put(domidSelf, 0, vector, 0x0200_0000), // parameter 0, type vector
    ...hypercall(34, 0), // hvm_op set_param
    ...put(0, 0),
    ...hypercall(32, 7), // bind_ipi on vCPU 0: its port goes to the second word
    ...asm.loadEax(structure + 4),
    ...asm.storeEax(structure),
    ...asm.sti,
    ...hypercall(32, 4), // send
    ...[0x90, 0x90],
    ...asm.loadEax(scratch),
    ...asm.storeEax(scratch + 4),
    ...asm.powerOff(),
  ];
  const host = fullMachine();
  const domain = host.boot(multibootKernel([0xeb, handler.length, ...handler, ...code]));
  expect(host.said.at(-1)).toBe('shut down 1 0');
  expect(host.word(domain, scratch + 4)).toBe(1);
  expect(domain.counts.get('event_channel_op.send')).toBe(1);
});

it('may set those parameters that are its own, and no others', () => {
  const set = (index: number, at: number): number[] => [...put(domidSelf, index, 1, 0), ...hypercall(34, 0), ...asm.storeEax(scratch + at)];
  const host = fullMachine();
  const code = [...set(18, 0), ...set(17, 4), ...set(3, 8), ...set(39, 12), ...asm.powerOff()];
  const domain = host.boot(multibootKernel(code));
  const results = [0, 4, 8, 12].map((at) => host.word(domain, scratch + at) | 0);
  expect(results).toEqual([0, -1, -22, -22]); // console port; console page: EPERM; deprecated and unknown: EINVAL
});

it('is saved and restored with its devices', () => {
  const host = fullMachine();
  // A timer that runs, a serial port with a scratch register, and a loop.
  const code = [...asm.out8(0x3ff, 0x5a), ...asm.out8(0x43, 0x34), ...asm.out8(0x40, 0), ...asm.out8(0x40, 0x80), 0xeb, 0xfe];
  host.boot(multibootKernel(code), 30_000n);
  const bytes = saveStream((writer) => saveHypervisor(host.hypervisor, writer));

  const full = new FullDomains(XEN_PROFILE);
  const again = startHypervisor(barePlatform(host.machine), { kinds: [new PvDomains(), full] });
  restoreStream(bytes, (reader) => restoreHypervisor(again, reader));
  const dom0 = new Dom0({ consoles: { output: () => {}, input: () => new Uint8Array(0) }, random: seedRandom(1n) });
  attachHostGuest(again, again.domains.get(0)!.vcpus[0]!, dom0, 0n);
  expect(saveStream((writer) => saveHypervisor(again, writer))).toEqual(bytes);
  const { devices } = full.of(again.domains.get(1)!);
  expect(devices.read(0x3ff, 1, 0n)).toBe(0x5a);
  expect(devices.nextEvent()).toBeDefined();
});
