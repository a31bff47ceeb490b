import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// CI counts tests from these, one a run of vitest.
const reports = process.env.MAPSWEEP_TEST_REPORTS;

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
    exclude: [
      'test/integration/**',
      'test/simulation/**',
      'test/bench/**',
      'test/crash/**',
      'test/runners/**',
      'test/prometheus-e2e/**',
      'test/prometheus-clients/**',
      'test/openclaw-gateway/**',
      'test/postgres/**',
      'test/bullmq/**',
      'test/fleet/**',
      'test/page-e2e/**',
      'test/package/**',
    ],
    pool: 'forks',
    // A machine that has other things to do takes its time; what hangs is found all the same.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    ...(reports && {
      reporters: ['default', ['json', { outputFile: join(reports, `vitest-${process.pid}.json`) }]],
    }),
    // Callbacks fail here all the time, on purpose.
    execArgv: ['--expose-gc', '--disable-warning=MAPSWEEP_CALLBACK_FAILED'],
  },
});
