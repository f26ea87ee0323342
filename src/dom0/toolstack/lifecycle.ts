/**
 * The life of domains as the toolstack sees it: create (build, describe in xenstore, connect, unpause), notice the end,
 * destroy and count. The end comes as in a real Dom0: xenstored fires @releaseDomain, and getdomaininfo says why.
 * Sources: Xen docs/misc/xenstore-paths.pandoc (keys), public/sched.h SHUTDOWN_*.
 */

import { BackendError, ConfigError } from '../../base/errors.ts';
import type { Persistent, SaveReader, SaveWriter } from '../../base/persist.ts';
import { fillRandom, type RandomState } from '../../base/random.ts';
import {
  XEN_DOMCTL_getdomaininfo,
  XEN_DOMCTL_pausedomain,
  XEN_DOMCTL_unpausedomain,
  XEN_DOMINF_dying,
  XEN_DOMINF_shutdown,
  XEN_DOMINF_shutdownshift,
  xen_domctl_getdomaininfo,
} from '../../xen-abi/domctl.ts';
import { XS } from '../../xen-abi/io/xs-wire.ts';
import { RELEASE_DOMAIN } from '../../xenstore/path.ts';
import type { ConsoleBackend } from '../backend/console.ts';
import type { Dom0Kernel } from '../kernel/kernel.ts';
import type { Xenstored } from '../xenstored.ts';
import { type BuiltDomain, buildDomain, destroyDomain } from './build-domain.ts';
import { buildFullDomain } from './build-full-domain.ts';
import { type CheckedConfig, checkDomainConfig, type DomainConfig } from './domain-config.ts';

/** A domain that this toolstack has created. Plain data. */
export interface DomainRecord {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  readonly onShutdown: 'destroy' | 'preserve';
  /** SHUTDOWN_*, once it has shut down. */
  shutdownReason: number | undefined;
}

/** Told what becomes of domains. */
export interface LifecycleObserver {
  created?(domain: DomainRecord): void;
  /** Shut down, its console drained, not destroyed yet. */
  shutDown?(domain: DomainRecord, reason: number): void;
  destroyed?(domain: DomainRecord): void;
}

export interface LifecycleParts {
  readonly kernel: Dom0Kernel;
  readonly xenstored: Xenstored;
  readonly consoles: ConsoleBackend;
  readonly observer: LifecycleObserver;
  /** Source of UUIDs; its state belongs to Dom0 and is saved with it. */
  readonly random: RandomState;
}

const watchToken = 'toolstack';

export class Lifecycle implements Persistent {
  readonly #parts: LifecycleParts;
  readonly domains = new Map<number, DomainRecord>();

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.xenstored.request(XS.WATCH, RELEASE_DOMAIN, watchToken);
  }

  /**
   * Creates a domain and lets it run (or leaves it paused).
   * @throws {ConfigError} for a configuration that cannot work, {BackendError} when the hypervisor refuses.
   */
  create(config: DomainConfig, options: { paused?: boolean } = {}): DomainRecord {
    const checked = checkDomainConfig(config);
    if (this.domains.values().some(({ name }) => name === checked.name))
      throw new ConfigError(`there is a domain "${checked.name}" already`);
    const { kernel, xenstored, consoles, observer } = this.#parts;
    const uuid = checked.uuid ?? this.#newUuid();
    const built = checked.type === 'full' ? buildFullDomain(kernel, checked, uuid) : buildDomain(kernel, checked, uuid);
    const { domid } = built;
    const record: DomainRecord = {
      domid,
      name: checked.name,
      uuid: uuidText(uuid),
      onShutdown: checked.onShutdown,
      shutdownReason: undefined,
    };
    this.domains.set(domid, record);
    try {
      this.#describe(checked, record, built);
      if (!consoles.attach(domid, built.consolePort))
        throw new BackendError('CONSOLE', `the console page of domain ${domid} is not granted`);
      xenstored.request(XS.INTRODUCE, String(domid), String(built.storeMfn), String(built.storePort));
      if (!options.paused) this.unpause(domid);
    } catch (error) {
      this.destroy(domid);
      throw error;
    }
    observer.created?.(record);
    return record;
  }

  pause(domid: number): void {
    this.#parts.kernel.calls.mustDomctl(XEN_DOMCTL_pausedomain, domid);
  }

  unpause(domid: number): void {
    this.#parts.kernel.calls.mustDomctl(XEN_DOMCTL_unpausedomain, domid);
  }

  /** Asks the domain to shut itself down (the guest watches the key). */
  requestShutdown(domid: number, how: 'poweroff' | 'reboot' | 'suspend' | 'halt' | 'crash'): void {
    this.#parts.xenstored.write(`/local/domain/${domid}/control/shutdown`, how);
  }

  /** Ends a domain and everything that Dom0 holds of it: rings, ports, keys, memory. */
  destroy(domid: number): void {
    const record = this.domains.get(domid);
    if (record === undefined) throw new BackendError('NO_DOMAIN', `there is no domain ${domid}`);
    this.pause(domid);
    this.#forget(record);
    destroyDomain(this.#parts.kernel, domid);
    this.#parts.observer.destroyed?.(record);
  }

  /** Handles what xenstored has told this toolstack since the last time. */
  handleEvents(): void {
    const released = this.#parts.xenstored.takeLocalEvents().some(({ path, token }) => path === RELEASE_DOMAIN && token === watchToken);
    if (!released) return;
    for (const record of [...this.domains.values()]) {
      const state = this.#state(record.domid);
      if (record.shutdownReason !== undefined || (state.reason === undefined && !state.gone)) continue;
      this.#parts.consoles.serve(record.domid);
      if (state.reason !== undefined) {
        record.shutdownReason = state.reason;
        this.#parts.observer.shutDown?.(record, state.reason);
        if (record.onShutdown === 'destroy') this.destroy(record.domid);
      } else {
        this.#forget(record);
        this.#parts.observer.destroyed?.(record);
      }
    }
  }

  save(writer: SaveWriter): void {
    writer.section('toolstack', 1, () => {
      writer.plain(this.domains);
      writer.plain(this.#parts.random);
    });
  }

  restore(reader: SaveReader): void {
    reader.section('toolstack', 1, () => {
      this.domains.clear();
      for (const [domid, record] of reader.plain<Map<number, DomainRecord>>()) {
        record.shutdownReason ??= undefined;
        this.domains.set(domid, record);
      }
      Object.assign(this.#parts.random, reader.plain<RandomState>());
    });
  }

  /** Lets go of everything that Dom0 holds of a domain; its memory stays. */
  #forget({ domid, uuid }: DomainRecord): void {
    const { xenstored, consoles } = this.#parts;
    this.domains.delete(domid);
    consoles.detach(domid);
    if (xenstored.store.introduced.has(domid)) xenstored.request(XS.RELEASE, String(domid));
    for (const path of [`/local/domain/${domid}`, `/vm/${uuid}`]) if (xenstored.read(path) !== undefined) xenstored.request(XS.RM, path);
  }

  #state(domid: number): { gone: boolean; reason: number | undefined } {
    const { calls } = this.#parts.kernel;
    calls.begin();
    const { result, domain, out } = calls.domctl(XEN_DOMCTL_getdomaininfo, domid, xen_domctl_getdomaininfo);
    if (result < 0 || domain !== domid || out === undefined || (out.flags & XEN_DOMINF_dying) !== 0)
      return { gone: true, reason: undefined };
    const shutDown = (out.flags & XEN_DOMINF_shutdown) !== 0;
    return { gone: false, reason: shutDown ? (out.flags >>> XEN_DOMINF_shutdownshift) & 0xff : undefined };
  }

  /** The keys that a PV domain finds, in the order in which real toolstacks create them (DIRECTORY shows it). */
  #describe(config: CheckedConfig, record: DomainRecord, built: BuiltDomain): void {
    const { xenstored } = this.#parts;
    const { domid } = record;
    const home = `/local/domain/${domid}`;
    const kib = config.memoryMiB * 1024;
    const node = (path: string, permissions: readonly string[], value?: string): void => {
      if (value === undefined) xenstored.request(XS.MKDIR, path);
      else xenstored.write(path, value);
      xenstored.request(XS.SET_PERMS, path, ...permissions);
    };
    const readable = ['n0', `r${domid}`];
    const own = [`n${domid}`];
    node(`/vm/${record.uuid}`, readable);
    node(`/vm/${record.uuid}/name`, readable, config.name);
    node(`/vm/${record.uuid}/uuid`, readable, record.uuid);
    node(home, readable);
    node(`${home}/vm`, readable, `/vm/${record.uuid}`);
    node(`${home}/name`, readable, config.name);
    for (let vcpu = 0; vcpu < config.vcpus; vcpu++) node(`${home}/cpu/${vcpu}/availability`, readable, 'online');
    node(`${home}/memory/static-max`, readable, String(kib));
    node(`${home}/memory/target`, readable, String(kib));
    node(`${home}/device`, readable);
    node(`${home}/control`, readable);
    for (const feature of ['poweroff', 'reboot', 'suspend', 's3', 's4']) node(`${home}/control/feature-${feature}`, own, '');
    node(`${home}/control/shutdown`, own, '');
    node(`${home}/control/sysrq`, own, '');
    for (const name of ['data', 'drivers', 'feature', 'attr', 'error']) node(`${home}/${name}`, own);
    node(`${home}/domid`, readable, String(domid));
    node(`${home}/store/port`, readable, String(built.storePort));
    node(`${home}/store/ring-ref`, readable, String(built.storeMfn));
    node(`${home}/console/backend-id`, readable, '0');
    node(`${home}/console/type`, readable, 'xenconsoled');
    node(`${home}/console/output`, readable, 'pty');
    node(`${home}/console/tty`, readable, '');
    node(`${home}/console/limit`, readable, '1048576');
    node(`${home}/console/port`, readable, String(built.consolePort));
    node(`${home}/console/ring-ref`, readable, String(built.consoleMfn));
  }

  #newUuid(): Uint8Array {
    const uuid = new Uint8Array(16);
    fillRandom(this.#parts.random, uuid);
    uuid[6] = ((uuid[6] as number) & 0x0f) | 0x40; // version 4
    uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80;
    return uuid;
  }
}

function uuidText(uuid: Uint8Array): string {
  const hex = Array.from(uuid, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
