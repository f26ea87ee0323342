/**
 * Changes of an array's configuration file: written beside it and renamed over it, after an array has been opened with
 * the new one, so that a configuration that does not work never takes the place of one that does.
 */

import { randomUUID } from 'node:crypto';
import { open, rename, stat } from 'node:fs/promises';
import { ConfigError } from '../../../base/errors.ts';
import type { RacsArray } from '../../../racs/array.ts';
import { type ArrayConfig, openArray } from '../../../racs/store/array-config.ts';
import { stderrLogger } from './with-array.ts';

/** @returns the array, open with the new configuration. */
export async function adoptConfig(path: string, config: ArrayConfig, options: { init?: boolean } = {}): Promise<RacsArray> {
  const array = await openArray(config, { logger: stderrLogger, ...options });
  try {
    await replaceFile(path, `${JSON.stringify(config, null, 2)}\n`);
  } catch (error) {
    await array.close();
    throw new ConfigError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  return array;
}

/**
 * The register of a majority counts the providers that can take part; who they are must not change when a provider
 * comes or goes, so they are named before that.
 */
export function nameAcceptors(config: ArrayConfig, array: RacsArray): ArrayConfig {
  const { register } = config;
  if (register.type !== 'majority' || register.providers) return config;
  const providers = [...array.providers.values()].filter(({ store }) => store.capabilities.conditionalPut).map(({ id }) => id);
  return { ...config, register: { ...register, providers } };
}

async function replaceFile(path: string, text: string): Promise<void> {
  const fresh = `${path}.${randomUUID()}`;
  const file = await open(fresh, 'wx', (await stat(path)).mode & 0o777);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}
