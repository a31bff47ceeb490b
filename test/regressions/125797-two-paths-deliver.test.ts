import { createRegistry } from 'mapsweep';
import { expect } from 'vitest';
import { Inbox, regression, watched } from './regression.js';

interface Run {
  result: string;
}

regression(
  'the captured result and the deferred announcement both deliver one completion (openclaw#125797)',
  {
    plain: (clock) => {
      const runs = new Map<string, Run>();
      const inbox = new Inbox();
      return {
        registry: watched(clock, { runs, unread: inbox.unread }),
        scenario: async (number) => {
          const runId = `run-${number}`;
          runs.set(runId, { result: 'done' });
          inbox.post(runId);
          clock.setTimeout(() => {
            inbox.post(runId);
            runs.delete(runId);
          }, 1_000);
          inbox.read(runId);
          await clock.advance(1_000);
        },
      };
    },
    swept: (clock) => {
      const inbox = new Inbox();
      const registry = createRegistry<{ runs: Map<string, Run> }>({
        maps: { runs: { maxIdle: '1h' } },
        ended: { map: 'runs', deliver: ({ key }) => inbox.post(key) },
        clock,
      });
      registry.adopt('unread', inbox.unread);
      return {
        registry,
        scenario: async (number) => {
          const runId = `run-${number}`;
          registry.maps.runs.set(runId, { result: 'done' });
          expect(registry.end(runId, { reason: 'captured' })).toBe('claimed');
          clock.setTimeout(() => {
            expect(registry.end(runId, { reason: 'announced' })).toBe('duplicate');
            registry.maps.runs.delete(runId);
          }, 1_000);
          await clock.advance(1_000);
          inbox.read(runId);
        },
      };
    },
    leaks: { unread: 1 },
    because: "'unread' has no lifetime",
    afterwards: ({ registry }) => expect(registry).toHaveEndedEveryRunOnce(),
  },
);
