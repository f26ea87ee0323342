import { describe, expect, it } from 'vitest';
import { escalation, pushesErrorCode, Vector, vectorName } from '../../src/x86/exceptions.ts';

describe('exceptions', () => {
  it('push an error code for exactly eight vectors', () => {
    const vectors = Array.from({ length: 256 }, (_, vector) => vector).filter(pushesErrorCode);
    expect(vectors).toEqual([8, 10, 11, 12, 13, 14, 17, 21]);
  });

  it.each([
    [Vector.GP, Vector.GP, 'double-fault'],
    [Vector.GP, Vector.PF, 'handle'],
    [Vector.PF, Vector.GP, 'double-fault'],
    [Vector.PF, Vector.PF, 'double-fault'],
    [Vector.DE, Vector.NP, 'double-fault'],
    [Vector.UD, Vector.PF, 'handle'],
    [Vector.BP, Vector.GP, 'handle'],
    [Vector.GP, Vector.DB, 'handle'],
    [Vector.DF, Vector.GP, 'shutdown'],
    [Vector.DF, Vector.PF, 'shutdown'],
    [Vector.DF, Vector.DB, 'handle'],
  ] as const)('%i followed by %i: %s', (first, second, outcome) => {
    expect(escalation(first, second)).toBe(outcome);
  });

  it('have the names of the manual', () => {
    expect([0, 2, 13, 14, 19, 32].map(vectorName)).toEqual(['#DE', 'NMI', '#GP', '#PF', '#XM', 'vector 32']);
  });
});
