import type { ExplainedState } from '../diagnosis/explain.js';
import type { JudgedMap } from './baseline-outcome.js';
import { realTimeAsClock } from './test-time.js';

/** What to do where entries stay and more of them come, by what keeps them; lines of a message. */
export function stayAdvice(grown: readonly JudgedMap[], isTimed: boolean): string[] {
  const states = new Set<ExplainedState>();
  for (const { ledger, result } of grown) {
    for (const { state } of result.survivors) {
      // A companion stays because its leader does, and is told of beside that.
      if (state !== 'live' || ledger.tracker.policy.follows === undefined) states.add(state);
    }
  }
  const lines = [...states].flatMap((state) => ofKeeper[state] ?? []);
  if (lines.length > 0 && lines.length === states.size) return lines;
  return [...lines, fillsUp, ...(isTimed ? [] : [inRealTime])];
}

const ofKeeper: Partial<Record<ExplainedState, string>> = {
  held: '  Some of these are held: whoever takes the hold has to release it when the use is over, also where that fails.',
  guarded:
    '  Some of these are guarded: keepWhile has to let go of them. If it does so later, set drain to the time that it takes.',
  waiting: '  Some of these wait for their beforeSweep, which has to succeed.',
};

const fillsUp =
  '  If something of your own removes them later, set drain to the time that it takes; if this is a cache that fills, ' +
  'set warmup to as many runs as fill it, or its maxEntries.';

const inRealTime = `  For drain something has to let time pass; for real time that is ${realTimeAsClock}.`;
