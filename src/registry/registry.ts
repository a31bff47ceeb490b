import type { Explanation } from '../diagnosis/explain.js';
import type { EndOptions, EndResult, TransferResult } from '../endings/endings.js';
import { leaveAttempts } from '../endings/left-attempts.js';
import { leftUndelivered, leftUnwritten, warnOfUndelivered } from '../endings/undelivered.js';
import { MapsweepError, MapsweepTypeError } from '../errors.js';
import type { DeadLetter } from '../events/dead-letter.js';
import { eventNames, type RegistryEvents } from '../events/event-bus.js';
import { shownKey, shownText } from '../events/shown.js';
import type { SweepReport } from '../events/sweep-report.js';
import { adoptInto } from '../maps/adoption.js';
import { deleteRegistration, explainByKey, hasRoom, hold, isDue, stampsByKey } from '../maps/by-key.js';
import type {
  AnyMap,
  CollectionOf,
  Existing,
  KeyIn,
  KeyOf,
  MapName,
  RegistryMaps,
  RunKey,
} from '../maps/collection-types.js';
import { disposeAll } from '../maps/dispose-all.js';
import { keptKey } from '../maps/kept-keys.js';
import { MapHandle } from '../maps/map-handle.js';
import { touch } from '../maps/owner-writes.js';
import { assertNotTracked } from '../maps/tracked-mark.js';
import { checkAdoptable } from '../policy/adoptable.js';
import { truth } from '../policy/checks.js';
import { checkReplaced, compilePolicy } from '../policy/compile-policy.js';
import { type Duration, durationMs } from '../policy/duration.js';
import type { Policy } from '../policy/policy.js';
import {
  invalidType,
  optionPath,
  readInteger,
  readName,
  readOneOf,
  readOptions,
} from '../policy/read-options.js';
import { closeUntaken } from '../restart/persist-to.js';
import type { RegistrySnapshot } from '../restart/snapshot.js';
import type { EntryStamps } from '../stamps/entry-stamps.js';
import type { Hold } from '../sweeping/holds.js';
import type { Tracker } from '../sweeping/tracker.js';
import { isFulfilledBy } from '../time/by-deadline.js';
import { yieldToEventLoop } from '../time/clock.js';
import { TimerQueue } from '../time/timer-queue.js';
import { type Assembly, assemble } from './assemble.js';
import { checkLeader, checkSweepEvery, compileRegistryOptions } from './compile-options.js';
import { type Health, healthOf } from './health.js';
import { internals, type RegistryInternals } from './internals.js';
import type { AdoptedPolicyOf, KnownMaps } from './policy-types.js';
import type { RegistryOptions } from './registry-options.js';
import { type RegistryReport, reportOf } from './report.js';

/** What `detach()` could not deliver. */
export interface DetachResult {
  /** How many endings were not delivered: still pending, which a journal holds, or made dead letters meanwhile. */
  readonly undelivered: number;
}

/** What `close()` could not do by its deadline. */
export interface CloseResult extends DetachResult {
  /**
   * How many calls of `dispose` and `replaced` have not settled, whenever they were made; with `dispose`, also how many live
   * entries are still there.
   */
  readonly undisposed: number;
}

/** A message is for a person: of a registry of a thousand maps it does not name all. */
const mostMapsListed = 20;
/** The share of the time that `close()` has. Most `dispose` functions only begin something, such as a close frame. */
const keptForDispose = 1 / 4;

const watchSchema = {
  max: (value: unknown, option: string) => readInteger(value, option, { min: 1 }),
};

const endSchema = {
  reason: readName,
  detail: (detail: unknown): unknown => detail,
  generation: (value: unknown, option: string) => readInteger(value, option, { min: 1 }),
};

// 0 is the generation of nothing, and whoever has computed one may ask.
const deleteSchema = {
  generation: (value: unknown, option: string) => readInteger(value, option, { min: 0 }),
};

/**
 * The maps of a service under one sweeper. Made by `createRegistry`; it sweeps from its creation on, and its one timer
 * does not keep the process alive.
 *
 * Calls that name a map take the names that it was made with, each with the keys of that map. A map that was adopted
 * later is asked by its handle, or by the `name` of that, which is a string like any other.
 */
export class Registry<M extends RegistryMaps = Record<string, AnyMap>> {
  /** The maps by name: the `TrackedMap` that was made, or the very object that was adopted. */
  readonly maps: { readonly [Name in keyof M]: CollectionOf<M[Name]> };
  readonly #assembly: Assembly;
  readonly #parts: RegistryInternals;
  #closed: Promise<CloseResult> | undefined;
  #detached: DetachResult | undefined;

  /** Use `createRegistry`. */
  constructor(assembly: Assembly) {
    this.maps = assembly.maps as { readonly [Name in keyof M]: CollectionOf<M[Name]> };
    this.#assembly = assembly;
    this.#parts = assembly.parts;
  }

  /**
   * Adopts a map that appeared later, under a name that is free, in place.
   *
   * @throws MapsweepTypeError if the name is taken, the map cannot be adopted or is tracked already, the policy is
   *   wrong, or it follows a map that is not there; MapsweepError `ERR_CLOSED` if the registry is closed, or a function of
   *   the policy closes it; nothing has changed then
   */
  adopt<A extends AnyMap, Leader extends MapName<M> = never>(
    name: string,
    map: A,
    policy?: AdoptedPolicyOf<A, Leader & Existing<M, Leader>>,
  ): MapHandle<A, KeyOf<A>> {
    this.#assertOpen('adopt');
    readName(name, 'name');
    const { engine, sites, restart, leaks } = this.#parts;
    const path = optionPath('maps', name);
    const target = checkAdoptable('map', map);
    this.#assertFree(name);
    assertNotTracked('map', target);
    const compiled = compilePolicy(path, (policy === undefined ? {} : policy) as Policy<unknown, unknown>);
    if (compiled.adopt !== undefined) {
      const message = `${optionPath(path, 'adopt')}: the map to adopt is the second argument already`;
      throw new MapsweepTypeError('ERR_INVALID_OPTION', message);
    }
    checkReplaced(path, compiled, target);
    checkSweepEvery(path, compiled, engine.sweepEveryMs);
    const followsOf = (of: string) => engine.trackers.get(of)?.policy.follows;
    checkLeader(name, compiled.follows, engine.trackers, followsOf);
    const { adoptions } = this.#assembly;
    const adoption = adoptInto(engine, name, compiled, target, (tracker) => restart.watch(tracker));
    const release = (): void => {
      restart.recorder?.unwatch(adoption.tracker);
      adoption.release();
      if (adoptions.get(name) !== adoption) return;
      adoptions.delete(name);
      const { tracker } = adoption;
      leaks.ended(name, leaks.verdictOf(tracker), tracker.native.size());
    };
    // Whoever was asked about an entry may have closed it.
    if (this.#closed !== undefined) release();
    this.#assertOpen('adopt');
    adoptions.set(name, adoption);
    sites.watch(adoption.tracker);
    restart.expect(adoption.tracker);
    return new MapHandle<A, KeyOf<A>>(engine, { tracker: adoption.tracker, release });
  }

  /**
   * Watches a size that is no Map's: of an array, a cache, a private map, the listeners of an emitter. Whether it leaks is judged
   * as it is for a map, by its size alone, and a check of a leak test sees whether it comes back. It is in `report()`, and in the
   * metrics `entries`, `leak_suspected` and `hours_to_limit` under its name.
   *
   * @param name 1 to 128 characters; of no map, and of no other watched size
   * @param size asked for now and once a sweep, never by a scrape. A number from 0 on; what throws or answers something else is
   *   counted and said once, and the size stays as it was
   * @param options `max`: to what you bound it yourself, from 1; below it a size that grows is `filling`, and no leak. Default:
   *   no bound is known
   * @returns ends it; calling that again is harmless
   * @throws MapsweepTypeError or MapsweepRangeError if the name is taken or an argument is wrong
   */
  watch(name: string, size: () => number, options: { max?: number } = {}): () => void {
    this.#assertOpen('watch');
    readName(name, 'name');
    if (typeof size !== 'function') throw invalidType('size', 'a function () => number', size);
    const { max } = readOptions('', options, watchSchema);
    this.#assertFree(name);
    const { watched, leaks } = this.#parts;
    return watched.add(name, size, max ?? Number.POSITIVE_INFINITY, (ended) =>
      leaks.ended(name, ended.verdict, ended.size),
    );
  }

  /**
   * Says that the run of a key has ended. The first who says so claims the ending, whichever path that is; then it is
   * emitted as `ended` and delivered. The entry stays until its lifetime is over.
   *
   * @returns `claimed`; `duplicate` if it was claimed before; `unknown` if no such run was ever registered, or
   *   its tombstone is forgotten, or the registry has no `ended`. A duplicate and an unknown key notify nobody
   */
  end<K>(key: RunKey<M, K>, options?: EndOptions): EndResult {
    const read = options === undefined ? undefined : readOptions('', options, endSchema);
    const { endings } = this.#parts;
    return endings?.end(keptKey(endings.tracker, key), read) ?? 'unknown';
  }

  /**
   * Says that a run goes on under another key. Call it after `set(to)` and before `delete(from)`: `from` then counts as
   * ended without anybody being told, and the end of `to` is the end of both. Both entries stay; `to` keeps its own
   * stamps and id.
   *
   * @returns `duplicate` if `from` or `to` has ended before, and then nothing has changed; `unknown` if either is not
   *   registered
   */
  transfer<K>(fromKey: RunKey<M, K>, toKey: RunKey<M, K>): TransferResult {
    const { endings } = this.#parts;
    if (endings === undefined) return 'unknown';
    return endings.transfer(keptKey(endings.tracker, fromKey), keptKey(endings.tracker, toKey));
  }

  /** Counts as activity of the entry, as a `set` does. Returns false if there is no such entry. */
  touch<Name extends MapName<M>, K>(map: Name & Existing<M, Name>, key: KeyIn<M, Name, K>): boolean {
    return touch(this.#tracker(map), key);
  }

  /**
   * Says that somebody uses an entry, until the hold is released: it is neither swept nor evicted before its `maxAge`, and
   * its idle time begins at the release. Of a key without an entry it holds nothing, which `isHeld` says.
   */
  hold<Name extends MapName<M>, K>(map: Name & Existing<M, Name>, key: KeyIn<M, Name, K>): Hold {
    return hold(this.#tracker(map), key);
  }

  /** Says when an entry was registered and last active; returns `undefined` if there is no such entry. */
  stamps<Name extends MapName<M>, K>(
    map: Name & Existing<M, Name>,
    key: KeyIn<M, Name, K>,
  ): EntryStamps | undefined {
    return stampsByKey(this.#tracker(map), key);
  }

  /**
   * Returns whether an entry is due as of now, and neither guard nor hold keeps it: whoever asks need not treat it as alive
   * until a sweep comes. It may wait for its `beforeSweep`, or be observed. False if there is no such entry. Calls its policy
   * functions; changes, counts and remembers nothing.
   */
  isDue<Name extends MapName<M>, K>(map: Name & Existing<M, Name>, key: KeyIn<M, Name, K>): boolean {
    return isDue(this.#tracker(map), key);
  }

  /**
   * Returns whether a new key would be within `maxEntries` and, for an owner, within `maxPerOwner`: for whoever would rather
   * refuse than have another entry evicted. Costs nothing that depends on the size.
   *
   * @param owner as `maxPerOwner.owner` would answer; `undefined` is no owner
   */
  hasRoom<Name extends MapName<M>>(map: Name & Existing<M, Name>, owner?: unknown): boolean {
    return hasRoom(this.#tracker(map), owner);
  }

  /**
   * Deletes an entry, as the map's own `delete` does, but only if it is still the registration of this generation: for
   * whoever has waited since he saw it. Without one, whichever there is. What the `delete` of the owner's class throws, this throws.
   *
   * @returns whether that registration has left
   */
  delete<Name extends MapName<M>, K>(
    map: Name & Existing<M, Name>,
    key: KeyIn<M, Name, K>,
    options: { generation?: number } = {},
  ): boolean {
    const { generation } = readOptions('', options, deleteSchema);
    return deleteRegistration(this.#tracker(map), key, generation);
  }

  /** Says whether an entry is due, by which lifetime, and why it is still there. */
  explain<Name extends MapName<M>, K>(map: Name & Existing<M, Name>, key: KeyIn<M, Name, K>): Explanation {
    return explainByKey(this.#parts.engine, this.#tracker(map), key);
  }

  /**
   * Removes everything that is due now, to the millisecond. While a sweep is under way, gives that sweep. Never rejects.
   */
  sweep(): Promise<SweepReport> {
    return this.#parts.engine.sweeper.sweep();
  }

  /**
   * Calls a handler for every event of a type, after state has changed. What it throws is counted, and goes no further.
   *
   * @returns takes the handler away again
   */
  on<Name extends keyof RegistryEvents>(
    type: Name,
    handler: (event: RegistryEvents[Name]) => unknown,
  ): () => void {
    readOneOf(type, 'type', eventNames);
    if (typeof handler !== 'function') {
      throw invalidType('handler', 'a function', handler);
    }
    return this.#parts.engine.bus.on(type, handler);
  }

  /** Says what is in every map, how old it is, what is overdue and why, and how the endings are doing. */
  report(): RegistryReport {
    return reportOf(this.#parts);
  }

  /** How it is doing, in a word and in sentences: for a health check, and for whoever is called at night. */
  health(): Health {
    return healthOf(this.#parts);
  }

  /**
   * What has to survive a restart, by hand and whole, as plain JSON: stamps, generations, claims, pending endings with
   * their attempts, dead letters; of all maps. Values are in it only with `persist: { encode }`. It takes as long as
   * there are entries, on the caller's time: `persistTo` does the same as things happen. An entry whose key is no
   * string, number, boolean or null is left out, counted and said once. Taking it changes nothing. After `close()` adopted
   * maps are released and no longer in it.
   */
  snapshot(): RegistrySnapshot {
    return this.#parts.restart.snapshot();
  }

  /**
   * Takes over a snapshot that an earlier life of the process took, of this version or the first, before or after the
   * maps are filled again. The first `set` of a key takes the stamps, id and claim of its entry; a run that has not come
   * back within `restoreWindow` ends as `lost`. Ages go on by the clock of the machine's boot if it is still the same
   * boot, else by the wall clock. A registry takes one snapshot; the same again changes nothing.
   *
   * @throws MapsweepError `ERR_INVALID_SNAPSHOT`, saying where it is damaged, or that another one was restored before;
   *   nothing was restored then
   */
  restore(snapshot: RegistrySnapshot): void {
    this.#assertOpen('restore');
    this.#parts.restart.restore(snapshot);
  }

  /**
   * Resolves when all that was said before is in the journal: with `sync: 'kernel'`, a kill -9 from then on loses none
   * of it. Rejects with the journal's error while it cannot be written. Resolves at once without a journal.
   */
  async flushed(): Promise<void> {
    await this.#parts.restart.recorder?.writer.flushed();
  }

  /** Returns the endings that will not be delivered by themselves any more, the oldest first. */
  deadLetters(): DeadLetter[] {
    return this.#parts.deliveries?.deadLetters() ?? [];
  }

  /**
   * Gives all dead letters a new round of attempts, the oldest first, in slices.
   *
   * @returns how many are tried again: not those whose attempt still runs, nor more than `maxPending` has room for
   */
  redeliver(): number;
  /**
   * Gives the dead letters of an ending a new round of attempts, one for each recipient that has one.
   *
   * @returns whether any is tried again; false if there is none of this id, its attempt still runs, or there is no room
   */
  redeliver(id: string): boolean;
  // By their number: of an id that is `undefined`, since whoever looked for one found none, there is no dead letter.
  redeliver(...given: [] | [id: string]): boolean | number {
    const { deliveries } = this.#parts;
    if (given.length === 0) return deliveries?.redeliverAll() ?? 0;
    return deliveries?.redeliver(given[0]) ?? false;
  }

  /**
   * Ends sweeping and the retries of deliveries, and with them the timer. The maps go on being maps, `end` goes on
   * claiming, and `sweep()` still sweeps when it is called. Idempotent.
   */
  stop(): void {
    this.#parts.deliveries?.pauseRetries();
    this.#parts.engine.stop();
  }

  /**
   * Leaves at once, for a process that cannot wait: stops, aborts the attempts that run, writes what is unwritten, and gives the
   * journal and the adopted maps back. What is undelivered stays in the journal; without one it is gone, which is a warning of
   * the process (`MAPSWEEP_UNDELIVERED`). A registry of this process that opens the same journal next takes over the attempts
   * that still run and have not timed out, and what comes of them. Idempotent.
   */
  detach(): DetachResult {
    if (this.#detached !== undefined) return this.#detached;
    const { deliveries, engine, restart } = this.#parts;
    this.#parts.isClosed = true;
    const result = { undelivered: 0 };
    // Before anything is aborted: whoever listens for that may call it again.
    this.#detached = result;
    // First: its window counts for as long as the engine runs.
    restart.stop();
    this.stop();
    this.#leaveAttempts();
    const undelivered = deliveries?.undelivered ?? 0;
    result.undelivered = undelivered;
    this.#closed ??= Promise.resolve({ undelivered, undisposed: 0 });
    if (restart.recorder === undefined && undelivered > 0) {
      warnOfUndelivered(leftUndelivered(engine.name, undelivered));
    }
    restart.recorder?.detach();
    this.#warnOfUnwritten(undelivered);
    this.#leave();
    return result;
  }

  /**
   * Stops, delivers what is pending, waits for the promises that `dispose` and `replaced` have answered so far, and releases
   * adopted maps. Ends no live entry. One of those that itself awaits this has it wait until its deadline. Attempts that still run at its deadline are
   * left as those of {@link Registry.detach} are, and an ending whose claim cannot be written waits for half of it at most.
   * What the journal has not taken by then is told (`journal-failed`), and is a warning of the process if endings are undelivered.
   * Idempotent: a second call gives the result of the first. Of a run that ends later nobody is told, but by the next life that a
   * journal has: without one that is a warning of the process (`MAPSWEEP_UNDELIVERED`).
   *
   * @param options `deadline`: when it gives up, from its call on; 10 s by default, at most 2^31 - 1 ms. `dispose`: afterwards
   *   and by the same deadline, of which the last quarter is kept for it, live entries leave through their map's own `delete`, with
   *   the reason `closed`, companions too. Nobody is told of an end, no guard, hold or
   *   `beforeSweep` is asked, and in the journal they stay live. Observed maps are left alone. Default: false
   */
  close(options: { deadline?: Duration; dispose?: boolean } = {}): Promise<CloseResult> {
    const read = readOptions('', options, {
      deadline: (value, option) => durationMs(value, option, { max: 2 ** 31 - 1 }),
      dispose: truth,
    });
    this.#parts.isClosed = true;
    if (this.#closed !== undefined) return this.#closed;
    let settle = (_result: Promise<CloseResult>): void => {};
    this.#closed = new Promise((resolve) => {
      settle = resolve;
    });
    // Not before: whoever this aborts may call it again.
    settle(this.#close(read.deadline ?? 10_000, read.dispose ?? false));
    return this.#closed;
  }

  /** {@link Registry.detach}, at the end of a `using`. */
  [Symbol.dispose](): void {
    this.detach();
  }

  /** {@link Registry.close}, at the end of an `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** For the other entry points of this package. Not part of the contract. */
  get [internals](): RegistryInternals {
    return this.#parts;
  }

  async #close(deadlineMs: number, disposes: boolean): Promise<CloseResult> {
    // A run that has not come back is no ending: this life's end must not make it one. First: its window counts for as long as the
    // engine runs.
    const { restart } = this.#parts;
    restart.stop();
    this.stop();
    const { timers, timeline } = this.#parts.engine;
    // The notifier needs it for its time-outs and for the deadline.
    timers.resume();
    const deadlineAt = timeline.now() + deadlineMs;
    // A recipient that fails must not keep what is disposed of from its `dispose`: sockets would be left open.
    const tellUntil = disposes ? deadlineAt - deadlineMs * keptForDispose : deadlineAt;
    const { deliveries } = this.#parts;
    // What the journal cannot be told of has to be delivered before that is over.
    restart.recorder?.gate.waitAtMost(deadlineMs / 2);
    // At once: deliveries may take all the time that there is.
    restart.recorder?.writer.tryAgain();
    await deliveries?.finish(tellUntil);
    // Before the journal is anybody else's.
    this.#leaveAttempts();
    timers.pause();
    timers.clear();
    await restart.recorder?.close(tellUntil);
    // What is in the journal stays there: it is closed.
    const isLeft = (): boolean => this.#detached !== undefined;
    if (this.#detached === undefined) this.#warnOfUnwritten(deliveries?.undelivered ?? 0);
    const undisposed = disposes ? await disposeAll(this.#parts.engine, deadlineAt, isLeft) : 0;
    const { unsettled } = this.#parts.engine;
    if (unsettled.count > 0) {
      // Once its time is over by no timer: those of a clock that stands still never come.
      if (timeline.now() >= deadlineAt) await yieldToEventLoop();
      else await isFulfilledBy(deadlineAt, unsettled.settled(), new TimerQueue(timeline.clock));
    }
    this.#leave();
    // Not before: an attempt that had timed out may have succeeded while the journal was being written.
    return { undelivered: deliveries?.undelivered ?? 0, undisposed: undisposed + unsettled.count };
  }

  /** Nothing is delivered here any more: whoever opens the journal next in this process takes over the attempts that run. */
  #leaveAttempts(): void {
    const { deliveries, restart } = this.#parts;
    const left = deliveries?.leave() ?? [];
    if (restart.recorder !== undefined) leaveAttempts(restart.recorder.journalName, left);
  }

  /** Of endings that are undelivered, and that a journal has perhaps not taken. */
  #warnOfUnwritten(undelivered: number): void {
    if (undelivered === 0 || this.#parts.restart.recorder?.writer.abandonedMs === undefined) return;
    warnOfUndelivered(leftUnwritten(this.#parts.engine.name, undelivered));
  }

  /** Gives back what is left to give. */
  #leave(): void {
    const { adoptions } = this.#assembly;
    // Somebody may have swept by hand meanwhile.
    this.stop();
    for (const adoption of adoptions.values()) adoption.release();
    adoptions.clear();
    this.#parts.watched.clear();
    this.#parts.engine.measurements.tell((listener) => listener.closed?.());
    this.#parts.memory?.stop();
    this.#parts.lines?.tellLeftOut(true);
  }

  #assertOpen(method: string): void {
    if (this.#closed === undefined) return;
    throw new MapsweepError('ERR_CLOSED', `${method}: the registry is closed`);
  }

  #assertFree(name: string): void {
    const { engine, watched } = this.#parts;
    const taken = engine.trackers.has(name) ? 'map' : watched.has(name) ? 'watched size' : undefined;
    if (taken === undefined) return;
    throw new MapsweepTypeError('ERR_DUPLICATE_NAME', `name: there is a ${taken} ${shownKey(name)} already`);
  }

  #tracker(map: unknown): Tracker {
    const tracker = this.#parts.engine.trackers.get(map as string);
    if (tracker !== undefined) return tracker;
    readName(map, 'map');
    const known = [...this.#parts.engine.trackers.keys()];
    const listed = known.slice(0, mostMapsListed).map((name) => shownText(name));
    const more = known.length > listed.length ? `, and ${known.length - listed.length} more` : '';
    throw new MapsweepTypeError(
      'ERR_UNKNOWN_MAP',
      `map: there is no map ${shownKey(map)}. There are: ${listed.join(', ') || 'none'}${more}${
        this.#parts.isClosed ? ', since the registry is closed and has released what it had adopted' : ''
      }`,
    );
  }
}

/**
 * Makes a registry: tracks the maps, and sweeps them from now on.
 *
 * @typeParam M the maps by name, `Map` or `TrackedMap` where none is adopted. Without it they are what is adopted, and
 *   else a `TrackedMap` of what the annotations of their policies' functions say
 * @throws MapsweepTypeError or MapsweepRangeError if an option is wrong; nothing has been made or adopted then, and an
 *   open journal that was handed over is closed
 */
export function createRegistry<M extends RegistryMaps, P = unknown>(
  options: RegistryOptions<M, P>,
): Registry<KnownMaps<M, P>> {
  try {
    return new Registry<KnownMaps<M, P>>(assemble(compileRegistryOptions(options)));
  } catch (error) {
    closeUntaken(options?.persistTo);
    throw error;
  }
}
