/**
 * `paravane racs add-provider FILE`: adds the provider that a JSON file describes (the form of the configuration's
 * `providers`; it names where secrets are and holds none) to the configuration, and makes what it needs. Shares come to
 * it with new puts, and by drain, repair and migrate.
 */

import { readFile } from 'node:fs/promises';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError } from '../../../base/errors.ts';
import { openArray, type ProviderConfig, readArrayConfig } from '../../../racs/store/array-config.ts';
import { printText } from '../../print.ts';
import { adoptConfig, nameAcceptors } from './edit-config.ts';
import { configOption, reportingFailures, stderrLogger } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y).positional('file', { type: 'string', demandOption: true, describe: 'JSON of the provider' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const [path, file] = [String(argv.config), String(argv.file)];
  return reportingFailures(async () => {
    const provider = await readProvider(file);
    const config = await readArrayConfig(path);
    const before = await openArray(config, { logger: stderrLogger });
    const pinned = nameAcceptors(config, before);
    await before.close();
    const array = await adoptConfig(path, { ...pinned, providers: [...pinned.providers, provider] }, { init: true });
    printText(`array ${array.id} has the providers ${[...array.providers.keys()].join(', ')}`);
    await array.close();
    return 0;
  });
}

async function readProvider(file: string): Promise<ProviderConfig> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ProviderConfig;
  } catch (error) {
    const why = error instanceof SyntaxError ? 'is not JSON' : `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`;
    throw new ConfigError(`${file}: ${why}`);
  }
}
