// Run with `fakeTimers: { enableGlobally: true }`: timers are fake before the library is loaded.
const { createRegistry } = require('mapsweep');
const { assertEndedEveryRunOnce, drainWithin, recordEndings, returnToBaseline } = require('mapsweep/testing');

const clock = { advance: (ms) => jest.advanceTimersByTimeAsync(ms) };
let registry;

beforeEach(() => {
  recordEndings();
  registry = createRegistry({
    maps: { runs: { ttl: '5m' } },
    ended: { map: 'runs', deliver: () => new Promise((resolve) => setTimeout(resolve, 10)) },
  });
});

afterEach(async () => {
  const closed = registry.close();
  await clock.advance(1_000);
  expect(await closed).toEqual({ undelivered: 0, undisposed: 0 });
});

test.each([1, 2])('runs that leave and are told of hold, in check %d', async () => {
  const scenario = (run) => registry.maps.runs.set(run, {});
  expect(await returnToBaseline(scenario, { registry, clock, times: 20 })).toMatchObject({ held: true });
  assertEndedEveryRunOnce(registry);
});

test('what stays is found', async () => {
  const kept = new Map();
  registry.adopt('kept', kept);
  const { held, maps } = await returnToBaseline((run) => kept.set(run, {}), { registry, clock, times: 20 });
  expect(held).toBe(false);
  expect(maps.filter(({ perRun }) => perRun > 0)).toMatchObject([{ name: 'kept' }]);
});

test('a check that is not given the timers says how', async () => {
  const scenario = (run) => registry.maps.runs.set(run, {});
  const { decided, message } = await returnToBaseline(scenario, { registry, times: 20 });
  expect(decided).toBe(false);
  expect(message).toContain('clock: { advance: (ms) => jest.advanceTimersByTimeAsync(ms) }');
});

test('the time within which all has left is of the fake clock', async () => {
  registry.maps.runs.set('run', {});
  expect(await drainWithin(registry, '4m', { clock })).toMatchObject({ drained: false });
  expect(await drainWithin(registry, '61s', { clock })).toMatchObject({ drained: true });
});
