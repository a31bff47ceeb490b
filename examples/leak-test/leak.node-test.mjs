// A leak fails a test, without vitest: node --test examples/leak-test/leak.node-test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRegistry } from 'mapsweep';
import {
  assertDrained,
  assertEndedEveryRunOnce,
  createManualClock,
  drainWithin,
  isCollectable,
  recordEndings,
  returnToBaseline,
} from 'mapsweep/testing';

// Before the registries are made, so that every ending is counted from outside.
recordEndings();

/** A small service. Its jobs leave five minutes after they end; its listeners are forgotten by somebody. */
function startService() {
  const clock = createManualClock();
  const listeners = new Map();
  const registry = createRegistry({
    maps: {
      jobs: { ttl: '5m', since: (job) => job.endedAt, maxIdle: '24h' },
      listeners: { adopt: listeners },
    },
    ended: { map: 'jobs', deliver: () => {} },
    clock,
  });
  const { jobs } = registry.maps;
  const runJob = (id) => {
    jobs.set(id, { name: 'digest' });
    listeners.set(id, () => {});
    jobs.set(id, { name: 'digest', endedAt: clock.now() });
    registry.end(id);
  };
  return { registry, jobs, listeners, runJob };
}

test('leaves nothing behind after 100 jobs', async () => {
  const { registry, listeners, runJob } = startService();
  const scenario = (run) => {
    runJob(`job-${run}`);
    listeners.delete(`job-${run}`);
  };
  const result = await returnToBaseline(scenario, { registry, nets: 'fail' });
  assert.ok(result.held, result.message);
  assertEndedEveryRunOnce(registry);
});

test('catches the listener that nobody removes', async () => {
  const { registry, runJob } = startService();
  const result = await returnToBaseline((run) => runJob(`job-${run}`), { registry });
  assert.equal(result.held, false);
  const leaking = result.maps.filter(({ perRun }) => perRun > 0);
  assert.deepEqual(
    leaking.map(({ name, perRun }) => [name, perRun]),
    [['listeners', 1]],
  );
});

test('catches the job that nobody ends, which a safety net removes after a day', async () => {
  const { registry, jobs } = startService();
  const scenario = (run) => jobs.set(`job-${run}`, { name: 'digest' });
  const { held, message } = await returnToBaseline(scenario, { registry, nets: 'fail' });
  assert.ok(!held);
  assert.match(message, /100 by maxIdle/);
});

test('forgets a job within five minutes of its end, and its record for good', async () => {
  const { registry, jobs, listeners, runJob } = startService();
  runJob('job-1');
  const record = new WeakRef(jobs.get('job-1'));
  const { drained, message } = await drainWithin(registry, '5m');
  assert.ok(drained, message);
  assertDrained(registry);
  assert.throws(() => assertDrained(listeners), /listeners: 1 entry/);
  assert.ok(await isCollectable(record));
});
