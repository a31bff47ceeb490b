import { defineConfig } from 'vitest/config';
import base from '../vitest.config.ts';

export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['test/fleet/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    // Neither is to make the other slow.
    fileParallelism: false,
  },
});
