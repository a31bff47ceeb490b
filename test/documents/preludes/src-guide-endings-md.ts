/** What the blocks of this chapter presume. */
import assert from 'node:assert/strict';
import { createRegistry, type Registry } from 'mapsweep';
import { register } from 'prom-client';

export { createRegistry };

export interface Job {
  id: string;
  command: string;
  finishedAt?: number;
}

const enqueued: string[] = [];
export const enqueue = async (id: string, reason: string, _signal: AbortSignal): Promise<void> =>
  void enqueued.push(`${id} ${reason}`);

let calls = 0;
/** Is away for the first time. */
export const callWebhook = async (_id: string, _reason: string, _signal: AbortSignal): Promise<void> => {
  calls += 1;
  if (calls === 1) throw new Error('away');
};

const told: string[] = [];
export const registry = createRegistry<{ jobs: Map<string, Job> }>({
  maps: { jobs: { maxIdle: '24h' } },
  ended: {
    map: 'jobs',
    attempts: 1,
    deliver: ({ key }) => {
      if (key === 'job-0' && told.length === 0) {
        told.push('refused');
        throw new Error('away');
      }
      told.push(key);
    },
  },
});
registry.on('callback-failed', () => {});
registry.maps.jobs.set('job-0', { id: '2026-0', command: 'backup' });
registry.end('job-0');
await new Promise(setImmediate);
registry.maps.jobs.set('job-1', { id: '2026-1', command: 'backup' });

type Names = Readonly<Record<string, unknown>>;
const begin = (made: unknown, map: string, key: string): Registry => {
  const registry = made as Registry;
  (registry.maps as Readonly<Record<string, Map<unknown, unknown>>>)[map]?.set(key, {});
  return registry;
};

export const afterwards: Readonly<Record<string, (names: Names) => unknown>> = {
  'Endings, exactly once': () => assert.deepEqual(enqueued, ['2026-1 cancelled']),
  'Dead letters': async () => {
    await registry.close();
    assert.deepEqual([told, registry.deadLetters()], [['refused', 'job-0', 'job-1'].slice(0, 2), []]);
  },
  'For how long it is tried': async (names) => {
    const made = begin(names.registry, 'jobs', 'job-7');
    made.end('job-7');
    await new Promise(setImmediate);
    assert.deepEqual([calls, made.report().endings?.pending], [1, 1]);
    await made.close();
    assert.deepEqual([calls, made.report().endings?.delivered], [2, 1]);
  },
  'Two kinds of runs': async (names) => {
    enqueued.length = 0;
    const registries = [begin(names.jobs, 'jobs', 'a'), begin(names.turns, 'turns', 'a')];
    for (const made of registries) made.end('a', { reason: 'completed' });
    await new Promise(setImmediate);
    assert.equal(enqueued.length, 1);
    const scraped = await register.metrics();
    for (const name of ['jobs', 'turns']) {
      assert.match(
        scraped,
        new RegExp(`^mapsweep_ended_total\\{reason="completed",registry="${name}"\\} 1$`, 'm'),
      );
    }
    for (const made of registries) await made.close();
  },
  'A run that goes on under another key': () => {
    assert.deepEqual([registry.end('job-2'), registry.end('job-1')], ['claimed', 'duplicate']);
  },
};
