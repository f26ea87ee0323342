import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { Sha256 } from '../../src/base/sha256.ts';

it.each([0, 1, 55, 56, 63, 64, 65, 1000])('SHA-256 of %i bytes in two chunks agrees with the host', (length) => {
  const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
  const ours = new Sha256().update(bytes.subarray(0, 30)).update(bytes.subarray(30)).digestHex();
  expect(ours).toBe(createHash('sha256').update(bytes).digest('hex'));
});

it('SHA-256 of "abc" is the published one (FIPS 180-4 example)', () => {
  expect(new Sha256().update(new TextEncoder().encode('abc')).digestHex()).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
});
