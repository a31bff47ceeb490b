import type { RemovalReason } from '../events/reasons.js';
import type { Duration } from './duration.js';

/** What `beforeSweep` is told besides the entry. */
export interface BeforeSweepContext {
  /**
   * Aborted when the entry is touched, held, replaced or removed meanwhile, or is an orphan whose leader comes (its reason has
   * the code `ERR_CALLBACK_OBSOLETE`), or after `beforeSweepTimeout` (`ERR_CALLBACK_TIMEOUT`). Stop then: the answer no longer counts.
   */
  readonly signal: AbortSignal;
  /** Which call this is for the entry since it became due; of a batch, for the one that was called for most often. Counts from 1. */
  readonly attempt: number;
}

/** An instant that a value records: epoch ms, or a `Date`; `null` and `undefined`: there is none. */
export type Instant = number | Date | null | undefined;

/**
 * When an entry becomes due. The deadline is the earliest of those that apply; without any, an entry is tracked and
 * never swept.
 *
 * The functions are synchronous and cheap: every sweep of the map asks them about every entry, and whatever the value says
 * then counts, earlier or later than before. They answer with an instant: epoch milliseconds, 0 and below being long ago,
 * or a `Date`. `undefined` and `null` contribute no deadline
 * and never mean expired. An answer that is `NaN` or an invalid date, of another type, a promise, or between 1 and 1e11
 * while the clock reads 1e12 or more (epoch seconds, a duration) is invalid. After an invalid answer or a throw the entry stays, and the failure is counted and emitted as `callback-failed`. Nothing has
 * changed when they run, and they may call back into the map.
 */
export interface Lifetimes<K, V> {
  /** Due this long after `since`. 0 is due at once; `false` is never. From 0 to 100 years. Default: none. */
  ttl?: Duration | false;
  /**
   * What the TTL counts from: the registration, the last `set` or `touch`, or an instant in epoch ms that the value
   * itself records. While a function answers `undefined` the TTL has not started. An error without `ttl`.
   * Default: `'registeredAt'`.
   */
  since?: 'registeredAt' | 'lastActiveAt' | ((value: V, key: K) => Instant);
  /**
   * Due when the wall clock reads this, in epoch ms: if the clock is set, the deadline moves with it, as no other does.
   * `undefined`: none. Default: none.
   */
  expiresAt?: (value: V, key: K) => Instant;
  /**
   * Due when there was neither a `set` nor a `touch` (nor what `activeAt` tells) for this long. 0 is due at once;
   * `false` is never. From 0 to 100 years. Default: none.
   */
  maxIdle?: Duration | false;
  /**
   * Due at this age whatever else holds: the ceiling over `keepWhile`, also that of companions, and over a `beforeSweep`
   * that does not succeed, which is tried once more then. 0 is due at once; `false` is never. From 0 to
   * 100 years. Default: none.
   */
  maxAge?: Duration | false;
}

/**
 * Lifetimes for the keys that match. They replace all of the map's lifetimes, so that a rule without any exempts its
 * keys from sweeping.
 */
export interface Rule<K, V> extends Lifetimes<K, V> {
  /**
   * Which keys the rule is for. A `RegExp` sees `String(key)` of strings and numbers, always from the start: its `lastIndex`
   * is neither read nor moved. It matches no other key. A function is called once for each registration, with the entry in the map; a throw keeps the
   * entry, is counted and emitted as `callback-failed`, and the function is asked again at each look until it can say.
   */
  match: RegExp | ((key: K) => boolean);
}

/**
 * How the entries of one map live and leave. Every option can be left out: such a map is tracked and never swept.
 *
 * Options are read once, when the map is made or adopted; to change them later changes nothing. Only own enumerable
 * properties count. Callbacks are called without a `this`. What a callback throws never escapes: it is counted and
 * emitted as `callback-failed`, and the other entries go on.
 */
export interface Policy<K, V> extends Lifetimes<K, V> {
  /** A live `Map` or `Set` to instrument in place. It stays the same object. Default: a new `TrackedMap` is made. */
  adopt?: Map<K, V> | Set<K>;
  /**
   * Activity that the value itself records, in epoch ms; the later of it and the last `set` or `touch` counts as the
   * entry's activity. `undefined`: none recorded. Runs when an entry is judged, before anything has changed; a throw
   * or an invalid answer keeps the entry. Default: none.
   */
  activeAt?: (value: V, key: K) => Instant;
  /**
   * The guard: `true` keeps a due entry, until `maxAge` if there is one, and keeps an entry from being evicted. It also
   * holds the entry of the leader, since that would take this one along. A look that finds it holding counts as activity
   * of both: an entry is idle from the end of its guard, within one interval. Runs when an entry is due or about to be
   * evicted, then at every sweep while it holds, before anything has changed; a throw keeps the entry. It stops no
   * `delete`, `clear` or `end` of the owner's. Default: nothing is kept.
   */
  keepWhile?: (value: V, key: K) => boolean;
  /** Lifetimes by key. The first rule that matches replaces all lifetimes of the map. Default: no rules. */
  rules?: ReadonlyArray<Rule<K, V>>;
  /**
   * The name of the leader: the map whose entries those of this one accompany, by equal key or, with `{ map, key }`, by the
   * key that their value names. They leave in the same step as their leader's, whoever removed that, and activity here
   * counts as activity there. 1 to 128 characters. Default: no leader.
   */
  follows?: string | Follows<K, V>;
  /**
   * For a companion whose leader is tracked and has no such key: due when idle this long, but not while the key is awaited
   * after a restart. 0 is due at once; `false` is never. From 0 to 100 years. An error without `follows`. Default: `'30m'`.
   */
  orphanAfter?: Duration | false;
  /**
   * How many entries may be there. The excess is evicted after the current macrotask, in one pass: due entries first,
   * then ended ones, then the longest idle; guarded ones never. An integer of at least 1. 0 is an error, because a map
   * that keeps nothing is not one to write to. Default: no limit.
   */
  maxEntries?: number;
  /**
   * How many entries each owner may have, such as each user or address: `max`, an integer of at least 1. `owner` answers
   * with whatever tells owners apart, as a key of a Map would; `undefined` is no owner, and such entries are not limited by this.
   * Runs at the registration and at each `set`, with the entry in the map; a throw or a promise leaves an entry whose it was,
   * is counted, and said once. The excess of an owner is evicted as that of `maxEntries` is, and before it. Default: no
   * limit.
   */
  maxPerOwner?: MaxPerOwner<K, V>;
  /**
   * When the memory of the process is nearly full (`memory.shedAt` of the registry), up to a tenth of the entries is
   * evicted, in the order of `maxEntries`, and again after the next major collection if that has not sufficed. Guarded
   * ones never. Without the option `memory` nothing is. Default `false`.
   */
  shed?: boolean;
  /**
   * To how many entries the owner bounds the map by means of his own. The leak verdict takes it for a known bound;
   * nothing is evicted. An integer of at least 1. Default: no bound is known.
   */
  expectedMax?: number;
  /**
   * The registration of entries that were in an adopted map before: the moment of adoption, the epoch (so that every
   * TTL, idle time and age has passed), or an instant in epoch ms. A function runs once an entry, during adoption; a
   * throw or an invalid answer stamps the entry as `'now'`. Default: `'now'`.
   */
  unstamped?: 'now' | 'expired' | ((value: V, key: K) => number);
  /**
   * Work that has to succeed before an entry is swept or evicted, such as a delete in a database. The entry is
   * still there when it runs. It runs beside the sweep, for `beforeSweepTimeout` at most, at most 32 at once, once an
   * entry at a time. The entry is judged right before it is called for, and again after that has succeeded; only then is it
   * removed. A throw, a rejection or a time-out keeps the entry, and it is tried again later, with growing pauses; when `maxAge`
   * is over it is tried once more, and the entry leaves whatever comes of it. A call that timed out and ignores its signal may
   * still run when the next one starts. May call back into the map. What falls due in one instant is spread: beyond 256 entries
   * of a map, its calls start evenly over one interval, but all at once in a sweep by hand. Default: none.
   */
  beforeSweep?: ((value: V, key: K, context: BeforeSweepContext) => void | Promise<void>) | BatchedHook<K, V>;
  /** How long one call of `beforeSweep` may take. From 1 ms. An error without `beforeSweep`. Default: `'30s'`. */
  beforeSweepTimeout?: Duration;
  /**
   * Frees what a value holds. Called once for every value that leaves the map with its entry, after the state has changed.
   * One that is overwritten has not left: see `replaced`. It may call back into the map; a `set` or `delete` in it is an
   * ordinary one. The entry is gone whatever it throws; a promise is not awaited, and its rejection is counted. Default: none.
   */
  dispose?: (value: V, key: K, reason: RemovalReason) => void;
  /**
   * The owner has set another value on the key, and the entry stays: frees what the old one holds and the new one does not.
   * Not called for the very same value (`Object.is`), nor by a write past the wrapper. Runs before `set` returns, after the
   * state has changed; it may call back into the map. What it throws is counted; a promise is not awaited, and its rejection
   * is counted. An error on a `Set`, whose members are replaced by nothing. Default: none.
   */
  replaced?: (value: V, key: K, replacement: V) => void;
  /**
   * The approximate weight of an entry in bytes. Runs on a sample of the entries, never inside of a `set` or `get`. An
   * entry on which it throws is left out. Default: no weights.
   */
  weigh?: (value: V, key: K) => number;
  /**
   * Whether the entries survive a restart, in a registry with `persistTo`. `true` keeps their stamps: the first `set` of
   * a key takes them. `encode` also keeps what it makes of a value, as far as JSON carries it; it runs soon after a
   * registration or a `set` of another value, and again when an entry was active. With `decode` the entries themselves
   * are back before `createRegistry` returns. An entry for which `encode` throws is kept without its value, one for
   * which `decode` throws waits for its owner to set it: counted, and said once.
   * The map of `ended` is always kept, its values only with `encode`. Default: `false`.
   */
  persist?: boolean | Persist<K, V>;
  /**
   * How often this map is swept, if that is more often than the registry sweeps: then it alone is looked at in between, by the
   * same timer. It must not be longer than the `sweepEvery` of the registry; an error for a map that is used alone, which
   * nobody sweeps but its owner. From 1 ms. Default: as often as the others.
   */
  sweepEvery?: Duration;
  /**
   * `observe` judges, counts and reports, and removes nothing. Default: the mode of the registry; in one that observes, `sweep` sweeps
   * nothing either.
   */
  mode?: 'sweep' | 'observe';
}

/** A `beforeSweep` for many entries at once, such as one `DELETE … WHERE id IN (…)`. */
export interface BatchedHook<K, V> {
  /** How many entries one call may be for. An integer from 1 to 1,000. The last call of a sweep is for what is left. */
  batch: number;
  /**
   * Called with entries that are due, `[key, value]` each, and answers the keys that failed: they stay, and each is tried again
   * later by itself. `undefined`: none has failed. A throw, a rejection, a time-out, and an answer that holds anything but keys of
   * the batch fail all of it. The signal is that of the whole batch: aborted when none of its entries is wanted any more.
   */
  // A method, so that one that is annotated may take less than the map holds.
  run(
    entries: [K, V][],
    context: BeforeSweepContext,
    // biome-ignore lint/suspicious/noConfusingVoidType: an asynchronous function may answer nothing
  ): void | Iterable<K> | Promise<void | Iterable<K>>;
}

/** A checked `beforeSweep`. */
export type CompiledHook<K, V> =
  | { readonly batch: undefined; run(value: V, key: K, context: BeforeSweepContext): unknown }
  | { readonly batch: number; run(entries: [K, V][], context: BeforeSweepContext): unknown };

/** The leader of entries that have other keys than it: tokens of a session, pending requests of a socket. */
export interface Follows<K, V, Leader = string> {
  /** The name of the leader. 1 to 128 characters. */
  map: Leader;
  /**
   * The key of an entry's leader; `undefined`: it has none for the time being, and is no orphan. Any number of entries may have
   * one leader. Synchronous. Asked when the entry is registered, set or touched, and once more before it leaves with its
   * leader: it stays if it names another one then. One that throws, or answers a promise, leaves it where it was.
   */
  // A method, so that one that is annotated may take less than the map holds.
  key(value: V, key: K): unknown;
}

/** A cap for each owner. */
export interface MaxPerOwner<K, V> {
  /** Whose an entry is. */
  // A method, so that one that is annotated may take less than the map holds.
  owner(value: V, key: K): unknown;
  /** How many entries one owner may have. An integer of at least 1. */
  max: number;
}

/** How values survive a restart. */
export interface Persist<K, V> {
  /** What of a value is kept: anything that JSON carries. Synchronous; runs with state settled, and must not write to the map. */
  encode: (value: V, key: K) => unknown;
  /** The value that `encode` had given. Synchronous. Default: entries come back when their owner sets them. */
  decode?: (json: unknown, key: K) => V;
}

/** A function of the owner that answers with an instant. */
export type InstantOf<K, V> = (value: V, key: K) => Instant;

/** Lifetimes with every default applied and every duration in milliseconds. */
export interface CompiledLifetimes<K, V> {
  /** Stands before the name of a lifetime in explanations: `'rules[0].'` for a rule, empty for the map's own. */
  readonly label: string;
  /** `Infinity`: none. */
  readonly ttlMs: number;
  readonly since: 'registeredAt' | 'lastActiveAt' | InstantOf<K, V>;
  readonly expiresAt: InstantOf<K, V> | undefined;
  /** `Infinity`: none. */
  readonly maxIdleMs: number;
  /** `Infinity`: none. */
  readonly maxAgeMs: number;
}

/** A rule whose `match` is a plain function that keeps no state. */
export interface CompiledRule<K, V> {
  readonly match: (key: K) => boolean;
  readonly lifetimes: CompiledLifetimes<K, V>;
}

/** A checked policy with every default applied. Shares no mutable state with the options it was made of. */
export interface CompiledPolicy<K, V> {
  readonly adopt: Map<K, V> | Set<K> | undefined;
  readonly own: CompiledLifetimes<K, V>;
  readonly rules: ReadonlyArray<CompiledRule<K, V>>;
  readonly activeAt: InstantOf<K, V> | undefined;
  readonly keepWhile: ((value: V, key: K) => boolean) | undefined;
  readonly follows: string | undefined;
  /** Under which key its leader is; `undefined`: under its own. */
  readonly leaderKey: ((value: V, key: K) => unknown) | undefined;
  /** `Infinity`: never, as for a map that follows nothing. */
  readonly orphanAfterMs: number;
  /** `Infinity`: no limit. */
  readonly maxEntries: number;
  readonly maxPerOwner: Readonly<MaxPerOwner<K, V>> | undefined;
  readonly shed: boolean;
  /** `Infinity`: no bound is known. */
  readonly expectedMax: number;
  readonly unstamped: 'now' | 'expired' | ((value: V, key: K) => number);
  readonly beforeSweep: CompiledHook<K, V> | undefined;
  readonly beforeSweepTimeoutMs: number;
  readonly dispose: ((value: V, key: K, reason: RemovalReason) => void) | undefined;
  readonly replaced: ((value: V, key: K, replacement: V) => void) | undefined;
  readonly weigh: ((value: V, key: K) => number) | undefined;
  /** `undefined`: its entries are not kept, unless it is the map of the endings. */
  readonly persist: Partial<Persist<K, V>> | undefined;
  /** `undefined`: that of the registry. */
  readonly sweepEveryMs: number | undefined;
  /** `undefined`: that of the registry. */
  readonly mode: 'sweep' | 'observe' | undefined;
}

/** Returns whether any entry of the map can become due by a lifetime, the map's own or a rule's; `orphanAfter` is none. */
export function hasLifetime<K, V>(policy: CompiledPolicy<K, V>): boolean {
  return [policy.own, ...policy.rules.map((rule) => rule.lifetimes)].some(
    ({ ttlMs, expiresAt, maxIdleMs, maxAgeMs }) =>
      expiresAt !== undefined || Math.min(ttlMs, maxIdleMs, maxAgeMs) < Infinity,
  );
}

/** For how long entries of a map stay by its policy, ms; 0 where nothing says so. */
export interface UsualStay {
  /** The longest TTL, which healthy entries may reach. */
  readonly ttlMs: number;
  /**
   * How long a map may grow before anything leaves. Beside a TTL, `maxIdle` and `maxAge` are ceilings for what went
   * wrong, and a rise that lasts until they bite is the very thing to be told of; alone, they are how long an entry stays.
   */
  readonly longestMs: number;
}

/** Returns for how long entries of a map stay by its policy. */
export function usualStay<K, V>(policy: CompiledPolicy<K, V>): UsualStay {
  let ttl = 0;
  let longest = 0;
  for (const { ttlMs, maxIdleMs, maxAgeMs } of [policy.own, ...policy.rules.map((rule) => rule.lifetimes)]) {
    if (ttlMs < Infinity) ttl = Math.max(ttl, ttlMs);
    const span = ttlMs < Infinity ? ttlMs : Math.min(maxIdleMs, maxAgeMs);
    if (span < Infinity) longest = Math.max(longest, span);
  }
  return { ttlMs: ttl, longestMs: longest };
}
