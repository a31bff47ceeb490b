import type { AbsentRuns, EndedRun, Endings, EndOptions } from '../endings/endings.js';
import { noteOwnersEnd } from '../events/audit.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { Tracker } from '../sweeping/tracker.js';
import { Awaited } from './awaited.js';
import type { RestartContext } from './context.js';
import { decoded } from './decode.js';
import type { PastEntry } from './left.js';
import type { AbsentParts } from './live-records.js';

/** Entries of earlier lives that have not come back: a run among them can be ended by its key, or is lost in the end. */
export class Absences implements AbsentRuns, AbsentParts {
  readonly #context: RestartContext;
  readonly #allBack: (map: string) => void;
  readonly #awaited = new Map<string, Awaited>();

  /** @param allBack is told when nothing of a map is absent any more */
  constructor(context: RestartContext, allBack: (map: string) => void) {
    this.#context = context;
    this.#allBack = allBack;
  }

  /** All that is awaited, by map: of each there is some. */
  get byMap(): ReadonlyMap<string, Awaited> {
    return this.#awaited;
  }

  /** Those of a map; `undefined` without any. */
  of(map: string): Awaited | undefined {
    return this.#awaited.get(map);
  }

  count(): number {
    let count = 0;
    for (const { size } of this.#awaited.values()) count += size;
    return count;
  }

  /** All of them; stays right while entries come back, or are lost, between two steps. */
  *entries(): Generator<readonly [map: string, entry: PastEntry]> {
    for (const [map, awaited] of this.#awaited) for (const entry of awaited) yield [map, entry];
  }

  add(map: string, entry: PastEntry): void {
    let awaited = this.#awaited.get(map);
    if (awaited === undefined) {
      awaited = new Awaited(this.#context.hasOwnIds);
      this.#awaited.set(map, awaited);
    }
    const superseded = awaited.add(entry);
    this.#context.engine.trackers.get(map)?.awaitingChanged(entry.key);
    if (superseded !== undefined) this.#forget(map, superseded);
  }

  /** An entry has come back, or is over. */
  remove(map: string, entry: PastEntry): void {
    const awaited = this.#awaited.get(map);
    if (awaited === undefined) return;
    awaited.remove(entry);
    if (awaited.size === 0) this.#awaited.delete(map);
    this.#context.engine.trackers.get(map)?.awaitingChanged(entry.key);
    if (awaited.size === 0) this.#allBack(map);
  }

  /**
   * The time of an entry is over: a run ends as lost, or is left to a later life if it may not here; anything else is forgotten.
   *
   * @returns whether it is one that could not come back, as this life is
   */
  lose(map: string, entry: PastEntry): boolean {
    const endings = this.#context.endings();
    const tracker = this.#context.engine.trackers.get(map);
    const isStuck = tracker === undefined || this.of(map)?.undecoded.has(entry) === true;
    const { registeredAt } = entry;
    if (entry.id !== undefined && !entry.claimed) {
      if (endings === undefined || !this.#context.mayConclude()) {
        tracker?.awaitingChanged(entry.key);
        return false;
      }
      this.remove(map, entry);
      this.#conclude(endings, entry);
    } else this.remove(map, entry);
    tracker?.ages.left(registeredAt);
    this.#forget(map, entry);
    return isStuck;
  }

  /** Claims the end of a run that has not come back. `undefined` if none is absent under the key. */
  endAbsent(
    key: unknown,
    { reason = 'completed', detail, generation }: EndOptions,
  ): 'claimed' | 'duplicate' | undefined {
    const found = this.#runOf(key);
    if (found === undefined) return undefined;
    if (generation !== undefined && generation !== found.entry.generation) return undefined;
    if (found.entry.claimed) return 'duplicate';
    this.#conclude(found.endings, found.entry, { reason, detail });
    return 'claimed';
  }

  /** Marks a run that has not come back as ended, without telling anybody. */
  settleAbsent(key: unknown): 'settled' | 'duplicate' | undefined {
    const found = this.#runOf(key);
    if (found === undefined) return undefined;
    const { endings, entry } = found;
    if (entry.claimed) return 'duplicate';
    this.#settle(endings, entry);
    return 'settled';
  }

  hasAbsent(key: unknown): boolean {
    return this.#runOf(key) !== undefined;
  }

  /** Marks runs that have not come back as ended, by their generations: somebody else tells of their ends. */
  forfeit(generations: ReadonlySet<number>): void {
    const endings = this.#context.endings();
    const awaited = endings && this.#awaited.get(endings.tracker.name);
    if (endings === undefined || awaited === undefined) return;
    for (const entry of awaited) {
      if (entry.id === undefined || entry.claimed || !generations.has(entry.generation)) continue;
      this.#settle(endings, entry);
    }
  }

  /** The value that `encode` had given, decoded if the policy can do that. */
  valueOf(tracker: Tracker, json: unknown, key: unknown): unknown {
    const decode = tracker.policy.persist?.decode;
    if (decode === undefined || json === undefined) return json;
    const { error, value } = decoded(decode, json, key);
    if (error !== undefined) this.#context.engine.failures.count(tracker.name, 'persist.decode');
    return value;
  }

  #runOf(key: unknown): { endings: Endings; entry: PastEntry } | undefined {
    const endings = this.#context.endings();
    const entry = endings && this.#awaited.get(endings.tracker.name)?.at(key);
    return endings === undefined || entry?.id === undefined ? undefined : { endings, entry };
  }

  #settle(endings: Endings, entry: PastEntry): void {
    const run = claim(entry);
    endings.remember(run);
    this.#context.recorder()?.endings.quiet(run);
  }

  /** @param said what the owner has said of the end; without it the run is lost */
  #conclude(endings: Endings, entry: PastEntry, said?: Pick<EndedEvent, 'reason' | 'detail'>): void {
    const { reason, detail } = said ?? { reason: 'lost', detail: undefined };
    const { timeline } = this.#context.engine;
    const run = claim(entry);
    endings.remember(run);
    const endedAt = timeline.clock.now();
    const registeredAt = timeline.toEpoch(entry.registeredAt, endedAt);
    const lastActiveAt = timeline.toEpoch(Math.max(entry.lastActiveAt, entry.usedAt), endedAt);
    const value = this.valueOf(endings.tracker, entry.value, run.key);
    const event: EndedEvent = { ...run, reason, registeredAt, lastActiveAt, endedAt, value, detail };
    if (said !== undefined) noteOwnersEnd(event);
    this.#context.keepPastValue(event, entry.value);
    endings.conclude(event);
  }

  #forget(map: string, { generation, isUnrecorded }: PastEntry): void {
    if (!isUnrecorded) this.#context.recorder()?.forgotten(map, generation);
  }
}

function claim(entry: PastEntry): EndedRun {
  entry.claimed = true;
  return { id: entry.id as string, key: entry.key, generation: entry.generation };
}
