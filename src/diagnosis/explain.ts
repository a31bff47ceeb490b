import { inspect } from 'node:util';
import ms from 'ms';
import { counted, plainKey, shownError, shownKey, shownName } from '../events/shown.js';
import type { PolicyFailure } from '../policy/answers.js';
import { LEAVING, REFUSED } from '../stamps/stamp-store.js';
import { take } from '../stamps/take.js';
import type { JudgedState } from '../sweeping/due-queue.js';
import type { Engine } from '../sweeping/engine.js';
import type { ShownHold } from '../sweeping/holds.js';
import { noLeader } from '../sweeping/leader-keys.js';
import type { Tracker } from '../sweeping/tracker.js';

/**
 * - `live`: not due yet, or never
 * - `due`: the next sweep removes it, unless nothing sweeps here by itself or its map is only observed
 * - `guarded`: due, and `keepWhile` holds it, or fails
 * - `held`: due, and somebody uses it, who has taken a hold of it or of a companion
 * - `waiting`: due, or to be evicted, and its `beforeSweep` has not succeeded yet
 * - `failing`: a policy function fails for it, so that it stays, or follows no leader
 * - `untracked`: written past the wrapper and without stamps, or in a map that was released
 * - `absent`: no such key
 */
export type ExplainedState =
  | 'live'
  | 'due'
  | 'guarded'
  | 'held'
  | 'waiting'
  | 'failing'
  | 'untracked'
  | 'absent';

/** Why an entry is still there. Printed, or as JSON, it names the key and shows nothing of what that holds. */
export interface Explanation {
  /** The name of the map. */
  readonly map: string;
  /** The key, as the map has it: a class of the owner's may keep an entry under another than it is given. */
  readonly key: unknown;
  /** Whether the entry is due, and what keeps it if it is. */
  readonly state: ExplainedState;
  /** When it becomes, or became, due; epoch ms. `undefined`: no lifetime says so at present. */
  readonly deadline: number | undefined;
  /** The lifetime that decides, such as `ttl`, `rules[0].maxIdle` or `follows`; `undefined` if none does. */
  readonly rule: string | undefined;
  /** One sentence for a person: what holds now, and what will happen next. */
  readonly why: string;
}

interface ExplainedWords {
  key(key: unknown): string;
  error(error: unknown): string;
}

/**
 * Says of one entry why it is still there and what will happen to it next, as of this moment. Calls its policy functions;
 * removes, counts and remembers nothing.
 *
 * @param words how another key is shown that it names, that of its leader, and what was thrown
 */
export function explain(
  engine: Engine,
  tracker: Tracker,
  key: unknown,
  words: ExplainedWords = { key: shownKey, error: shownError },
): Explanation {
  return new Explainer(engine, tracker, key, words).explanation();
}

/** Returns a duration for people, rounded: `5m`, `23h`, `0ms`. */
export function span(durationMs: number): string {
  return ms(Math.max(0, Math.round(durationMs)));
}

/** Returns a duration of an owner's in the longest unit that says it exactly: `90s`, `36h`. */
export function exactSpan(durationMs: number): string {
  const [name, unit] = units.find(([, length]) => durationMs >= length && durationMs % length === 0) ?? [
    'ms',
    1,
  ];
  return `${durationMs / unit}${name}`;
}

const units: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

/** Says for how long an entry stays that no lifetime applies to. */
export function stayInWords({
  policy: { maxEntries, maxPerOwner, shed },
  observing,
}: Pick<Tracker, 'policy' | 'observing'>): string {
  const isCapped = !observing && (Number.isFinite(maxEntries) || maxPerOwner !== undefined);
  const caps = isCapped ? ', or a cap evicts it' : '';
  return `stays until its owner deletes it${caps}${shed && !observing ? ', or it is shed' : ''}`;
}

class Explainer {
  readonly #engine: Engine;
  readonly #tracker: Tracker;
  readonly #key: unknown;
  readonly #words: ExplainedWords;
  readonly #now: number;

  constructor(engine: Engine, tracker: Tracker, key: unknown, words: ExplainedWords) {
    this.#engine = engine;
    this.#tracker = tracker;
    this.#key = key;
    this.#words = words;
    engine.timeline.notice();
    this.#now = engine.timeline.now();
  }

  explanation(): Explanation {
    const { native, stamps } = this.#tracker;
    const slot = stamps.slotOf(this.#key);
    if (!native.has(this.#key)) return this.#answer('absent', this.#whyAbsent(slot));
    if (slot === undefined) return this.#answer('untracked', this.#whyUntracked());
    if (stamps.hasFlag(slot, LEAVING) && this.#tracker.companions.isLeaderless(slot)) {
      const why = `its leader in ${this.#leader} has left, and its map's own delete refused to let it go`;
      return this.#answer('due', `${why}; ${this.#actor()} tries again`, 'follows', this.#now);
    }
    const generation = stamps.generation[slot] as number;
    const found = this.#look(slot);
    if (stamps.holds(slot, generation)) return this.#explain(found);
    const isThere = native.has(this.#key);
    const why = `its policy functions ${isThere ? 'registered it anew' : 'removed it'} when they were asked`;
    return this.#answer(isThere ? 'failing' : 'absent', why);
  }

  /** Judges an entry, which asks its policy functions. What they are asked next may judge another: all is copied. */
  #look(slot: number): Found {
    const { activity, due, stamps } = this.#tracker;
    const state = due.judgeToRead(slot, this.#now);
    const { deadline, rule, unanswered, lifetimes } = due.judge;
    const { keeper, failureRead: failure } = due;
    return {
      slot,
      state,
      at: deadline.at,
      rule: deadline.by === undefined ? undefined : rule,
      isActive:
        deadline.by === 'maxIdle' &&
        deadline.at > this.#now + lifetimes.maxIdleMs - 1 &&
        activity.latest(slot) < this.#now - 1,
      unanswered,
      maxAgeMs: lifetimes.maxAgeMs,
      ceilingAt: stamps.registeredAt(slot) + lifetimes.maxAgeMs,
      failure,
      keptBy: state === 'guarded' || state === 'held' ? this.#holder(state, keeper?.map) : undefined,
    };
  }

  #explain(found: Found): Explanation {
    const { state, at, rule } = found;
    const facts = this.#activity(found.slot);
    if (state === 'live') {
      const failsToFollow = this.#tracker.companions.keys?.failed.has(found.slot);
      const eviction = this.#whyEvicted(found.slot);
      const why = `${this.#whyLive(found, eviction)}${this.#standstill()}; ${facts}`;
      return this.#answer(
        eviction !== undefined ? 'waiting' : failsToFollow ? 'failing' : 'live',
        why,
        rule ?? this.#followsRule(),
        at,
      );
    }
    if (state === 'failed')
      return this.#answer('failing', `${this.#whyFailing(found)}${this.#standstill()}; ${facts}`, rule, at);
    const overdue = at > this.#now ? 'not due now' : `due by ${rule} for ${span(this.#now - at)}`;
    if (this.#tracker.observing) {
      const kept = found.keptBy === undefined ? '' : `, and ${found.keptBy}`;
      return this.#answer('due', `${overdue}${kept}${this.#standstill()}; ${facts}`, rule, at);
    }
    if (state === 'guarded' || state === 'held') {
      const why = `${this.#whyKept(found, overdue)}${this.#standstill()}; ${facts}`;
      return this.#answer(state, why, rule, at);
    }
    const isBeyondGuards = this.#tracker.policy.keepWhile !== undefined && this.#now >= found.ceilingAt;
    const beyond = isBeyondGuards ? ', and beyond its maxAge, which no guard outlasts' : '';
    const next = this.#whatNext(found.slot);
    return this.#answer(next.state, `${overdue}${beyond}${next.why}; ${facts}`, rule, at);
  }

  #whyFailing({ at, failure }: Found): string {
    const until = Number.isFinite(at) ? `, and stays until its maxAge in ${span(at - this.#now)}` : '';
    const what = failure === undefined ? 'a policy function' : `its ${failure.callback}`;
    const error = failure === undefined ? '' : ` (${this.#words.error(failure.error)})`;
    return `${what} fails${error}, so that nobody can say when it is due${until}`;
  }

  #whyKept({ at, keptBy, maxAgeMs, ceilingAt }: Found, overdue: string): string {
    const ceiling = Number.isFinite(ceilingAt)
      ? `until its maxAge of ${ms(maxAgeMs)}, in ${span(ceilingAt - this.#now)}`
      : 'and there is no maxAge to end that';
    if (at > this.#now) return `${keptBy}, ${ceiling}, and it is idle from when that lets go`;
    return `${overdue}, but ${keptBy}, ${ceiling}`;
  }

  /** What becomes of an entry that is due and that nothing holds. */
  #whatNext(slot: number): { readonly state: 'due' | 'waiting'; readonly why: string } {
    const { policy, stamps } = this.#tracker;
    if (policy.beforeSweep === undefined) {
      const refused = stamps.hasFlag(slot, REFUSED);
      const act = refused ? "tries again, since its map's own delete refused it" : 'removes it';
      return { state: 'due', why: `; ${this.#actor()} ${act}` };
    }
    const hook = this.#engine.hooks.stateOf(this.#tracker, slot);
    const why =
      hook === undefined
        ? `has not run; ${this.#actor()} starts it, and removes it after that has succeeded`
        : `${this.#hookInWords(hook)}${this.#standstill()}`;
    return { state: 'waiting', why: `, but its beforeSweep ${why}` };
  }

  /** How far a `beforeSweep` has come. */
  #hookInWords(hook: NonNullable<ReturnType<Engine['hooks']['stateOf']>>): string {
    if (hook.isCancelled) return 'waits for the last call to end, which was told to stop';
    const failed = `${counted(hook.attempt, 'attempt')} failed`;
    const pause = span(hook.notBefore - this.#now);
    const attempt =
      hook.state === 'running' ? `attempt ${hook.attempt} runs` : `${failed}, the next not before ${pause}`;
    const how = hook.state === 'queued' ? 'is queued' : `has not succeeded: ${attempt}`;
    // One is remembered of a map, and not one of each entry.
    const { beforeSweepError: error } = this.#tracker;
    const last = error === undefined ? '' : `; last error in this map: ${this.#words.error(error)}`;
    return `${how}${last}`;
  }

  /** Who removes what is due: the sweeper, as long as it runs. */
  #actor(): string {
    const { isStopped, sweeper } = this.#engine;
    if (isStopped) return 'the registry is stopped, so that only a sweep() by hand';
    if (sweeper.isStopped) return 'nothing sweeps this map by itself: a sweep() by hand';
    if (sweeper.isNextTickLate)
      return 'the next tick comes too late to remove anything, and the one that follows it within 5s';
    return 'the next sweep';
  }

  /** Why what is due, or will be, stays: to be said of what need not be due yet. Empty while the sweeper runs. */
  #standstill(): string {
    if (this.#tracker.observing) return '; this map is only observed, so that nothing removes it';
    const { isStopped, sweeper } = this.#engine;
    if (!this.#tracker.isManaged) return '';
    if (isStopped) return '; the registry is stopped, so that nothing sweeps it';
    return sweeper.isStopped ? '; nothing sweeps this map by itself' : '';
  }

  #whyAbsent(slot: number | undefined): string {
    if (slot === undefined) return `${this.#map} has no such key${this.#ended(slot)}`;
    return `${this.#map} has no such key any more: it was removed past the wrapper; ${this.#whoSees('lets it go')}`;
  }

  #whyUntracked(): string {
    if (this.#tracker.isReleased) return 'its map was released, so that nothing tracks it any more';
    return `it was written past the wrapper; ${this.#whoSees('stamps it as registered then')}`;
  }

  /** Who finds what was done past the wrapper. */
  #whoSees(does: string): string {
    const { native, stamps } = this.#tracker;
    // Where as much was removed as was added, no sweep can see it.
    return `${native.size() === stamps.size ? 'a sweep that sees the sizes differ' : this.#actor()} ${does}`;
  }

  #whyLive({ slot, at, rule, isActive, unanswered }: Found, eviction: string | undefined): string {
    const parts: string[] = [];
    const { companions, policy } = this.#tracker;
    if (companions.leaderKeyOf(slot) === noLeader) {
      // One error is remembered of a map, and not one of each entry.
      const how = companions.keys?.failed.has(slot)
        ? `failed; last error in this map: ${this.#words.error(companions.keys.lastError)}`
        : 'named no leader';
      parts.push(`its follows.key ${how}`);
    }
    if (this.#followsRule() !== undefined) {
      parts.push(
        this.#tracker.observing
          ? `its leader is in ${this.#leader}${this.#underKey()}`
          : `it leaves with its leader, which is in ${this.#leader}${this.#underKey()}`,
      );
    }
    if (companions.isOrphan(slot)) parts.push(`its leader is not in ${this.#leader}`);
    else if (companions.isLeaderless(slot)) {
      parts.push(`its leader, of an earlier life, is awaited in ${this.#leader}`);
    }
    if (policy.follows !== undefined && companions.leader === undefined) {
      parts.push(`${this.#leader}, which it follows, is tracked no more, so that nothing takes it along`);
    }
    if (Number.isFinite(at)) {
      const left = span(at - this.#now);
      parts.push(
        isActive
          ? `active until now by its activeAt, and due by ${rule} ${left} after that ends`
          : `due by ${rule} in ${left}`,
      );
    }
    if (unanswered !== '')
      parts.push(`its ${unanswered} ${unanswered.includes(' and ') ? 'have' : 'has'} not started`);
    if (eviction !== undefined) parts.push(eviction);
    if (parts.length === 0) {
      parts.push(
        this.#tracker.isManaged
          ? 'no lifetime applies to it'
          : `${this.#map} has no lifetime: it ${stayInWords(this.#tracker)}`,
      );
    }
    return parts.join(', and ');
  }

  /** What an entry waits for that is to leave though it need not be due; `undefined` of all others. */
  #whyEvicted(slot: number): string | undefined {
    const { hooks } = this.#engine;
    const eviction = hooks.evictionOf(this.#tracker, slot);
    const hook = eviction && hooks.stateOf(this.#tracker, slot);
    return hook && `it is to be ${eviction}, but its beforeSweep ${this.#hookInWords(hook)}`;
  }

  /** What keeps the entry, as it was found just now: of its own map, or of that of a companion. */
  #holder(state: 'guarded' | 'held', map: { readonly name: string } | undefined): string {
    const whose = this.#ofCompanion(map);
    if (state === 'held') return `a hold${whose} holds it`;
    const { policy, due } = this.#engine.trackers.get(map?.name ?? '') ?? this.#tracker;
    const name = policy.keepWhile && shownName(policy.keepWhile, 'keepWhile');
    const guard = name === undefined ? 'keepWhile' : `keepWhile (${name})`;
    const fails =
      due.failureRead === undefined ? '' : `fails (${this.#words.error(due.failureRead.error)}), which `;
    return `${guard}${whose} ${fails}holds it`;
  }

  #ofCompanion(map: { readonly name: string } | undefined): string {
    const isOwn = map === undefined || map === this.#tracker;
    return isOwn ? '' : ` of its companion in ${shownKey(map.name)}`;
  }

  /** Who uses the entry, or a companion of it; the hold of each that was taken first. Empty if nobody does. */
  #holds(slot: number): string {
    const looks = { left: mostCompanions };
    const held = [...take(heldWith(this.#tracker, slot, this.#key, looks), mostHolds + 1)];
    const parts = held.slice(0, mostHolds).map(([tracker, { takenAt, site }]) => {
      const where = site === undefined ? '' : ` at ${site}`;
      return `, a hold${this.#ofCompanion(tracker)} taken ${span(this.#now - takenAt)} ago${where}`;
    });
    if (held.length > mostHolds) parts.push(', and others');
    else if (looks.left < 0)
      parts.push(`, and no more than ${mostCompanions} of its companions were looked at for holds`);
    return parts.join('');
  }

  #followsRule(): string | undefined {
    const slot = this.#tracker.stamps.slotOf(this.#key);
    return slot !== undefined && this.#tracker.companions.hasLeader(slot) ? 'follows' : undefined;
  }

  /** Where its leader is, if it has another key. */
  #underKey(): string {
    const { companions, stamps } = this.#tracker;
    const slot = stamps.slotOf(this.#key);
    return companions.keys === undefined || slot === undefined
      ? ''
      : ` under ${this.#words.key(companions.leaderKeyOf(slot))}`;
  }

  #activity(slot: number): string {
    const { stamps } = this.#tracker;
    const age = span(this.#now - stamps.registeredAt(slot));
    const idle = span(this.#now - stamps.lastActiveAt(slot));
    const activeAt = this.#tracker.activity.latest(slot);
    const companion =
      activeAt > stamps.lastActiveAt(slot) ? `, a companion active ${span(this.#now - activeAt)} ago` : '';
    return `age ${age}, idle ${idle}${companion}${this.#ended(slot)}${this.#holds(slot)}`;
  }

  /** Whether the run has ended, and who has not been told of that. */
  #ended(slot: number | undefined): string {
    const owed = this.#tracker.claims?.owedOf(slot, this.#key);
    if (owed === undefined) return '';
    const untold = owed.map(([recipient, state]) => `${shownKey(recipient)} (${state})`).join(', ');
    return `, its run has ended${untold && `, not told: ${untold}`}`;
  }

  get #map(): string {
    return shownKey(this.#tracker.name);
  }

  get #leader(): string {
    return shownKey(this.#tracker.policy.follows);
  }

  #answer(state: ExplainedState, why: string, rule?: string, at = Number.POSITIVE_INFINITY): Explanation {
    const map = this.#tracker.name;
    const key = this.#key;
    const deadline = Number.isFinite(at) ? this.#engine.timeline.toEpochAhead(at) : undefined;
    const told = { map, key, state, deadline, rule, why };
    const plain = () => ({ ...told, key: plainKey(key) });
    // Not enumerable, so that an explanation is plain data to a test.
    return Object.defineProperties(told, { toJSON: { value: plain }, [inspect.custom]: { value: plain } });
  }
}

/** So many holds of an entry and its companions are named. */
const mostHolds = 3;
/** So many companions are looked at for that. */
const mostCompanions = 1_000;

/** Yields the longest hold of an entry, and those of its companions, down the chain, as long as there are looks left. */
function* heldWith(
  tracker: Tracker,
  slot: number,
  key: unknown,
  looks: { left: number },
): Generator<[Tracker, ShownHold]> {
  const longest = tracker.holds?.longestOf(slot);
  if (longest !== undefined) yield [tracker, longest];
  for (const follower of tracker.companions.followers) {
    if (!hasHolds(follower)) continue;
    for (const companion of follower.companions.accompanying(key)) {
      looks.left -= 1;
      if (looks.left < 0) return;
      yield* heldWith(follower, companion, follower.stamps.keyOf(companion), looks);
    }
  }
}

/** Whether there is a hold in a map, or in one that follows it, down the chain. */
const hasHolds = ({ holds, companions }: Tracker): boolean =>
  (holds?.size ?? 0) > 0 || companions.followers.some(hasHolds);

/** What a look at an entry has found. */
interface Found {
  readonly slot: number;
  readonly state: JudgedState;
  /** When it becomes, or became, due, monotonic ms; `Infinity`: no lifetime says so. */
  readonly at: number;
  /** The lifetime that decides; `undefined` if none does. */
  readonly rule: string | undefined;
  /** Its value says that it is active now, and may at each look, so that the deadline moves on. */
  readonly isActive: boolean;
  /** Lifetimes that have not started. */
  readonly unanswered: string;
  readonly maxAgeMs: number;
  /** When its `maxAge` is over, monotonic ms. */
  readonly ceilingAt: number;
  /** The policy function that has failed. */
  readonly failure: PolicyFailure | undefined;
  /** What keeps it, in words; `undefined` if nothing does. */
  readonly keptBy: string | undefined;
}
