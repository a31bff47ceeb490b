import { inspect } from 'node:util';
import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { openNow } from '../../src/restart/open-journal.js';
import { MemoryVolume } from '../restart/memory-journal.js';

type Numbers = Map<string, number>;

async function busyRegistry() {
  const clock = createManualClock({ startAt: 1_800_000_000_000 });
  const registry = createRegistry<{ runs: Numbers; seqs: Numbers; seen: Numbers }>({
    maps: {
      runs: {
        ttl: '5m',
        keepWhile: (value) => value === 7,
        dispose: () => {
          throw new Error('dispose');
        },
      },
      seqs: { follows: 'runs' },
      seen: { ttl: '1m', mode: 'observe' },
    },
    ended: { map: 'runs', deliver: () => Promise.reject(new Error('down')), attempts: 1 },
    clock,
  });
  const { runs, seqs, seen } = registry.maps;
  runs.set('swept', 1).set('guarded', 7).set('deleted', 2).set('ended', 3);
  seqs.set('swept', 1);
  seen.set('watched', 1);
  runs.delete('deleted');
  registry.end('ended', { reason: 'aborted' });
  registry.end('ended');
  await clock.advance(240_000);
  runs.set('young', 4);
  await clock.advance(60_000);
  return { clock, registry };
}

describe('report()', () => {
  it('says with what the oldest pending ending of each recipient failed last, and no more once it is delivered', async () => {
    const clock = createManualClock();
    let isDown = true;
    const mail = (): void => {
      if (isDown) throw new Error('550 relay denied');
    };
    for (const log of [undefined, () => {}]) {
      const registry = createRegistry<{ runs: Numbers }>({
        maps: { runs: {} },
        ended: { map: 'runs', deliver: log === undefined ? { mail } : { mail, log } },
        clock,
      });
      registry.on('callback-failed', () => {});
      isDown = true;
      registry.maps.runs.set('a', 1);
      registry.end('a');
      await clock.advance(0);
      expect(registry.report().endings?.recipients).toMatchObject([
        { name: 'mail', pending: 1, error: 'Error: 550 relay denied' },
        ...(log === undefined ? [] : [{ name: 'log', pending: 0, error: undefined }]),
      ]);
      const line = String(registry.report())
        .split('\n')
        .find((text) => text.startsWith('  to mail: '));
      expect(line).toContain('1 pending (last error: Error: 550 relay denied), 1 attempts failed');
      isDown = false;
      await clock.advance(60_000);
      expect(String(registry.report())).not.toContain('550');
      await registry.close();
    }
  });

  it('says of every map how large, how old, how overdue it is, and what has left it', async () => {
    const { clock, registry } = await busyRegistry();
    const report = registry.report();
    expect(report).toMatchObject({
      at: clock.now(),
      mode: 'sweep',
      sweepEveryMs: 60_000,
      lastSweepAt: clock.now(),
      stopped: false,
    });
    expect(report.maps).toMatchObject([
      {
        name: 'runs',
        size: 2,
        follows: undefined,
        mode: 'sweep',
        oldestAgeMs: 300_000,
        overdue: 1,
        guarded: 1,
        waiting: 0,
        excess: 0,
        registered: 5,
        removed: { deleted: 1, cleared: 0, swept: 2, evicted: 0, companion: 0, closed: 0 },
        leak: { state: 'ok', perHour: 0, since: undefined, hoursToLimit: undefined },
        oldest: [
          { key: 'guarded', state: 'guarded' },
          { key: 'young', state: 'live' },
        ],
      },
      { name: 'seqs', size: 0, follows: 'runs', oldestAgeMs: undefined, removed: { companion: 1 } },
      { name: 'seen', size: 1, mode: 'observe', overdue: 1, guarded: 0 },
    ]);
    registry.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  it('counts what leaves a map about which nobody has to be told', async () => {
    const clock = createManualClock();
    const live = new Map<string, number>();
    const registry = createRegistry<{ made: Numbers; live: Numbers }>({
      maps: { made: { ttl: '1m' }, live: { adopt: live, ttl: '1m' } },
      clock,
    });
    for (const map of [registry.maps.made, live]) {
      map.set('a', 1).set('b', 2).set('c', 3).set('d', 4);
      map.delete('a');
      map.delete('a');
      Map.prototype.delete.call(map, 'b');
    }
    await clock.advance(60_000);
    for (const map of [registry.maps.made, live]) map.set('e', 5).clear();
    for (const { size, registered, removed, overdue } of registry.report().maps) {
      expect({ size, registered, removed, overdue }).toEqual({
        size: 0,
        registered: 5,
        removed: { deleted: 2, cleared: 1, swept: 2, evicted: 0, companion: 0, closed: 0 },
        overdue: 0,
      });
    }
    registry.stop();
  });

  it('says how the endings are doing, and what callbacks failed', async () => {
    const { registry } = await busyRegistry();
    expect(registry.report().endings).toEqual({
      map: 'runs',
      ended: { completed: 0, swept: 1, evicted: 0, deleted: 1, lost: 0, other: 1 },
      duplicates: 1,
      pending: 0,
      delivered: 0,
      failedAttempts: 3,
      deadLetters: 3,
      deadLettersDropped: 0,
      recipients: [
        {
          name: 'default',
          pending: 0,
          delivered: 0,
          failedAttempts: 3,
          deadLetters: 3,
          deadLettersDropped: 0,
        },
      ],
      tombstones: 3,
      tombstonesEvicted: 0,
    });
    expect(registry.report().callbackErrors).toEqual([
      { map: 'runs', callback: 'dispose', count: 3 },
      { map: 'runs', callback: 'deliver', count: 3 },
    ]);
    registry.stop();
  });

  it('is plain data to JSON and to a test, and a copy', async () => {
    const { registry } = await busyRegistry();
    const report = registry.report();
    const copy = JSON.parse(JSON.stringify(report));
    expect(copy.maps[0].name).toBe('runs');
    expect(Object.keys(report)).not.toContain('toString');
    (report.maps[0]?.removed as { deleted: number }).deleted = 99;
    expect(registry.report().maps[0]?.removed.deleted).toBe(1);
    registry.stop();
  });

  it('prints well in a terminal: aligned columns, what is oldest, and why it is still there', async () => {
    const { registry } = await busyRegistry();
    const printed = String(registry.report());
    expect(inspect(registry.report())).toBe(printed);
    expect(`${registry.report()}`).toBe(printed);
    const lines = printed.split('\n');
    expect(lines[0]).toBe('mapsweep report, 2027-01-15T08:05:00.000Z');
    expect(lines[1]).toBe('mode sweep, sweeping every 1m, last sweep 0ms ago');
    const columns = lines.slice(3, 7);
    expect(columns[0]).toMatch(/^map +entries +oldest +overdue +guarded +added +swept +other +verdict$/);
    expect(columns[1]).toMatch(/^runs +2 +5m +1 +1 +5 +2 +1 +ok$/);
    expect(columns[3]).toMatch(/^seen +1 +5m +1 +0 +1 +0 +0 +observed$/);
    expect(new Set(columns.slice(0, 3).map((line) => line.search(/verdict|ok|observed/))).size).toBe(1);
    expect(printed).toContain('endings of runs: 1 swept, 1 deleted, 1 other; 1 duplicate');
    expect(printed).toContain('callback errors: runs.dispose failed 3 times');
    expect(printed).toContain("  runs 'guarded'\n    guarded: due by ttl for 0ms, but keepWhile holds it");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(200);
    expect(lines.some((line) => /\s$/.test(line))).toBe(false);
    registry.stop();
  });

  it('of an empty or a stopped registry says so', () => {
    const registry = createRegistry({ clock: createManualClock() });
    registry.stop();
    expect(registry.report()).toMatchObject({
      maps: [],
      endings: undefined,
      callbackErrors: [],
      stopped: true,
    });
    expect(String(registry.report())).toContain('sweeping stopped, last sweep none yet');
  });

  it('explains the three oldest entries of each map, and looks at no more', () => {
    let asked = 0;
    const registry = createRegistry<{ runs: Numbers }>({
      maps: {
        runs: {
          expiresAt: () => {
            asked += 1;
            return undefined;
          },
        },
      },
      clock: createManualClock(),
    });
    for (let n = 0; n < 1_000; n += 1) registry.maps.runs.set(`k${n}`, n);
    asked = 0;
    expect(registry.report().maps[0]?.oldest.map(({ key }) => key)).toEqual(['k0', 'k1', 'k2']);
    expect(asked).toBe(3);
    registry.stop();
  });

  it('shows the oldest by registration, also where entries were adopted with stamps of their own', () => {
    const clock = createManualClock();
    const bornAt = new Map([
      ['young', clock.now() - 5],
      ['oldest', clock.now() - 500_000],
      ['middle', clock.now() - 400],
      ['older', clock.now() - 5_000],
    ]);
    const registry = createRegistry({ maps: { live: { adopt: bornAt, unstamped: (at) => at } }, clock });
    const [live] = registry.report().maps;
    expect(live?.oldestAgeMs).toBe(500_000);
    expect(live?.oldest.map(({ key }) => key)).toEqual(['oldest', 'older', 'middle']);
    registry.stop();
  });

  it('looks at no more entries than before where stamps came from elsewhere, as after a restore', () => {
    const clock = createManualClock();
    /** Milliseconds that a report on so many takes: the best of 20, since the machine may be busy. */
    const best = (count: number): number => {
      const live = new Map(Array.from({ length: count }, (_, n) => [`k${n}`, n]));
      const registry = createRegistry({
        maps: { live: { adopt: live, unstamped: (n) => clock.now() - n } },
        clock,
      });
      let least = Number.POSITIVE_INFINITY;
      for (let n = 0; n < 20; n += 1) {
        const startedAt = performance.now();
        const oldest = registry.report().maps[0]?.oldest.map(({ key }) => key);
        least = Math.min(least, performance.now() - startedAt);
        expect(oldest).toEqual([`k${count - 1}`, `k${count - 2}`, `k${count - 3}`]);
      }
      registry.stop();
      return least;
    };
    best(2_000);
    // A look at each of them would take a hundred times as long.
    expect(best(200_000) / best(2_000)).toBeLessThan(12);
  }, 60_000);

  it('follows the oldest as it leaves', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({ maps: { runs: {} }, clock });
    const { runs } = registry.maps;
    for (let n = 0; n < 5; n += 1) {
      runs.set(`k${n}`, n);
      await clock.advance(1_000);
    }
    const ages: unknown[] = [];
    for (const key of ['k0', 'k2', 'k1', 'k3', 'k4']) {
      runs.delete(key);
      ages.push(registry.report().maps[0]?.oldestAgeMs);
    }
    expect(ages).toEqual([4_000, 4_000, 2_000, 1_000, undefined]);
    registry.stop();
  });

  it('prints keys of any kind, also such as defend themselves', () => {
    const registry = createRegistry<{ odd: Map<unknown, number> }>({
      maps: { odd: {} },
      clock: createManualClock(),
    });
    const hostile = {
      [inspect.custom]: () => {
        throw new Error('inspect');
      },
    };
    registry.maps.odd.set(hostile, 1).set(Symbol('s'), 2).set('x'.repeat(10_000), 3);
    const printed = String(registry.report());
    expect(printed).toContain('Symbol(s)');
    expect(printed.length).toBeLessThan(2_000);
    registry.maps.odd.clear();
    registry.maps.odd
      .set('line\nbreak', 1)
      .set(new Proxy({}, { ownKeys: () => [] }), 2)
      .set(null, 3);
    expect(String(registry.report())).toContain("odd 'line\\nbreak'\n    live:");
    registry.stop();
  });

  it('prints and turns into JSON names and keys of any content, and runs nothing of theirs', async () => {
    const clock = createManualClock();
    const calls: string[] = [];
    const note = (what: string) => (): never => {
      calls.push(what);
      throw new Error('hunter2');
    };
    const key = { toJSON: note('toJSON'), toString: note('toString'), [inspect.custom]: note('inspect') };
    const name = '\x1b[2J\n2026 ERROR forged\u202e\ud800';
    const registry = createRegistry<Record<string, Map<unknown, number>>>({
      maps: { [name]: { ttl: '1m', weigh: () => 1, dispose: note('dispose') }, b: { follows: name } },
      ended: { map: name },
      captureSites: 1,
      clock,
    });
    const map = registry.maps[name] as Map<unknown, number>;
    map.set('gone', 0).delete('gone');
    await clock.advance(120_000);
    map
      .set(key, 1)
      .set(5n, 1)
      .set(new Proxy(key, { get: note('get') }), 1);
    calls.length = 0;
    const report = registry.report();
    const texts = [
      String(report),
      inspect(report),
      inspect({ report }, { depth: 9 }),
      JSON.stringify(report),
    ];
    expect(texts.join()).not.toContain('hunter2');
    expect(texts[0]).not.toMatch(/(?!\n)\p{Cc}|\p{Cf}|\p{Cs}/u);
    expect(texts[0]).not.toMatch(/^2026 ERROR/m);
    expect(texts[0]).toContain('\\u{1b}[2J\\u{a}2026 ERROR forged\\u{202e}\\u{d800} an object');
    expect(JSON.parse(texts[3] as string).maps[0].oldest.map((entry: { key: unknown }) => entry.key)).toEqual(
      ['an object', '5n', 'a Proxy'],
    );
    expect(calls).toEqual([]);
    registry.stop();
  });

  it('says what is beyond maxEntries', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: { runs: { maxEntries: 1, keepWhile: () => true } },
      clock,
    });
    registry.maps.runs.set('a', 1).set('b', 2).set('c', 3);
    await clock.advance(1);
    expect(registry.report().maps[0]?.excess).toBe(2);
    expect(String(registry.report())).toContain('2 beyond maxEntries');
    registry.stop();
  });

  it('says of a map that is observed what its caps would evict', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Numbers }>({
      maps: {
        runs: { mode: 'observe', maxEntries: 3, maxPerOwner: { owner: (run) => String(run % 2), max: 1 } },
      },
      clock,
    });
    registry.maps.runs.set('a', 1).set('b', 3).set('c', 5).set('d', 7).set('e', 8);
    await clock.advance(1);
    expect(String(registry.report())).toMatch(
      /^runs .* observed, 2 beyond maxEntries, 3 beyond maxPerOwner$/m,
    );
    registry.stop();
  });
});

it('says of a journal what goes wrong with it, and nothing while all is well', async () => {
  const clock = createManualClock();
  const volume = new MemoryVolume();
  const registry = createRegistry<{ runs: Numbers }>({
    maps: { runs: { persist: true } },
    persistTo: openNow(volume.open(), { maxWaitMs: 5_000 }),
    clock,
  });
  registry.maps.runs.set('a', 1);
  await clock.advance('1m');
  expect(String(registry.report())).not.toContain('journal');
  volume.beforeWrite = () => {
    throw new Error('ENOSPC: no space left');
  };
  registry.maps.runs.set('b', 2);
  await clock.advance('10s');
  expect(String(registry.report())).toMatch(
    /^journal a memory volume: \d+ B\. Something has waited to be written for \d+s\. The last attempt failed: .*ENOSPC: no space left/m,
  );
  volume.beforeWrite = () => {};
  await clock.advance('1m');
  expect(String(registry.report())).not.toContain('journal');
  await registry.close();
});
