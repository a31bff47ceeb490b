import { createRegistry } from 'mapsweep';
import 'mapsweep/vitest';
import { createManualClock } from 'mapsweep/testing';
import { expect, it } from 'vitest';

// A second file of the same worker, where files are not isolated.
it('has the matchers and the record of endings here too', async () => {
  const clock = createManualClock();
  const registry = createRegistry({
    maps: { runs: {} },
    ended: { map: 'runs', deliver: () => {}, tombstones: { max: 1 } },
    clock,
  });
  for (let run = 0; run < 5; run += 1) {
    registry.maps.runs.set(run, {});
    registry.maps.runs.delete(run);
  }
  await clock.advance(0);
  expect(registry).toHaveEndedEveryRunOnce();
});
