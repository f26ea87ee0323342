/**
 * What every stack with a hypervisor has in common: the bare machine, the way in which the guest's end becomes the run's
 * end, and the face that the stack shows. The layers themselves are put on it by pv.ts, full.ts and nested.ts.
 */
import { ConfigError } from '../base/errors.ts';
import { hashStream, type SaveWriter } from '../base/persist.ts';
import type { Dom0Observer } from '../dom0/dom0.ts';
import { BareMachine } from '../machine/bare-machine.ts';
import { barePlatform } from '../machine/bare-platform.ts';
import type { Platform } from '../platform/platform.ts';
import type { Ledger } from '../timing/ledger.ts';
import { SHUTDOWN_poweroff } from '../xen-abi/sched.ts';
import { GuestReport } from './guest-report.ts';
import { DEFAULT_EPOCH, machineParts } from './machine-parts.ts';
import type { Stack, StackEnd, StackName, StackOptions } from './stack.ts';
import { DOM0_PAGES, type XenLayer, xenLayer, type XenLayerOptions } from './xen-layer.ts';

/** The guest has a processor of its own in every stack. */
const GUEST_CPU = 0;
/** For a hypervisor itself: M2P, tables, heap. */
const HYPERVISOR_MIB = 8;
/** What one layer takes beside its guest. */
export const LAYER_MIB = HYPERVISOR_MIB + (DOM0_PAGES >> 8);
export const DEFAULT_MEMORY_MIB = 64;

export class StackHost {
  readonly machine: BareMachine;
  readonly platform: Platform;
  readonly guest: GuestReport;
  readonly ledger: Ledger;
  readonly #options: StackOptions;
  readonly #saved: { save(writer: SaveWriter): void }[];
  #end: StackEnd | undefined = undefined;

  /** @param memoryMiB of the bottom layer's guest. */
  constructor(options: StackOptions, cpuCount: number, memoryMiB: number) {
    const parts = machineParts(options);
    this.#options = options;
    this.machine = new BareMachine({ ...parts.machine, cpuCount, memoryBytes: (memoryMiB + LAYER_MIB) << 20, transmit: () => {} });
    this.#saved = [this.machine];
    this.platform = barePlatform(this.machine);
    this.guest = new GuestReport(options.image);
    this.ledger = parts.attachLedger(this.machine.processors[GUEST_CPU]);
  }

  /** A layer of Xen with what the run's options say. The guest's layer also ends the run when the guest ends. */
  layer(
    options: Pick<XenLayerOptions, 'platform' | 'layer' | 'kinds' | 'hypercalls' | 'layerBelow'>,
    holdsGuest: boolean,
    dom0Observer: Dom0Observer = {},
  ): XenLayer {
    const run = this.#options;
    const processor = this.machine.processors[GUEST_CPU];
    const layer = xenLayer({
      ...options,
      pv: { userPagesGlobal: run.settings?.userPagesGlobal ?? true },
      epoch: run.epoch ?? DEFAULT_EPOCH,
      seed: run.seed ?? 0n,
      observer: holdsGuest ? this.guest.watch(run.observer) : (run.observer ?? {}),
      shutDown: (domid, code, crash) => {
        if (domid !== 0 && code !== SHUTDOWN_poweroff) this.guest.capture(crash ?? `shut down with reason ${code}`, processor);
      },
      consoles: (_domid, bytes) => {
        if (holdsGuest) run.console(bytes);
      },
      dom0Observer: {
        failed: (_request, error) => {
          throw error;
        },
        shutDown: (_domain, reason) => {
          if (holdsGuest && reason === SHUTDOWN_poweroff) this.#finish({ reason: 'power-off' });
          else this.#finish({ reason: 'crash', report: this.guest.captured ?? `a domain shut down with reason ${reason}` });
        },
        ...dom0Observer,
      },
    });
    this.#saved.push(layer);
    return layer;
  }

  /** Runs until everything waits: what has been asked of a Dom0 is done then. */
  settle(): void {
    const end = this.machine.run();
    if (end.reason !== 'deadlock') throw new ConfigError(`the stack could not be built: it ended with ${end.reason}`);
  }

  stack(name: StackName, layers: number): Stack {
    const { machine, guest, ledger } = this;
    const processor = machine.processors[GUEST_CPU];
    return {
      name,
      memory: machine.memory,
      guestProcessor: processor,
      ledger,
      layers,
      run: (maxInstructions) => {
        const stopped = machine.run(maxInstructions);
        if (this.#end !== undefined) return this.#end;
        if (stopped.reason === 'deadlock' || stopped.reason === 'limit' || stopped.reason === 'stopped') return stopped;
        throw new ConfigError(`the machine below the hypervisor ended with ${stopped.reason}`);
      },
      stop: () => machine.stop({ reason: 'stopped' }),
      get instructions() {
        return machine.instructions;
      },
      stateHash: () =>
        hashStream((writer) => {
          for (const part of this.#saved) part.save(writer);
        }),
      report: () => guest.now(processor),
    };
  }

  #finish(reason: StackEnd): void {
    this.#end ??= reason;
    this.machine.stop({ reason: 'stopped' });
  }
}
