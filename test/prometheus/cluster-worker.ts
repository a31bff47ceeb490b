/** One of the two workers of metrics-cluster.test.ts: WORKER says which, and with it what is in its map. */
import { createRegistry } from '../../src/index.ts';
import { registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';
import { AggregatorRegistry, Register } from './client.ts';

const worker = Number(process.env.WORKER);
const clock = createManualClock({ startAt: 1_700_000_000_000 + worker * 3_600_000 });
const registry = createRegistry<{ runs: Map<string, { done?: number }> }>({
  maps: { runs: { ttl: '5m', since: (run) => run.done, weigh: () => 100 } },
  ended: { map: 'runs', deliver: () => {} },
  clock,
});

// A register of its own, as applications have one, so that the aggregator has to be told.
const register = new Register();
registerMetrics(registry, { register });
new AggregatorRegistry();
AggregatorRegistry.setRegistries(register);

const { runs } = registry.maps;
// Worker 1: 3 entries, the oldest 600 s old. Worker 2: 5 entries, the oldest 1,200 s old.
for (let run = 0; run < 1 + 2 * worker; run += 1) runs.set(`run-${run}`, {});
await clock.advance(worker * 600_000);
registry.end('run-0');
await clock.advance(0);

// Another registry of each worker, whose map grows for five hours without a bound.
const later = createManualClock();
const grown = createRegistry<{ seqs: Map<number, number> }>({
  name: 'grown',
  maps: { seqs: {} },
  clock: later,
});
registerMetrics(grown, { register });
for (let minute = 0; minute < 300; minute += 1) {
  grown.maps.seqs.set(minute, minute);
  await later.advance(60_000);
}
process.send?.('ready');
