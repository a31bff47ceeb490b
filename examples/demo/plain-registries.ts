/**
 * The gateway's registries as they were: four plain Maps, and one sweeper for one of them.
 *
 * The sweeper is the real one in small, faults included. It starts only when a run has an `archiveAtMs`; session-mode
 * runs have none and are skipped for ever; what it removes it announces, though the run was announced when it
 * completed, five minutes before. Announcing is best effort: a failure is swallowed.
 */
import type { Clock } from 'mapsweep';
import type { ContextEngine } from './context-engine.ts';
import type { PendingError, Registries, RunContext, RunRecord } from './gateway.ts';

const SWEEP_EVERY_MS = 60_000;

export function createPlainRegistries(
  engine: Pick<ContextEngine, 'subagentEnded'>,
  clock: Clock,
): Registries {
  const subagentRuns = new Map<string, RunRecord>();
  const runContextById = new Map<string, RunContext>();
  const seqByRun = new Map<string, number>();
  const pendingLifecycleErrors = new Map<string, PendingError>();

  let isSweeperStarted = false;

  const announce = (runId: string) => {
    engine.subagentEnded(runId).catch(() => {
      // Best effort, as the real one: nobody tries again.
    });
  };

  const sweep = () => {
    isSweeperStarted = false;
    for (const [runId, run] of subagentRuns) {
      if (run.archiveAtMs === undefined || run.archiveAtMs > clock.now()) continue;
      subagentRuns.delete(runId);
      announce(runId);
    }
    if (subagentRuns.size > 0) startSweeper();
  };

  const startSweeper = () => {
    if (isSweeperStarted) return;
    isSweeperStarted = true;
    clock.setTimeout(sweep, SWEEP_EVERY_MS);
  };

  return {
    subagentRuns,
    runContextById,
    seqByRun,
    pendingLifecycleErrors,
    ended(runId) {
      announce(runId);
      if (subagentRuns.get(runId)?.archiveAtMs !== undefined) startSweeper();
    },
    restarted() {
      // The Maps say it all: the new id is registered, the old one is about to go.
    },
  };
}
