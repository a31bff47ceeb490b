/** What the blocks of this chapter presume, and what they are asked when they have run. */
import assert from 'node:assert/strict';
import { createRegistry, type EndedEvent } from 'mapsweep';
import { discover } from 'mapsweep/discover';

/** The records of a gateway, as far as anybody reads them here. */
export interface SubagentRun {
  endedAt?: number;
  cleanupCompletedAt?: number;
}
export interface RunContext {
  lastActiveAt?: number;
}
export interface PendingLifecycleError {
  endedAt: number;
  timer: NodeJS.Timeout;
}

export const subagentRuns = new Map<string, SubagentRun>();
export const runContextById = new Map<string, RunContext>();
export const seqByRun = new Map<string, number>();
export const pendingLifecycleErrors = new Map<string, PendingLifecycleError>();
export const contextEngine = {
  subagentEnded: async (_event: EndedEvent<string, SubagentRun>): Promise<void> => {},
};

export const registry = createRegistry({ maps: {} });
const agents = { runs: new Map([['a', { endedAt: Date.now() - 600_000 }]]), lanes: new Map([['b', {}]]) };
Object.assign(globalThis, { [Symbol.for('openclaw.agents')]: agents });

export const afterwards: Readonly<
  Record<string, (names: Readonly<Record<string, unknown>>) => Promise<void>>
> = {
  'A gateway you cannot change': async ({ shared }) => {
    if (shared !== undefined) {
      assert.deepEqual(
        discover()
          .map(({ path }) => path)
          .filter((path) => path.startsWith('mapsweep')),
        ['mapsweep.registries/subagents.runs'],
      );
      return;
    }
    await registry.sweep();
    assert.deepEqual([agents.runs.size, agents.lanes.size], [0, 1]);
  },
};
