import { it, vi } from 'vitest';

/** A real server or process is awaited, however busy the machine is. */
export const eventually = <T>(check: () => T | Promise<T>) =>
  vi.waitFor(check, { interval: 2, timeout: 10_000 });

/** Makes an `it` whose tests get a world of their own, which is ended after them. */
export const itIn = <World extends { end(): unknown }>(make: () => Promise<World>) =>
  it.extend<{ world: World }>({
    // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
    world: async ({}, use) => {
      const world = await make();
      await use(world);
      await world.end();
    },
  });
