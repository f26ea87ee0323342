import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers: vitest.real.config.ts.
    exclude: ['test/real/**'],
    environment: 'node',
    pool: 'threads',
    // Suites that share the two cores of a small machine must not time out on load alone.
    testTimeout: 30_000,
  },
});
