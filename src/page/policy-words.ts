import { exactSpan, stayInWords } from '../diagnosis/explain.js';
import { shownKey, shownName } from '../events/shown.js';
import type { CompiledLifetimes, CompiledPolicy } from '../policy/policy.js';
import type { Tracker } from '../sweeping/tracker.js';

type AnyPolicy = CompiledPolicy<unknown, unknown>;

/** Says in sentences how the entries of a map live and leave: one for each option that is set, with its name. */
export function policyInWords(tracker: Tracker): string[] {
  const { policy } = tracker;
  return [...staying(tracker), ...holding(policy), ...bounds(policy), ...calls(policy), ...history(policy)];
}

function* staying(tracker: Tracker): Generator<string> {
  const { own, rules, follows, leaderKey, orphanAfterMs, sweepEveryMs } = tracker.policy;
  if (tracker.observing) yield 'nothing is removed: it is only observed (mode)';
  const words = lifetimesInWords(own);
  if (words.length === 0 && follows === undefined) {
    const which =
      rules.length === 0 ? 'no lifetime: an entry' : 'no lifetime for keys that match no rule: such an entry';
    words.push(`${which} ${stayInWords(tracker)}`);
  }
  for (const [index, { lifetimes }] of rules.entries()) {
    const instead = lifetimesInWords(lifetimes);
    words.push(
      `rules[${index}], for keys that match, instead: ${instead.join('; ') || stayInWords(tracker)}`,
    );
  }
  if (follows !== undefined) {
    const orphans = Number.isFinite(orphanAfterMs)
      ? `leaves when idle for ${exactSpan(orphanAfterMs)}`
      : 'stays';
    words.push(
      `leaves with its leader in ${shownKey(follows)}${leaderKey === undefined ? '' : ', whose key its value names'} (follows); ` +
        `without one there ${orphans} (orphanAfter)`,
    );
  }
  yield* words;
  if (sweepEveryMs !== undefined) yield `looked at every ${exactSpan(sweepEveryMs)} (sweepEvery)`;
}

function* holding({ activeAt, keepWhile }: AnyPolicy): Generator<string> {
  if (activeAt !== undefined) yield said('what its value records counts as activity', 'activeAt', activeAt);
  if (keepWhile !== undefined) yield said('kept while its guard says so', 'keepWhile', keepWhile);
}

function* bounds({ maxPerOwner, maxEntries, shed, expectedMax }: AnyPolicy): Generator<string> {
  if (maxPerOwner !== undefined)
    yield `at most ${maxPerOwner.max} entries of each owner${ownerWords(maxPerOwner.owner)}: more are evicted (maxPerOwner)`;
  if (Number.isFinite(maxEntries)) yield `at most ${maxEntries} entries: more are evicted (maxEntries)`;
  if (shed) yield 'up to a tenth is evicted when the memory is nearly full (shed)';
  if (Number.isFinite(expectedMax)) yield `bounded by its owner to ${expectedMax} entries (expectedMax)`;
}

function* calls(policy: AnyPolicy): Generator<string> {
  const { beforeSweep, beforeSweepTimeoutMs, dispose, replaced, weigh } = policy;
  if (beforeSweep !== undefined)
    yield `work has to succeed before a sweep removes it${beforeSweep.batch === undefined ? '' : `, for up to ${beforeSweep.batch} at once`} (beforeSweep), in ${exactSpan(beforeSweepTimeoutMs)} at most (beforeSweepTimeout)`;
  if (dispose !== undefined) yield 'what its value holds is freed when it has left (dispose)';
  if (replaced !== undefined) yield 'what its old value holds is freed when it gets another (replaced)';
  if (weigh !== undefined) yield said('a sample is weighed, and its weight is judged too', 'weigh', weigh);
}

function* history({ adopt, unstamped, persist }: AnyPolicy): Generator<string> {
  if (adopt !== undefined) yield 'the owner’s own object, tracked in place (adopt)';
  if (unstamped !== 'now') {
    const when = unstamped === 'expired' ? 'long before' : 'when their value says';
    yield `what was in it at its adoption counts as registered ${when} (unstamped)`;
  }
  if (persist === undefined) return;
  const kept = persist.encode === undefined ? 'its stamps survive' : 'its stamps and its value survive';
  const back = persist.decode === undefined ? 'until its owner sets it again' : 'and it is back at once';
  yield `${kept} a restart, ${back} (persist)`;
}

function lifetimesInWords(lifetimes: CompiledLifetimes<unknown, unknown>): string[] {
  const { ttlMs, since, expiresAt, maxIdleMs, maxAgeMs } = lifetimes;
  const words: string[] = [];
  if (Number.isFinite(ttlMs)) words.push(`due ${exactSpan(ttlMs)} after ${beginnings(since)} (ttl)`);
  if (expiresAt !== undefined) {
    words.push(said('due when the clock reads what its value says', 'expiresAt', expiresAt));
  }
  if (Number.isFinite(maxIdleMs)) words.push(`due when idle for ${exactSpan(maxIdleMs)} (maxIdle)`);
  if (Number.isFinite(maxAgeMs))
    words.push(`due at an age of ${exactSpan(maxAgeMs)}, whatever holds it (maxAge)`);
  return words;
}

function beginnings(since: CompiledLifetimes<unknown, unknown>['since']): string {
  if (typeof since === 'function') return said('what its value says', 'since', since);
  return since === 'registeredAt' ? 'its registration' : 'its last activity (since)';
}

/** What a function says, with its own name if that tells more than the option. */
function said(what: string, option: string, by: object): string {
  const name = shownName(by, option);
  return name === undefined ? `${what} (${option})` : `${what}: ${name} (${option})`;
}

function ownerWords(owner: object): string {
  const name = shownName(owner, 'owner');
  return name === undefined ? '' : `, by ${name}`;
}
