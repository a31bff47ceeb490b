import type { StampStore } from '../stamps/stamp-store.js';
import type { OwnIdOf } from './own-id.js';

/**
 * Which registration of a map is which run, by slot: by its owner's id, if he says which run is which, else by an id of this
 * life and its generation, or by that of an earlier life.
 *
 * By the owner's ids two registrations may be one run, of which one is open. Where the id of a run is its key, which is usual,
 * the map itself knows where it is; an index is kept of the others.
 */
export class RunIds {
  readonly #stamps: StampStore<unknown>;
  readonly #lifeId: string;
  readonly #ownIdOf: OwnIdOf | undefined;
  // Those that are not made of the id of this life.
  readonly #ids: Array<string | undefined> = [];
  readonly #isOpen: boolean[] = [];
  readonly #openWithOtherKeys = new Map<string, number>();

  /**
   * @param lifeId unique to this life of the process
   * @param ownIdOf set if the owner says which run is which
   */
  constructor(stamps: StampStore<unknown>, lifeId: string, ownIdOf: OwnIdOf | undefined) {
    this.#stamps = stamps;
    this.#lifeId = lifeId;
    this.#ownIdOf = ownIdOf;
  }

  /** Whether the owner says which run is which. */
  get areOwn(): boolean {
    return this.#ownIdOf !== undefined;
  }

  /** The id of a registration: the idempotency key of its ending. */
  of(slot: number): string {
    return this.#ids[slot] ?? `${this.#lifeId}:${this.#stamps.generation[slot]}`;
  }

  /** The owner's own id of a registration; `undefined` if there is none. Asked once. */
  ask(slot: number, key: unknown, value: unknown): string | undefined {
    const known = this.#ids[slot];
    // One that was in the map when it was adopted has been asked about when it was stamped.
    if (known !== undefined) return known.startsWith(`${this.#lifeId}:`) ? undefined : known;
    if (this.#ownIdOf === undefined) return undefined;
    const generation = this.#stamps.generation[slot] as number;
    const answer = this.#ownIdOf(value, key);
    const isId = typeof answer === 'string';
    // Whoever was asked may have removed the entry, whose slot is another's then.
    const isThere = this.#stamps.holds(slot, generation);
    if (isThere) this.#ids[slot] = isId ? answer : this.of(slot);
    // Afterwards, so that whoever is told finds a run that can be ended.
    if (!isId) answer();
    return isThere && isId ? answer : undefined;
  }

  /** Gives a registration the id that it had before a restart. With another one it is not open yet. */
  restore(slot: number, id: string): void {
    if (this.#ids[slot] !== id) this.close(slot);
    this.#ids[slot] = id;
  }

  /** Returns whether the owner has been asked about a registration, or it has the id that it had before a restart. */
  has(slot: number): boolean {
    return this.#ids[slot] !== undefined;
  }

  /** Returns the slot of the open run of an id of the owner's; `undefined` if there is none. */
  openSlotOf(id: string): number | undefined {
    const other = this.#openWithOtherKeys.get(id);
    if (other !== undefined) return other;
    const slot = this.#stamps.slotOf(id);
    return slot !== undefined && this.#isOpen[slot] && this.#ids[slot] === id ? slot : undefined;
  }

  /** The run of a slot is open, and no other of its id. Does nothing without ids of the owner's. */
  open(slot: number): void {
    if (!this.areOwn) return;
    const id = this.of(slot);
    this.#isOpen[slot] = true;
    if (this.#stamps.keyOf(slot) === id) this.#openWithOtherKeys.delete(id);
    else this.#openWithOtherKeys.set(id, slot);
  }

  /** The run of a slot has ended, or is another slot's. */
  close(slot: number): void {
    if (!this.#isOpen[slot]) return;
    this.#isOpen[slot] = false;
    const id = this.of(slot);
    if (this.#openWithOtherKeys.get(id) === slot) this.#openWithOtherKeys.delete(id);
  }

  /** The slot is free for another entry. */
  forget(slot: number): void {
    if (this.#ids[slot] === undefined) return;
    this.close(slot);
    this.#ids[slot] = undefined;
  }

  /** There is room for so many slots now; no entry has a higher one. */
  shrink(capacity: number): void {
    this.#ids.length = Math.min(this.#ids.length, capacity);
    this.#isOpen.length = Math.min(this.#isOpen.length, capacity);
  }

  /** The map is tracked no more. */
  clear(): void {
    this.shrink(0);
    this.#openWithOtherKeys.clear();
  }
}
