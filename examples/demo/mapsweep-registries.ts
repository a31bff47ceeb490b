/**
 * The same four Maps, adopted by mapsweep.
 *
 * The gateway goes on using its own Map objects, without a line of clean-up added. What it says besides is that a run
 * ended, or goes on under another id; all else is the preset's.
 */
import { type Clock, createGatewayRegistry, type Deliver } from 'mapsweep';
import type { PendingError, Registries, RunContext, RunRecord } from './gateway.ts';

/** What differs between a gateway that lives on and one that is killed. */
export interface MapsweepSetup {
  clock: Clock;
  /** Tells the context engine. */
  tell: Deliver<string, RunRecord>;
  /** The runs that the gateway has loaded again. Default: none. */
  subagentRuns?: Map<string, RunRecord>;
  /** The folder of its journal. Default: none. */
  persistTo?: string;
}

export function createMapsweepRegistries({
  clock,
  tell,
  subagentRuns = new Map(),
  persistTo,
}: MapsweepSetup) {
  const registry = createGatewayRegistry({
    adopt: {
      subagentRuns,
      runContextById: new Map<string, RunContext>(),
      seqByRun: new Map<string, number>(),
      pendingLifecycleErrors: new Map<string, PendingError>(),
    },
    onSubagentEnded: tell,
    clock,
    persistTo,
  });
  // It is away on purpose, and the table counts how often: else the first failure would be a warning of the process.
  registry.on('delivery-failed', () => {});

  const registries: Registries = {
    ...registry.maps,
    ended: (runId, reason) => {
      registry.end(runId, { reason });
    },
    restarted: (from, to) => {
      registry.transfer(from, to);
    },
  };
  return { registry, registries };
}
