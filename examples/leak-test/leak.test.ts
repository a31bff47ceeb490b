// A leak fails a test, with vitest: npx vitest run --root examples/leak-test
import { createRegistry } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, it } from 'vitest';

interface Job {
  name: string;
  endedAt?: number;
}

/** A small service. Its jobs leave five minutes after they end; its listeners are forgotten by somebody. */
function startService() {
  const clock = createManualClock();
  const listeners = new Map<string, () => void>();
  const registry = createRegistry<{ jobs: Map<string, Job>; listeners: Map<string, () => void> }>({
    maps: {
      jobs: { ttl: '5m', since: (job) => job.endedAt, maxIdle: '24h' },
      listeners: { adopt: listeners },
    },
    ended: { map: 'jobs', deliver: () => {} },
    clock,
  });
  const { jobs } = registry.maps;
  const runJob = (id: string): void => {
    jobs.set(id, { name: 'digest' });
    listeners.set(id, () => {});
    jobs.set(id, { name: 'digest', endedAt: clock.now() });
    registry.end(id);
  };
  return { registry, jobs, listeners, runJob };
}

it('leaves nothing behind after 100 jobs', async () => {
  const { registry, listeners, runJob } = startService();
  const scenario = (run: number) => {
    runJob(`job-${run}`);
    listeners.delete(`job-${run}`);
  };
  await expect(scenario).toReturnToBaseline({ registry, nets: 'fail' });
  expect(registry).toHaveEndedEveryRunOnce();
});

it('catches the listener that nobody removes', async () => {
  const { registry, runJob } = startService();
  const test = expect((run: number) => runJob(`job-${run}`)).toReturnToBaseline({ registry });
  await expect(test).rejects.toThrow('listeners: 10 -> 110 entries, +1 per run');
});

it('catches the job that nobody ends, which a safety net removes after a day', async () => {
  const { registry, jobs } = startService();
  const scenario = (run: number) => jobs.set(`job-${run}`, { name: 'digest' });
  await expect(expect(scenario).toReturnToBaseline({ registry, nets: 'fail' })).rejects.toThrow(
    '100 by maxIdle',
  );
});

it('forgets a job within five minutes of its end, and its record for good', async () => {
  const { registry, jobs, listeners, runJob } = startService();
  runJob('job-1');
  const record = new WeakRef(jobs.get('job-1') as Job);
  await expect(registry).not.toDrainWithin('4m');
  await expect(registry).toDrainWithin('1m');
  expect(listeners).not.toBeDrained();
  await expect(record).toBecomeCollectable();
});
