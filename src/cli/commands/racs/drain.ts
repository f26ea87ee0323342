/**
 * `paravane racs drain PROVIDER`: marks a provider in the configuration so that it takes no new shares, and gives its
 * shares to others, made from the others where redundancy allows, so that a provider that is dear to read or dead is
 * not read. With --remove it is taken out of the configuration at the end.
 */

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import { drain } from '../../../racs/repair.ts';
import { type ArrayConfig, openArray, readArrayConfig } from '../../../racs/store/array-config.ts';
import { adoptConfig, nameAcceptors } from './edit-config.ts';
import { runWalk, walkOptions } from './walk.ts';
import { notice, reportingFailures, stderrLogger } from './with-array.ts';

export function builder(y: Argv): Argv {
  return walkOptions(y)
    .positional('provider', { type: 'string', demandOption: true, describe: 'id in the configuration' })
    .option('remove', { type: 'boolean', default: false, describe: 'take it out of the configuration when it is empty' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const [path, id] = [String(argv.config), String(argv.provider)];
  return reportingFailures(async () => {
    const config = await readArrayConfig(path);
    if (!config.providers.some((provider) => provider.id === id)) throw new ConfigError(`there is no provider ${id}`);
    const before = await openArray(config, { logger: stderrLogger });
    const pinned = nameAcceptors(config, before);
    await before.close();
    if (argv.remove && holdsRegister(pinned, id))
      throw new ConfigError(`provider ${id} holds registers of this array and cannot be removed`);
    const draining = { ...pinned, providers: pinned.providers.map((each) => (each.id === id ? { ...each, draining: true } : each)) };
    const array = await adoptConfig(path, draining);
    try {
      const status = await runWalk(array, argv, `drain ${id}`, (options) => drain(array, id, options));
      if (status !== 0 || !argv.remove || argv.prefix !== '') return status;
    } finally {
      await array.close();
    }
    const without = await adoptConfig(path, { ...draining, providers: draining.providers.filter((each) => each.id !== id) });
    await without.close();
    notice(`provider ${id} is not in ${path} any more`);
    return 0;
  });
}

function holdsRegister({ register }: ArrayConfig, id: string): boolean {
  if (register.type === 'provider') return register.provider === id;
  return register.type === 'majority' && (register.providers ?? []).includes(id);
}
