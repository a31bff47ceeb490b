/** What the blocks of this chapter presume. */
import assert from 'node:assert/strict';
import { createRegistry } from 'mapsweep';

export interface Job {
  id: string;
  command: string;
  finishedAt?: number;
}

const enqueued: string[] = [];
export const enqueue = async (id: string, reason: string, _signal: AbortSignal): Promise<void> =>
  void enqueued.push(`${id} ${reason}`);

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

export const afterwards: Readonly<Record<string, () => unknown>> = {
  'Endings, exactly once': () => assert.deepEqual(enqueued, ['2026-1 cancelled']),
  'Dead letters': async () => {
    await registry.close();
    assert.deepEqual([told, registry.deadLetters()], [['refused', 'job-0', 'job-1'].slice(0, 2), []]);
  },
  'A run that goes on under another key': () => {
    assert.deepEqual([registry.end('job-2'), registry.end('job-1')], ['claimed', 'duplicate']);
  },
};
