/**
 * An array from its configuration file: providers, register, code. The file is small and the same for everybody; all
 * state is in the stores. Secrets stand in the environment or in files that the configuration names, not in it.
 *
 *     {
 *       "array": "backups", "k": 2, "n": 3,
 *       "providers": [
 *         { "id": "a", "type": "directory", "path": "/srv/a" },
 *         { "id": "b", "type": "s3", "endpoint": "https://s3.eu-west-1.amazonaws.com", "bucket": "b", "region": "eu-west-1",
 *           "dialect": "aws", "accessKeyEnv": "B_KEY", "secretKeyEnv": "B_SECRET", "price": { "egress": 0.09, "gets": 0.0004 } },
 *         { "id": "c", "type": "azure", "account": "acc", "container": "c", "accountKeyFile": "/etc/racs/c.key" } ],
 *       "register": { "type": "majority" }
 *     }
 *
 * Registers: `majority` (of the providers named in `providers`, or of all that pass the probe), `provider` (one),
 * `directory`, `etcd`, `zookeeper`. Each provider holds `racs.json` with the array's and its own id: a provider of
 * another array, or one named twice, is refused.
 */

import { readFileSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { ConfigError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { type ArrayOptions, RacsArray } from '../array.ts';
import { isStoreError, type ObjectStore } from '../object-store.ts';
import { probeStore } from '../probe.ts';
import type { Provider, ProviderPrice, ReadPolicy } from '../provider.ts';
import type { CommitRegister } from '../register/commit-register.ts';
import { ConditionalRegister } from '../register/conditional-register.ts';
import { PaxosRegister } from '../register/paxos-register.ts';
import { ResilientStore } from '../resilient-store.ts';
import { AzureStore } from './azure-store.ts';
import { openDirectoryStore } from './directory-store.ts';
import { EtcdRegister } from './etcd-register.ts';
import { S3Store, s3Dialects } from './s3-store.ts';
import { systemChance, systemClock } from './system.ts';
import { WebDavStore } from './webdav-store.ts';
import { ZooKeeperRegister } from './zookeeper-register.ts';

/** A secret: the value of an environment variable, or the first line of a file. */
type Secret<Name extends string> = { [K in `${Name}Env` | `${Name}File`]?: string };

export type ProviderConfig = { id: string; price?: ProviderPrice; draining?: boolean; timeoutMs?: number; concurrency?: number } & (
  | { type: 'directory'; path: string; sync?: boolean }
  | ({
      type: 's3';
      endpoint: string;
      bucket: string;
      region?: string;
      dialect?: keyof typeof s3Dialects;
      prefix?: string;
    } & Secret<'accessKey'> &
      Secret<'secretKey'> &
      Secret<'sessionToken'>)
  | ({ type: 'azure'; account: string; container: string; endpoint?: string; prefix?: string } & Secret<'accountKey'>)
  | ({ type: 'webdav'; endpoint: string; user?: string } & Secret<'password'>)
);

export type RegisterConfig =
  | { type: 'majority'; providers?: string[] }
  | { type: 'provider'; provider: string }
  | { type: 'directory'; path: string }
  | { type: 'etcd'; endpoints: string[] }
  | { type: 'zookeeper'; servers: string[] };

export interface ArrayConfig {
  array: string;
  k: number;
  n: number;
  providers: ProviderConfig[];
  register: RegisterConfig;
  writeQuorum?: number;
  segmentBytes?: number;
  graceMs?: number;
  readPolicy?: ReadPolicy;
}

export interface OpenOptions {
  /** Make directories, buckets and markers that are missing. */
  init?: boolean;
  logger?: Logger;
  /** Wraps providers' stores, for faults staged from outside. */
  wrap?: (store: ObjectStore, id: string) => ObjectStore;
  onBadShare?: ArrayOptions['onBadShare'];
}

/** @throws {ConfigError} */
export async function readArrayConfig(path: string): Promise<ArrayConfig> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(`cannot read ${path}`, { cause });
  });
  try {
    return checkConfig(JSON.parse(text) as ArrayConfig);
  } catch (error) {
    throw error instanceof ConfigError ? error : new ConfigError(`${path} is not JSON`, { cause: error });
  }
}

/** @throws {ConfigError} BackendErrors of stores as they come */
export async function openArray(config: ArrayConfig, options: OpenOptions = {}): Promise<RacsArray> {
  checkConfig(config);
  const providers: Provider[] = [];
  try {
    await refuseSameDirectory(config);
    for (const provider of config.providers) {
      const raw = await openProvider(provider, options.init ?? false);
      const limits = {
        ...(provider.timeoutMs !== undefined && { timeoutMs: provider.timeoutMs }),
        ...(provider.concurrency !== undefined && { concurrency: provider.concurrency }),
      };
      const resilient = new ResilientStore(options.wrap?.(raw, provider.id) ?? raw, {
        clock: systemClock,
        chance: systemChance,
        ...limits,
      });
      const { price, draining } = provider;
      providers.push({ id: provider.id, store: resilient, ...(price && { price }), ...(draining && { draining }) });
    }
    await Promise.all(providers.map((provider) => checkMarker(config, provider, options)));
    const register = await openRegister(config, providers, options);
    const { writeQuorum, segmentBytes, graceMs, readPolicy } = config;
    return new RacsArray({
      ...{ id: config.array, providers, register, coding: { k: config.k, n: config.n }, clock: systemClock, chance: systemChance },
      ...(writeQuorum !== undefined && { writeQuorum }),
      ...(segmentBytes !== undefined && { segmentBytes }),
      ...(graceMs !== undefined && { graceMs }),
      ...(readPolicy && { readPolicy }),
      ...(options.logger && { logger: options.logger }),
      ...(options.onBadShare && { onBadShare: options.onBadShare }),
    });
  } catch (error) {
    await Promise.all(providers.map(({ store }) => store.close()));
    throw error;
  }
}

/** The store of a provider, without retries; with `init`, its directory, bucket, container or collection is made. */
export async function openProvider(config: ProviderConfig, init: boolean): Promise<ObjectStore> {
  switch (config.type) {
    case 'directory': {
      if (!init && (await realpath(config.path).catch(() => null)) === null)
        throw new ConfigError(`provider ${config.id}: no directory ${config.path}`);
      return openDirectoryStore({ path: config.path, ...(config.sync !== undefined && { sync: config.sync }) });
    }
    case 's3': {
      const { endpoint, bucket, region, dialect, prefix } = config;
      if (dialect !== undefined && !Object.hasOwn(s3Dialects, dialect))
        throw new ConfigError(`provider ${config.id}: no S3 dialect ${dialect}`);
      const sessionToken = secret(config, 'sessionToken');
      const credentials = {
        ...{ accessKeyId: required(config, 'accessKey'), secretAccessKey: required(config, 'secretKey') },
        ...(sessionToken !== undefined && { sessionToken }),
      };
      const store = new S3Store({
        endpoint,
        bucket,
        credentials,
        ...(region && { region }),
        ...(dialect && { dialect }),
        ...(prefix && { prefix }),
      });
      if (init) await store.createBucket();
      return store;
    }
    case 'azure': {
      const { account, container, endpoint = `https://${account}.blob.core.windows.net`, prefix } = config;
      const store = new AzureStore({ account, container, endpoint, accountKey: required(config, 'accountKey'), ...(prefix && { prefix }) });
      if (init) await store.createContainer();
      return store;
    }
    case 'webdav': {
      const password = secret(config, 'password');
      const store = new WebDavStore({
        endpoint: config.endpoint,
        ...(config.user && { user: config.user }),
        ...(password !== undefined && { password }),
      });
      if (init) await store.createCollection();
      return store;
    }
    default:
      throw new ConfigError(`provider ${(config as { id: string }).id}: no type ${String((config as { type: unknown }).type)}`);
  }
}

function checkConfig(config: ArrayConfig): ArrayConfig {
  if (typeof config.array !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(config.array))
    throw new ConfigError('array: a name of letters, digits and hyphens');
  if (!Array.isArray(config.providers) || config.providers.length === 0) throw new ConfigError('providers: a list of at least one');
  for (const { id } of config.providers) {
    if (typeof id !== 'string' || !/^[a-z0-9][a-z0-9-]{0,30}$/.test(id))
      throw new ConfigError(`provider id ${JSON.stringify(id)}: letters, digits and hyphens`);
  }
  const twice = config.providers.find(({ id }, i) => config.providers.findIndex((other) => other.id === id) < i);
  if (twice) throw new ConfigError(`provider ${twice.id} is there twice`);
  if (typeof config.register?.type !== 'string') throw new ConfigError('register: a type is missing');
  return config;
}

async function refuseSameDirectory(config: ArrayConfig): Promise<void> {
  const seen = new Map<string, string>();
  for (const provider of config.providers) {
    if (provider.type !== 'directory') continue;
    const path = await realpath(provider.path).catch(() => provider.path);
    const other = seen.get(path);
    if (other) throw new ConfigError(`providers ${other} and ${provider.id} are the same directory ${provider.path}`);
    seen.set(path, provider.id);
  }
}

/** A provider that is out is let pass: it cannot mix anything up now, and every share says whose it is. */
async function checkMarker(config: ArrayConfig, { id, store }: Provider, { init, logger }: OpenOptions): Promise<void> {
  let marker: { array: string; provider: string };
  try {
    marker = JSON.parse(new TextDecoder().decode((await store.get('racs.json')).body));
  } catch (error) {
    if (!isStoreError(error, 'NOT_FOUND')) {
      if (!isStoreError(error) || !error.retryable) throw error;
      logger?.warn(`provider ${id} does not answer: ${error.message}`);
      return;
    }
    if (!init) throw new ConfigError(`provider ${id} holds no array; "init" makes one`);
    await store.put('racs.json', new TextEncoder().encode(`${JSON.stringify({ array: config.array, provider: id })}\n`));
    return;
  }
  if (marker.array !== config.array) throw new ConfigError(`provider ${id} belongs to the array ${marker.array}, not to ${config.array}`);
  if (marker.provider !== id) throw new ConfigError(`provider ${id} is the provider ${marker.provider} of this array`);
}

async function openRegister(config: ArrayConfig, providers: readonly Provider[], { logger, init }: OpenOptions): Promise<CommitRegister> {
  const { register } = config;
  const find = (id: string): Provider => {
    const provider = providers.find((other) => other.id === id);
    if (!provider) throw new ConfigError(`register: no provider ${id}`);
    return provider;
  };
  const refused = async ({ store }: Provider): Promise<string | null> => {
    if (!store.capabilities.conditionalPut) return `${store.name}: no conditional writes`;
    const { capabilities, findings } = await probeStore(store, { chance: systemChance });
    return capabilities.conditionalPut ? null : findings.join('; ');
  };
  switch (register.type) {
    case 'majority': {
      // Who the acceptors are must not change with who answers today: the configuration decides, the probe only refuses.
      const acceptors = (register.providers?.map(find) ?? providers).filter(
        ({ store }) => register.providers || store.capabilities.conditionalPut,
      );
      if (acceptors.length === 0) throw new ConfigError('register: no provider has conditional writes');
      for (const acceptor of acceptors) {
        const why = await refused(acceptor).catch((error: unknown) => {
          if (!isStoreError(error) || !error.retryable) throw error;
          logger?.warn(`provider ${acceptor.id} does not answer: ${error.message}`);
          return null;
        });
        if (why) throw new ConfigError(`register: provider ${acceptor.id} cannot take part: ${why}`);
      }
      return new PaxosRegister(
        acceptors.map(({ store }) => store),
        { clock: systemClock, chance: systemChance },
      );
    }
    case 'provider': {
      const provider = find(register.provider);
      const why = await refused(provider);
      if (why) throw new ConfigError(`register: provider ${provider.id} cannot hold it: ${why}`);
      return new ConditionalRegister(provider.store, { chance: systemChance, shared: true });
    }
    case 'directory': {
      if (!init && (await realpath(register.path).catch(() => null)) === null)
        throw new ConfigError(`register: no directory ${register.path}`);
      return new ConditionalRegister(await openDirectoryStore({ path: register.path }), { chance: systemChance });
    }
    case 'etcd':
      return new EtcdRegister({ endpoints: register.endpoints, prefix: `racs/${config.array}/` });
    case 'zookeeper':
      return new ZooKeeperRegister({ servers: register.servers, root: `/racs-${config.array}` });
    default:
      throw new ConfigError(`register: no type ${String((register as { type: unknown }).type)}`);
  }
}

function secret(config: object, name: string): string | undefined {
  const fields = config as Record<string, string | undefined>;
  const [variable, file] = [fields[`${name}Env`], fields[`${name}File`]];
  if (variable !== undefined) {
    const value = process.env[variable];
    if (value === undefined) throw new ConfigError(`the environment variable ${variable} is not set`);
    return value;
  }
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8').split('\n')[0]!.trim();
  } catch (cause) {
    throw new ConfigError(`cannot read the secret in ${file}`, { cause });
  }
}

function required(config: { id: string }, name: string): string {
  const value = secret(config, name);
  if (value === undefined) throw new ConfigError(`provider ${config.id}: ${name}Env or ${name}File is missing`);
  return value;
}
