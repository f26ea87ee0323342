/**
 * Moves the register of a key from one manifest to the next: the moment at which a put, delete or repair happens.
 *
 * 1. Read the register; give up if a condition does not hold, or if the version may have been collected (`floor`).
 * 2. Set it over the version that was read. Refused: somebody was faster; again from 1 with what is there now.
 * 3. No answer: the set may be done, or come late. Read. Our id is current or among the former ones: it is done. The
 *    version is the one that we set over: repeat the same set, of which only one can succeed. Somebody set over the
 *    same version, so that our id can never follow: as if refused. Otherwise nobody can tell, and the error says so.
 */

import { type Manifest, decodeManifest, encodeManifest, keptIds } from './manifest.ts';
import { type Clock, isStoreError, StoreError } from './object-store.ts';
import type { CommitRegister, RegisterState } from './register/commit-register.ts';
import { timeOfId } from './share-format.ts';

/** The next manifest, or null to leave the register as it is. Throws when a condition does not hold. */
export type NextManifest = (current: Manifest | null) => Manifest | null;

export interface Commit {
  /** What is in the register now. */
  manifest: Manifest | null;
  /** What our manifest replaced; null when there was none or nothing was set. */
  replaced: Manifest | null;
}

/** A set whose answer was lost. */
interface Attempt {
  base: Manifest | null;
  version: string;
  manifest: Manifest;
}

/** How often a set without an answer is looked into before we say so. */
const maxUnclear = 8;

export async function commit(
  register: CommitRegister,
  name: string,
  next: NextManifest,
  options: { clock: Clock; signal?: AbortSignal },
): Promise<Commit> {
  let state = await readRegister(register, name, options);
  let attempt: Attempt | null = null;
  for (let unclear = 0; ; ) {
    const current = decodeManifest(state.value);
    if (attempt) {
      const id: string = attempt.manifest.id;
      if (current?.id === id || current?.recent.includes(id)) return { manifest: current, replaced: attempt.base };
      if (current && state.version !== attempt.version) {
        const baseId: string | undefined = attempt.base?.id;
        const history = [current.id, ...current.recent];
        const known = baseId === undefined ? history.length < keptIds : history.includes(baseId);
        if (!known)
          throw new StoreError('UNAVAILABLE', `${name}: whether the write was done cannot be found out`, { mayHaveHappened: true });
        attempt = null;
      }
    }
    const manifest: Manifest | null = attempt ? attempt.manifest : next(current);
    if (!manifest) return { manifest: current, replaced: null };
    if (current?.floor !== undefined && timeOfId(manifest.id) <= current.floor) {
      throw new StoreError('UNAVAILABLE', `${name}: the write took so long that its shares may have been collected`);
    }
    try {
      const result = await register.set(name, state.version, encodeManifest(manifest), options.signal ? { signal: options.signal } : {});
      if (result.done) return { manifest, replaced: current };
      // A refusal says nothing about an earlier set of ours whose answer was lost: `attempt` stays for the next look.
      state = result.current;
    } catch (error) {
      if (!isStoreError(error) || !error.mayHaveHappened || unclear++ >= maxUnclear) throw error;
      attempt = { base: current, version: state.version, manifest };
      await options.clock.sleep(10 * 2 ** unclear, options.signal);
      state = await readRegister(register, name, options).catch((cause: unknown) => {
        throw new StoreError('UNAVAILABLE', `${name}: the answer to a write was lost, and the register cannot be read`, {
          mayHaveHappened: true,
          cause,
        });
      });
    }
  }
}

async function readRegister(
  register: CommitRegister,
  name: string,
  options: { clock: Clock; signal?: AbortSignal },
): Promise<RegisterState> {
  for (let tries = 0; ; tries++) {
    try {
      return await register.read(name, options.signal ? { signal: options.signal } : {});
    } catch (error) {
      if (!isStoreError(error) || !error.retryable || tries >= 4) throw error;
      await options.clock.sleep(10 * 2 ** tries, options.signal);
    }
  }
}
