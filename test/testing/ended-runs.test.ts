import { AssertionError } from 'node:assert';
import { createRegistry } from 'mapsweep';
import {
  assertEndedEveryRunOnce,
  assertEndedExactlyOnce,
  createManualClock,
  recordEndings,
} from 'mapsweep/testing';
import { afterEach, describe, expect, it } from 'vitest';

let stop = (): void => {};

afterEach(() => {
  stop();
});

const setUp = (deliver: () => unknown = () => {}) => {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<string, object> }>({
    maps: { runs: { ttl: '5m' } },
    ended: { map: 'runs', deliver, attempts: 2, tombstones: { ttl: '1h' } },
    clock,
  });
  return { clock, registry, runs: registry.maps.runs };
};

// 'mapsweep/vitest' is not loaded here: whoever wants a record calls recordEndings().
describe.each(['with a record', 'by what the registry says'])('assertEndedExactlyOnce, %s', (how) => {
  const start = (deliver?: () => unknown) => {
    if (how === 'with a record') stop = recordEndings();
    return setUp(deliver);
  };

  it('returns for runs that ended and were delivered', async () => {
    const { clock, registry, runs } = start();
    runs.set('run-1', {});
    runs.set('run-2', {});
    registry.end('run-1');
    runs.delete('run-2');
    await clock.advance(0);
    assertEndedExactlyOnce(registry, 'run-1');
    assertEndedExactlyOnce(registry, 'run-2');
    assertEndedEveryRunOnce(registry);
  });

  it('throws for one that is open, pending or a dead letter', async () => {
    const { clock, registry, runs } = start(() => Promise.reject(new Error('gone')));
    runs.set('open', {});
    runs.set('ended', {});
    registry.end('ended');
    const check = (key: string) => () => assertEndedExactlyOnce(registry, key);
    expect(check('open')).toThrow(AssertionError);
    expect(check('open')).toThrow('0 announcements, 0 deliveries; it has not ended');
    expect(check('ended')).toThrow('1 announcement, 0 deliveries; 0 attempts made, pending');
    await clock.advance(2_000);
    expect(check('ended')).toThrow('1 announcement, 0 deliveries; a dead letter after 2 attempts');
    expect(() => assertEndedEveryRunOnce(registry)).toThrow('2 of 2 have not');
  });
});

describe('recordEndings()', () => {
  it('reaches farther back than the tombstones of a registry', async () => {
    const unrecorded = setUp();
    stop = recordEndings();
    const recorded = setUp();
    for (const { runs } of [unrecorded, recorded]) {
      runs.set('run-1', {});
      runs.delete('run-1');
    }
    for (const { clock } of [unrecorded, recorded]) await clock.advance(2 * 60 * 60_000);
    assertEndedExactlyOnce(recorded.registry, 'run-1');
    expect(() => assertEndedExactlyOnce(unrecorded.registry, 'run-1')).toThrow('is long forgotten');
  });

  it('records once though it is called twice, and no further registry once it is stopped', () => {
    recordEndings();
    stop = recordEndings();
    const { registry, runs } = setUp();
    runs.set('run-1', {});
    runs.delete('run-1');
    expect(() => assertEndedExactlyOnce(registry, 'run-1')).toThrow('1 announcement, 0 deliveries');
    stop();
    expect(Reflect.get(globalThis, Symbol.for('mapsweep.registry-created'))).toEqual(new Set());
  });

  it('sees the endings of entries that were adopted and of those that left at once', () => {
    stop = recordEndings();
    const clock = createManualClock();
    const live = new Map([['old', {}]]);
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: { adopt: live, ttl: '5m' } },
      ended: { map: 'runs' },
      clock,
    });
    live.clear();
    assertEndedExactlyOnce(registry, 'old');
  });
});
