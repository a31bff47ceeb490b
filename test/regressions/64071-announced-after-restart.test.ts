import { createRegistry } from 'mapsweep';
import type { ManualClock } from 'mapsweep/testing';
import { Inbox, regression, watched } from './regression.js';

interface Run {
  endedAt: number;
}

/** One life of the gateway's process. */
function startGateway(clock: ManualClock, inbox: Inbox, snapshot?: unknown) {
  const registry = createRegistry<{ runs: Map<string, Run> }>({
    maps: { runs: { ttl: '5m', since: (run) => run.endedAt } },
    ended: { map: 'runs', deliver: ({ key }) => inbox.post(key) },
    clock,
  });
  if (snapshot !== undefined) registry.restore(snapshot as never);
  return registry;
}

regression('runs that had completed are announced again after a restart (openclaw#64071)', {
  plain: (clock) => {
    const inbox = new Inbox();
    return {
      registry: watched(clock, { unread: inbox.unread }),
      scenario: (number) => {
        const onDisk = new Map<string, Run>([[`run-${number}`, { endedAt: clock.now() }]]);
        inbox.post(`run-${number}`);
        inbox.read(`run-${number}`);
        // The gateway starts again, loads what is on disk, and resumes what has an end.
        for (const runId of onDisk.keys()) inbox.post(runId);
      },
    };
  },
  swept: (clock) => {
    const inbox = new Inbox();
    return {
      registry: watched(clock, { unread: inbox.unread }),
      scenario: async (number) => {
        const run = { endedAt: clock.now() };
        const before = startGateway(clock, inbox);
        before.maps.runs.set(`run-${number}`, run);
        before.end(`run-${number}`);
        await clock.advance(0);
        inbox.read(`run-${number}`);
        const snapshot: unknown = JSON.parse(JSON.stringify(before.snapshot()));
        await before.close();

        const after = startGateway(clock, inbox, snapshot);
        after.maps.runs.set(`run-${number}`, run);
        after.end(`run-${number}`);
        await clock.advance(360_000);
        await after.close();
      },
    };
  },
  leaks: { unread: 1 },
  because: "'unread' has no lifetime",
});
