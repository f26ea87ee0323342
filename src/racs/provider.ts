/**
 * A provider as the array knows it: a store, a short name, a price, and how it has been doing: a moving average of its
 * latency, and failures in a row. Order of preference comes from here.
 */

import type { Clock, ObjectStore } from './object-store.ts';

export interface ProviderPrice {
  /** Per 10^9 bytes read. */
  egress: number;
  /** Per 1000 reads. */
  gets: number;
}

export interface Provider {
  /** In manifests: never changes. Letters, digits and hyphens. */
  id: string;
  store: ObjectStore;
  price?: ProviderPrice;
  /** Takes no new shares and is read last. */
  draining?: boolean;
}

export type ReadPolicy = 'fastest' | 'cheapest';

/** A provider that failed so often in a row is asked last until this long after its last failure. */
const suspectFailures = 3;
const suspectMs = 10_000;

export class ProviderHealth {
  readonly #clock: Clock;
  readonly #state = new Map<string, { latencyMs: number; failures: number; failedAt: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  succeeded(id: string, ms: number): void {
    const state = this.#of(id);
    state.latencyMs = state.latencyMs === 0 ? ms : state.latencyMs * 0.8 + ms * 0.2;
    state.failures = 0;
  }

  failed(id: string): void {
    const state = this.#of(id);
    state.failures++;
    state.failedAt = this.#clock.now();
  }

  latencyMs(id: string): number {
    return this.#of(id).latencyMs;
  }

  suspect(id: string): boolean {
    const { failures, failedAt } = this.#of(id);
    return failures >= suspectFailures && this.#clock.now() - failedAt < suspectMs;
  }

  /** Smaller is better; for reads of about `bytes`. */
  score(provider: Provider, policy: ReadPolicy, bytes: number): number {
    const bad = (this.suspect(provider.id) ? 1e9 : 0) + (provider.draining ? 1e8 : 0);
    const { egress = 0, gets = 0 } = provider.price ?? {};
    return bad + (policy === 'cheapest' ? (egress * bytes) / 1e9 + gets / 1000 : this.#of(provider.id).latencyMs);
  }

  #of(id: string): { latencyMs: number; failures: number; failedAt: number } {
    let state = this.#state.get(id);
    if (!state) {
      state = { latencyMs: 0, failures: 0, failedAt: 0 };
      this.#state.set(id, state);
    }
    return state;
  }
}
