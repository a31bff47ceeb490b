import { createRegistry, TrackedMap } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { describe, expect, it } from 'vitest';

type Deliver = (event: { key: unknown }) => unknown;

const setUp = (deliver?: Deliver) => {
  const clock = createManualClock();
  const registry = createRegistry<{ runs: Map<unknown, object> }>({
    maps: { runs: { ttl: '5m' } },
    ended: { map: 'runs', deliver, attempts: 2, minDelay: '1s' },
    clock,
  });
  return { clock, registry, runs: registry.maps.runs };
};

describe('expect(registry).toHaveEndedExactlyOnce(key)', () => {
  it.each(['end', 'delete', 'sweep'] as const)(
    'takes a run that ended by %s and was delivered',
    async (how) => {
      const { clock, registry, runs } = setUp(() => {});
      runs.set('run-1', {});
      if (how === 'end') registry.end('run-1');
      else if (how === 'delete') runs.delete('run-1');
      await clock.advance(how === 'sweep' ? 6 * 60_000 : 0);
      expect(registry).toHaveEndedExactlyOnce('run-1');
    },
  );

  it('takes a run for ended once though others came too late to end it', async () => {
    const { clock, registry, runs } = setUp(() => {});
    runs.set('run-1', {});
    registry.end('run-1');
    expect(registry.end('run-1')).toBe('duplicate');
    runs.delete('run-1');
    await clock.advance(0);
    expect(registry).toHaveEndedExactlyOnce('run-1');
  });

  it('counts the event on the bus where nothing is delivered', () => {
    const { registry, runs } = setUp();
    runs.set('run-1', {});
    expect(registry).not.toHaveEndedExactlyOnce('run-1');
    registry.end('run-1');
    expect(registry).toHaveEndedExactlyOnce('run-1');
  });

  it('takes keys as a Map does', () => {
    const { registry, runs } = setUp();
    const key = { id: 1 };
    for (const each of [key, 0, Number.NaN, undefined, null]) {
      runs.set(each, {});
      registry.end(each);
    }
    for (const each of [key, -0, Number.NaN, undefined, null]) expect(registry).toHaveEndedExactlyOnce(each);
    expect(registry).not.toHaveEndedExactlyOnce({ id: 1 });
  });

  it('names the counts of a run that has not ended, and why it is still there', () => {
    const { registry, runs } = setUp(() => {});
    runs.set('run-1', {});
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-1')).toThrow(
      "expected the run 'run-1' to have ended exactly once, but it has not:\n" +
        "  'run-1' (registration 1): 0 announcements, 0 deliveries; it has not ended: due by ttl in 5m; age 0ms, idle 0ms",
    );
  });

  it('fails for a run whose delivery is pending, and takes it once it has succeeded', async () => {
    let failures = 1;
    const { clock, registry, runs } = setUp(() => {
      failures -= 1;
      if (failures >= 0) throw new Error('busy');
    });
    runs.set('run-1', {});
    registry.end('run-1');
    await clock.advance(0);
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-1')).toThrow(
      "'run-1' (registration 1): 1 announcement, 0 deliveries; 1 attempt made, pending",
    );
    await clock.advance(10_000);
    expect(registry).toHaveEndedExactlyOnce('run-1');
  });

  it('fails for a dead letter, and takes it once it is redelivered', async () => {
    let isBroken = true;
    const { clock, registry, runs } = setUp(() => {
      if (isBroken) throw new Error('nobody there');
    });
    runs.set('run-1', {});
    registry.end('run-1');
    await clock.advance(60_000);
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-1')).toThrow(
      '1 announcement, 0 deliveries; a dead letter after 2 attempts (attempts-exhausted): Error: nobody there',
    );
    isBroken = false;
    registry.redeliver(registry.deadLetters()[0]!.id);
    await clock.advance(0);
    expect(registry).toHaveEndedExactlyOnce('run-1');
  });

  it('fails for a run whose dead letter was dropped', async () => {
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: { ttl: '5m' } },
      ended: {
        map: 'runs',
        attempts: 1,
        maxDeadLetters: 1,
        deliver: () => Promise.reject(new Error('nobody there')),
      },
      clock,
    });
    for (const key of ['dropped', 'kept']) {
      registry.maps.runs.set(key, {});
      registry.end(key);
    }
    await clock.advance(0);
    expect(registry.deadLetters()).toHaveLength(1);
    expect(() => expect(registry).toHaveEndedExactlyOnce('dropped')).toThrow(
      '1 announcement, 0 deliveries; nobody heard of it, and its dead letter was dropped',
    );
  });

  it('asks of every registration of a key that it ended once', () => {
    const { registry, runs } = setUp();
    runs.set('run-1', {});
    runs.delete('run-1');
    runs.set('run-1', {});
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-1')).toThrow(
      /\(registration 1\): 1 announcement; reason 'deleted'\n.*\(registration 2\): 0 announcements; it has not ended/,
    );
    registry.end('run-1');
    expect(registry).toHaveEndedExactlyOnce('run-1');
  });

  it('fails for a key that was never registered', () => {
    const { registry } = setUp();
    expect(registry.end('nobody')).toBe('unknown');
    expect(() => expect(registry).toHaveEndedExactlyOnce('nobody')).toThrow(
      "expected the run 'nobody' to have ended exactly once, but it was never registered, or is long forgotten: 0 announcements",
    );
  });

  it('fails for the run that another one continues', () => {
    const { registry, runs } = setUp();
    runs.set('run-1', {});
    runs.set('run-2', {});
    registry.transfer('run-1', 'run-2');
    runs.delete('run-1');
    registry.end('run-2');
    expect(registry).toHaveEndedExactlyOnce('run-2');
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-1')).toThrow(
      '0 announcements; settled without a word',
    );
  });

  it('finds a run whose tombstone is gone', async () => {
    const { clock, registry, runs } = setUp();
    runs.set('run-1', {});
    runs.delete('run-1');
    await clock.advance(48 * 60 * 60_000);
    expect(registry.end('run-1')).toBe('unknown');
    expect(registry).toHaveEndedExactlyOnce('run-1');
  });

  it('fails where one ending is told twice, whoever tells it', () => {
    const { registry, runs } = setUp();
    runs.set('run-1', {});
    let told: unknown;
    registry.on('subagent-ended', (event) => {
      told = event;
    });
    registry.end('run-1');
    tellAgain(registry, told);
    expect(() => expect(registry).toHaveEndedExactlyOnce('run-1')).toThrow(
      '2 announcements; told more than once',
    );
  });

  it('refuses a wrong receiver, also under .not', () => {
    const plain = createRegistry({ maps: { runs: {} }, clock: createManualClock() });
    const receivers: [unknown, string][] = [
      [new TrackedMap(), 'toHaveEndedExactlyOnce takes a registry; received a single map: give its registry'],
      [new Map(), 'toHaveEndedExactlyOnce takes a registry; received a Map that nothing tracks'],
      [
        plain,
        'toHaveEndedExactlyOnce: this registry announces no endings. Make it with createRegistry({ ended',
      ],
    ];
    for (const [received, why] of receivers) {
      expect(() => expect(received).toHaveEndedExactlyOnce('run-1')).toThrow(why);
      expect(() => expect(received).not.toHaveEndedExactlyOnce('run-1')).toThrow(why);
    }
  });

  it('says under .not that it ended once, and how', async () => {
    const { clock, registry, runs } = setUp(() => {});
    runs.set('run-1', {});
    registry.end('run-1', { reason: 'timed out' });
    await clock.advance(0);
    expect(() => expect(registry).not.toHaveEndedExactlyOnce('run-1')).toThrow(
      "expected the run 'run-1' not to have ended exactly once, but it has:\n" +
        "  'run-1' (registration 1): 1 announcement, 1 delivery; reason 'timed out'",
    );
  });
});

// No registry does this: it stands for a defect of one, which the record has to show all the same.
function tellAgain(registry: object, event: unknown): void {
  type Parts = { engine: { bus: { emit(type: string, event: unknown): void } } };
  const { engine } = (registry as Record<symbol, Parts>)[Symbol.for('mapsweep.internals')] as Parts;
  engine.bus.emit('ended', event);
}
