import { createRegistry } from 'mapsweep';
import { registerMetrics } from 'mapsweep/prometheus';
import { createManualClock } from 'mapsweep/testing';
import { Registry as Register } from 'prom-client';
import { describe, expect, it } from 'vitest';

type Numbers = Map<string, number>;

class Refusing extends Map<string, number> {
  refuses = false;
  override delete(key: string): boolean {
    return this.refuses ? false : super.delete(key);
  }
}

function setup() {
  const clock = createManualClock();
  const refusing = new Refusing();
  const found = new Map([
    ['a', 1],
    ['b', 2],
  ]);
  const registry = createRegistry<{
    observed: Numbers;
    swept: Numbers;
    refusing: Refusing;
    found: Numbers;
    leader: Numbers;
  }>({
    maps: {
      observed: { follows: 'leader', mode: 'observe' },
      swept: { follows: 'leader' },
      refusing: { follows: 'leader', adopt: refusing },
      found: { follows: 'swept', adopt: found },
      leader: { maxIdle: '2h' },
    },
    clock,
  });
  registry.on('callback-failed', () => {});
  const { maps } = registry;
  /** Counted one by one, and as the report has it. */
  const counts = () => {
    const leaders = { observed: maps.leader, swept: maps.leader, refusing: maps.leader, found: maps.swept };
    const right = Object.entries(leaders).map(([name, leader]) => {
      const entries = [...maps[name as keyof typeof leaders].keys()];
      return [name, entries.filter((key) => !leader.has(key)).length];
    });
    const told = registry.report().maps.map(({ name, orphaned }) => [name, orphaned]);
    return { right: [...right, ['leader', 0]], told };
  };
  return { clock, registry, maps, refusing, counts };
}

describe('orphaned entries', () => {
  it('are counted as they come to be and cease to be', async () => {
    const { clock, registry, maps, refusing, counts } = setup();
    const check = (what: string): void => {
      const { right, told } = counts();
      expect(told, what).toEqual(right);
    };
    check('found at adoption');
    maps.observed.set('a', 1);
    maps.swept.set('a', 1);
    check('set before their leader');
    maps.leader.set('a', 1).set('b', 1);
    check('their leader has come');
    refusing.set('b', 1);
    maps.observed.set('b', 1);
    refusing.refuses = true;
    maps.leader.delete('b');
    expect(counts().told).toContainEqual(['refusing', 1]);
    check('their leader has left, and one is observed and one refuses');
    refusing.refuses = false;
    maps.leader.set('b', 1);
    check('their leader is back');
    maps.leader.clear();
    check('all leaders are cleared');
    await clock.advance(3 * 3_600_000);
    check('what is due is swept');
    registry.stop();
  });

  it.each([1, 2, 3, 4])('are counted right in any course, seed %i', (seed) => {
    let state = seed * 2_654_435_761;
    const random = (below: number): number => {
      state = (Math.imul(state ^ (state >>> 15), 2_246_822_507) + 1_013_904_223) >>> 0;
      return state % below;
    };
    const { registry, maps, refusing, counts } = setup();
    const all = [maps.observed, maps.swept, maps.refusing, maps.found, maps.leader];
    let most = 0;
    for (let step = 0; step < 3_000; step += 1) {
      const map = all[random(all.length)] as Numbers;
      const key = `k${random(8)}`;
      refusing.refuses = random(4) === 0;
      if (random(40) === 0) map.clear();
      else if (random(2) === 0) map.set(key, step);
      else map.delete(key);
      const { right, told } = counts();
      expect(told, `step ${step}`).toEqual(right);
      most = Math.max(most, ...told.map(([, count]) => count as number));
    }
    expect(most).toBeGreaterThan(3);
    registry.stop();
  });

  it('are none while their leader is not tracked, and are counted anew when it is', () => {
    const registry = createRegistry({ maps: {}, clock: createManualClock() });
    const [leader, follower] = [new Map<string, number>([['a', 1]]), new Map<string, number>()];
    const first = registry.adopt('leader', leader);
    registry.adopt('follower', follower, { follows: 'leader' } as never);
    for (const key of ['a', 'b', 'c']) follower.set(key, 1);
    const orphaned = () => registry.report().maps.find(({ name }) => name === 'follower')?.orphaned;
    expect(orphaned()).toBe(2);
    first.release();
    expect(orphaned()).toBe(0);
    leader.set('b', 1);
    registry.adopt('leader', leader);
    expect(orphaned()).toBe(1);
    registry.stop();
  });

  it('are a metric of maps that follow another', async () => {
    const { registry, maps } = setup();
    const register = new Register();
    const undo = registerMetrics(registry, { register });
    maps.swept.set('alone', 1);
    const text = await register.metrics();
    const lines = text.split('\n').filter((line) => line.startsWith('mapsweep_orphaned_entries'));
    expect(lines.map((line) => line.replace(/.*map="(\w+)".* /, '$1 '))).toEqual([
      'observed 0',
      'swept 1',
      'refusing 0',
      'found 2',
    ]);
    undo();
    registry.stop();
  });
});
