const { createRegistry, TrackedMap } = require('mapsweep');
const { assertDrained, drainWithin, isCollectable, returnToBaseline } = require('mapsweep/testing');

afterEach(() => {
  jest.useRealTimers();
});

test('is of the realm of the test, so that a TrackedMap is a Map here', () => {
  expect(new TrackedMap()).toBeInstanceOf(Map);
});

test("follows Jest's fake timers", async () => {
  jest.useFakeTimers();
  const clock = { advance: (ms) => jest.advanceTimersByTimeAsync(ms) };
  const registry = createRegistry({ maps: { runs: { ttl: '5m' } } });
  const result = await returnToBaseline((run) => registry.maps.runs.set(run, {}), {
    registry,
    clock,
    times: 20,
  });
  expect(result).toMatchObject({ held: true, elapsedMs: 300_000 });
  registry.maps.runs.set('run', {});
  expect(await drainWithin(registry, '4m', { clock })).toMatchObject({ drained: false });
  expect(await drainWithin(registry, '1m', { clock })).toMatchObject({ drained: true });
  assertDrained(registry);
  registry.stop();
});

test('sees that nothing holds a value', async () => {
  expect(await isCollectable(new WeakRef({}))).toBe(true);
});
