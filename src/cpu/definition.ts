/** The registry that family files fill: mnemonic -> definition. A fresh map for each caller; no module state. */
import type { Definition } from './algebra.ts';

export type Definitions = Map<string, Definition>;

/** Key of the definition of a mnemonic with an MMX register among its operands. */
export const mmxKey = (mnemonic: string): string => `mmx:${mnemonic}`;

/** A family: `define(mnemonics, body)` for each of its instructions. */
export type Family = (define: (mnemonics: string, body: Definition) => void) => void;

/** Collects families; a mnemonic defined twice is our own bug. */
export function collect(families: readonly Family[]): Definitions {
  const definitions: Definitions = new Map();
  for (const family of families) {
    family((mnemonics, body) => {
      for (const mnemonic of mnemonics.split(' ')) {
        if (definitions.has(mnemonic)) throw new Error(`${mnemonic} is defined twice`);
        definitions.set(mnemonic, body);
      }
    });
  }
  return definitions;
}
