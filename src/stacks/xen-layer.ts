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
import type { Vcpu } from '../xen/domain.ts';
import type { HypervisorObserver } from '../xen/events.ts';
import type { Hypercall } from '../xen/hypercall/table.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { hvmOp } from '../xen/hvm/hvm-op.ts';
import { saveHypervisor } from '../xen/save-state.ts';
import { PvDomains, type PvOptions } from '../xen/pv/pv-domains.ts';
import { startHypervisor } from '../xen/start.ts';
import type { StackObserver } from './stack.ts';

/** Memory of a Dom0 that is host code, in frames: its windows and rings need little. */
export const DOM0_PAGES = 2048;
/** Operations of full domains that are exits have this before their reason. */
const EXIT = 'exit.';
const NANOSECONDS = 1_000_000_000n;

export interface XenLayerOptions {
  readonly platform: Platform;
  /** 0 on the bare machine. */
  readonly layer: number;
  /** Unix time in seconds at system time 0. */
  readonly epoch: bigint;
  readonly seed: bigint;
  readonly kinds?: readonly DomainKind[];
  readonly pv?: PvOptions;
  readonly hypercalls?: readonly Hypercall[];
  readonly observer?: StackObserver;
  /** Console output of this layer's domains. */
  readonly consoles: (domid: number, bytes: Uint8Array) => void;
  readonly dom0Observer?: Dom0Observer;
  /** Dom0 looks for a Xen below by passthrough when it starts. */
  readonly layerBelow?: boolean;
  /** A domain has shut down; its registers are still where they were. `crash`: what ended it, if it did not ask for it. */
  readonly shutDown?: (domid: number, code: number, crash: string | undefined) => void;
}

export interface XenLayer {
  readonly hypervisor: Hypervisor;
  readonly pv: PvDomains;
  readonly dom0: Dom0;
  save(writer: SaveWriter): void;
}

export function xenLayer(options: XenLayerOptions): XenLayer {
  const pv = new PvDomains(options.pv);
  const kinds: readonly DomainKind[] = [pv, ...(options.kinds ?? [])];
  // The call exists for everybody, full domains or not.
  const withoutFull = kinds.some(({ name }) => name === 'full') ? [] : [hvmOp(() => undefined)];
  const hypervisor = startHypervisor(options.platform, {
    kinds,
    epoch: options.epoch * NANOSECONDS,
    hypercalls: [...withoutFull, ...(options.hypercalls ?? [])],
    observers: [observerOf(options.observer ?? {}, options.layer, options.shutDown)],
  });
  const dom0 = new Dom0({
    consoles: { output: options.consoles, input: () => new Uint8Array(0) },
    random: seedRandom(options.seed),
    ...(options.dom0Observer && { observer: options.dom0Observer }),
    ...(options.layerBelow && { layerBelow: true }),
  });
  const save = (writer: SaveWriter): void => {
    saveHypervisor(hypervisor, writer);
    dom0.save(writer);
  };
  return { hypervisor, pv, dom0, save };
}

/** Builds Dom0; requests submitted to it before are taken when it starts. */
export function startDom0(layer: XenLayer): void {
  buildDom0(layer.hypervisor, { pages: DOM0_PAGES, kernel: { hostCode: layer.dom0 } });
}

function observerOf(observer: StackObserver, layer: number, shutDown: XenLayerOptions['shutDown']): HypervisorObserver {
  const seen = new Set<string>();
  /** Arguments of the calls that have not returned, outermost first: a multicall contains others. */
  const open = new Map<Vcpu, (readonly bigint[])[]>();
  return {
    ...(observer.hypercall && {
      hypercallEnter: (vcpu, _name, args) => {
        const calls = open.get(vcpu);
        if (calls === undefined) open.set(vcpu, [args]);
        else calls.push(args);
      },
      hypercallLeave: (vcpu, name, result) => {
        const calls = open.get(vcpu) ?? [];
        const args = calls.pop() ?? [];
        const inMulticall = calls.length > 0;
        if (!inMulticall) open.delete(vcpu);
        observer.hypercall?.({
          layer,
          domain: vcpu.domain.id,
          vcpu: vcpu.id,
          name: inMulticall ? `multicall entry: ${name}` : name,
          args,
          result: typeof result === 'bigint' ? result : undefined,
        });
      },
    }),
    operation: (vcpu, name) => {
      if (name.startsWith(EXIT)) observer.exit?.({ layer, domain: vcpu.domain.id, reason: name.slice(EXIT.length) });
      else observer.operation?.({ layer, domain: vcpu.domain.id, vcpu: vcpu.id, name });
    },
    domainShutdown: (domain, code, crash) => shutDown?.(domain.id, code, crash),
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
