import { describe, expect, it } from 'vitest';
import { areStillThere, findSurvivors, type SurvivorQuestion } from '../../src/diagnosis/survivor-rule.ts';
import { AgeTable } from '../../src/stamps/age-table.ts';

const HOUR = 3_600_000;

/** What happens to the entries of one hour: after so many hours of its end, so many leave. */
interface Fate {
  readonly registered: number;
  /** Before the hour is over. */
  readonly young?: number;
  readonly later?: ReadonlyArray<{
    readonly after: number;
    readonly count: number;
    readonly isByCeiling?: boolean;
  }>;
}

/** Lets hours pass, each with the entries of its own, and counts at the end of each. */
function watch(hours: number, fateOf: (hour: number) => Fate, table = new AgeTable(0, HOUR), from = 0) {
  const leaving: { at: number; registeredAt: number; count: number; isByCeiling: boolean }[] = [];
  for (let hour = from; hour < from + hours; hour += 1) {
    const { registered, young = 0, later = [] } = fateOf(hour);
    const registeredAt = hour * HOUR + 1;
    for (let count = 0; count < registered; count += 1) table.registered(registeredAt);
    for (let count = 0; count < young; count += 1) table.left(registeredAt);
    for (const { after, count, isByCeiling = false } of later) {
      leaving.push({ at: hour + 1 + after, registeredAt, count, isByCeiling });
    }
    for (const { registeredAt: of, count, isByCeiling } of leaving.filter(({ at }) => at === hour + 1)) {
      for (let left = count; left > 0; left -= 1) {
        if (isByCeiling) table.byCeiling(of);
        table.left(of);
      }
    }
    table.count((hour + 1) * HOUR, (hour + 1) * HOUR);
  }
  const question = (changes: Partial<SurvivorQuestion> = {}): SurvivorQuestion => ({
    at: (from + hours) * HOUR,
    watchedMs: (from + hours) * HOUR,
    fewest: 12,
    ttlMs: 0,
    ...changes,
  });
  return { table, question, found: findSurvivors(table, question()) };
}

/** Of a hundred 90 leave at once, and ten never. */
const leak = (): Fate => ({ registered: 100, young: 90 });

describe('the rule by age', () => {
  it('finds ten an hour that never leave after nine hours and two more, of five cohorts', () => {
    expect(watch(8, leak).found).toBeUndefined();
    expect(watch(11, leak).found).toEqual({
      age: 1,
      sinceAt: 0,
      count: 70,
      caught: 0,
      cohorts: 7,
      leftYoung: 0.9,
      perCohort: 10,
      untilAt: 7 * HOUR,
    });
  });

  it('wants twelve survivors, and as many as it is told to want', () => {
    const { table, question } = watch(30, (hour) => ({ registered: 20, young: hour % 2 === 0 ? 19 : 20 }));
    expect(findSurvivors(table, question())?.count).toBe(13);
    expect(findSurvivors(table, question({ fewest: 14 }))).toBeUndefined();
  });

  it('wants them from five cohorts', () => {
    const of = (cohorts: number) =>
      watch(30, (hour) => ({ registered: 100, young: hour % 5 === 0 && hour < 5 * cohorts ? 80 : 100 }))
        .found;
    expect(of(4)).toBeUndefined();
    expect(of(5)?.cohorts).toBe(5);
  });

  it('finds none where a tenth leaves between the age and four times the age', () => {
    const fate = (count: number): Fate => ({ registered: 200, young: 100, later: [{ after: 3, count }] });
    expect(watch(40, () => fate(4)).found?.age).toBe(1);
    expect(watch(12, () => fate(10)).found).toBeUndefined();
    // Not even if it is a ceiling that removes them: nobody knows what they would have done.
    const byCeiling = { registered: 200, young: 100, later: [{ after: 3, count: 10, isByCeiling: true }] };
    expect(watch(12, () => byCeiling).found).toBeUndefined();
    expect(watch(60, () => byCeiling).found?.age).toBe(3);
  });

  it('finds none where what has stayed leaves later, unless a ceiling removes it', () => {
    const fate = (isByCeiling: boolean): Fate => ({
      registered: 100,
      young: 90,
      later: [{ after: 6, count: 10, isByCeiling }],
    });
    expect(watch(30, () => fate(false)).found).toBeUndefined();
    expect(watch(30, () => fate(true)).found?.age).toBe(1);
    expect(watch(30, () => fate(true)).found).toMatchObject({ count: 260, caught: 240 });
  });

  it('remembers for weeks that it left, when the cohorts of that time are forgotten', () => {
    const purged = { registered: 100, young: 90, later: [{ after: 100, count: 10 }] };
    expect(watch(340, (hour) => (hour < 120 ? purged : leak())).found).toBeUndefined();
    expect(watch(340, (hour) => (hour < 120 ? { registered: 0 } : leak())).found?.age).toBe(1);
  });

  it('finds none where only a quarter leaves young', () => {
    expect(watch(40, () => ({ registered: 100, young: 25 })).found).toBeUndefined();
    expect(watch(40, () => ({ registered: 100, young: 35 })).found?.leftYoung).toBe(0.35);
  });

  it('does not count what a ceiling removes as having left young', () => {
    const cut: Fate = { registered: 100, young: 10, later: [{ after: 0, count: 60, isByCeiling: true }] };
    expect(watch(40, () => cut).found).toBeUndefined();
  });

  it('waits where few come, until entries of two days would have shown', () => {
    const fates = (perHour: number) => () => ({ registered: 100, young: 100 - perHour });
    expect(watch(16, fates(2)).found).toBeUndefined();
    expect(watch(20, fates(2)).found?.count).toBe(32);
    expect(watch(11, fates(20)).found?.count).toBe(140);
  });

  it('finds none where nothing was added of late', () => {
    const { found } = watch(40, (hour) => ({ registered: 100, young: hour < 12 ? 90 : 100 }));
    expect(found).toBeUndefined();
  });

  it('counts one cohort three times as much as others at most', () => {
    const loaded = (hour: number): Fate =>
      hour === 3
        ? { registered: 10_000, young: 0 }
        : { registered: 100, young: 90, later: [{ after: 6, count: 10 }] };
    expect(watch(30, loaded).found).toBeUndefined();
    const beside = (hour: number): Fate => (hour === 3 ? { registered: 10_000 } : leak());
    expect(watch(14, beside).found?.age).toBe(1);
  });

  it('says nothing below a TTL', () => {
    const { table, question } = watch(60, leak);
    expect(findSurvivors(table, question({ ttlMs: HOUR }))?.age).toBe(1);
    expect(findSurvivors(table, question({ ttlMs: 5 * HOUR }))?.age).toBe(4);
    expect(findSurvivors(table, question({ ttlMs: 200 * HOUR }))).toBeUndefined();
  });
});

describe('a leak that was found', () => {
  it('stands until a fifth of what had stayed has left', () => {
    const { table, question } = watch(20, leak);
    for (let index = 0; index < 30; index += 1) table.left(1 + Math.floor(index / 10) * HOUR);
    expect(areStillThere(table, 1, question())).toBe(true);
    for (let index = 0; index < 10; index += 1) table.left(1 + 3 * HOUR);
    expect(areStillThere(table, 1, question())).toBe(false);
  });

  it('stands for three days in which nothing is added, and no longer', () => {
    const { table, question } = watch(20, leak);
    expect(watch(70, () => ({ registered: 0 }), table, 20).table).toBe(table);
    expect(areStillThere(table, 1, question({ at: 90 * HOUR }))).toBe(true);
    expect(areStillThere(table, 1, question({ at: 97 * HOUR }))).toBe(false);
  });
});
