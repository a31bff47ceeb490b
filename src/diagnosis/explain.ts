import ms from 'ms';
import { LEAVING } from '../stamps/stamp-store.js';
import type { Engine } from '../sweeping/engine.js';
import type { Tracker } from '../sweeping/tracker.js';

/**
 * - `live`: not due yet, or never
 * - `due`: the next sweep removes it, unless it observes
 * - `guarded`: due, and `keepWhile` holds it
 * - `waiting`: due, and its `beforeSweep` has not succeeded yet
 * - `failing`: a policy function fails for it, so that it stays
 * - `untracked`: written past the wrapper; the next sweep stamps it
 * - `absent`: no such key
 */
export type ExplainedVerdict = 'live' | 'due' | 'guarded' | 'waiting' | 'failing' | 'untracked' | 'absent';

/** Why an entry is still there. */
export interface Explanation {
  readonly map: string;
  readonly key: unknown;
  readonly verdict: ExplainedVerdict;
  /** When it becomes, or became, due; epoch ms. `undefined`: no lifetime says so at present. */
  readonly deadline: number | undefined;
  /** The lifetime that decides, such as `ttl`, `rules[0].maxIdle` or `follows`; `undefined` where none does. */
  readonly rule: string | undefined;
  /** One sentence for a person. */
  readonly why: string;
}

/** Says about one entry what the next sweep would do with it, and why. Calls its policy functions, removes nothing. */
export function explain(engine: Engine, tracker: Tracker, key: unknown): Explanation {
  const answer = (
    verdict: ExplainedVerdict,
    why: string,
    rule?: string,
    deadlineAt = Number.POSITIVE_INFINITY,
  ): Explanation => ({
    map: tracker.name,
    key,
    verdict,
    deadline: Number.isFinite(deadlineAt) ? engine.timeline.toEpochAhead(deadlineAt) : undefined,
    rule,
    why,
  });
  if (!tracker.native.has(key)) return answer('absent', `'${tracker.name}' has no such key`);
  const slot = tracker.stamps.slotOf(key);
  if (slot === undefined) {
    return answer(
      'untracked',
      'it was written past the wrapper; the next sweep stamps it as registered then',
    );
  }
  engine.timeline.observe();
  const now = engine.timeline.now();
  if (tracker.stamps.hasFlag(slot, LEAVING) && tracker.companions.isOrphan(key)) {
    return answer(
      'due',
      `its leader in '${tracker.policy.follows}' has left and its own delete refused`,
      'follows',
      now,
    );
  }
  const state = tracker.due.judgeAt(slot, now);
  const { judge } = tracker.due;
  const { at, by } = judge.deadline;
  const { unanswered } = judge;
  const rule = by === undefined ? undefined : judge.rule;
  const facts = describeActivity(tracker, slot, now);
  if (state === 'failed') {
    return answer(
      'failing',
      `a policy function fails for it, so that nobody can say when it is due; ${facts}`,
      rule,
      at,
    );
  }
  if (state === 'live') {
    const idle = liveReason(tracker, key, { at, rule, unanswered, now });
    return answer('live', `${idle}; ${facts}`, rule ?? followsRule(tracker, key), at);
  }
  const overdue = `due by ${rule} for ${span(now - at)}`;
  if (state === 'guarded') {
    const { maxAgeMs } = judge.lifetimes;
    const ceiling = Number.isFinite(maxAgeMs)
      ? `until its maxAge of ${ms(maxAgeMs)}`
      : 'and there is no maxAge to end that';
    return answer('guarded', `${overdue}, but keepWhile holds it, ${ceiling}; ${facts}`, rule, at);
  }
  if (tracker.observing) return answer('due', `${overdue}; this map is only observed; ${facts}`, rule, at);
  const hook = engine.hooks.stateOf(tracker, slot);
  if (hook !== undefined) {
    const failed = hook.attempt === 1 ? '1 attempt failed' : `${hook.attempt} attempts failed`;
    const attempt = hook.state === 'running' ? `attempt ${hook.attempt} runs` : failed;
    const how = hook.state === 'queued' ? 'is queued' : `has not succeeded: ${attempt}`;
    return answer('waiting', `${overdue}, but its beforeSweep ${how}; ${facts}`, rule, at);
  }
  return answer('due', `${overdue}; the next sweep removes it; ${facts}`, rule, at);
}

interface LiveFacts {
  readonly at: number;
  readonly rule: string | undefined;
  readonly unanswered: string;
  readonly now: number;
}

function liveReason(tracker: Tracker, key: unknown, { at, rule, unanswered, now }: LiveFacts): string {
  const parts: string[] = [];
  if (followsRule(tracker, key) !== undefined) {
    parts.push(`it leaves with its leader, which is in '${tracker.policy.follows}'`);
  }
  if (Number.isFinite(at)) parts.push(`due by ${rule} in ${span(at - now)}`);
  if (unanswered !== '')
    parts.push(`its ${unanswered} ${unanswered.includes(' and ') ? 'have' : 'has'} not started`);
  if (parts.length === 0) {
    parts.push(
      tracker.isManaged
        ? 'no lifetime applies to it'
        : `'${tracker.name}' has no lifetime: it stays until its owner deletes it`,
    );
  }
  return parts.join(', and ');
}

function followsRule(tracker: Tracker, key: unknown): string | undefined {
  return tracker.policy.follows !== undefined && !tracker.companions.isOrphan(key) ? 'follows' : undefined;
}

function describeActivity(tracker: Tracker, slot: number, now: number): string {
  const { stamps } = tracker;
  const age = span(now - (stamps.registeredAt[slot] as number));
  const idle = span(now - stamps.lastActiveAt(slot));
  const activeAt = tracker.activity.latest(slot);
  const isByCompanion = activeAt > stamps.lastActiveAt(slot);
  const companion = isByCompanion ? `, a companion active ${span(now - activeAt)} ago` : '';
  const ended = tracker.claims?.isClaimed(slot) ? ', its end was announced' : '';
  return `age ${age}, idle ${idle}${companion}${ended}`;
}

/** A duration for people: `5m`, `23h`, `0ms`. */
export function span(durationMs: number): string {
  return ms(Math.max(0, Math.round(durationMs)));
}
