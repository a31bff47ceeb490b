import { describe, expect, it } from 'vitest';
import { AgeTable, aliveNow, leftAfter } from '../../src/stamps/age-table.ts';

const HOUR = 3_600_000;

describe('an age table', () => {
  it('counts who is there when a cohort reaches an age', () => {
    const table = new AgeTable(0, HOUR);
    for (let at = 0; at < 4; at += 1) table.registered(at);
    table.left(0);
    table.count(HOUR, HOUR);
    table.left(1);
    table.count(2 * HOUR, 2 * HOUR);
    expect(table.cohorts).toMatchObject([{ registered: 4, left: 2, alive: [3, 2] }]);
  });

  it('knows whether it was a ceiling that emptied the map', () => {
    for (const isByCeiling of [true, false]) {
      const table = new AgeTable(0, HOUR);
      for (let at = 0; at < 4; at += 1) table.registered(at);
      table.count(HOUR, HOUR);
      table.emptied(isByCeiling);
      const [cohort] = table.cohorts;
      expect(cohort && [aliveNow(cohort), leftAfter(cohort, 0)]).toEqual([0, isByCeiling ? 0 : 4]);
    }
  });

  it('takes an entry that is older than it looked to the cohort it belongs to, if that is counted', () => {
    const table = new AgeTable(0, HOUR);
    table.registered(1);
    table.registered(5 * HOUR);
    table.restamped(5 * HOUR, 2);
    table.registered(5 * HOUR);
    table.restamped(5 * HOUR, -HOUR);
    expect(table.cohorts.map(({ registered }) => registered)).toEqual([2, 0]);
  });
});
