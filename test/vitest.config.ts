import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (file: string) => fileURLToPath(new URL(`../src/${file}`, import.meta.url));

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  resolve: {
    alias: [
      { find: /^mapsweep$/, replacement: source('index.ts') },
      { find: /^mapsweep\/(\w+)$/, replacement: source('$1.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/integration/**', 'test/simulation/**', 'test/bench/**', 'test/prometheus-e2e/**'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
  },
});
