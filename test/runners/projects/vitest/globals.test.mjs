/* global expect, it */
import { createRegistry } from 'mapsweep';
import 'mapsweep/vitest';
import { createManualClock } from 'mapsweep/testing';

it('adds the matchers to the global expect', async () => {
  const registry = createRegistry({ maps: { runs: { ttl: '5m' } }, clock: createManualClock() });
  registry.maps.runs.set('run', {});
  expect(registry).not.toBeDrained();
  await expect(registry).toDrainWithin('5m');
});
