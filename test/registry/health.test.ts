import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { openNow } from '../../src/restart/open-journal.js';
import { MemoryVolume } from '../restart/memory-journal.js';
import { slowClock } from '../time/slow-clock.js';

describe('registry.health()', () => {
  it('is ok for whoever asks at the very beginning of a sweep, hours after the one before', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ clock, sweepEvery: '1h', maps: { runs: { maxIdle: '1d' } } });
    await clock.advance(3_600_000);
    const seen: unknown[] = [];
    registry.on('clock-jumped', () => seen.push(registry.health().status));
    await clock.advance(3_599_000);
    clock.jumpWall(86_400_000);
    await clock.advance(1_000);
    expect(seen).toEqual(['ok']);
    await registry.close();
  });

  it('is ok while it sweeps and nothing is wrong', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ maps: { runs: { ttl: '5m' } }, clock });
    await clock.advance(600_000);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
  });

  it('fails when there was no tick for more than 3 intervals', async () => {
    const clock = createManualClock();
    let aheadMs = 0;
    // Time passes, and no timer comes.
    const blocked = {
      ...clock,
      monotonic: () => clock.monotonic() + aheadMs,
      now: () => clock.now() + aheadMs,
    };
    const registry = createRegistry({ maps: {}, clock: blocked });
    aheadMs = 180_000;
    expect(registry.health().status).toBe('ok');
    aheadMs = 180_001;
    expect(registry.health()).toEqual({
      status: 'failing',
      reasons: ['the sweeper has not ticked for 3m: the event loop is blocked, or a timer was lost'],
    });
  });

  it('fails while a sweep does not get on for more than 10 minutes, though it ticks', async () => {
    const clock = createManualClock();
    let goOn = (): void => {};
    const hanging = {
      ...slowClock(clock, 3),
      yield: () =>
        new Promise<void>((resolve) => {
          goOn = resolve;
        }),
    };
    for (const policy of [{ ttl: 0 }, { maxEntries: 1 }]) {
      const registry = createRegistry<{ runs: Map<number, number> }>({
        maps: { runs: policy },
        clock: hanging,
      });
      const { runs } = registry.maps;
      for (let run = 0; run < 5; run += 1) runs.set(run, run);
      await clock.advance('ttl' in policy ? 60_000 : 0);
      await clock.advance(590_000);
      expect(registry.health().status).toBe('ok');
      await clock.advance(61_000);
      expect(registry.health()).toEqual({
        status: 'failing',
        reasons: [
          'a sweep or an eviction has not got on for 11m: the event loop is blocked, or yield() of the clock hangs',
        ],
      });
      while (runs.size > ('ttl' in policy ? 0 : 1)) {
        goOn();
        await clock.advance(1);
      }
      expect(registry.health().status).toBe('ok');
      registry.stop();
    }
  });

  it('warns of a stop by hand, and does not call that a sweeper that stands still', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ maps: {}, clock });
    registry.stop();
    await clock.advance(600_000);
    expect(registry.health()).toEqual({ status: 'warning', reasons: ['sweeping was stopped by hand'] });
    await registry.close();
    expect(registry.health()).toEqual({ status: 'warning', reasons: ['the registry is closed'] });
  });

  it('fails once the journal is no longer of this process, with what the journal says of that', async () => {
    const volume = new MemoryVolume();
    // That of PostgreSQL has quotes in its name.
    const journal = Object.assign(volume.open(), { name: `"mapsweep"."records" of 'a'` });
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: { persist: true } },
      persistTo: openNow(journal, { maxWaitMs: 5_000 }),
      clock: createManualClock(),
    });
    volume.takeAway();
    registry.maps.runs.set('a', 1);
    await registry.flushed().catch(() => {});
    expect(registry.health()).toEqual({
      status: 'failing',
      reasons: [
        `the journal "mapsweep"."records" of 'a' is no longer this process's, which writes and delivers nothing more: MapsweepError: the memory volume is no longer this journal's`,
      ],
    });
    registry.stop();
  });

  it('warns of dead letters, and is ok once they are delivered', async () => {
    const clock = createManualClock();
    let isDown = true;
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        attempts: 1,
        deliver: () => {
          if (isDown) throw new Error('down');
        },
      },
      clock,
    });
    registry.maps.runs.set('a', 1);
    registry.end('a');
    await clock.advance(0);
    expect(registry.health()).toEqual({
      status: 'warning',
      reasons: [
        "1 ending given up for recipient 'default' (see deadLetters()), the last one attempts-exhausted: Error: down",
      ],
    });
    isDown = false;
    registry.redeliver(registry.deadLetters()[0]?.id as string);
    await clock.advance(0);
    expect(registry.health().status).toBe('ok');
  });

  it('warns of a recipient for whom an ending has waited for more than 15 minutes, with the last error of that', async () => {
    const clock = createManualClock();
    let isDown = true;
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        deliver: {
          mail: () => {
            if (isDown) throw new Error('550 relay denied');
          },
          log: () => {},
        },
      },
      clock,
    });
    registry.on('callback-failed', () => {});
    for (const run of ['a', 'b']) {
      registry.maps.runs.set(run, 1);
      registry.end(run);
    }
    await clock.advance(900_000);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    await clock.advance(300_000);
    expect(registry.health()).toEqual({
      status: 'warning',
      reasons: ["2 pending for recipient 'mail', the oldest for 20m: Error: 550 relay denied"],
    });
    isDown = false;
    await clock.advance(60_000);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    await registry.close();
  });

  it('warns of a beforeSweep that has failed for 15 minutes for an entry, with its last error, until it succeeds', async () => {
    const clock = createManualClock();
    let isDown = true;
    const registry = createRegistry<{ rows: Map<number, number> }>({
      maps: {
        rows: {
          ttl: '1m',
          beforeSweep: (_value, key) => {
            if (isDown) throw new Error(`no database for ${key}`);
          },
        },
      },
      clock,
    });
    registry.on('callback-failed', () => {});
    registry.maps.rows.set(1, 1);
    await clock.advance(14 * 60_000);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    registry.maps.rows.set(2, 1);
    await clock.advance(5 * 60_000);
    expect(registry.health()).toEqual({
      status: 'warning',
      reasons: [
        "beforeSweep of the map 'rows' fails, and what it fails for stays (1): Error: no database for 2",
      ],
    });
    await clock.advance(30 * 60_000);
    expect(registry.health().reasons).toEqual([expect.stringContaining('(2)')]);
    isDown = false;
    await clock.advance(60 * 60_000);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    expect(registry.maps.rows.size).toBe(0);
    registry.stop();
  });

  it('warns of a lifetime function for as long as it fails, with its error, and so does explain()', async () => {
    const clock = createManualClock();
    let unit = 1_000;
    const registry = createRegistry<{ runs: Map<string, { endedAt: number }> }>({
      maps: { runs: { ttl: '1m', since: (run) => run.endedAt / unit } },
      clock,
    });
    registry.maps.runs.set('a', { endedAt: clock.now() });
    const error = /since must answer epoch milliseconds, .* which looks like seconds or a duration/;
    expect(registry.explain('runs', 'a')).toMatchObject({
      state: 'failing',
      why: expect.stringMatching(error),
    });
    // Whoever only reads says nothing to anybody else.
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    await clock.advance(600_000);
    expect(registry.health()).toEqual({
      status: 'warning',
      reasons: [expect.stringMatching(/^since of the map 'runs' fails, and what it fails for stays: /)],
    });
    expect(registry.health().reasons[0]).toMatch(error);
    registry.maps.runs.set('well', { endedAt: 0 });
    expect(registry.explain('runs', 'well').state).toBe('due');
    expect(registry.health().reasons[0]).toMatch(error);
    unit = 1;
    await clock.advance(180_000);
    expect(registry.health()).toEqual({ status: 'ok', reasons: [] });
    expect(registry.maps.runs.size).toBe(0);
  });

  it('warns of a leak, and never fails because of one', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<number, number> }>({ maps: { runs: {} }, clock });
    for (let minute = 0; minute < 13 * 60; minute += 1) {
      for (let run = 0; run < 5; run += 1) registry.maps.runs.set(minute * 5 + run, run);
      await clock.advance(60_000);
    }
    expect(registry.health()).toEqual({
      status: 'warning',
      reasons: [expect.stringMatching(/^the map 'runs' leaks: it has grown for 12h or more, nothing leaves/)],
    });
  });
});
