/**
 * Registers in ZooKeeper, the service of the RACS paper: a node per register below one parent, whose data version is
 * the register's. Nodes are never deleted, so versions only rise. A read asks the server to catch up with the leader
 * first (`sync`), which makes it linearizable.
 * Source: ZooKeeper Programmer's Guide, "ZooKeeper Stat Structure", "Consistency Guarantees".
 */

import { type CallOptions, checkLimit, compareKeys, StoreError } from '../object-store.ts';
import {
  absentVersion,
  checkName,
  checkValue,
  type CommitRegister,
  type RegisterListing,
  type RegisterListOptions,
  type RegisterState,
  type SetResult,
} from '../register/commit-register.ts';
import { readAll } from '../register/conditional-register.ts';
import { JuteWriter, openAcl, ZooKeeperClient, zooErrors } from './zookeeper-client.ts';

export class ZooKeeperRegister implements CommitRegister {
  readonly name: string;
  readonly #client: ZooKeeperClient;
  readonly #root: string;
  #rootMade: Promise<void> | null = null;

  /** `root` is one node, such as `/racs-ARRAY`. */
  constructor(options: { servers: readonly string[]; root?: string; timeoutMs?: number }) {
    this.#client = new ZooKeeperClient(options.servers, options.timeoutMs);
    this.name = this.#client.name;
    this.#root = options.root ?? '/racs';
  }

  async read(name: string, options: CallOptions = {}): Promise<RegisterState> {
    checkName(name);
    const path = this.#path(name);
    const [, reply] = await Promise.all([
      this.#client.call('sync', new JuteWriter().string(path).done(), options.signal),
      this.#client.call('getData', new JuteWriter().string(path).bool(false).done(), options.signal),
    ]);
    if (reply.error === zooErrors.noNode) return { version: absentVersion, value: null };
    this.#expectOk(reply.error);
    const value = reply.body.buffer();
    return { version: String(reply.body.statVersion()), value };
  }

  async set(name: string, expected: string, value: Uint8Array, options: CallOptions = {}): Promise<SetResult> {
    checkName(name);
    checkValue(value);
    const path = this.#path(name);
    if (expected === absentVersion) {
      await this.#makeRoot();
      const { error } = await this.#client.call(
        'create',
        openAcl(new JuteWriter().string(path).buffer(value)).int(0).done(),
        options.signal,
      );
      if (error === zooErrors.nodeExists) return { done: false, current: await this.read(name, options) };
      this.#expectOk(error);
      return { done: true, version: '0' };
    }
    if (!/^\d{1,9}$/.test(expected)) return { done: false, current: await this.read(name, options) };
    const reply = await this.#client.call(
      'setData',
      new JuteWriter().string(path).buffer(value).int(Number(expected)).done(),
      options.signal,
    );
    if (reply.error === zooErrors.badVersion || reply.error === zooErrors.noNode)
      return { done: false, current: await this.read(name, options) };
    this.#expectOk(reply.error);
    return { done: true, version: String(reply.body.statVersion()) };
  }

  async list(options: RegisterListOptions = {}): Promise<RegisterListing> {
    const limit = checkLimit(options.limit);
    const { prefix = '', startAfter = '' } = options;
    await this.#client.call('sync', new JuteWriter().string(this.#root).done(), options.signal);
    const { error, body } = await this.#client.call('getChildren', new JuteWriter().string(this.#root).bool(false).done(), options.signal);
    if (error === zooErrors.noNode) return { entries: [], truncated: false };
    this.#expectOk(error);
    const names = Array.from({ length: Math.max(0, body.int()) }, () => decodeURIComponent(body.string().slice(1)))
      .filter((name) => name.startsWith(prefix) && compareKeys(name, startAfter) > 0)
      .sort(compareKeys);
    return { entries: await readAll(this, names.slice(0, limit), options), truncated: names.length > limit };
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** Node names have no slash and none of the control characters: all but unreserved characters are escaped. */
  #path(name: string): string {
    return `${this.#root}/=${encodeURIComponent(name)}`;
  }

  #makeRoot(): Promise<void> {
    this.#rootMade ??= this.#client
      .call(
        'create',
        openAcl(new JuteWriter().string(this.#root).buffer(new Uint8Array(0)))
          .int(0)
          .done(),
      )
      .then(({ error }) => {
        if (error !== zooErrors.nodeExists) this.#expectOk(error);
      })
      .catch((error: unknown) => {
        this.#rootMade = null;
        throw error;
      });
    return this.#rootMade;
  }

  #expectOk(error: number): void {
    if (error !== zooErrors.ok) throw new StoreError('UNAVAILABLE', `${this.name}: error ${error}`);
  }
}
