/**
 * Full virtualization on the bare machine: the Baseline's kernel, unmodified, in a full domain that Dom0 builds. The
 * columns HVM and KVM are the same hypervisor with another profile.
 */
import { ConfigError } from '../base/errors.ts';
import { hashStream } from '../base/persist.ts';
import { BareMachine } from '../machine/bare-machine.ts';
import { barePlatform } from '../machine/bare-platform.ts';
import { FullDomains } from '../xen/hvm/full-domains.ts';
import { FULL_PROFILES, type FullProfile } from '../xen/hvm/profile.ts';
import { SHUTDOWN_poweroff } from '../xen-abi/sched.ts';
import { machineParts } from './machine-parts.ts';
import { processorReport } from './processor-report.ts';
import { DEFAULT_EPOCH } from './pv.ts';
import type { Stack, StackEnd, StackOptions } from './stack.ts';
import { DOM0_PAGES, startDom0, xenLayer } from './xen-layer.ts';

const GUEST_CPU = 0;
const HYPERVISOR_MIB = 8;

/** The profile of a stack's bottom layer, with what an ablation changes. */
export function fullProfile(bottom: 'kvm' | 'hvm', options: StackOptions): FullProfile {
  const profile = FULL_PROFILES[bottom === 'kvm' ? 'kvm' : 'xen'];
  const largestLeaf = options.settings?.secondStageLeafShift?.[bottom] ?? profile.largestLeaf;
  return { ...profile, largestLeaf };
}

export function buildFull(options: StackOptions, bottom: 'kvm' | 'hvm'): Stack {
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
  const full = new FullDomains(fullProfile(bottom, options));
  const xen = xenLayer({
    platform: barePlatform(machine),
    layer: 0,
    epoch: options.epoch ?? DEFAULT_EPOCH,
    seed: options.seed ?? 0n,
    kinds: [full],
    ...(options.observer && { observer: options.observer }),
    consoles: (_domid, bytes) => options.console(bytes),
    dom0Observer: {
      failed: (_request, error) => {
        throw error;
      },
      shutDown: (domain, reason) => {
        const crash = xen.hypervisor.domain(domain.domid)?.crashReason;
        if (reason === SHUTDOWN_poweroff) finish({ reason: 'power-off' });
        else finish({ reason: 'crash', report: crash ?? `shut down with reason ${reason}` });
      },
    },
  });
  xen.dom0.submit({
    kind: 'create',
    config: {
      type: 'full',
      name: 'guest',
      kernel: options.image,
      memoryMiB,
      commandLine: options.commandLine ?? '',
      onShutdown: 'preserve',
    },
  });
  startDom0(xen);
  const processor = machine.processors[GUEST_CPU];
  const ledger = parts.attachLedger(processor);
  return {
    name: bottom,
    memory: machine.memory,
    guestProcessor: processor,
    ledger,
    layers: 1,
    run: (maxInstructions) => {
      const stopped = machine.run(maxInstructions);
      if (end !== undefined) return end;
      if (stopped.reason === 'deadlock' || stopped.reason === 'limit' || stopped.reason === 'stopped') return stopped;
      throw new ConfigError(`the machine below the hypervisor ended with ${stopped.reason}`);
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
    report: () => processorReport(processor),
  };
}
