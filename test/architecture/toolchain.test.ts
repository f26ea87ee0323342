import { describe, expect, it } from 'vitest';

describe('the tool chain', () => {
  it('runs tests on the Node that executes TypeScript directly', () => {
    expect(Number(process.versions.node.split('.')[0])).toBeGreaterThanOrEqual(24);
    expect(process.features.typescript).toBe('strip');
  });
});
