import { createRegistry } from 'mapsweep';
import { registerMetrics } from 'mapsweep/prometheus';
import { createManualClock } from 'mapsweep/testing';
import { Registry as Register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { recordedNotifier } from './recorded-notifier.js';

describe('several recipients', () => {
  it('are told by themselves: what fails, waits or dies for one is nothing to the others', async () => {
    const clock = createManualClock();
    const events: unknown[] = [];
    const register = new Register();
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        attempts: 2,
        minDelay: 1_000,
        maxDelay: 1_000,
        deliver: {
          queue: (event) => void events.push(event),
          'audit\u202e': () => Promise.reject(new Error('down')),
          slow: (event) => {
            events.push(event);
            return new Promise(() => {});
          },
        },
      },
      clock,
    });
    registerMetrics(registry, { register });
    const failed: unknown[] = [];
    registry.on('delivery-failed', ({ recipient, attempt }) => failed.push([recipient, attempt]));
    registry.maps.runs.set('a', 1);
    registry.end('a');
    await clock.advance(1_000);
    expect(events).toHaveLength(2);
    expect(events[0]).toBe(events[1]);
    expect(failed).toEqual([
      ['audit\u202e', 1],
      ['audit\u202e', 2],
    ]);
    expect(registry.deadLetters()).toMatchObject([{ recipient: 'audit\u202e', attempts: 2 }]);
    const { recipients } = registry.report().endings ?? {};
    expect(recipients).toMatchObject([
      { name: 'queue', delivered: 1, pending: 0, deadLetters: 0 },
      { name: 'audit\u202e', delivered: 0, pending: 0, deadLetters: 1, failedAttempts: 2 },
      { name: 'slow', delivered: 0, pending: 1, deadLetters: 0 },
    ]);
    expect(String(registry.report())).toContain('to slow: 0 delivered, 1 pending');
    const text = await register.metrics();
    expect(text).toMatch(/ended_deliveries_total\{recipient="queue",outcome="delivered",.*\} 1\n/);
    expect(text).toMatch(/mapsweep_dead_letters\{recipient="audit[^"]+",.*\} 1\n/);
    expect(text).not.toContain('\u202e');
    expect(text).toMatch(/ended_pending\{recipient="slow",.*\} 1\n/);
    expect(text).toMatch(/mapsweep_ended_oldest_pending_seconds\{.*\} 1\n/);
    const closed = registry.close({ deadline: 0 });
    await clock.advance(0);
    expect(await closed).toEqual({ undelivered: 1, undisposed: 0 });
  });
});

describe('a handler that throws at once', () => {
  it('is a loop and no recursion, with 5,000 waiting and 2 attempts each', async () => {
    let calls = 0;
    let deepest = 0;
    const { notifier, clock, push } = recordedNotifier({
      limits: { attempts: 2, minDelayMs: 1, maxDelayMs: 1, maxDeadLetters: 5_000 },
      deliver: () => {
        calls += 1;
        if (calls % 500 === 0) {
          const before = Error.stackTraceLimit;
          Error.stackTraceLimit = Number.POSITIVE_INFINITY;
          deepest = Math.max(deepest, new Error('deep').stack?.split('\n').length ?? 0);
          Error.stackTraceLimit = before;
        }
        throw new Error('down');
      },
    });
    await push(...Array.from({ length: 5_000 }, (_, index) => `${index}`));
    for (let turn = 0; turn < 1_000 && notifier.pendingCount > 0; turn += 1) await clock.advance(1);
    expect([calls, notifier.deadLetterCount, notifier.pendingCount]).toEqual([10_000, 5_000, 0]);
    expect(deepest).toBeLessThan(60);
  });
});

describe('a time-out', () => {
  it('is judged after the loop has had a turn: an answer that was there counts', async () => {
    const { notifier, calls, clock, delivered, push } = recordedNotifier();
    await push('a', 'b');
    // What a socket brings comes in a later turn than the timer that was due while the loop was blocked.
    clock.setTimeout(() => setImmediate(() => calls[0]!.succeed()), 10_000);
    await clock.advance(10_000);
    expect([delivered, notifier.deadLetters()]).toMatchObject([['a'], [{ id: 'b', cause: 'timed-out' }]]);
  });
});
