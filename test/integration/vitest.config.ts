import { defineConfig } from 'vitest/config';
import base from '../vitest.config.ts';

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/integration/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Published code is loaded by Node as it is, never transformed on the way.
    server: { deps: { external: [/[\\/]\.cache[\\/]/] } },
  },
});
