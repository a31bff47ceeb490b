import { afterAll, describe, expect, it } from 'vitest';
import { judgedHistory } from './judged-history.ts';
import {
  ambiguousMaps,
  hardLeakingMaps,
  healthyMaps,
  leakingMaps,
  type SimulatedMap,
} from './simulated-maps.ts';
import { tableOf } from './verdict-table.ts';

// The rule was set with others. MAPSWEEP_VERDICT_SEEDS=100 judges as many, and prints the table of the README.
const count = Number(process.env.MAPSWEEP_VERDICT_SEEDS ?? 4);
const seeds = Array.from({ length: count }, (_, index) => 7_001 + index);
const timeout = 20_000 * count;

const rows: { readonly map: SimulatedMap; readonly runs: readonly ReturnType<typeof judgedHistory>[] }[] = [];
const runsOf = (map: SimulatedMap) => {
  const runs = seeds.map((seed) => judgedHistory(map, seed));
  rows.push({ map, runs });
  return runs;
};

afterAll(() => {
  if (process.env.MAPSWEEP_VERDICT_SEEDS !== undefined) console.log(tableOf(rows));
});

describe('simulated maps', () => {
  it.each(healthyMaps.map((map) => [map.name, map] as const))(
    'never calls a healthy one leaking: %s',
    (_, map) => {
      for (const { leakingAt } of runsOf(map)) expect(leakingAt).toBeUndefined();
    },
    timeout,
  );

  it.each(leakingMaps.map((map) => [map.name, map] as const))(
    'finds a leak in at most twice the time that its twelve survivors take: %s',
    (_, map) => {
      const from = map.leaksFrom as number;
      for (const { leakingAt, neededAt } of runsOf(map)) {
        expect(leakingAt).toBeGreaterThanOrEqual(from);
        expect((leakingAt as number) - from).toBeLessThanOrEqual(2 * (neededAt - from));
      }
    },
    timeout,
  );

  it.each(leakingMaps.map((map) => [map.name, map] as const))(
    'goes on calling it leaking, by day and by night: %s',
    (_, map) => {
      for (const { changes, restarts } of runsOf(map)) {
        const begun = changes.filter(({ verdict }) => verdict.state === 'leaking').length;
        expect(begun).toBeLessThanOrEqual(1 + restarts);
      }
    },
    timeout,
  );

  it.each(hardLeakingMaps.map((map) => [map.name, map] as const))(
    'finds a leak among entries that stay for hours, in five days: %s',
    (_, map) => {
      for (const { leakingAt } of runsOf(map)) expect(leakingAt).toBeLessThanOrEqual(120);
    },
    timeout,
  );

  it.each(ambiguousMaps.map((map) => [map.name, map] as const))(
    'takes a false alarm back for good once entries have left: %s',
    (_, map) => {
      for (const { changes } of runsOf(map)) {
        expect(changes.filter(({ verdict }) => verdict.state === 'leaking').length).toBeLessThanOrEqual(1);
        expect(changes.at(-1)?.verdict.state ?? 'ok').not.toBe('leaking');
      }
    },
    timeout,
  );

  it('are 69', () => {
    const maps = [...healthyMaps, ...leakingMaps, ...hardLeakingMaps, ...ambiguousMaps];
    expect(new Set(maps.map(({ name }) => name)).size).toBe(maps.length);
    expect(maps.length).toBe(69);
  });
});
