import type { StampedMap } from '../stamps/entry-stamps.js';
import { setAt } from '../stamps/set-at.js';
import type { LeaderKeys } from './leader-keys.js';
import { noLeader } from './leader-keys.js';

/** Stands for a slot that has not been looked up. There is no key there. */
const noSlot = -1;
const noSlots: readonly number[] = [];

/** A map that others may follow. */
export interface LeadingMap extends StampedMap {
  /** Returns whether an earlier life has left an entry of a key that has not come back yet, and may still. */
  isAwaited(key: unknown): boolean;
}

/**
 * The neighbours of one map among the maps of an engine: its leader, which it follows, and its followers, whose entries
 * are the companions of its own. An entry and its companions have equal keys, or a companion's value names the key of its
 * leader.
 *
 * - A companion leaves in the same step as its leader's entry (`removals.ts`).
 * - Activity of a companion counts as activity of its leader's entry, and on up the chain (`Tracker.leaderActive`).
 * - A companion whose leader has no such key, nor awaits it, is an orphan, and may have a lifetime as such (`DueQueue`).
 */
export class Companions<M extends LeadingMap> {
  readonly #map: M;
  /** The name of the leader; `undefined` for a map that follows nothing. */
  readonly follows: string | undefined;
  /** Of a map whose values name the keys of their leaders. */
  readonly keys: LeaderKeys | undefined;
  /** The map that this one follows, while there is one of that name. */
  leader: M | undefined;
  /** Another list when one comes or goes: whoever walks along it calls out, and whatever is released there, no other is skipped. */
  followers: readonly M[] = [];
  // Slots. Most maps have none, so that a flag for each entry would be waste.
  readonly #orphans = new Set<number>();
  // By slot, as they were last found: whether it is so still, the key there says. An entry is set more often than its leader
  // changes, and each set would have to look it up.
  #leaderSlots: number[] = [];

  /**
   * @param map whose neighbours they are
   * @param follows the name of the leader; `undefined` for a map that follows nothing
   */
  constructor(map: M, follows: string | undefined, keys: LeaderKeys | undefined) {
    this.#map = map;
    this.follows = follows;
    this.keys = keys;
  }

  /** Returns under which key the leader of an entry is or would be. */
  leaderKeyOf(slot: number): unknown {
    return this.keys === undefined ? this.#map.stamps.keyOf(slot) : this.keys.of(slot);
  }

  /** Returns the slot of the entry that leads an entry; `undefined` if there is none. */
  leaderSlotOf(slot: number): number | undefined {
    if (this.leader === undefined) return undefined;
    const { stamps } = this.leader;
    const leaderKey = this.leaderKeyOf(slot);
    const known = this.#leaderSlots[slot];
    // Free slots have no key, which reads as undefined.
    if (known !== undefined && leaderKey !== undefined && stamps.keyOf(known) === leaderKey) return known;
    const found = stamps.slotOf(leaderKey);
    if (found === undefined) return undefined;
    setAt(this.#leaderSlots, slot, found, noSlot);
    return found;
  }

  /** Returns whether the leader is tracked and has the key of an entry. */
  hasLeader(slot: number): boolean {
    return this.leader?.native.has(this.leaderKeyOf(slot)) ?? false;
  }

  /** Returns whether the leader is tracked and has no such key. One that is tracked no more may have it. */
  isLeaderless(slot: number): boolean {
    if (this.leader === undefined) return false;
    const leaderKey = this.leaderKeyOf(slot);
    return leaderKey !== noLeader && !this.leader.native.has(leaderKey);
  }

  /** Returns whether the leader is tracked, and has no such key nor awaits it. */
  isOrphan(slot: number): boolean {
    return this.isLeaderless(slot) && !this.leader?.isAwaited(this.leaderKeyOf(slot));
  }

  /** How many orphans there are. */
  get orphanCount(): number {
    return this.#orphans.size;
  }

  /**
   * An entry was registered, or follows another one, or its leader's entry has left and it has not, or is awaited no more.
   * Returns whether it is an orphan and was none: it may be due earlier than where it is filed.
   */
  hasJoinedOrParted(slot: number): boolean {
    const before = this.#orphans.size;
    if (this.isOrphan(slot)) this.#orphans.add(slot);
    else if (before > 0) this.#orphans.delete(slot);
    return this.#orphans.size > before;
  }

  /** The leader is tracked no more: nothing is an orphan. That has no entry due earlier, and later its bucket finds out. */
  part(): void {
    this.leader = undefined;
    this.#orphans.clear();
  }

  /** The leader has a new key: what accompanies it is no orphan any more. Returns the slots of those that were. */
  leaderCame(leaderKey: unknown): readonly number[] {
    if (this.#orphans.size === 0) return noSlots;
    return [...this.accompanying(leaderKey)].filter((slot) => this.#orphans.delete(slot));
  }

  /** The entry has left. */
  forget(slot: number): void {
    if (this.#orphans.size > 0) this.#orphans.delete(slot);
    this.keys?.forget(slot);
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    if (this.#leaderSlots.length > capacity) this.#leaderSlots.length = capacity;
    this.keys?.shrink(capacity);
  }

  /** All entries have left. */
  clear(): void {
    this.#orphans.clear();
    this.#leaderSlots = [];
    this.keys?.clear();
  }

  /** Returns the slots of the entries here that accompany a key of the leader. Whoever changes something on the way takes a copy. */
  accompanying(leaderKey: unknown): Iterable<number> {
    if (this.keys !== undefined) return this.keys.naming(leaderKey);
    const slot = this.#map.stamps.slotOf(leaderKey);
    return slot === undefined ? [] : [slot];
  }
}

/** Who follows whom among the maps of an engine, found as maps come and go, whatever their order. */
export class Followings<
  M extends LeadingMap & { readonly name: string; readonly companions: Companions<M> },
> {
  /** The maps that follow one of this name, tracked or not, in the order in which they were added. */
  readonly #byLeader = new Map<string, Set<M>>();

  /**
   * Finds the neighbours of a map that was added.
   *
   * @param leader the map that it follows, if it is tracked
   * @returns the maps that have a leader now
   */
  add(map: M, leader: M | undefined): M[] {
    const { companions } = map;
    const changed = [...(this.#byLeader.get(map.name) ?? [])];
    for (const follower of changed) follower.companions.leader = map;
    if (changed.length > 0) companions.followers = [...companions.followers, ...changed];
    if (companions.follows === undefined) return changed;
    const siblings = this.#byLeader.get(companions.follows);
    if (siblings === undefined) this.#byLeader.set(companions.follows, new Set([map]));
    else siblings.add(map);
    if (leader === undefined) return changed;
    companions.leader = leader;
    leader.companions.followers = [...leader.companions.followers, map];
    return [...changed, map];
  }

  /** Parts a map that is tracked no more from its neighbours. */
  remove(map: M): void {
    const { follows, leader, followers } = map.companions;
    for (const follower of followers) follower.companions.part();
    if (leader !== undefined)
      leader.companions.followers = leader.companions.followers.filter((follower) => follower !== map);
    if (follows === undefined) return;
    const siblings = this.#byLeader.get(follows);
    siblings?.delete(map);
    if (siblings?.size === 0) this.#byLeader.delete(follows);
  }
}
