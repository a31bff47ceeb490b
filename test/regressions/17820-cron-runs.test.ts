import { createRegistry } from 'mapsweep';
import { regression, type World, watched } from './regression.js';

interface Events {
  runContextById: Map<string, { sessionKey: string }>;
  seqByRun: Map<string, number>;
}

/** A cron job runs in a session of its own: it registers a context and emits events, and nobody clears either. */
const cronRun =
  ({ runContextById, seqByRun }: Events): World['scenario'] =>
  (number) => {
    const runId = `cron:digest:run:${number}`;
    runContextById.set(runId, { sessionKey: `agent:main:${runId}` });
    for (let event = 0; event < 3; event += 1) seqByRun.set(runId, (seqByRun.get(runId) ?? 0) + 1);
  };

regression('isolated cron runs never clear their context and sequence counter (openclaw#17820)', {
  plain: (clock) => {
    const maps: Events = { runContextById: new Map(), seqByRun: new Map() };
    return { registry: watched(clock, { ...maps }), scenario: cronRun(maps) };
  },
  swept: (clock) => {
    const registry = createRegistry<{ [Name in keyof Events]: Events[Name] }>({
      maps: {
        runContextById: { maxIdle: '24h', rules: [{ match: /:run:/, maxIdle: '30m' }] },
        seqByRun: { follows: 'runContextById' },
      },
      clock,
    });
    return { registry, scenario: cronRun(registry.maps) };
  },
  leaks: { runContextById: 1, seqByRun: 1 },
  because: /'cron:digest:run:0': live, 'seqByRun' has no lifetime/,
});
