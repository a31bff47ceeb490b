/** A process with a registry and nothing to do: it must end by itself. */
import pg from 'pg';
import { createRegistry } from '../../src/index.js';
import { postgresJournal } from '../../src/postgres.js';

const pool = new pg.Pool({ ...JSON.parse(process.argv[2] as string), allowExitOnIdle: true });
const registry = createRegistry<{ runs: Map<string, object> }>({
  maps: { runs: {} },
  ended: { map: 'runs', deliver: async () => {} },
  persistTo: await postgresJournal(pool, { instance: 'idle', takeOverAfter: '1s' }),
});
registry.maps.runs.set('a', {});
await registry.flushed();
