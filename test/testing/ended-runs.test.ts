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

describe('a registry whose endings nobody recorded', () => {
  const fails = () => Promise.reject(new Error('gone'));
  const start = (ended: { deliver?: () => unknown; tombstones?: object; maxDeadLetters?: number }) => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<number, object> }>({
      maps: { runs: {} },
      ended: { map: 'runs', attempts: 2, ...ended },
      clock,
    });
    const { runs } = registry.maps;
    const runOnce = (run: number) => {
      runs.set(run, {});
      runs.delete(run);
    };
    return { clock, registry, runOnce };
  };
  const cannotKnow = (why: string) =>
    expect.objectContaining({ code: 'ERR_NOTHING_PROVED', message: expect.stringContaining(why) });

  it('names a run whose dead letter outlived its tombstone', async () => {
    const { clock, registry, runOnce } = start({ deliver: fails, tombstones: { ttl: '1m' } });
    runOnce(1);
    await clock.advance(60 * 60_000);
    expect(() => assertEndedEveryRunOnce(registry)).toThrow(
      /1 of 1 has not:\n {2}1 \(registration 1\): 1 announcement, 0 deliveries; a dead letter/,
    );
  });

  it('says that it cannot know of runs whose tombstones were evicted, or are too old', () => {
    const { registry, runOnce } = start({ tombstones: { max: 10 } });
    for (let run = 0; run < 100; run += 1) runOnce(run);
    const check = () => assertEndedEveryRunOnce(registry);
    expect(check).toThrow('assertEndedEveryRunOnce cannot know: 90 runs left no trace');
    expect(check).toThrow('Call recordEndings()');
  });

  it('says so of the earlier runs of a key, also where it is asked about that key', () => {
    const { registry, runOnce } = start({});
    runOnce(1);
    runOnce(1);
    expect(() => assertEndedEveryRunOnce(registry)).toThrow('cannot know: 1 run left no trace');
    expect(() => assertEndedExactlyOnce(registry, 1)).toThrow('cannot know: 1 run left no trace');
  });

  it('says that it cannot know which deliveries were dropped with their dead letters', async () => {
    const { clock, registry, runOnce } = start({ deliver: fails, maxDeadLetters: 1 });
    runOnce(1);
    runOnce(2);
    await clock.advance(60_000);
    // Which of the two was dropped depends on the pauses between their attempts.
    const dropped = registry.deadLetters()[0]!.event.key === 1 ? 2 : 1;
    expect(() => assertEndedExactlyOnce(registry, dropped)).toThrow(
      'cannot know: 1 delivery never succeeded, and the dead letters were dropped',
    );
    expect(() => assertEndedEveryRunOnce(registry)).toThrow('1 of 2 has not');
  });

  it('tells the code of what it cannot know', async () => {
    const { registry, runOnce } = start({ tombstones: { max: 1 } });
    runOnce(1);
    runOnce(2);
    const check = async () => assertEndedEveryRunOnce(registry);
    await expect(check()).rejects.toEqual(cannotKnow('1 run left no trace'));
  });
});

describe('a closed registry', () => {
  it('knows of runs that had ended, and not of those that were open in a map it has given back', async () => {
    stop = recordEndings();
    const live = new Map<string, object>();
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: { adopt: live } },
      ended: { map: 'runs', deliver: () => {} },
      clock: createManualClock(),
    });
    live.set('ended', {});
    registry.end('ended');
    live.set('open', {});
    const before = structuredClone(live);
    await registry.close();
    expect(live).toEqual(before);
    expect(() => assertEndedEveryRunOnce(registry)).toThrow(
      'cannot know: the registry is closed, and 1 run had not ended by then. Check before close()',
    );
  });

  it('can be asked whether all has ended where all has', async () => {
    stop = recordEndings();
    const { registry, runs } = setUp();
    runs.set('run-1', {});
    registry.end('run-1');
    await registry.close();
    assertEndedEveryRunOnce(registry);
  });
});

describe('runs that share an id of the owner', () => {
  const start = () => {
    stop = recordEndings();
    const live = new Map<string, { id: string }>();
    const registry = createRegistry<{ runs: Map<string, { id: string }> }>({
      maps: { runs: { adopt: live } },
      ended: { map: 'runs', id: ({ id }) => id, deliver: () => {} },
      clock: createManualClock(),
    });
    live.set('first', { id: 'run' });
    live.set('second', { id: 'run' });
    return registry;
  };

  it('are one run, which is open until it ends, and is told of under both keys', async () => {
    const registry = start();
    expect(() => assertEndedEveryRunOnce(registry)).toThrow(
      /1 of 1 has not:\n {2}'first' \(registration 1\)/,
    );
    registry.end('first');
    await new Promise((resolve) => setImmediate(resolve));
    assertEndedEveryRunOnce(registry);
    assertEndedExactlyOnce(registry, 'first');
    assertEndedExactlyOnce(registry, 'second');
  });

  it('count once when the registry is closed', async () => {
    const registry = start();
    registry.end('first');
    await registry.close();
    assertEndedEveryRunOnce(registry);
  });
});
