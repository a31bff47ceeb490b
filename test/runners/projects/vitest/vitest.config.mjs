import { defineConfig } from 'vitest/config';

const include = ['kit.test.mjs', 'more.test.mjs'];

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'forks', include, pool: 'forks' } },
      { test: { name: 'threads', include, pool: 'threads' } },
      { test: { name: 'not isolated', include, isolate: false } },
      { test: { name: 'globals', include: ['globals.test.mjs'], globals: true } },
      {
        test: {
          name: 'set up',
          include: ['globals.test.mjs'],
          globals: true,
          setupFiles: ['mapsweep/vitest'],
        },
      },
    ],
  },
});
