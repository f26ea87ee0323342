/**
 * Reader and writer locks in ZooKeeper, by its recipe: an ephemeral sequential node per waiter below a node per key; a
 * writer waits until it is first, a reader until no writer is before it. Waits by asking again, since the client has
 * no watches. A dead holder's node goes with its session.
 * Source: ZooKeeper Recipes, "Shared Locks".
 */

import { type CallOptions, checkKey, type Clock, StoreError } from '../object-store.ts';
import type { KeyLocks, Release } from '../locked-store.ts';
import { JuteWriter, openAcl, ZooKeeperClient, zooErrors } from './zookeeper-client.ts';

const ephemeralSequential = 3;
const firstWaitMs = 2;
const maxWaitMs = 50;

export class ZooKeeperLocks implements KeyLocks {
  readonly #client: ZooKeeperClient;
  readonly #root: string;
  readonly #clock: Clock;

  constructor(options: { servers: readonly string[]; root?: string; clock: Clock; timeoutMs?: number }) {
    this.#client = new ZooKeeperClient(options.servers, options.timeoutMs);
    this.#root = options.root ?? '/racs-locks';
    this.#clock = options.clock;
  }

  async acquire(key: string, kind: 'read' | 'write', options: CallOptions = {}): Promise<Release> {
    checkKey(key);
    const parent = `${this.#root}/=${encodeURIComponent(key)}`;
    const path = await this.#enqueue(parent, `${kind}-`);
    const own = numberOf(path);
    const release = async (): Promise<void> => {
      const { error } = await this.#client.call('delete', new JuteWriter().string(path).int(-1).done());
      if (error !== zooErrors.ok && error !== zooErrors.noNode) throw this.#failed(error);
    };
    try {
      for (let waitMs = firstWaitMs; ; waitMs = Math.min(maxWaitMs, waitMs * 2)) {
        const { error, body } = await this.#client.call('getChildren', new JuteWriter().string(parent).bool(false).done(), options.signal);
        if (error !== zooErrors.ok) throw this.#failed(error);
        const waiters = Array.from({ length: Math.max(0, body.int()) }, () => body.string());
        if (!waiters.some((name) => numberOf(name) === own))
          throw new StoreError('UNAVAILABLE', `${this.#client.name}: the session was lost while waiting`);
        const before = waiters.filter((name) => numberOf(name) < own && (kind === 'write' || name.startsWith('write-')));
        if (before.length === 0) return release;
        await this.#clock.sleep(waitMs, options.signal);
      }
    } catch (error) {
      await release().catch(() => {});
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #enqueue(parent: string, name: string): Promise<string> {
    for (let tries = 0; ; tries++) {
      const request = openAcl(new JuteWriter().string(`${parent}/${name}`).buffer(new Uint8Array(0))).int(ephemeralSequential);
      const { error, body } = await this.#client.call('create', request.done());
      if (error === zooErrors.ok) return body.string();
      if (error !== zooErrors.noNode || tries > 0) throw this.#failed(error);
      for (const path of [this.#root, parent]) {
        const made = await this.#client.call(
          'create',
          openAcl(new JuteWriter().string(path).buffer(new Uint8Array(0)))
            .int(0)
            .done(),
        );
        if (made.error !== zooErrors.ok && made.error !== zooErrors.nodeExists) throw this.#failed(made.error);
      }
    }
  }

  #failed(error: number): StoreError {
    return new StoreError('UNAVAILABLE', `${this.#client.name}: error ${error}`);
  }
}

/** The ten digits that the server appends. */
const numberOf = (path: string): number => Number(path.slice(-10));
