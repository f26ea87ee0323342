/**
 * Run by racs-stores.sh, which starts the servers and says where they are; everything is skipped without it.
 */

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { fillRandom, seedRandom } from '../../src/base/random.ts';
import { collect } from '../../src/racs/collector.ts';
import { Codec } from '../../src/racs/codec/codec.ts';
import { parityRows } from '../../src/racs/codec/matrix.ts';
import { FaultStore } from '../../src/racs/fault-store.ts';
import { LockedStore } from '../../src/racs/locked-store.ts';
import { MemoryObjectStore } from '../../src/racs/memory-object-store.ts';
import { isStoreError, type ObjectStore } from '../../src/racs/object-store.ts';
import { ConditionalRegister } from '../../src/racs/register/conditional-register.ts';
import { PaxosRegister } from '../../src/racs/register/paxos-register.ts';
import { drain, scrub } from '../../src/racs/repair.ts';
import { type ArrayConfig, openArray } from '../../src/racs/store/array-config.ts';
import { AzureStore } from '../../src/racs/store/azure-store.ts';
import { EtcdRegister } from '../../src/racs/store/etcd-register.ts';
import { S3Store } from '../../src/racs/store/s3-store.ts';
import { systemChance, systemClock } from '../../src/racs/store/system.ts';
import { WebDavStore } from '../../src/racs/store/webdav-store.ts';
import { ZooKeeperLocks } from '../../src/racs/store/zookeeper-locks.ts';
import { ZooKeeperRegister } from '../../src/racs/store/zookeeper-register.ts';
import { itKeepsTheCommitRegisterContract } from '../support/commit-register-contract.ts';
import { itKeepsTheObjectStoreContract } from '../support/object-store-contract.ts';

const { RACS_CEPH, RACS_AZURITE, RACS_WEBDAV, RACS_S3RVER, RACS_ISAL, RACS_ETCD, RACS_ZOOKEEPER } = process.env;
const azuriteKey = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const fresh = (): string => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}/`;

const s3 = (endpoint: string, access: string, secret: string, dialect: 'ceph' | 'generic', prefix = fresh()) =>
  new S3Store({ endpoint, bucket: 'contract', credentials: { accessKeyId: access, secretAccessKey: secret }, dialect, prefix });

describe.skipIf(!RACS_CEPH)('Ceph RGW', () => {
  itKeepsTheObjectStoreContract(
    async () => {
      const store = s3(RACS_CEPH!, 'AKRACS', 'SKRACSSECRET', 'ceph');
      await store.createBucket();
      return store;
    },
    { runs: 5, longestKey: 900 },
  );

  it('refuses a wrong secret, and the message does not tell it', async () => {
    const error = await s3(RACS_CEPH!, 'AKRACS', 'NotTheSecret', 'ceph')
      .get('x')
      .catch((e: Error) => e);
    expect(error).toMatchObject({ code: 'ACCESS_DENIED' });
    expect(String(error)).not.toContain('NotTheSecret');
  });

  it('says that a bucket is missing', async () => {
    const store = new S3Store({
      ...{ endpoint: RACS_CEPH!, bucket: 'missing-bucket', dialect: 'ceph' },
      credentials: { accessKeyId: 'AKRACS', secretAccessKey: 'SKRACSSECRET' },
    });
    await expect(store.get('x')).rejects.toMatchObject({ code: 'NO_SUCH_BUCKET' });
  });
});

describe.skipIf(!RACS_AZURITE)('Azurite', () => {
  itKeepsTheObjectStoreContract(
    async () => {
      const store = new AzureStore({
        endpoint: RACS_AZURITE!,
        account: 'devstoreaccount1',
        accountKey: azuriteKey,
        container: 'contract',
        prefix: fresh(),
      });
      await store.createContainer();
      return store;
    },
    { runs: 5, longestKey: 900, emulator: true },
  );
});

describe.skipIf(!RACS_WEBDAV)('WebDAV of rclone', () => {
  itKeepsTheObjectStoreContract(
    async () => {
      const store = new WebDavStore({ endpoint: `${RACS_WEBDAV}/${fresh()}`, user: 'u', password: 'p' });
      await store.createCollection();
      return store;
    },
    { runs: 5, longestKey: 900 },
  );
});

describe.skipIf(!RACS_S3RVER)('s3rver', () => {
  it('stores, reads ranges and deletes; its lists with a prefix and a limit are broken, so it holds data only', async () => {
    const store = s3(RACS_S3RVER!, 'S3RVER', 'S3RVER', 'generic', '');
    await store.createBucket();
    await store.put('d/a', new TextEncoder().encode('abcdef'));
    expect(new TextDecoder().decode((await store.get('d/a', { range: { first: 1, end: 3 } })).body)).toBe('bc');
    await store.delete('d/a');
    await expect(store.head('d/a')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe.skipIf(!RACS_ETCD)('etcd', () => {
  let prefix = '';
  itKeepsTheCommitRegisterContract({
    create() {
      prefix = fresh();
      return new EtcdRegister({ endpoints: [RACS_ETCD!], prefix });
    },
    second: () => new EtcdRegister({ endpoints: [RACS_ETCD!], prefix }),
  });
});

describe.skipIf(!RACS_ZOOKEEPER)('ZooKeeper', () => {
  let root = '';
  itKeepsTheCommitRegisterContract({
    create() {
      root = `/${fresh().slice(0, -1)}`;
      return new ZooKeeperRegister({ servers: [RACS_ZOOKEEPER!], root });
    },
    second: () => new ZooKeeperRegister({ servers: [RACS_ZOOKEEPER!], root }),
  });
});

describe.skipIf(!RACS_ZOOKEEPER)('locks of ZooKeeper', () => {
  it('let many read or one write, and go with the session of their holder', async () => {
    const root = `/${fresh().slice(0, -1)}`;
    const clients = Array.from({ length: 6 }, () => new ZooKeeperLocks({ servers: [RACS_ZOOKEEPER!], root, clock: systemClock }));
    let [readers, writers, mostReaders, violations] = [0, 0, 0, 0];
    const work = async (locks: ZooKeeperLocks, i: number): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        const kind = (i + round) % 4 === 0 ? 'write' : 'read';
        const release = await locks.acquire('key', kind);
        if (kind === 'write') writers++;
        else readers++;
        mostReaders = Math.max(mostReaders, readers);
        if (writers > 1 || (writers === 1 && readers > 0)) violations++;
        await systemClock.sleep(1);
        if (kind === 'write') writers--;
        else readers--;
        await release();
      }
    };
    await Promise.all(clients.map(work));
    expect(violations).toBe(0);
    expect(mostReaders).toBeGreaterThan(1);
    await clients[0]!.acquire('key', 'write');
    await clients[0]!.close();
    const release = await clients[1]!.acquire('key', 'write');
    await release();
    for (const locks of clients) await locks.close();
  });

  itKeepsTheObjectStoreContract(
    () => {
      const locks = new ZooKeeperLocks({ servers: [RACS_ZOOKEEPER!], root: `/${fresh().slice(0, -1)}`, clock: systemClock });
      return new LockedStore(new MemoryObjectStore(), locks);
    },
    { runs: 3 },
  );
});

const azure = async () => {
  const options = { endpoint: RACS_AZURITE!, account: 'devstoreaccount1', accountKey: azuriteKey, container: 'registers', prefix: fresh() };
  const store = new AzureStore(options);
  await store.createContainer();
  return store;
};

describe.skipIf(!RACS_CEPH)('conditional writes at Ceph RGW', () => {
  itKeepsTheCommitRegisterContract({
    async create() {
      const store = s3(RACS_CEPH!, 'AKRACS', 'SKRACSSECRET', 'ceph');
      await store.createBucket();
      return new ConditionalRegister(store, { chance: systemChance });
    },
  });
});

describe.skipIf(!RACS_AZURITE)('conditional writes at Azurite', () => {
  itKeepsTheCommitRegisterContract({ create: async () => new ConditionalRegister(await azure(), { chance: systemChance }) });
});

describe.skipIf(!RACS_CEPH || !RACS_AZURITE)('a majority of two users of Ceph RGW and Azurite', () => {
  itKeepsTheCommitRegisterContract({
    async create() {
      const one = s3(RACS_CEPH!, 'AKRACS', 'SKRACSSECRET', 'ceph');
      const [endpoint, prefix] = [RACS_CEPH!, fresh()];
      const credentials = { accessKeyId: 'AKRACS2', secretAccessKey: 'SKRACSSECRET2' };
      const two = new S3Store({ endpoint, bucket: 'second', credentials, dialect: 'ceph', prefix });
      await one.createBucket();
      await two.createBucket();
      return new PaxosRegister([one, two, await azure()], { clock: systemClock, chance: systemChance });
    },
  });
});

describe.skipIf(!RACS_ISAL)('ISA-L', () => {
  const range = (end: number) => Array.from({ length: end }, (_, i) => i);
  /** Shares in bit planes (src/racs/codec/kernel.ts) to bytes that are field elements, or back: the same permutation. */
  const transpose = (share: Uint8Array, back: boolean): Uint8Array => {
    const out = new Uint8Array(share.length);
    for (let group = 0; group < share.length; group += 128) {
      for (let t = 0; t < 16; t++)
        for (let b = 0; b < 8; b++)
          for (let p = 0; p < 8; p++) {
            const [plane, planeBit, element, elementBit] = [group + p * 16 + t, b, group + t * 8 + b, p];
            const [from, fromBit, to, toBit] = back ? [element, elementBit, plane, planeBit] : [plane, planeBit, element, elementBit];
            out[to]! |= ((share[from]! >> fromBit) & 1) << toBit;
          }
    }
    return out;
  };

  it.each([
    [1, 2],
    [2, 3],
    [3, 4],
    [5, 7],
    [9, 12],
    [4, 8],
    [10, 14],
    [16, 32],
  ])('computes the same parity for (%i, %i)', (k, n) => {
    const length = 128 * 37;
    const codec = new Codec({ k, n });
    const data = new Uint8Array(k * length);
    fillRandom(seedRandom(BigInt(n)), data);
    codec.layout(length);
    codec.fillData(data);
    codec.encode();
    const head = Buffer.alloc(12);
    [k, n - k, length].forEach((value, i) => void head.writeInt32LE(value, i * 4));
    const input = Buffer.concat([
      head,
      Uint8Array.from(parityRows({ k, n }).flat()),
      ...range(k).map((i) => transpose(codec.slot(i), false)),
    ]);
    const { stdout, status } = spawnSync(RACS_ISAL!, { input, maxBuffer: 1 << 26 });
    expect([status, stdout.length]).toEqual([0, (n - k) * length]);
    for (const i of range(n - k)) {
      expect(Buffer.compare(transpose(stdout.subarray(i * length, (i + 1) * length), true), codec.slot(k + i))).toBe(0);
    }
  });
});

describe.skipIf(!RACS_CEPH || !RACS_AZURITE || !RACS_WEBDAV)('an array over two users of Ceph RGW, Azurite and WebDAV', () => {
  Object.assign(process.env, {
    T_A1: 'AKRACS',
    T_S1: 'SKRACSSECRET',
    T_A2: 'AKRACS2',
    T_S2: 'SKRACSSECRET2',
    T_AZ: azuriteKey,
    T_DAV: 'p',
  });
  const configuration = (register: ArrayConfig['register']): ArrayConfig => {
    const name = `t${fresh().slice(0, -1)}`;
    const ceph = { type: 's3' as const, endpoint: RACS_CEPH!, dialect: 'ceph' as const };
    return {
      ...{ array: name, k: 2, n: 4, segmentBytes: 1 << 20, register },
      providers: [
        { id: 'ceph1', ...ceph, bucket: `${name}-1`, accessKeyEnv: 'T_A1', secretKeyEnv: 'T_S1' },
        { id: 'ceph2', ...ceph, bucket: `${name}-2`, accessKeyEnv: 'T_A2', secretKeyEnv: 'T_S2' },
        { id: 'azure', type: 'azure', account: 'devstoreaccount1', container: name, endpoint: RACS_AZURITE!, accountKeyEnv: 'T_AZ' },
        { id: 'dav', type: 'webdav', endpoint: `${RACS_WEBDAV}/${name}`, user: 'u', passwordEnv: 'T_DAV' },
      ],
    };
  };
  const registers: ArrayConfig['register'][] = [
    { type: 'majority' },
    { type: 'provider', provider: 'azure' },
    ...(RACS_ETCD ? [{ type: 'etcd' as const, endpoints: [RACS_ETCD] }] : []),
    ...(RACS_ZOOKEEPER ? [{ type: 'zookeeper' as const, servers: [RACS_ZOOKEEPER] }] : []),
  ];

  it.each(registers)(
    'keeps objects while one provider is out and another damages what it gives, with the register %j',
    async (register) => {
      const faults: Record<string, FaultStore> = {};
      const wrap = (store: ObjectStore, id: string): ObjectStore => {
        faults[id] = new FaultStore(store, { clock: systemClock, seed: 7n });
        return faults[id];
      };
      const array = await openArray(configuration(register), { init: true, wrap });
      const bodies = Array.from({ length: 6 }, (_, i) => {
        const body = new Uint8Array(i * i * 120_000 + i);
        fillRandom(seedRandom(BigInt(i)), body);
        return body;
      });
      for (const [i, body] of bodies.entries()) await array.put(`folder/object ${i}`, body);
      expect(await scrub(array)).toMatchObject({ bad: 0, objects: 6 });
      faults.ceph2!.faults = { outage: true };
      faults.dav!.faults = { corrupt: 1 };
      for (const [i, body] of bodies.entries()) expect(Buffer.compare((await array.get(`folder/object ${i}`)).body, body)).toBe(0);
      faults.dav!.faults = {};
      await array.put('folder/during', bodies[2]!);
      faults.ceph2!.faults = {};
      expect(await scrub(array, { repair: true })).toMatchObject({ unreadable: [], objects: 7 });
      expect(await scrub(array)).toMatchObject({ bad: 0 });
      expect((await array.list({ prefix: 'folder/' })).entries).toHaveLength(7);
      expect(await drain(array, 'dav').catch((error: Error) => error.message)).toMatch(/no provider takes share/);
      await array.delete('folder/during');
      await array.deleteReplaced(true);
      expect(await collect(array, { graceMs: 0 })).toMatchObject({ orphans: 0, foreign: 0 });
      await array.close();
    },
  );

  it("loses no update of 8 writers in two processes' worth of arrays", async () => {
    const made = configuration({ type: 'majority' });
    const arrays = [await openArray(made, { init: true }), await openArray(made)];
    await arrays[0]!.put('count', new Uint8Array(0));
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        for (;;) {
          const array = arrays[i % 2]!;
          const { info, body } = await array.get('count');
          if (body.includes(65 + i)) return;
          const done = await array.put('count', Uint8Array.of(...body, 65 + i), { ifMatch: info.etag }).catch((error: unknown) => {
            if (!isStoreError(error) || !(error.code === 'PRECONDITION_FAILED' || error.retryable)) throw error;
          });
          if (done) return;
        }
      }),
    );
    expect([...(await arrays[1]!.get('count')).body].sort()).toEqual([65, 66, 67, 68, 69, 70, 71, 72]);
    for (const array of arrays) await array.close();
  });

  it('moves 32 MiB at a pace compared with one plain store', async () => {
    const made = { ...configuration({ type: 'provider' as const, provider: 'azure' }), k: 3, n: 4, segmentBytes: 4 << 20 };
    const [one, two] = made.providers as [ArrayConfig['providers'][0], ArrayConfig['providers'][0]];
    const third = { ...one, id: 'ceph3', bucket: `${made.array}-3` } as ArrayConfig['providers'][0];
    const fourth = { ...two, id: 'ceph4', bucket: `${made.array}-4` } as ArrayConfig['providers'][0];
    const array = await openArray(
      { ...made, providers: [one, two, third, fourth], register: { type: 'provider', provider: 'ceph1' } },
      { init: true },
    );
    const plainStore = s3(RACS_CEPH!, 'AKRACS', 'SKRACSSECRET', 'ceph');
    await plainStore.createBucket();
    const body = new Uint8Array(32 << 20);
    fillRandom(seedRandom(1n), body);
    const pace = async (work: () => Promise<unknown>): Promise<number> => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 4; i++) {
        const start = performance.now();
        await work();
        best = Math.min(best, performance.now() - start);
      }
      return body.length / best / 1000;
    };
    const chunks = Array.from({ length: 8 }, (_, i) => i);
    const chunk = (i: number): Uint8Array => body.subarray(i << 22, (i + 1) << 22);
    const results = {
      plainPut: await pace(() => Promise.all(chunks.map((i) => plainStore.put(`p${i}`, chunk(i))))),
      arrayPut: await pace(() => array.put('big', body)),
      plainGet: await pace(() => Promise.all(chunks.map((i) => plainStore.get(`p${i}`)))),
      arrayGet: await pace(() => array.get('big')),
    };
    console.log(`MB/s ${JSON.stringify(results, (_, value) => (typeof value === 'number' ? Math.round(value) : value))}`);
    expect(Buffer.compare((await array.get('big')).body, body)).toBe(0);
    await array.close();
  });
});

describe.skipIf(!RACS_CEPH)('conditional writes of Ceph RGW under a race', () => {
  it.each(['create', 'replace'])('are counted: %s', async (kind) => {
    const store = s3(RACS_CEPH!, 'AKRACS', 'SKRACSSECRET', 'ceph');
    await store.createBucket();
    const counts: Record<string, number> = {};
    const body = (text: string) => new TextEncoder().encode(text);
    for (let round = 0; round < 150; round++) {
      const key = `${kind}${round}`;
      const condition = kind === 'create' ? { ifNoneMatch: '*' as const } : { ifMatch: (await store.put(key, body(`${round}`))).etag };
      const answers = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => store.put(key, body(`${round} ${i}`), condition)));
      const won = answers.filter(({ status }) => status === 'fulfilled').length;
      const unclear = answers.filter((answer) => answer.status === 'rejected' && answer.reason.mayHaveHappened).length;
      const outcome = `${won} won${unclear > 0 ? ', some unclear' : ''}`;
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    }
    console.log(`races ${kind}: ${JSON.stringify(counts)}`);
    expect(Object.keys(counts).every((outcome) => outcome.startsWith('1 won') || outcome === '0 won, some unclear')).toBe(true);
  });
});
