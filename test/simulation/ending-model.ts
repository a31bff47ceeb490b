import type { EndOptions, EndResult, TransferResult } from '../../src/endings/endings.js';
import type { EndedEvent } from '../../src/events/ended-event.js';
import type { RegistrySnapshot, SnapshotEntry } from '../../src/restart/snapshot-format.js';
import { DeliveryModel } from './delivery-model.js';
import type { Findings } from './findings.js';
import type { Registration } from './registration.js';
import type { Scenario } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

/** One claimed end, by key. */
interface Tombstone {
  id: string | undefined;
  generation: number | undefined;
  at: number;
  /** Of a run that came back: policy functions may take time before the library writes it, which a snapshot shows. */
  isInexact?: boolean;
  /** How long callbacks had taken by then, ms. */
  spentBefore?: number;
  readonly of: Registration | undefined;
}

/** An end that was claimed and has to be told before the event is over. */
interface Announcement {
  readonly key: string;
  readonly reason: string;
  readonly of: Registration | SnapshotEntry;
}

/** Which runs have ended, and who may say so: the promise of exactly one ending, as the contract words it. */
export class EndingModel {
  readonly deliveries: DeliveryModel;
  /** The first to be forgotten first. */
  readonly tombstones = new Map<string, Tombstone>();
  /** Runs of an earlier life that have not come back. */
  readonly held = new Map<string, SnapshotEntry>();
  /** Runs that an earlier life announced: the first to come back under such a key is born claimed. */
  readonly announcedBefore = new Map<string, string>();
  windowEndsAt = Number.POSITIVE_INFINITY;
  /** Ids that this process has told on the bus. */
  readonly told = new Set<string>();
  /** Ids that ended without anybody being told. */
  readonly silent = new Set<string>();
  evictedTombstones = 0;
  readonly #expected: Announcement[] = [];
  readonly #scenario: Scenario;
  readonly #time: SimulatedTime;
  readonly #findings: Findings;

  constructor(scenario: Scenario, time: SimulatedTime, findings: Findings) {
    this.#scenario = scenario;
    this.#time = time;
    this.#findings = findings;
    this.deliveries = new DeliveryModel(scenario, time, findings);
  }

  /** The first claim of a registration: it has to be told, once, for this reason. */
  claim(of: Registration, reason: string): void {
    of.isClaimed = true;
    this.#entomb(of.key, { id: of.id, generation: of.generation, at: this.#time.now, of });
    this.#expected.push({ key: of.key, reason, of });
  }

  /** A registration ends and nobody is told. */
  claimSilently(of: Registration): void {
    if (of.isClaimed) return;
    of.isClaimed = true;
    if (of.id !== undefined) this.silent.add(of.id);
    this.#entomb(of.key, { id: of.id, generation: of.generation, at: this.#time.now, of });
  }

  /** What `end()` has to answer; `claimed` claims. */
  end(
    key: string,
    there: Registration | undefined,
    { reason = 'completed', generation }: EndOptions,
  ): EndResult {
    if (there !== undefined && (generation === undefined || generation === there.generation)) {
      if (there.isClaimed) return 'duplicate';
      this.claim(there, reason);
      return 'claimed';
    }
    const held = this.held.get(key);
    if (held !== undefined && (generation === undefined || generation === held.generation)) {
      if (held.claimed) return 'duplicate';
      this.claimHeld(key, held, reason);
      return 'claimed';
    }
    const tombstone = this.tombstone(key);
    if (tombstone === undefined) return 'unknown';
    // A registration whose generation is not known yet is younger than any that is.
    const { of } = tombstone;
    const last = of === undefined ? (tombstone.generation ?? 0) : (of.generation ?? Number.POSITIVE_INFINITY);
    return generation === undefined || generation <= last ? 'duplicate' : 'unknown';
  }

  /** What `transfer()` has to answer; `transferred` claims `from`. */
  transfer(from: string, there: Registration | undefined, target: Registration | undefined): TransferResult {
    if (there === undefined) {
      const held = target === undefined ? undefined : this.held.get(from);
      if (held !== undefined && !held.claimed) {
        held.claimed = true;
        this.silent.add(held.id as string);
        this.#entombHeld(from, held);
        return 'transferred';
      }
      return this.tombstone(from) === undefined ? 'unknown' : 'duplicate';
    }
    if (target === undefined) return 'unknown';
    if (there === target) return 'transferred';
    if (there.isClaimed) return 'duplicate';
    this.claimSilently(there);
    return 'transferred';
  }

  /** The end of a run that has not come back. */
  claimHeld(key: string, held: SnapshotEntry, reason: string): void {
    held.claimed = true;
    this.#entombHeld(key, held);
    this.#expected.push({ key, reason, of: held });
  }

  /** A key is registered: takes what an earlier life left for it. Whether its stamps are those of then. */
  comesBack(registration: Registration): SnapshotEntry | undefined {
    const { key, value } = registration;
    const held = this.held.get(key);
    this.held.delete(key);
    const announcedId = this.announcedBefore.get(key);
    this.announcedBefore.delete(key);
    if (held !== undefined) {
      registration.id = held.id;
      registration.generation = held.generation;
      if (held.claimed || value.announced) this.claimSilently(registration);
    } else if (announcedId !== undefined) {
      registration.id = announcedId;
      this.claimSilently(registration);
    }
    const tombstone = this.tombstones.get(key);
    if (tombstone !== undefined && registration.isClaimed) tombstone.isInexact = true;
    return held;
  }

  /** A snapshot shows when a tombstone was written, and the generation of one that has come and gone meanwhile. */
  adjust(tombstone: Tombstone, shownAt: number, generation: number): void {
    if (tombstone.of !== undefined) tombstone.of.generation ??= generation;
    const { now, unseenJumpAt } = this.#time;
    if (!tombstone.isInexact) return;
    tombstone.isInexact = false;
    if (unseenJumpAt < Number.POSITIVE_INFINITY) return;
    const at = now - (this.#time.wall() - shownAt);
    const mostMs = this.#time.spent - (tombstone.spentBefore ?? this.#time.spent);
    if (at > tombstone.at && at <= tombstone.at + mostMs) tombstone.at = at;
  }

  tombstone(key: string): Tombstone | undefined {
    const tombstone = this.tombstones.get(key);
    return tombstone === undefined || this.#isOver(tombstone) ? undefined : tombstone;
  }

  /** Those that have not been forgotten, the oldest first. */
  remembered(): [key: string, tombstone: Tombstone][] {
    return [...this.tombstones].filter(([, tombstone]) => !this.#isOver(tombstone));
  }

  /** A pass of the sweeper is through: forgets from the oldest on, up to one that has time left. */
  purge(): void {
    for (const [key, tombstone] of this.tombstones) {
      if (!this.#isOver(tombstone)) return;
      this.tombstones.delete(key);
    }
  }

  /** Takes over a snapshot; called before the library does. */
  restore({ maps, ended }: RegistrySnapshot): void {
    if (ended === undefined) return;
    const entries = maps[ended.map]?.entries ?? [];
    for (const entry of entries) this.held.set(entry.key as string, { ...entry });
    for (const { key, id, generation, at } of [...ended.tombstones].sort((one, other) => one.at - other.at)) {
      const age = Math.max(0, this.#time.wall() - at);
      this.#entomb(key as string, { id, generation, at: this.#time.now - age, of: undefined });
      const isHeld = entries.some((entry) => entry.id === id);
      if (!isHeld && this.tombstone(key as string) !== undefined) this.announcedBefore.set(key as string, id);
    }
    this.deliveries.restore(ended);
  }

  /** The library has taken over a snapshot: those it holds have so long to come back. */
  openWindow(): void {
    this.windowEndsAt = this.#time.now + this.#scenario.restoreWindowMs;
  }

  /**
   * A claim was made for a removal that the owner's `delete` then refused: it is taken back. It has cost the oldest
   * tombstone its place where there was no other, and an earlier one of the key is the youngest now.
   */
  wasRefused(of: Registration): void {
    if (of.isClaimed) return;
    const earlier = this.tombstone(of.key);
    this.#entomb(of.key, { id: undefined, generation: undefined, at: this.#time.now, of: undefined });
    this.tombstones.delete(of.key);
    if (earlier !== undefined) this.tombstones.set(of.key, earlier);
  }

  /** The time of those who could come back is over. */
  closeWindow(): void {
    this.windowEndsAt = Number.POSITIVE_INFINITY;
    this.held.clear();
    this.announcedBefore.clear();
  }

  /** The library tells that a run has ended. */
  announced(event: EndedEvent): void {
    const findings = this.#findings;
    const { id, reason, generation, registeredAt, lastActiveAt, endedAt, value } = event;
    if (reason === 'lost') this.#lose(event);
    const index = this.#expectedIndex(event);
    if (index < 0) {
      findings.add('endings', `${reason} was told of a run that had not just ended`);
      return;
    }
    const [{ of, reason: right } = { of: undefined, reason: '' }] = this.#expected.splice(index, 1);
    findings.check(reason === right, 'endings', () => `ended as ${reason}, not as ${right}`);
    findings.check(!this.told.has(id), 9, () => 'the same id was told twice');
    findings.check(
      of?.generation === undefined || of.generation === generation,
      3,
      () => 'another generation',
    );
    const isInOrder = registeredAt <= lastActiveAt && lastActiveAt <= endedAt;
    findings.check(isInOrder, 3, () => `an event says ${registeredAt}, ${lastActiveAt}, ${endedAt}`);
    if (of !== undefined && 'value' in of && 'plan' in of) {
      findings.check(value === of.value, 'endings', () => 'told with another value');
      this.#name(of, id, generation);
    }
    this.told.add(id);
    this.deliveries.push(id, this.#expected.length);
  }

  /** Everything has settled. `isQuiet`: no timer is due. */
  checkAtRest(isQuiet: boolean): void {
    for (const { reason, key } of this.#expected) {
      this.#findings.add('endings', `the end of ${key} (${reason}) was not told`);
    }
    this.#expected.length = 0;
    const { tombstonesMax } = this.#scenario;
    this.#findings.check(
      this.tombstones.size <= tombstonesMax,
      11,
      () => 'the model keeps too many tombstones',
    );
    this.deliveries.checkAtRest(isQuiet);
  }

  /** Learns the id and generation of a registration, which never change. */
  #name(of: Registration, id: string, generation: number): void {
    this.#findings.check(
      of.id === undefined || of.id === id,
      9,
      () => 'the id of a registration has changed',
    );
    of.id = id;
    of.generation = generation;
  }

  #expectedIndex({ id, key, value }: EndedEvent): number {
    return this.#expected.findIndex(({ key: expectedKey, of }) => {
      if (of.id !== undefined) return of.id === id;
      return expectedKey === key && of.value === value;
    });
  }

  /** The library says that a run has not come back in time. */
  #lose({ id, key }: EndedEvent): void {
    const held = this.held.get(key as string);
    const isOpen = held !== undefined && held.id === id && !held.claimed;
    const isTime = this.#time.now >= this.windowEndsAt;
    this.#findings.check(
      isOpen && isTime,
      'endings',
      () => `lost, which ${isOpen ? 'comes early' : 'it is not'}`,
    );
    if (held !== undefined && isOpen) this.claimHeld(key as string, held, 'lost');
  }

  #entombHeld(key: string, { id, generation }: SnapshotEntry): void {
    this.#entomb(key, { id, generation, at: this.#time.now, of: undefined });
  }

  #entomb(key: string, tombstone: Tombstone): void {
    this.tombstones.delete(key);
    this.tombstones.set(key, tombstone);
    tombstone.spentBefore = this.#time.spent;
    while (this.tombstones.size > this.#scenario.tombstonesMax) {
      const [oldest, { at }] = this.tombstones.entries().next().value as [string, Tombstone];
      this.tombstones.delete(oldest);
      if (this.#time.now < at + this.#scenario.tombstonesTtlMs) this.evictedTombstones += 1;
    }
  }

  #isOver({ at }: Tombstone): boolean {
    return this.#time.now >= at + this.#scenario.tombstonesTtlMs;
  }
}
