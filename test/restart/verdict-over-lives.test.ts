import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { trackedPartsOf } from '../../src/maps/tracked-mark.js';
import { hours, type Life, type LifeOptions, Machine, minutes } from './lives.js';

let machine: Machine;
/** What never leaves, of whatever life. */
let leaked: string[];
let count: number;

beforeEach(() => {
  machine = new Machine();
  leaked = [];
  count = 0;
});

afterEach(() => machine.powerOff());

/** Values come back by themselves. */
const decoding: LifeOptions = {
  maps: { runs: { maxIdle: false, persist: { encode: (run: object) => run, decode: (run: object) => run } } },
};
/** The owner has to set them again. */
const bare: LifeOptions = { maps: { runs: { maxIdle: false } } };

/** Every ten minutes 20 runs come and leave after one minute, and two stay. */
async function churn({ runs }: Life, forHours: number, staying = 2): Promise<void> {
  for (let step = 0; step < forHours * 6; step += 1) {
    const short = Array.from({ length: 20 }, () => `run-${count++}`);
    for (const id of short) runs.set(id, {});
    for (let left = staying; left > 0; left -= 1) {
      leaked.push(`leaked-${count++}`);
      runs.set(leaked.at(-1), {});
    }
    await machine.clock.advance(minutes(1));
    for (const id of short) runs.delete(id);
    await machine.clock.advance(minutes(9));
  }
}

const records = (kind: string) => machine.volume.records.filter((text) => text.startsWith(`["${kind}"`));
const verdictOf = (life: Life) => life.registry.report().maps[0]?.leak;
const comeBack = ({ runs }: Life): void => {
  for (const id of leaked) runs.set(id, {});
};
/** A life in which ten more runs come, and nothing leaves. */
function startAndAdd(n: number): Life {
  const life = machine.start(decoding);
  for (let run = 0; run < 10; run += 1) life.runs.set(`stays-${n}-${run}`, {});
  return life;
}
/** So that the next life begins in another place on every clock. */
const down = (ms: number) => machine.clock.advance(ms);

describe('a leak verdict', () => {
  it.each(['kill', 'close', 'detach'] as const)(
    'goes on over lives of three hours that end by %s',
    async (how) => {
      let life = machine.start(decoding);
      for (let lives = 1; lives < 4; lives += 1) {
        await churn(life, 3);
        expect(verdictOf(life)?.state).not.toBe('leaking');
        if (how === 'kill') life.kill();
        else await life.registry[how]();
        await down(minutes(17));
        life = machine.start(decoding);
      }
      await churn(life, 2);
      expect(verdictOf(life)).toMatchObject({
        state: 'leaking',
        reason: expect.stringMatching(
          /^[89]\d % of its entries leave young, .* never does: \d+ entries, registered at \d+ different times,/,
        ),
      });
      expect(verdictOf(life)?.since).toBeLessThan(machine.clock.now() - hours(9));
    },
  );

  it('is there again with the first sweep of the next life', async () => {
    const life = machine.start(decoding);
    await churn(life, 11);
    const before = verdictOf(life);
    expect(before?.state).toBe('leaking');
    const next = await machine.restart(life, decoding);
    await machine.clock.advance(minutes(1));
    expect(verdictOf(next)).toMatchObject({ state: 'leaking', since: before?.since });
    // Found anew, from later cohorts too.
    expect(verdictOf(next)?.perHour).toBeGreaterThan(9);
    expect(verdictOf(next)?.perHour).toBeLessThan(13);
  });

  it('stands while entries are awaited, and once their owner has set them again', async () => {
    const life = machine.start(bare);
    await churn(life, 11);
    const next = await machine.restart(life, bare);
    await machine.clock.advance(minutes(2));
    expect(verdictOf(next)?.state).toBe('leaking');
    comeBack(next);
    await machine.clock.advance(minutes(1));
    expect(verdictOf(next)?.state).toBe('leaking');
    const last = await machine.restart(next, bare);
    comeBack(last);
    await machine.clock.advance(hours(2));
    expect(verdictOf(last)?.state).toBe('leaking');
  });

  it('ends once what had stayed does not come back', async () => {
    const life = machine.start(bare);
    await churn(life, 11);
    const next = await machine.restart(life, { ...bare, registry: { restoreWindow: '10m' } });
    await machine.clock.advance(minutes(1));
    expect(verdictOf(next)?.state).toBe('leaking');
    await machine.clock.advance(minutes(20));
    expect(verdictOf(next)?.state).toBe('ok');
  });

  it('takes nothing for a survivor that has left since the last count', async () => {
    const life = machine.start(decoding);
    // Each hour's runs leave two hours later, and the last thing before the kill is that all do.
    for (let hour = 0; hour < 12; hour += 1) {
      await churn(life, 1);
      if (hour > 6) for (const id of leaked.splice(0, 6)) life.runs.delete(id);
    }
    for (const id of leaked) life.runs.delete(id);
    const next = await machine.restart(life, decoding);
    await churn(next, 6, 0);
    expect(verdictOf(next)?.state).toBe('ok');
  });

  it('takes lives of five minutes for no hours', async () => {
    const states: unknown[] = [];
    for (let n = 0; n < 50; n += 1) {
      const life = startAndAdd(n);
      await machine.clock.advance(minutes(5));
      states.push(verdictOf(life)?.state);
      await life.registry.close();
    }
    // The 48th ends with the fourth hour.
    expect(states.indexOf('growing')).toBe(47);
  });

  it('does not count the time between two lives as time in which something stayed', async () => {
    let life = machine.start(decoding);
    for (let lives = 1; lives < 5; lives += 1) {
      await churn(life, 0.5);
      life.kill();
      await down(hours(24));
      life = machine.start(decoding);
    }
    await machine.clock.advance(minutes(5));
    expect(verdictOf(life)?.state).toBe('ok');
  });

  it('is found over lives of 40 minutes that are closed', async () => {
    let life = machine.start(decoding);
    for (let lives = 0; lives < 18; lives += 1) {
      await churn(life, 2 / 3);
      await life.registry.close();
      life = machine.start(decoding);
    }
    await machine.clock.advance(minutes(1));
    expect(verdictOf(life)).toMatchObject({ state: 'leaking', reason: expect.stringMatching(/^[89]\d %/) });
  });

  it.each([
    ['decoded', decoding],
    ['set again some minutes later', bare],
  ] as const)(
    'is found in a map from which nothing leaves, over lives of five hours: %s',
    async (_, options) => {
      const grow = async ({ runs }: Life, forHours: number) => {
        for (let minute = 0; minute < forHours * 60; minute += 1) {
          leaked.push(`run-${count++}`);
          runs.set(leaked.at(-1), {});
          await machine.clock.advance(minutes(1));
        }
      };
      let life = machine.start(options);
      for (let lives = 1; lives < 3; lives += 1) {
        await grow(life, 5);
        expect(verdictOf(life)?.state).not.toBe('leaking');
        life = await machine.restart(life, options);
        await machine.clock.advance(minutes(5));
        comeBack(life);
      }
      await grow(life, 4);
      expect(verdictOf(life)?.state).toBe('leaking');
      expect(verdictOf(life)?.perHour).toBeGreaterThan(55);
      expect(verdictOf(life)?.perHour).toBeLessThanOrEqual(60);
    },
  );

  it('goes into a snapshot and out of it', async () => {
    const life = machine.start({ ...decoding, registry: { persistTo: undefined } });
    await churn(life, 11);
    const snapshot = JSON.parse(JSON.stringify(life.registry.snapshot()));
    life.kill();
    await down(hours(3));
    const next = machine.start({ ...decoding, registry: { persistTo: undefined } });
    next.registry.restore(snapshot);
    await machine.clock.advance(minutes(1));
    expect(verdictOf(next)?.state).toBe('leaking');
  });

  it('begins anew in a map of which no entry outlasts the process', async () => {
    const options: LifeOptions = { ...bare, ended: false };
    const life = machine.start(options);
    await churn(life, 11);
    expect(verdictOf(life)?.state).toBe('leaking');
    const next = await machine.restart(life, options);
    await machine.clock.advance(hours(2));
    expect(verdictOf(next)?.state).toBe('ok');
  });

  it('begins anew where the policy has another idea of how long an entry stays', async () => {
    const life = machine.start(decoding);
    await churn(life, 11);
    const maps = { runs: { ...decoding.maps?.runs, ttl: '7d' } };
    const next = await machine.restart(life, { maps });
    await machine.clock.advance(minutes(1));
    expect(verdictOf(next)?.state).toBe('ok');
  });

  it('survives that the journal is written anew, and the count after it', async () => {
    let life = machine.start(decoding);
    await churn(life, 6);
    // Eight lives make a checkpoint due.
    for (let lives = 0; lives < 9; lives += 1) {
      life = await machine.restart(life, decoding);
      await machine.clock.advance(minutes(2));
    }
    expect(records('life').length).toBeLessThan(8);
    await churn(life, 4);
    expect(verdictOf(life)?.state).toBe('leaking');
  });
});

describe('a cohort of an earlier life', () => {
  it('has left what was registered in its first ms, whatever fraction of one this life began at', async () => {
    const first = machine.start(bare);
    for (const key of ['a', 'b', 'c']) first.runs.set(key, {});
    await machine.clock.advance(hours(2));
    await first.registry.close();
    await down(minutes(1));
    let passed = 0;
    const next = machine.start({
      ...bare,
      clock: (clock) => ({
        ...clock,
        monotonic: () => {
          passed += 0.013;
          return clock.monotonic() + passed;
        },
      }),
    });
    for (const key of ['a', 'b', 'c']) next.runs.set(key, {});
    for (const key of ['a', 'b']) next.runs.delete(key);
    const [cohort] = trackedPartsOf(next.runs)?.tracker.ages.cohorts ?? [];
    expect(cohort).toMatchObject({ registered: 3, left: 2 });
  });
});

describe('what is written of it', () => {
  const written = () => records('ages');

  it('is one record an hour and map, and nothing where nothing was registered', async () => {
    const life = machine.start({ ...decoding, registry: { sweepEvery: '10m' } });
    await machine.clock.advance(hours(3));
    expect(written()).toHaveLength(0);
    await churn(life, 5);
    expect(written().length).toBeGreaterThanOrEqual(4);
    expect(written().length).toBeLessThanOrEqual(6);
    await machine.clock.advance(hours(200));
    const all = written().length;
    await machine.clock.advance(hours(200));
    expect(written()).toHaveLength(all);
  });

  it('is less than 16 kB after nine days', async () => {
    const life = machine.start({ ...decoding, registry: { sweepEvery: '10m' } });
    await churn(life, 24 * 9, 1);
    expect(written().at(-1)?.length).toBeLessThan(16_000);
  }, 60_000);
});
