/**
 * Whether a recorded history of reads and writes of one register can be put in an order that respects real time and in
 * which every read gives the last write before it (Wing and Gong 1993, "Testing and verifying concurrent objects";
 * with the memory of Lowe 2017). Writes have values of their own. A write whose end is unknown may take effect at any
 * time after it began, or never.
 */

export interface Operation {
  kind: 'read' | 'write';
  /** Read or written; null for absent. */
  value: string | null;
  begin: number;
  /** Infinity when the end is unknown. */
  end: number;
}

export function isLinearizable(history: readonly Operation[]): boolean {
  const operations = [...history].sort((a, b) => a.begin - b.begin);
  const seen = new Set<string>();
  const search = (done: bigint, value: string | null): boolean => {
    const left = operations.map((_, i) => i).filter((i) => !((done >> BigInt(i)) & 1n));
    if (left.every((i) => operations[i]!.end === Number.POSITIVE_INFINITY)) return true;
    const state = `${done} ${value}`;
    if (seen.has(state)) return false;
    seen.add(state);
    const firstEnd = Math.min(...left.map((i) => operations[i]!.end));
    return left.some((i) => {
      const operation = operations[i]!;
      // Something that ended before this one began must come first.
      if (operation.begin > firstEnd) return false;
      if (operation.kind === 'read') return operation.value === value && search(done | (1n << BigInt(i)), value);
      return search(done | (1n << BigInt(i)), operation.value);
    });
  };
  return search(0n, null);
}
