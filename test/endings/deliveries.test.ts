import { createManualClock } from 'mapsweep/testing';
import { expect, test } from 'vitest';
import { Deliveries } from '../../src/endings/deliveries.js';
import { readEnded } from '../../src/endings/ended-policy.js';
import type { Deliver } from '../../src/events/ended-event.js';
import { Engine } from '../../src/sweeping/engine.js';
import { endedEvent } from './recorded-notifier.js';

test('listeners and observers that throw stop no delivery: each throw is told, and that of a listener to it goes nowhere', async () => {
  const clock = createManualClock();
  const engine = new Engine({ clock, sweepEveryMs: 60_000, sliceBudgetMs: 5, observing: false });
  const failing = (name: string) => () => {
    throw name;
  };
  const told: unknown[] = [];
  engine.bus.on('callback-failed', ({ map, callback, error }) => {
    told.push([map, callback, error]);
    throw 'callback-failed';
  });
  engine.measurements.add({ delivered: failing('delivered') });
  engine.bus.on('delivery-failed', failing('delivery-failed'));
  engine.bus.on('dead-letter', ({ dropped }) => failing(dropped ? 'dropped' : 'dead letter')());
  const deliver: Deliver<unknown, unknown> = ({ id }) => {
    if (id !== 'a') throw 'no';
  };
  const ended = readEnded({ map: 'runs', deliver, attempts: 1, maxDeadLetters: 1 }, 'ended');
  const deliveries = new Deliveries(engine, ended);
  for (const id of ['a', 'b', 'c']) deliveries.push(endedEvent(id), false);
  await clock.advance(0);
  const failed = ['runs', 'deliver', 'no'];
  expect(told).toEqual([
    failed,
    ['', 'listener', 'delivery-failed'],
    ['', 'listener', 'dead letter'],
    failed,
    ['', 'listener', 'delivery-failed'],
    ['', 'listener', 'dead letter'],
    ['', 'listener', 'dropped'],
    ['', 'observer', 'delivered'],
  ]);
  expect(deliveries.outcomes).toEqual({ delivered: 1, failed: 2, dead: 2, dropped: 1 });
  expect([deliveries.pendingCount, deliveries.deadLetterCount]).toEqual([0, 1]);
  engine.stop();
  expect(clock.pendingTimers).toBe(0);
});
