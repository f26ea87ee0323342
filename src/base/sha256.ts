/**
 * SHA-256 over chunks, synchronous and without the host's crypto, so that state hashes agree everywhere.
 * The algorithm is @noble/hashes'; this file fixes the part of its interface that paravane uses.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { hexOfBytes } from './integer.ts';

export class Sha256 {
  readonly #hash = sha256.create();

  /** Adds bytes; they are not kept. */
  update(bytes: Uint8Array): this {
    this.#hash.update(bytes);
    return this;
  }

  /** The digest of everything added. The object is spent: a later `update` throws. */
  digest(): Uint8Array {
    return this.#hash.digest();
  }

  /** As {@link digest}, in 64 lower-case hexadecimal digits. */
  digestHex(): string {
    return hexOfBytes(this.digest());
  }
}
