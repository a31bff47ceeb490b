/**
 * The same four Maps, adopted by mapsweep.
 *
 * The gateway goes on using its own Map objects, without a line of clean-up added. What it says besides is that a run
 * ended, or goes on under another id; all else is the preset's.
 */
import { type Clock, createGatewayRegistry, type Deliver, type GatewayOptions } from 'mapsweep';
import type { PendingError, Registries, RunContext, RunRecord } from './gateway.ts';

type Options = GatewayOptions<RunRecord, RunContext, PendingError>;

/** What differs between the gateways of the demo: their lives, and how they are watched. */
export interface MapsweepSetup
  extends Pick<
    Options,
    'name' | 'mode' | 'sweepEvery' | 'captureSites' | 'leakDetection' | 'overrides' | 'persistTo'
  > {
  clock: Clock;
  /** Tells the context engine. Default: it is not told. */
  tell?: Deliver<string, RunRecord>;
  /** The Maps that it has already, of which it may be some. Default: new ones. */
  maps?: Partial<Omit<Registries, 'ended' | 'restarted' | 'changed'>> | undefined;
}

export function createMapsweepRegistries({ tell, maps = {}, ...options }: MapsweepSetup) {
  const {
    subagentRuns = new Map<string, RunRecord>(),
    runContextById = new Map<string, RunContext>(),
    seqByRun = new Map<string, number>(),
    pendingLifecycleErrors = new Map<string, PendingError>(),
  } = maps;
  const registry = createGatewayRegistry<RunRecord, RunContext, PendingError>({
    adopt: { subagentRuns, runContextById, seqByRun, pendingLifecycleErrors },
    onSubagentEnded: tell,
    ...options,
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
