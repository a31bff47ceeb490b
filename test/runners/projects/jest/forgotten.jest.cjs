// Every test in here forgets an await, and has to fail.
const { createRegistry } = require('mapsweep');
const { createManualClock, drainWithin, returnToBaseline } = require('mapsweep/testing');

let registry;

beforeEach(() => {
  registry = createRegistry({ maps: { runs: { ttl: '5m' } }, clock: createManualClock() });
});

afterEach(() => registry.close({ deadline: 0 }));

test('of returnToBaseline, whose outcome nobody asks for', () => {
  returnToBaseline((run) => registry.maps.runs.set(run, {}), { registry }).catch(() => {});
});

test('of drainWithin, before the next check', async () => {
  drainWithin(registry, '24h').catch(() => {});
  const { drained } = await drainWithin(registry, '5m');
  expect(drained).toBe(true);
});
