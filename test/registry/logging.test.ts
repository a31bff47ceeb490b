import { AsyncLocalStorage } from 'node:async_hooks';
import { createRegistry, type Logger, type RegistryOptions } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { type Logger as PinoLogger, pino } from 'pino';
import { describe, expect, it } from 'vitest';

type Line = Record<string, unknown> & { readonly event: string; readonly msg?: string };

/** A pino that writes down, as JSON, what it would have written. */
function writtenBy(options: object = {}): { logger: PinoLogger; lines: Line[] } {
  const lines: Line[] = [];
  const logger = pino(options, { write: (text: string) => void lines.push(JSON.parse(text) as Line) });
  return { logger, lines };
}

/** A logger that calls `write` with each line. */
const calling = (write: (line: Line) => unknown): Logger => {
  const at = (fields: object) => write(fields as Line);
  return { info: at, warn: at, error: at };
};

type Runs = { runs: Map<string, { secret: string; fails?: boolean }> };

function serviceOf(logger: Logger, more: Partial<RegistryOptions<Runs>> = {}) {
  const clock = createManualClock();
  const registry = createRegistry<Runs>({
    name: 'gateway',
    maps: { runs: { ttl: '5m' } },
    clock,
    logger,
    ...more,
  });
  const { runs } = registry.maps;
  return { clock, registry, runs, fill: (count: number) => fill(runs, count) };
}

function fill(runs: Runs['runs'], count: number): void {
  for (let n = 0; n < count; n += 1) runs.set(`run-${n}`, { secret: 'hunter2' });
}

const value = { secret: 'hunter2' };
const failing = () => {
  throw new Error('of dispose');
};

describe('logger', () => {
  it('gets fields and then a message, at the level that the event has, through real pino', async () => {
    const { logger, lines } = writtenBy();
    const { clock, registry, runs } = serviceOf(logger, {
      maps: { runs: { ttl: '5m', dispose: failing } },
      ended: { map: 'runs', deliver: () => Promise.reject(new Error('away')), attempts: 1 },
    });
    runs.set('a', value);
    await clock.advance(300_000);
    expect(lines.map(({ level, event, msg }) => [level, event, msg])).toEqual([
      [40, 'callback-failed', 'mapsweep: dispose failed: Error: of dispose'],
      [30, 'swept', 'mapsweep: swept 1 of 1 entries looked at'],
      [40, 'delivery-failed', 'mapsweep: attempt 1 failed: Error: away'],
      [50, 'dead-letter', 'mapsweep: an ending was given up: attempts-exhausted'],
    ]);
    expect(lines[1]).toMatchObject({ registry: 'gateway', swept: 1, examined: 1, maps: { runs: 1 } });
    expect(lines[3]).toMatchObject({ key: 'a', recipient: 'default', attempts: 1, error: 'Error: away' });
    await registry.close();
  });

  it('gets at most 10 lines a second of 10,000 failures of one kind, and how many were left out, with none lost to the count', async () => {
    const { logger, lines } = writtenBy();
    const { clock, registry, runs, fill } = serviceOf(logger, { maps: { runs: { dispose: failing } } });
    fill(10_000);
    runs.clear();
    expect(lines.length).toBe(10);
    await clock.advance(999);
    fill(1);
    runs.clear();
    expect(lines.length).toBe(10);
    await clock.advance(1);
    fill(20);
    runs.clear();
    expect(lines.slice(10).map(({ event }) => event)).toEqual([
      'lines-left-out',
      ...Array(10).fill('callback-failed'),
    ]);
    expect(lines[10]).toMatchObject({ count: 9_991, of: { 'callback-failed': 9_991 } });
    // The rest is told with the next sweep, though nothing else has happened.
    await clock.advance(59_000);
    expect(lines.slice(21).map(({ event, count }) => [event, count])).toEqual([['lines-left-out', 10]]);
    fill(12);
    runs.clear();
    await registry.close();
    expect(lines.at(-1)).toMatchObject({ event: 'lines-left-out', count: 2 });
    const written = lines.filter(({ event }) => event === 'callback-failed').length;
    const leftOut = lines.reduce((sum, { count }) => sum + Number(count ?? 0), 0);
    expect(written + leftOut).toBe(10_000 + 1 + 20 + 12);
  });

  it('gets what comes once among what repeats: a leak, dead letters, another callback, beside failures', async () => {
    const { logger, lines } = writtenBy();
    let fails = true;
    const clock = createManualClock();
    const registry = createRegistry<Record<'runs' | 'leaky' | 'noisy', Map<string, object>>>({
      maps: {
        runs: {},
        leaky: {},
        noisy: { ttl: '10s', dispose: failing, replaced: failing },
      },
      ended: {
        map: 'runs',
        attempts: 1,
        deliver: () => {
          if (fails) throw new Error('away');
        },
      },
      logger,
      clock,
    });
    const { runs, leaky, noisy } = registry.maps;
    const makeNoise = () => {
      for (let n = 0; n < 100; n += 1) noisy.set(`${n}`, value);
    };
    makeNoise();
    noisy.clear();
    noisy.set('a', value);
    noisy.set('a', {});
    runs.set('a', value);
    registry.end('a');
    await clock.advance(0);
    const written = lines.map(({ event, callback }) => (callback ? `${callback}` : event));
    expect(written).toEqual([...Array(10).fill('dispose'), 'replaced', 'delivery-failed', 'dead-letter']);
    fails = false;
    for (let minute = 0; minute < 14 * 60; minute += 1) {
      leaky.set(`${minute}`, value);
      makeNoise();
      await clock.advance(60_000);
    }
    expect(lines.filter(({ event }) => event === 'leak-suspected')).toMatchObject([{ map: 'leaky' }]);
    await registry.close();
  });

  it('gets one line of each failed attempt, and one of an attempt that fails after it timed out', async () => {
    const { logger, lines } = writtenBy();
    let fail = () => {};
    const { clock, registry, runs } = serviceOf(logger, {
      ended: {
        map: 'runs',
        attempts: 1,
        attemptTimeout: '1s',
        deliver: () =>
          new Promise((_, reject) => {
            fail = () => reject(new Error('late'));
          }),
      },
    });
    runs.set('a', value);
    registry.end('a');
    await clock.advance(1_000);
    expect(lines.map(({ event }) => event)).toEqual(['delivery-failed', 'dead-letter']);
    fail();
    await clock.advance(0);
    expect(lines.slice(2).map(({ event, error }) => [event, error])).toEqual([
      ['callback-failed', 'Error: late'],
    ]);
    await registry.close();
  });

  it('has no line for 10,000 removals without audit but that of the sweep, and makes no map tell of each', async () => {
    const { logger, lines } = writtenBy();
    const { clock, registry, fill } = serviceOf(logger);
    fill(10_000);
    await clock.advance(300_000);
    expect(lines.map(({ event, swept }) => [event, swept])).toEqual([['swept', 10_000]]);
    await registry.close();
  });

  it('that throws or rejects is counted, told once on the bus, and harms nothing', async () => {
    for (const fail of [() => failing(), () => Promise.reject(new Error('of dispose'))]) {
      const { clock, registry, runs, fill } = serviceOf(calling(fail), {
        audit: true,
        ended: { map: 'runs', deliver: () => {} },
      });
      const told: unknown[] = [];
      registry.on('callback-failed', ({ map, callback }) => told.push([map, callback]));
      fill(100);
      registry.end('run-0');
      runs.delete('run-1');
      await clock.advance(300_000);
      expect(runs.size).toBe(0);
      expect(told).toEqual([['', 'logger']]);
      // 100 removals, 100 endings, 100 deliveries, and a line of the sweep.
      expect(registry.report().callbackErrors).toEqual([{ map: '', callback: 'logger', count: 301 }]);
      expect(await registry.close()).toMatchObject({ undelivered: 0 });
    }
  });

  it('that calls back is called neither within itself nor for ever in a turn', async () => {
    let depth = 0;
    let deepest = 0;
    let made = 0;
    const { registry, runs, clock } = serviceOf(
      calling(() => {
        depth += 1;
        deepest = Math.max(deepest, depth);
        if (made < 5_000) {
          made += 1;
          runs.set(`more-${made}`, value);
          runs.delete(`more-${made}`);
          void registry.sweep();
        }
        depth -= 1;
      }),
      { audit: true },
    );
    runs.set('a', value);
    runs.delete('a');
    expect([deepest, made]).toEqual([1, 1]);
    await clock.advance(1_000);
    expect(deepest).toBe(1);
    expect(made).toBeGreaterThan(1);
    registry.stop();
  });

  it.each([
    [{ logger: {} }, /^logger must be an object with the methods info, warn and error, such as pino's/],
    [{ logger: () => {} }, /^logger must be/],
    [{ audit: true }, /^audit: expected a logger to write to/],
    [{ logger: console, audit: 1 }, /^audit must be true or false/],
  ])('refuses what is none, %#', (options, message) => {
    expect(() => createRegistry(options as never)).toThrow(message);
  });
});

describe('audit', () => {
  it('says of each removal, ending, delivery and dead letter which, why, by whom and at what age', async () => {
    const { logger, lines } = writtenBy();
    let isAway = false;
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, object>; tails: Map<string, object> }>({
      maps: { runs: { ttl: '5m', maxEntries: 3 }, tails: { follows: 'runs' } },
      ended: {
        map: 'runs',
        attempts: 1,
        deliver: () => {
          if (isAway) throw new Error('away');
        },
      },
      logger,
      audit: true,
      clock,
    });
    const { runs, tails } = registry.maps;
    const shown = () =>
      lines
        .splice(0)
        .map(({ event, map, key, reason, by, rule, leader, ageMs, recipient }) =>
          [event, map, key, reason, by, rule, leader, ageMs, recipient].filter(
            (field) => field !== undefined,
          ),
        );

    runs.set('a', value);
    tails.set('a', value);
    await clock.advance(1_000);
    registry.end('a', { reason: 'cancelled' });
    runs.delete('a');
    await clock.advance(0);
    expect(shown()).toEqual([
      ['ended', 'runs', 'a', 'cancelled', 'owner', 1_000],
      ['removed', 'runs', 'a', 'deleted', 'owner', 1_000],
      ['removed', 'tails', 'a', 'companion', 'leader', 'runs', 1_000],
      ['delivered', 'runs', 'a', 'cancelled', 0, 'default'],
    ]);

    isAway = true;
    runs.set('b', value);
    await clock.advance(10_000);
    for (const key of ['c', 'd', 'e']) runs.set(key, value);
    await clock.advance(0);
    const of = lines.map(({ event }) => event);
    expect(of).toEqual(['removed', 'ended', 'delivery-failed', 'dead-letter']);
    expect(shown().filter(([event]) => event === 'removed' || event === 'ended')).toEqual([
      ['removed', 'runs', 'b', 'evicted', 'cap', 'maxEntries', 10_000],
      ['ended', 'runs', 'b', 'evicted', 'owner', 10_000].with(4, 'cap'),
    ]);

    isAway = false;
    await clock.advance(349_000);
    expect(shown().filter(([event]) => event === 'removed')).toEqual(
      ['c', 'd', 'e'].map((key) => ['removed', 'runs', key, 'swept', 'sweeper', 'ttl', 349_000]),
    );

    tails.set('x', value);
    tails.set('y', value);
    tails.clear();
    expect(shown()).toEqual(['x', 'y'].map((key) => ['removed', 'tails', key, 'cleared', 'owner', 0]));
    // Past the wrapper: nobody knows who it was but that it was not the library.
    tails.set('z', value);
    Map.prototype.delete.call(tails, 'z');
    await registry.sweep();
    expect(shown()).toEqual([['removed', 'tails', 'z', 'deleted', 'owner', 0]]);
    await registry.close();
  });

  it("says it was the owner who ended a run, whichever of the library's words he uses for it", async () => {
    const words = ['swept', 'evicted', 'companion', 'lost', 'closed'];
    class Ending extends Map<string, { secret: string }> {
      override delete(key: string): boolean {
        if (key === 'inside') first.registry.end(key, { reason: 'swept' });
        return super.delete(key);
      }
    }
    const { logger, lines } = writtenBy();
    const ended = { map: 'runs', deliver: () => {} } as const;
    const options = {
      audit: true,
      ended,
      restoreWindow: '1m',
      maps: { runs: { adopt: new Ending(), ttl: '5m' } },
    } as const;
    const first = serviceOf(logger, options);
    const by = () =>
      lines.splice(0).flatMap(({ event, reason, by }) => (event === 'ended' ? [[reason, by]] : []));
    const byOwner = words.map((reason) => [reason, 'owner']);
    for (const reason of words) {
      first.runs.set(reason, value);
      first.registry.end(reason, { reason });
    }
    expect(by()).toEqual(byOwner);
    first.runs.set('inside', value);
    first.runs.delete('inside');
    expect(by()).toEqual([['swept', 'owner']]);
    first.runs.clear();
    for (const key of [...words, 'gone']) first.runs.set(key, value);
    const snapshot = first.registry.snapshot();
    await first.registry.close();

    const second = serviceOf(logger, { ...options, maps: { runs: { ttl: '5m' } } });
    second.registry.restore(snapshot);
    for (const reason of words) second.registry.end(reason, { reason });
    expect(by()).toEqual(byOwner);
    await second.clock.advance(120_000);
    expect(by()).toEqual([['lost', 'restart']]);
    second.runs.set('due', value);
    await second.clock.advance(300_000);
    expect(by()).toEqual([['swept', 'sweeper']]);
    await second.registry.close();
  });

  it('writes 10,000 removals in a second with real pino, every one with its key, swept, cleared and deleted', async () => {
    const { logger, lines } = writtenBy();
    const { clock, registry, runs, fill } = serviceOf(logger, { audit: true });
    const keys = () => lines.filter(({ event }) => event === 'removed').map(({ key }) => key);
    const all = Array.from({ length: 10_000 }, (_, n) => `run-${n}`);
    fill(10_000);
    for (const key of all) runs.delete(key);
    expect(keys()).toEqual(all);
    lines.length = 0;
    fill(10_000);
    runs.clear();
    expect(keys()).toEqual(all);
    lines.length = 0;
    fill(10_000);
    await clock.advance(300_000);
    expect(keys().sort()).toEqual([...all].sort());
    expect(lines.at(-1)).toMatchObject({ event: 'swept', swept: 10_000 });
    await registry.close();
  });

  it('has no value in any line, and keys, reasons and names only escaped and cut', async () => {
    const texts: string[] = [];
    const { logger } = writtenBy();
    const note = (fields: object, message: string) => {
      texts.push(message);
      // Whatever is in it, however deep, and the names of the fields.
      JSON.stringify(fields, (name, field) => {
        texts.push(name, ...(typeof field === 'string' ? [field] : []));
        return field;
      });
      logger.info(fields, message);
    };
    const hostile = `\u001b[2J\n${'x'.repeat(1_000_000)}`;
    const clock = createManualClock();
    const registry = createRegistry<Record<string, Map<unknown, object>>>({
      name: 'g\u202Eway',
      maps: { [`r\n${'m'.repeat(100)}`]: { ttl: '5m', dispose: () => Promise.reject(new Error(hostile)) } },
      ended: {
        map: `r\n${'m'.repeat(100)}`,
        deliver: { 'to\u001b': () => Promise.reject(new Error(hostile)) },
        attempts: 1,
      },
      logger: { info: note, warn: note, error: note },
      audit: true,
      clock,
    });
    const [map] = Object.values(registry.maps) as [Map<unknown, object>];
    for (const key of [hostile, { toJSON: failing }, Symbol('s'), 10n]) map.set(key, value);
    for (const key of map.keys())
      registry.end(key as never, { reason: hostile.slice(0, 128), detail: value });
    await clock.advance(300_000);
    await registry.close();
    expect(texts.filter((text) => /hunter2|[\p{Cc}\p{Cf}]/u.test(text))).toEqual([]);
    expect(texts.some((text) => text.includes('\\u{1b}[2J\\u{a}xxx'))).toBe(true);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(400);
  });

  it('writes in the async context of whoever removed it, so that a mixin can say which request that was', () => {
    const request = new AsyncLocalStorage<string>();
    const { logger, lines } = writtenBy({ mixin: () => ({ request: request.getStore() }) });
    const { registry, runs } = serviceOf(logger, { audit: true });
    runs.set('a', value);
    request.run('request-7', () => runs.delete('a'));
    expect(lines).toMatchObject([{ event: 'removed', key: 'a', request: 'request-7' }]);
    registry.stop();
  });
});
