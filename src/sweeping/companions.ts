import type { StampedMap } from '../stamps/entry-stamps.js';

/**
 * The neighbours of one map among the maps of an engine: its leader, which it follows, and its followers, whose entries
 * are the companions of its own. An entry and its companions have equal keys.
 *
 * - A companion leaves in the same step as its leader's entry (`removals.ts`).
 * - Activity of a companion counts as activity of its leader's entry, and on up the chain (`Tracker.companionActive`).
 * - A companion whose leader has no such key is an orphan, and may have a lifetime as such (`DueQueue`).
 */
export class Companions<M extends StampedMap> {
  readonly #follows: string | undefined;
  /** The map that this one follows, while there is one of that name. */
  leader: M | undefined;
  readonly followers: M[] = [];

  /** @param follows the name of the leader; `undefined` for a map that follows nothing */
  constructor(follows: string | undefined) {
    this.#follows = follows;
  }

  /** Returns whether the leader is tracked and has such a key. */
  hasLeader(key: unknown): boolean {
    return this.leader?.native.has(key) ?? false;
  }

  /** Returns whether the leader is tracked and has no such key. One that is tracked no more may have it. */
  isOrphan(key: unknown): boolean {
    return this.leader !== undefined && !this.leader.native.has(key);
  }

  /**
   * Finds leaders and followers anew, after a map was added or removed.
   *
   * @returns the maps that have another leader than before, or one no longer
   */
  static relate<M extends StampedMap & { readonly companions: Companions<M> }>(
    maps: ReadonlyMap<string, M>,
  ): M[] {
    const changed: M[] = [];
    for (const { companions } of maps.values()) companions.followers.length = 0;
    for (const map of maps.values()) {
      const { companions } = map;
      const leader = companions.#follows === undefined ? undefined : maps.get(companions.#follows);
      leader?.companions.followers.push(map);
      if (leader !== companions.leader) changed.push(map);
      companions.leader = leader;
    }
    return changed;
  }
}
