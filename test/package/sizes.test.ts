import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { beforeAll, expect, it } from 'vitest';
import { Project } from './project.ts';

const dependencies = ['lru-cache', 'mitt', 'ms'];
const peers = ['vitest', 'prom-client', '@prometheus-io/client', 'pg', 'bullmq'];

/** What a user's bundle has of the package: a module that exports it, and kB that it may take, minified and gzipped. */
const budgets: Record<string, { source: string; mostKilobytes: number; withDependencies?: boolean }> = {
  'core with the folder journal': {
    source: `export { createRegistry, openJournal } from 'mapsweep'`,
    mostKilobytes: 92,
  },
  'TrackedMap alone, with dependencies': {
    source: `export { TrackedMap } from 'mapsweep'`,
    mostKilobytes: 38,
    withDependencies: true,
  },
  'mapsweep/prometheus': { source: `export * from 'mapsweep/prometheus'`, mostKilobytes: 9.5 },
  'mapsweep/page': { source: `export * from 'mapsweep/page'`, mostKilobytes: 22 },
  'mapsweep/vitest': { source: `import 'mapsweep/vitest'`, mostKilobytes: 24.5 },
  'mapsweep/testing': { source: `export * from 'mapsweep/testing'`, mostKilobytes: 25 },
  'mapsweep/discover': { source: `export * from 'mapsweep/discover'`, mostKilobytes: 8 },
  'mapsweep/bullmq': { source: `export * from 'mapsweep/bullmq'`, mostKilobytes: 4 },
  'mapsweep/postgres': { source: `export * from 'mapsweep/postgres'`, mostKilobytes: 20 },
};

let folder: string;
beforeAll(async () => {
  ({ folder } = await Project.of('sizes'));
});

it('is within its budget in a bundle, entry by entry', async () => {
  const sizes = await Promise.all(
    Object.entries(budgets).map(async ([name, { source, withDependencies }]) => {
      const { outputFiles } = await build({
        stdin: { contents: source, resolveDir: folder },
        bundle: true,
        minify: true,
        format: 'esm',
        platform: 'node',
        target: 'node20',
        external: withDependencies ? peers : [...peers, ...dependencies],
        write: false,
      });
      const minified = outputFiles[0]?.contents ?? new Uint8Array();
      const kilobytes = (bytes: number) => Math.round(bytes / 100) / 10;
      return [
        name,
        { minified: kilobytes(minified.length), gzipped: kilobytes(gzipSync(minified, { level: 9 }).length) },
      ] as const;
    }),
  );
  console.table(Object.fromEntries(sizes));
  for (const [name, { gzipped }] of sizes)
    expect(gzipped, name).toBeLessThanOrEqual(budgets[name]?.mostKilobytes ?? 0);
});
