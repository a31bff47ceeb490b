import { describe } from '../events/shown.js';
import { invalidInstant } from '../policy/answers.js';
import { ask, FAILED } from '../policy/ask.js';
import { compilePolicy } from '../policy/compile-policy.js';
import type { CompiledPolicy } from '../policy/policy.js';
import { nativeOf } from '../stamps/native-collection.js';
import type { Engine } from '../sweeping/engine.js';
import { reconcileNow } from '../sweeping/reconcile.js';
import type { Tracker } from '../sweeping/tracker.js';
import { keepShapes } from './kept-shapes.js';
import { instrument } from './method-wrappers.js';
import { standaloneEngine } from './standalone.js';
import { markTracked, unmarkTracked } from './tracked-mark.js';

/** A live object that an engine tracks in place. */
export interface Adoption {
  readonly tracker: Tracker;
  /** Stops tracking. Idempotent. */
  release(): void;
}

/**
 * Tracks a live Map or Set in place and stamps what is in it.
 *
 * @param prepare called with the new tracker before the entries are stamped
 */
export function adoptInto(
  engine: Engine,
  name: string,
  policy: CompiledPolicy<unknown, unknown>,
  target: Map<unknown, unknown> | Set<unknown>,
  prepare: (tracker: Tracker) => void = () => {},
): Adoption {
  const native = nativeOf(target);
  keepShapes(`adopted ${native.kind}`, () => {
    const kept = native.kind === 'set' ? new Set<unknown>() : new Map<unknown, unknown>();
    return adoptInto(standaloneEngine(), 'adopted', compilePolicy('', {}), kept);
  });
  const tracker = engine.add(name, policy, native);
  markTracked(target, { engine, tracker });
  const restore = instrument(tracker);
  prepare(tracker);
  reconcileNow(tracker);
  if (policy.unstamped !== 'now') stampUnstamped(engine, tracker);
  let isReleased = false;
  return {
    tracker,
    release: () => {
      if (isReleased) return;
      isReleased = true;
      restore();
      unmarkTracked(target);
      engine.remove(tracker);
    },
  };
}

/** Gives the entries that were there first the stamps that the policy says. */
function stampUnstamped(engine: Engine, tracker: Tracker): void {
  const { unstamped } = tracker.policy;
  const { stamps } = tracker;
  const { timeline } = engine;
  for (const [key, slot, generation] of stamps.present()) {
    // What was asked before may have deleted it past the wrapper.
    if (!tracker.native.has(key)) continue;
    const asked =
      typeof unstamped === 'function' ? askUnstamped(engine, tracker, unstamped, key) : timeline.epochStart;
    // What is asked may remove the entry.
    if (asked === FAILED || !stamps.holds(slot, generation)) continue;
    const at = Math.min(asked, timeline.now());
    const foundAt = tracker.stamps.registeredAt(slot);
    tracker.restamp(slot, at, at);
    tracker.ages.restamped(foundAt, tracker.stamps.registeredAt(slot));
    tracker.due.refile(slot);
  }
}

function askUnstamped(
  engine: Engine,
  tracker: Tracker,
  unstamped: (value: unknown, key: unknown) => number,
  key: unknown,
): number | typeof FAILED {
  const answer = ask(
    'unstamped',
    unstamped,
    tracker.native.get(key),
    key,
    (given) => {
      const problem = invalidInstant(given, engine.timeline.clock.now());
      if (problem === undefined && Number.isFinite(given)) return undefined;
      return `epoch milliseconds, got ${describe(given)}${problem ?? ''}`;
    },
    (error) => engine.failures.report(tracker.name, 'unstamped', key, error),
  );
  return answer === FAILED ? FAILED : engine.timeline.toMonotonic(answer);
}
