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

describe('an age table that outlasts its process', () => {
  const first = () => {
    const table = new AgeTable(0, HOUR);
    for (let at = 0; at < 4; at += 1) table.registered(at);
    table.count(3 * HOUR, 3 * HOUR);
    table.registered(3 * HOUR);
    return table;
  };
  /** As a life that begins at 10 h reads what one of three hours, then, has left. */
  const read = (table: AgeTable) => {
    const kept = JSON.parse(JSON.stringify(table.kept(3 * HOUR))) as ReturnType<AgeTable['kept']>;
    return { ...kept, cohorts: kept.cohorts.map((cohort) => ({ ...cohort, startAt: cohort.startAt - 1 })) };
  };

  it('goes on: complete cohorts grow older by watched time', () => {
    const next = new AgeTable(10 * HOUR, HOUR);
    next.goOn(read(first()), 0, [0, 1, 2]);
    expect(next.cohorts[0]).toMatchObject({ registered: 4, left: 1, alive: [4], endedMs: 0 });
    next.count(11 * HOUR, HOUR);
    expect(next.cohorts[0]?.alive).toEqual([4, 3]);
  });

  it('counts who left after the last count as having left, and who came as having come', () => {
    const next = new AgeTable(10 * HOUR, HOUR);
    next.goOn(read(first()), 0, [1, 3 * HOUR, 3 * HOUR + 1, 3 * HOUR + 2]);
    expect(next.cohorts.map(({ registered, left }) => [registered, left])).toEqual([
      [4, 3],
      [3, 0],
    ]);
  });

  it('counts an entry that comes back once', () => {
    const next = new AgeTable(10 * HOUR, HOUR);
    next.goOn(read(first()), 0, [0, 1]);
    next.registered(10 * HOUR);
    next.cameBack(10 * HOUR);
    next.left(0);
    expect(next.cohorts.map(({ registered, left }) => [registered, left])).toEqual([
      [4, 3],
      [1, 1],
      [0, 0],
    ]);
  });

  it('goes on once, and with cohorts of its own length alone', () => {
    const next = new AgeTable(10 * HOUR, HOUR);
    next.goOn({ ...read(first()), cohortMs: 2 * HOUR }, 0, []);
    expect(next.cohorts).toHaveLength(0);
    next.goOn(read(first()), 0, []);
    next.goOn(read(first()), 0, []);
    expect(next.cohorts).toHaveLength(2);
  });

  it('adds what is remembered of cohorts that are not', () => {
    const table = first();
    table.count(400 * HOUR, 400 * HOUR);
    const next = new AgeTable(500 * HOUR, HOUR);
    next.goOn(table.kept(400 * HOUR), 0, []);
    expect(next.past).toEqual(table.past);
    expect(next.past.reached[0]).toBeGreaterThan(0);
  });
});
