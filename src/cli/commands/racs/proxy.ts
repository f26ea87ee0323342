/**
 * `paravane racs proxy`: an S3-compatible server over an array, until SIGINT or SIGTERM. Any number of them may serve
 * one array. Keys come from a file (one ACCESS SECRET pair a line) or from RACS_ACCESS_KEY and RACS_SECRET_KEY in the
 * environment, never from arguments. No TLS: it listens on loopback unless told otherwise.
 */

import { readFileSync } from 'node:fs';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { ConfigError, describeError } from '../../../base/errors.ts';
import { S3Proxy } from '../../../racs/proxy/s3-proxy.ts';
import { nodeHashing, serveS3 } from '../../../racs/store/s3-server.ts';
import { systemClock } from '../../../racs/store/system.ts';
import { configOption, notice, untilStopped, withArray } from './with-array.ts';

export function builder(y: Argv): Argv {
  return configOption(y)
    .option('keys', { type: 'string', describe: 'file with one "ACCESS SECRET" pair a line' })
    .option('host', { type: 'string', default: '127.0.0.1', describe: 'address to listen on' })
    .option('port', { type: 'number', default: 9000, describe: 'port, 0 for a free one' })
    .option('region', { type: 'string', default: 'us-east-1', describe: 'what clients are told' });
}

export async function handler(argv: ArgumentsCamelCase): Promise<number> {
  const secrets = argv.keys === undefined ? keysFromEnvironment() : keysFromFile(String(argv.keys));
  return withArray(argv, async (array) => {
    const proxy = new S3Proxy({
      array,
      secretOf: (accessKeyId) => secrets.get(accessKeyId),
      hashing: nodeHashing,
      clock: systemClock,
      region: String(argv.region),
      onError: (requestId, error) => notice(`request ${requestId}: ${describeError(error)}`),
    });
    const server = await serveS3(proxy, { host: String(argv.host), port: Number(argv.port) });
    notice(`serving array ${array.id} on http://${server.host}:${server.port}`);
    await untilStopped();
    await server.close();
    return 0;
  });
}

function keysFromEnvironment(): Map<string, string> {
  const [access, secret] = [process.env['RACS_ACCESS_KEY'], process.env['RACS_SECRET_KEY']];
  if (!access || !secret)
    throw new ConfigError('--keys FILE, or RACS_ACCESS_KEY and RACS_SECRET_KEY in the environment, must give a pair of keys');
  return new Map([[access, secret]]);
}

function keysFromFile(path: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  const pairs = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line, i) => {
      const [access, secret, ...rest] = line.split(/\s+/);
      // The line itself is not shown: it holds a secret.
      if (!access || !secret || rest.length > 0) throw new ConfigError(`${path}: pair ${i + 1} is not "ACCESS SECRET"`);
      return [access, secret] as const;
    });
  if (pairs.length === 0) throw new ConfigError(`${path}: no pair of keys`);
  return new Map(pairs);
}
