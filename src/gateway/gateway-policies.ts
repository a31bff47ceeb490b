import { durationMs } from '../policy/duration.js';
import { type Clock, systemClock } from '../time/clock.js';

type InstantField = number | null | undefined;

/** What the preset reads of a run; a record may hold anything else. Instants are epoch ms; 0 and `null` are unset. */
export interface SubagentRunFields {
  /** When it is to leave, by the wall clock, where the gateway says so itself. */
  archiveAtMs?: InstantField;
  /** When it ended. */
  endedAt?: InstantField;
  /** In newer releases the end is in here. */
  execution?:
    | {
        /** When it ended. */
        endedAt?: InstantField;
      }
    | null
    | undefined;
  /** When its end had been told and all was done: its 5 minutes begin. */
  cleanupCompletedAt?: InstantField;
  /** `keep`: people look at the run after its clean-up, unless it is the one of a session. */
  cleanup?: string | null | undefined;
  /** `session`, or anything else for a run of its own. */
  spawnMode?: string | null | undefined;
  /** `suspended`: its end could not be told to whom it was for, who may come back. */
  delivery?:
    | {
        /** Only `suspended` counts. */
        status?: string | null | undefined;
        /** Since when: 7 days later it leaves. Where it is unset the delivery counts as none that is suspended. */
        suspendedAt?: InstantField;
      }
    | null
    | undefined;
}

/** What the preset reads of a run context. */
export interface RunContextFields {
  /** When its run last said something. */
  lastActiveAt?: InstantField;
}

/** What the preset reads of an error that waits for a retry. */
export interface PendingLifecycleErrorFields {
  /** When it happened: 5 minutes later it leaves. */
  endedAt?: InstantField;
  /** Cleared when the entry leaves. */
  timer?: unknown;
}

/** A clean-up that never completes ends here. */
const endedCeilingMs = durationMs('1h', 'ended');
/** As long as the gateway itself waits for whoever is to be told. */
const suspendedMs = durationMs('7d', 'suspended');

/** Returns what the wall clock reads `ms` after an instant that was taken from it, however it was set since; epoch ms. */
type WallAfter = (instant: number, ms: number) => number;

/**
 * The policies of the four maps of a gateway.
 *
 * @param leaderOfCounters with whose entries the sequence counters leave
 */
export function gatewayPolicies(
  clock: Clock,
  leaderOfCounters: 'runContextById' | 'subagentRuns',
  wallAfter: WallAfter,
) {
  return {
    subagentRuns: subagentRuns(clock, wallAfter),
    runContextById: {
      follows: 'subagentRuns',
      orphanAfter: '30m',
      activeAt: (context: RunContextFields) => unlessUnset(context.lastActiveAt),
    },
    seqByRun: { follows: leaderOfCounters, orphanAfter: '30m' },
    pendingLifecycleErrors: pendingLifecycleErrors(clock),
  };
}

/** Whether the end of a run was told before, as its record says. */
export function isCleanedUp(run: SubagentRunFields): boolean {
  return unlessUnset(run.cleanupCompletedAt) !== undefined;
}

/** By what a run leaves. */
type Stage =
  | { readonly stage: 'dated'; readonly at: number }
  | {
      readonly stage: 'ended';
      readonly since: number;
      readonly stayMs: number;
      readonly notBefore?: number | undefined;
    }
  | { readonly stage: 'cleaned up' | 'kept'; readonly since: number }
  | { readonly stage: 'never ended' };

function stageOf(run: SubagentRunFields): Stage {
  const archiveAt = unlessUnset(run.archiveAtMs);
  const cleanedUpAt = unlessUnset(run.cleanupCompletedAt);
  const endedAt = unlessUnset(run.endedAt) ?? unlessUnset(run.execution?.endedAt);
  const suspendedAt =
    run.delivery?.status === 'suspended' ? unlessUnset(run.delivery.suspendedAt) : undefined;
  // The gateway archives no run whose end it has still to tell.
  if (suspendedAt !== undefined)
    return { stage: 'ended', since: suspendedAt, stayMs: suspendedMs, notBefore: archiveAt };
  if (archiveAt !== undefined) return { stage: 'dated', at: archiveAt };
  if (cleanedUpAt !== undefined) {
    const isKept = run.cleanup === 'keep' && run.spawnMode !== 'session';
    return { stage: isKept ? 'kept' : 'cleaned up', since: cleanedUpAt };
  }
  return endedAt === undefined
    ? { stage: 'never ended' }
    : { stage: 'ended', since: endedAt, stayMs: endedCeilingMs };
}

function subagentRuns(clock: Clock, wallAfter: WallAfter) {
  return {
    ttl: '5m',
    since: (run: SubagentRunFields) => {
      const now = stageOf(run);
      return now.stage === 'cleaned up' ? now.since : undefined;
    },
    expiresAt: (run: SubagentRunFields) => {
      const now = stageOf(run);
      if (now.stage === 'dated') return now.at;
      return now.stage === 'ended'
        ? Math.max(wallAfter(now.since, now.stayMs), now.notBefore ?? 0)
        : undefined;
    },
    maxIdle: '24h',
    // The idle limit is for runs that never end or are kept. Any other is to leave by what its record says alone.
    activeAt: (run: SubagentRunFields) => {
      const now = stageOf(run);
      if (now.stage === 'never ended') return undefined;
      return now.stage === 'kept' ? now.since : clock.now();
    },
  };
}

/** Returns an instant that is set: gateways also write 0 and `null` for one that is not. */
function unlessUnset(instant: InstantField): number | undefined {
  return instant === null || instant === 0 ? undefined : instant;
}

function pendingLifecycleErrors(clock: Clock) {
  const clear = (timer: unknown): void => {
    if (timer === undefined) return;
    clearTimeout(timer as NodeJS.Timeout);
    if (clock !== systemClock) clock.clearTimeout(timer);
  };
  return {
    follows: 'subagentRuns',
    ttl: '5m',
    since: (pending: PendingLifecycleErrorFields) => unlessUnset(pending.endedAt),
    dispose: ({ timer }: PendingLifecycleErrorFields) => clear(timer),
    replaced: (
      { timer }: PendingLifecycleErrorFields,
      _key: string,
      replacement: PendingLifecycleErrorFields | undefined,
    ) => {
      if (replacement?.timer !== timer) clear(timer);
    },
  };
}
