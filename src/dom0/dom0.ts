/**
 * Dom0 as host code: kernel, xenstored, console backend and toolstack in one domain that acts through its
 * {@link GuestPort} alone. Hypervisor and stacks call it between two guest instructions; its state is plain data.
 *
 * Requests from outside (create a domain, destroy one, console input has come) are put into a queue with `submit`; the
 * stack then raises VIRQ_CONSOLE for Dom0, as a keyboard would, and the next upcall takes them.
 */

import { BackendError, ConfigError, describeError } from '../base/errors.ts';
import type { SaveReader, SaveWriter } from '../base/persist.ts';
import type { RandomState } from '../base/random.ts';
import type { GuestPort, HostGuest } from '../xen-abi/guest-port.ts';
import { VIRQ_CONSOLE, VIRQ_DOM_EXC } from '../xen-abi/xen.ts';
import { ConsoleBackend, type ConsoleOutlet } from './backend/console.ts';
import type { PortUse } from './kernel/events.ts';
import { Dom0Kernel, dom0Image } from './kernel/kernel.ts';
import { findLayerBelow, type LayerBelow } from './kernel/layer-below.ts';
import type { DomainConfig } from './toolstack/domain-config.ts';
import { Lifecycle, type LifecycleObserver } from './toolstack/lifecycle.ts';
import { Xenstored } from './xenstored.ts';

/** Something that an operator asks of Dom0. Plain data. */
export type Dom0Request =
  | { readonly kind: 'create'; readonly config: DomainConfig; readonly paused?: boolean }
  | { readonly kind: 'destroy' | 'pause' | 'unpause'; readonly domid: number }
  | { readonly kind: 'shutdown'; readonly domid: number; readonly how: 'poweroff' | 'reboot' | 'suspend' | 'halt' | 'crash' };

export interface Dom0Observer extends LifecycleObserver {
  /** A request could not be done: ConfigError or BackendError, with its message on one line. */
  failed?(request: Dom0Request, error: unknown, message: string): void;
}

export interface Dom0Options {
  readonly consoles: ConsoleOutlet;
  readonly observer?: Dom0Observer;
  readonly random: RandomState;
  /** Look for a Xen below the hypervisor, by passthrough. Default false. */
  readonly layerBelow?: boolean;
}

export class Dom0 implements HostGuest {
  readonly image = dom0Image;
  readonly kernel = new Dom0Kernel();
  readonly xenstored: Xenstored;
  readonly consoles: ConsoleBackend;
  readonly lifecycle: Lifecycle;
  readonly #observer: Dom0Observer;
  readonly #looksBelow: boolean;
  /** Xen below this hypervisor, once Dom0 has started; undefined where there is none. */
  below: LayerBelow | undefined = undefined;
  #requests: Dom0Request[] = [];

  constructor(options: Dom0Options) {
    this.#observer = options.observer ?? {};
    this.#looksBelow = options.layerBelow ?? false;
    this.xenstored = new Xenstored(this.kernel);
    this.consoles = new ConsoleBackend(this.kernel, options.consoles);
    this.lifecycle = new Lifecycle({
      kernel: this.kernel,
      xenstored: this.xenstored,
      consoles: this.consoles,
      observer: this.#observer,
      random: options.random,
    });
  }

  /** Queues a request; before the start it is taken at the start. */
  submit(request: Dom0Request): void {
    this.#requests.push(request);
  }

  start(port: GuestPort): void {
    this.kernel.start(port);
    this.kernel.events.bindVirq(VIRQ_DOM_EXC);
    this.kernel.events.bindVirq(VIRQ_CONSOLE);
    this.xenstored.write('/local/domain/0/domid', '0');
    this.xenstored.write('/local/domain/0/name', 'Domain-0');
    if (this.#looksBelow) this.below = findLayerBelow(this.kernel.calls);
    this.lifecycle.start();
    this.#takeRequests();
  }

  upcall(_port: GuestPort): void {
    for (const use of this.kernel.events.takePending()) this.#handle(use);
    this.lifecycle.handleEvents();
  }

  attach(port: GuestPort): void {
    this.kernel.attach(port);
  }

  save(writer: SaveWriter): void {
    writer.section('dom0', 1, () => {
      this.kernel.save(writer);
      this.xenstored.save(writer);
      this.consoles.save(writer);
      this.lifecycle.save(writer);
      writer.plain(this.#requests);
      writer.plain(this.below ?? null);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('dom0', 1, () => {
      this.kernel.restore(reader);
      this.xenstored.restore(reader);
      this.consoles.restore(reader);
      this.lifecycle.restore(reader);
      this.#requests = reader.plain();
      this.below = reader.plain<LayerBelow | null>() ?? undefined;
    });
  }

  #handle(use: PortUse): void {
    switch (use.kind) {
      case 'xenstore':
        return this.xenstored.serve(use.domid);
      case 'console':
        return this.consoles.serve(use.domid);
      case 'virq':
        if (use.virq === VIRQ_DOM_EXC) this.xenstored.lookForDeadDomains();
        else {
          this.#takeRequests();
          this.consoles.serveAll();
        }
        return;
    }
  }

  #takeRequests(): void {
    const requests = this.#requests;
    this.#requests = [];
    for (const request of requests) {
      try {
        this.#do(request);
      } catch (error) {
        if (!(error instanceof ConfigError || error instanceof BackendError)) throw error;
        this.#observer.failed?.(request, error, describeError(error));
      }
    }
  }

  #do(request: Dom0Request): void {
    switch (request.kind) {
      case 'create':
        this.lifecycle.create(request.config, { paused: request.paused ?? false });
        return;
      case 'destroy':
        return this.lifecycle.destroy(request.domid);
      case 'pause':
        return this.lifecycle.pause(request.domid);
      case 'unpause':
        return this.lifecycle.unpause(request.domid);
      case 'shutdown':
        return this.lifecycle.requestShutdown(request.domid, request.how);
    }
  }
}
