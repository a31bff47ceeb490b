import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.js';

const minute = 60_000;

/** How many entries a ceiling has removed, of one that idles and one that is used until its TTL is over. */
async function countByCeiling(how: 'told' | 'untold', policy: object): Promise<number | undefined> {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<string, number> }>({ maps: { runs: policy }, clock });
  if (how === 'told') registry.on('swept', () => {});
  const { runs } = registry.maps;
  runs.set('idle', 1);
  runs.set('used', 2);
  for (let passed = 0; passed < 10; passed += 1) {
    await clock.advance(minute);
    registry.touch('runs', 'used');
  }
  await clock.advance(20 * minute);
  expect(runs.size).toBe(0);
  const ages = internalsOf(registry)?.engine.trackers.get('runs')?.ages;
  await registry.close();
  return ages?.cohorts.reduce((sum, { byCeiling }) => sum + byCeiling, 0);
}

describe.each(['told', 'untold'] as const)(
  'what a sweep removes, %s, counts as removed by a ceiling',
  (how) => {
    it.each([
      ['if there is no TTL', { maxIdle: '5m' }, 2],
      ['not if its TTL was over first', { ttl: '5m', maxIdle: '20m' }, 0],
      ['not if its TTL from its last activity was', { ttl: '3m', since: 'lastActiveAt', maxIdle: '5m' }, 0],
      ['if it was idle for long enough before its TTL was over', { ttl: '8m', maxIdle: '5m' }, 1],
      [
        'if its maximum age came before the TTL of its activity',
        { ttl: '5m', since: 'lastActiveAt', maxAge: '8m' },
        1,
      ],
    ])('%s', async (_, policy, count) => {
      expect(await countByCeiling(how, policy)).toBe(count);
      expect(await countByCeiling(how, { ...policy, dispose: () => {} })).toBe(count);
    });
  },
);

it.each([
  ['if each has idled', { ttl: '8m', maxIdle: '5m' }, 0, 2_000],
  ['not where the TTL of half of them was over first', { ttl: '8m', maxIdle: '5m' }, 1_000, 1_000],
  ['not if the TTL of all was', { ttl: '5m', maxIdle: '20m' }, 0, 0],
])('of a large map in which everything is due as much counts, %s', async (_, policy: object, used, count) => {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<number, number> }>({ maps: { runs: policy }, clock });
  const { runs } = registry.maps;
  registry.stop();
  for (let run = 0; run < 2_000; run += 1) runs.set(run, run);
  await clock.advance(4 * minute);
  for (let run = 0; run < used; run += 1) registry.touch('runs', run);
  await clock.advance(20 * minute);
  expect(await registry.sweep()).toMatchObject({ swept: 2_000 });
  const ages = internalsOf(registry)?.engine.trackers.get('runs')?.ages;
  expect(ages?.cohorts.reduce((sum, { byCeiling }) => sum + byCeiling, 0)).toBe(count);
});
