/** The host's time and chance, for stores and array. */

import { randomBytes } from 'node:crypto';
import type { Chance, Clock } from '../object-store.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(done, ms);
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      }
      signal?.addEventListener('abort', done, { once: true });
    }),
};

export const systemChance: Chance = {
  fraction: () => randomBytes(4).readUInt32LE() / 2 ** 32,
  bytes: (count) => new Uint8Array(randomBytes(count)),
};
