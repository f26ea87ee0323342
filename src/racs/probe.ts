/**
 * What a store really does, found out at start with small objects of our own: whether conditional writes are atomic (a
 * race with one winner each round, and an etag that is then compared), whether ranges are served, whether a get and a
 * list see a put. Some servers ignore conditions and overwrite, others check and then write; only a store that passes
 * may hold commit registers. The answer is what {@link StoreCapabilities} declare and the probe has not refuted.
 */

import { type Chance, isStoreError, type ObjectStore, type StoreCapabilities } from './object-store.ts';

export interface ProbeResult {
  capabilities: StoreCapabilities;
  /** One line for each thing that is not as declared. */
  findings: string[];
}

const racers = 8;
const rounds = 4;

/** @throws {StoreError} when plain put, get and delete do not work: the store cannot be used at all */
export async function probeStore(store: ObjectStore, options: { chance: Chance; prefix?: string }): Promise<ProbeResult> {
  const name = Array.from(options.chance.bytes(8), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const prefix = `${options.prefix ?? 'probe/'}${name}/`;
  const capabilities = { ...store.capabilities };
  const findings: string[] = [];
  const deny = (what: 'conditionalPut' | 'rangeRead' | 'consistentRead' | 'consistentList', why: string): void => {
    if (capabilities[what]) findings.push(`${store.name}: ${why}`);
    capabilities[what] = false;
  };
  const content = new TextEncoder().encode('0123456789');
  const written: string[] = [];
  const put = async (key: string, body: Uint8Array, conditions: { ifNoneMatch?: '*'; ifMatch?: string } = {}) => {
    written.push(prefix + key);
    return store.put(prefix + key, body, conditions);
  };
  try {
    await put('plain', content);
    const whole = await store.get(`${prefix}plain`).catch((error: unknown) => {
      if (!isStoreError(error, 'NOT_FOUND')) throw error;
      return null;
    });
    if (!whole) deny('consistentRead', 'a get does not see a put');
    const part = await store.get(`${prefix}plain`, { range: { first: 3, end: 6 } }).catch(() => null);
    if (new TextDecoder().decode(part?.body) !== '345' || part?.first !== 3) deny('rangeRead', 'ranges are not served');
    const listed = await store.list({ prefix, limit: 10 }).catch(() => null);
    if (listed?.entries[0]?.key !== `${prefix}plain`) deny('consistentList', 'a list with a prefix does not see a put');
    if (capabilities.conditionalPut) {
      const why = await probeConditions(store, prefix, put);
      if (why) deny('conditionalPut', why);
    }
  } finally {
    for (const key of new Set(written)) await store.delete(key).catch(() => {});
  }
  return { capabilities, findings };
}

/** What is wrong with conditional writes, or null. */
async function probeConditions(
  store: ObjectStore,
  prefix: string,
  put: (key: string, body: Uint8Array, conditions: { ifNoneMatch?: '*'; ifMatch?: string }) => Promise<{ etag: string }>,
): Promise<string | null> {
  for (let round = 0; round < rounds; round++) {
    let condition: { ifNoneMatch: '*' } | { ifMatch: string } = { ifNoneMatch: '*' };
    for (const kind of ['create', 'replace']) {
      const key = `race${round}`;
      const answers = await Promise.allSettled(
        Array.from({ length: racers }, (_, i) => put(key, new TextEncoder().encode(`${kind} ${i}`), condition)),
      );
      const winners = answers.flatMap((answer, i) => (answer.status === 'fulfilled' ? [{ i, etag: answer.value.etag }] : []));
      const unclear = answers.some(
        (answer) => answer.status === 'rejected' && isStoreError(answer.reason) && answer.reason.mayHaveHappened,
      );
      if (winners.length > 1) return `${winners.length} of ${racers} racing conditional writes (${kind}) won`;
      const current = await store.get(prefix + key).catch(() => null);
      if (winners.length === 0 && (!unclear || !current)) return `no conditional write (${kind}) is accepted`;
      const winner = winners[0];
      if (winner && new TextDecoder().decode(current?.body) !== `${kind} ${winner.i}`)
        return `a refused conditional write (${kind}) was stored`;
      condition = { ifMatch: current!.info.etag };
    }
  }
  return null;
}
