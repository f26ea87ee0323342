/**
 * One layer of Xen on any platform: the hypervisor, and its Dom0 played by host code. A stack of two layers is this
 * function called twice, the second time on a full domain of the first.
 */
import { seedRandom } from '../base/random.ts';
import type { SaveWriter } from '../base/persist.ts';
import { Dom0, type Dom0Observer } from '../dom0/dom0.ts';
import type { Platform } from '../platform/platform.ts';
import { buildDom0 } from '../xen/build-dom0.ts';
import type { DomainKind } from '../xen/domain-kind.ts';
import type { HypervisorObserver } from '../xen/events.ts';
import type { Hypercall } from '../xen/hypercall/table.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { PvDomains } from '../xen/pv/pv-domains.ts';
import { startHypervisor } from '../xen/start.ts';
import type { StackObserver } from './stack.ts';

/** Memory of a Dom0 that is host code, in frames: its windows and rings need little. */
export const DOM0_PAGES = 2048;
const NANOSECONDS = 1_000_000_000n;

export interface XenLayerOptions {
  readonly platform: Platform;
  /** 0 on the bare machine. */
  readonly layer: number;
  /** Unix time in seconds at system time 0. */
  readonly epoch: bigint;
  readonly seed: bigint;
  readonly kinds?: readonly DomainKind[];
  readonly hypercalls?: readonly Hypercall[];
  readonly observer?: StackObserver;
  /** Console output of this layer's domains. */
  readonly consoles: (domid: number, bytes: Uint8Array) => void;
  readonly dom0Observer?: Dom0Observer;
}

export interface XenLayer {
  readonly hypervisor: Hypervisor;
  readonly pv: PvDomains;
  readonly dom0: Dom0;
  save(writer: SaveWriter): void;
}

export function xenLayer(options: XenLayerOptions): XenLayer {
  const pv = new PvDomains();
  const hypervisor = startHypervisor(options.platform, {
    kinds: [pv, ...(options.kinds ?? [])],
    epoch: options.epoch * NANOSECONDS,
    ...(options.hypercalls && { hypercalls: options.hypercalls }),
    ...(options.observer && { observers: [observerOf(options.observer, options.layer)] }),
  });
  const dom0 = new Dom0({
    consoles: { output: options.consoles, input: () => new Uint8Array(0) },
    random: seedRandom(options.seed),
    ...(options.dom0Observer && { observer: options.dom0Observer }),
  });
  return { hypervisor, pv, dom0, save: (writer) => dom0.save(writer) };
}

/** Builds Dom0; requests submitted to it before are taken when it starts. */
export function startDom0(layer: XenLayer): void {
  buildDom0(layer.hypervisor, { pages: DOM0_PAGES, kernel: { hostCode: layer.dom0 } });
}

function observerOf(observer: StackObserver, layer: number): HypervisorObserver {
  const seen = new Set<string>();
  return {
    hypercallEnter: () => {},
    hypercallLeave: (vcpu, name, result) =>
      observer.hypercall?.({
        layer,
        domain: vcpu.domain.id,
        vcpu: vcpu.id,
        name,
        args: [],
        result: typeof result === 'bigint' ? result : undefined,
      }),
    event: (domain, port, merged) => observer.event?.({ layer, domain: domain.id, port, detail: merged ? 'merged' : '' }),
    unknown: (domain, kind, detail) => {
      const key = `${domain.id} ${kind} ${detail}`;
      if (seen.has(key)) return;
      seen.add(key);
      observer.unknown?.({ layer, kind, detail });
    },
    console: (domain, line) => {
      if (domain === undefined) observer.log?.({ layer, line });
    },
  };
}
