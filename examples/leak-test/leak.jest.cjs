// A leak fails a test, with Jest as it comes: npx jest --testMatch '**/leak.jest.cjs'
const { createRegistry } = require('mapsweep');
const {
  assertDrained,
  assertEndedEveryRunOnce,
  createManualClock,
  drainWithin,
  isCollectable,
  recordEndings,
  returnToBaseline,
} = require('mapsweep/testing');

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
  expect(result).toMatchObject({ held: true });
  assertEndedEveryRunOnce(registry);
});

test('catches the listener that nobody removes', async () => {
  const { registry, runJob } = startService();
  const result = await returnToBaseline((run) => runJob(`job-${run}`), { registry });
  expect(result.held).toBe(false);
  const leaking = result.maps.filter(({ perRun }) => perRun > 0);
  expect(leaking).toMatchObject([{ name: 'listeners', perRun: 1 }]);
});

test('catches the job that nobody ends, which a safety net removes after a day', async () => {
  const { registry, jobs } = startService();
  const scenario = (run) => jobs.set(`job-${run}`, { name: 'digest' });
  const { held, message } = await returnToBaseline(scenario, { registry, nets: 'fail' });
  expect(held).toBe(false);
  expect(message).toMatch(/100 by maxIdle/);
});

test('forgets a job within five minutes of its end, and its record for good', async () => {
  const { registry, jobs, listeners, runJob } = startService();
  runJob('job-1');
  const record = new WeakRef(jobs.get('job-1'));
  expect(await drainWithin(registry, '5m')).toMatchObject({ drained: true });
  assertDrained(registry);
  expect(() => assertDrained(listeners)).toThrow(/listeners: 1 entry/);
  expect(await isCollectable(record)).toBe(true);
});
