import { defineConfig } from 'vitest/config';
import base from '../vitest.config.ts';

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/package/*.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: 'test/package/packed.ts',
    testTimeout: 180_000,
    // What is not in the cache yet is installed first.
    hookTimeout: 300_000,
  },
});
