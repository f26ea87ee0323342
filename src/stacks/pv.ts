/** One layer of Xen on the bare machine, with the guest as a PV domain that Dom0 builds. */
import { ConfigError } from '../base/errors.ts';
import { hashStream } from '../base/persist.ts';
import { BareMachine } from '../machine/bare-machine.ts';
import { barePlatform } from '../machine/bare-platform.ts';
import { SHUTDOWN_poweroff } from '../xen-abi/sched.ts';
import { GuestReport } from './guest-report.ts';
import { machineParts } from './machine-parts.ts';
import type { Stack, StackEnd, StackOptions } from './stack.ts';
import { DOM0_PAGES, startDom0, xenLayer } from './xen-layer.ts';

/** 2012-04-10, when EuroSys 2012 began. */
export const DEFAULT_EPOCH = 1334016000n;
const GUEST_CPU = 0;
/** For the hypervisor itself: M2P, tables, heap. */
const HYPERVISOR_MIB = 8;

export function buildPv(options: StackOptions): Stack {
  const parts = machineParts(options);
  const memoryMiB = options.memoryMiB ?? 64;
  const machine = new BareMachine({
    ...parts.machine,
    cpuCount: 2,
    memoryBytes: (memoryMiB + (DOM0_PAGES >> 8) + HYPERVISOR_MIB) << 20,
    transmit: () => {},
  });
  let end: StackEnd | undefined;
  const finish = (reason: StackEnd): void => {
    end ??= reason;
    machine.stop({ reason: 'stopped' });
  };
  const guest = new GuestReport(options.image);
  const xen = xenLayer({
    platform: barePlatform(machine),
    layer: 0,
    epoch: options.epoch ?? DEFAULT_EPOCH,
    seed: options.seed ?? 0n,
    observer: guest.watch(options.observer),
    shutDown: (domid, code, crash) => {
      if (domid !== 0 && code !== SHUTDOWN_poweroff) guest.capture(crash ?? `shut down with reason ${code}`, machine.processors[GUEST_CPU]);
    },
    consoles: (_domid, bytes) => options.console(bytes),
    dom0Observer: {
      failed: (_request, error) => {
        throw error;
      },
      shutDown: (_domain, reason) => {
        if (reason === SHUTDOWN_poweroff) finish({ reason: 'power-off' });
        else finish({ reason: 'crash', report: guest.captured ?? `shut down with reason ${reason}` });
      },
    },
  });
  xen.dom0.submit({
    kind: 'create',
    config: { name: 'guest', kernel: options.image, memoryMiB, commandLine: options.commandLine ?? '', onShutdown: 'preserve' },
  });
  startDom0(xen);
  const processor = machine.processors[GUEST_CPU];
  const ledger = parts.attachLedger(processor);
  return {
    name: 'pv',
    memory: machine.memory,
    guestProcessor: processor,
    ledger,
    layers: 1,
    run: (maxInstructions) => {
      const stopped = machine.run(maxInstructions);
      if (end !== undefined) return end;
      if (stopped.reason === 'deadlock' || stopped.reason === 'limit' || stopped.reason === 'stopped') return stopped;
      throw new ConfigError(`the machine below Xen ended with ${stopped.reason}`);
    },
    stop: () => machine.stop({ reason: 'stopped' }),
    get instructions() {
      return machine.instructions;
    },
    stateHash: () =>
      hashStream((writer) => {
        machine.save(writer);
        xen.save(writer);
      }),
    report: () => guest.now(processor),
  };
}
