import { defineConfig } from 'vitest/config';
import base from '../vitest.config.ts';

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/openclaw-gateway/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    // One gateway at a time: they are to be compared.
    fileParallelism: false,
    // A day of a gateway takes 5 minutes on a machine that has nothing else to do.
    testTimeout: 2_400_000,
    hookTimeout: 1_200_000,
  },
});
