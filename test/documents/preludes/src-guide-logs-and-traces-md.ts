/** What the blocks of this chapter presume, and what they are asked when they have run. */
import assert from 'node:assert/strict';
import { createRegistry } from 'mapsweep';

const noticed: unknown[] = [];
/** That of a tracing agent. */
export const noticeError = (error: unknown, about: { run: string; attempt: number }): void =>
  void noticed.push(error, about.attempt);

export const afterwards: Readonly<Record<string, () => Promise<void>>> = {
  Tracing: async () => {
    const error = new Error('away');
    const registry = createRegistry({
      maps: { runs: {} },
      ended: { map: 'runs', attempts: 1, deliver: () => Promise.reject(error) },
    });
    registry.maps.runs.set('a', {});
    registry.end('a');
    await registry.close();
    assert.deepEqual(noticed, [error, 1]);
  },
};
