import type { EndOptions, EndResult, TransferResult } from '../../src/endings/endings.js';
import type { EndedEvent } from '../../src/events/ended-event.js';
import type { PastTombstone } from '../../src/restart/left.js';
import type { Awaited } from './awaited.js';
import { type DeliveryHost, DeliveryModel } from './delivery-model.js';
import { EndedIds } from './ended-ids.js';
import type { Facts } from './facts.js';
import type { Findings } from './findings.js';
import type { LeftEntry, Legacy } from './legacy.js';
import type { Registration } from './registration.js';
import type { Scenario } from './scenario.js';
import type { SimulatedTime } from './simulated-time.js';

/** One claimed end, by key. */
interface Tombstone {
  readonly generation: number | undefined;
  readonly at: number;
  readonly of: Registration | undefined;
}

/** An end that was claimed and has to be told before the event is over. */
interface Announcement {
  readonly key: string;
  readonly reason: string;
  readonly of: Registration | LeftEntry;
}

/** What the model of endings has to see of the world. */
export interface EndingHost extends DeliveryHost {
  /** Names whose run is another one than the one that was told of, if any was, and how many such are to be told; over all processes. */
  readonly newRuns: Map<string, number>;
}

/** Which runs have ended, and who may say so: the promise of exactly one ending, as the contract words it. */
export class EndingModel {
  readonly deliveries: DeliveryModel;
  /** The first to be forgotten first. */
  readonly tombstones = new Map<string, Tombstone>();
  /** The same, by the owner's own names for the runs. */
  readonly endedIds: EndedIds;
  /** Ids that this process has told on the bus. */
  readonly told = new Set<string>();
  evictedTombstones = 0;
  /** Of which nobody can say here whether they were evicted or over: the model hears of a claim a little later. */
  doubtfulTombstones = 0;
  readonly #expected: Announcement[] = [];
  /** The open run of each of the owner's names. */
  readonly #openIds = new Map<string, Registration>();
  readonly #host: EndingHost;
  readonly #scenario: Scenario;
  readonly #time: SimulatedTime;
  readonly #findings: Findings;
  readonly #awaited: Awaited;
  readonly #facts: Facts;

  constructor(host: EndingHost, awaited: Awaited, facts: Facts) {
    const { scenario, time, findings } = host;
    this.#host = host;
    this.#scenario = scenario;
    this.#time = time;
    this.#findings = findings;
    this.#awaited = awaited;
    this.#facts = facts;
    this.deliveries = new DeliveryModel(host, facts);
    this.endedIds = new EndedIds(time, scenario.tombstonesMax, scenario.tombstonesTtlMs);
  }

  /** A registration that has not come back is new: unless its run is known by the owner's name for it. */
  registered(of: Registration): void {
    if (!this.#scenario.hasOwnIds || of.isClaimed) return;
    const id = this.#nameOf(of);
    const open = this.#openIds.get(id);
    if ((open !== undefined && open !== of) || this.endedIds.has(id)) {
      this.#claimDuplicate(of);
      return;
    }
    this.#openIds.set(id, of);
    // An earlier run of the name may have ended in the midst of a removal, and be told of afterwards.
    const isEarlierUntold = this.#expected.some((earlier) => earlier.of.id === id);
    if (!of.isRestored || this.deliveries.hasMet(id)) this.#host.newRuns.set(id, isEarlierUntold ? 2 : 1);
  }

  /** A registration has come back that had the run in an earlier life: another one of its name has not. */
  isTheRun(of: Registration): void {
    if (of.isDuplicate) {
      of.isDuplicate = false;
      of.isClaimed = false;
      of.claimedBy = undefined;
      of.unclaimedBy = this.#facts.next();
      this.tombstones.delete(of.key);
    }
    if (!this.#scenario.hasOwnIds || of.isClaimed) return;
    const id = this.#nameOf(of);
    const other = this.#openIds.get(id);
    this.#openIds.set(id, of);
    if (other !== undefined && other !== of) this.#claimDuplicate(other);
  }

  #claimDuplicate(of: Registration): void {
    of.isDuplicate = true;
    this.claimSilently(of);
  }

  /** The first claim of a registration: it has to be told, once, for this reason. */
  claim(of: Registration, reason: string): void {
    this.#mark(of);
    this.#remember(this.#nameOf(of));
    this.#expected.push({ key: of.key, reason, of });
  }

  /** A registration ends and nobody is told. */
  claimSilently(of: Registration): void {
    if (of.isClaimed) return;
    this.#mark(of);
    this.#remember(this.#nameOf(of));
  }

  /** A registration comes back whose end was claimed before. */
  claimAgain(of: Registration): void {
    if (!of.isClaimed) this.#mark(of);
  }

  /** An entry has left its map. */
  left(of: Registration): void {
    const id = this.#nameOf(of);
    if (this.#openIds.get(id) === of) this.#openIds.delete(id);
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
    const left = this.#awaited.at('runs', key);
    if (left !== undefined && (generation === undefined || generation === left.generation)) {
      if (left.claimed) return 'duplicate';
      this.#claimLeft(left, reason);
      return 'claimed';
    }
    const tombstone = this.tombstone(key);
    if (tombstone === undefined) return 'unknown';
    // A registration whose generation is not known yet is younger than any that is, but for the one that is there now.
    const { of } = tombstone;
    const youngest = there?.generation ?? Number.POSITIVE_INFINITY;
    const last = of === undefined ? (tombstone.generation ?? 0) : (of.generation ?? youngest);
    return generation === undefined || generation <= last ? 'duplicate' : 'unknown';
  }

  /** What `transfer()` has to answer; `transferred` claims `from`. */
  transfer(from: string, there: Registration | undefined, target: Registration | undefined): TransferResult {
    if (there === undefined) {
      const left = target === undefined ? undefined : this.#awaited.at('runs', from);
      // The end of the target was told: nobody would hear of this one.
      if (left !== undefined && (left.claimed || target?.isClaimed)) return 'duplicate';
      if (left !== undefined) {
        this.#markLeft(left);
        return 'transferred';
      }
      return this.tombstone(from) === undefined ? 'unknown' : 'duplicate';
    }
    if (target === undefined) return 'unknown';
    if (there === target) return 'transferred';
    if (there.isClaimed) return 'duplicate';
    const id = this.#nameOf(there);
    if (this.#scenario.hasOwnIds && target.isClaimed && this.#nameOf(target) === id) {
      // The same run under another key: its end is the end of that one.
      this.endedIds.forget(id);
      target.isClaimed = false;
      target.isDuplicate = false;
      target.claimedBy = undefined;
      target.unclaimedBy = this.#facts.next();
      this.tombstones.delete(target.key);
      this.#openIds.set(id, target);
      this.claimSilently(there);
    } else if (target.isClaimed) return 'duplicate';
    else this.claimSilently(there);
    return 'transferred';
  }

  /** The end of a run that has not come back. */
  #claimLeft(left: LeftEntry, reason: string): void {
    this.#markLeft(left);
    const id = left.id as string;
    if (this.#scenario.hasOwnIds && this.deliveries.hasMet(id)) this.#host.newRuns.set(id, 1);
    this.#expected.push({ key: left.key, reason, of: left });
  }

  tombstone(key: string): Tombstone | undefined {
    const tombstone = this.tombstones.get(key);
    return tombstone === undefined || this.#isOver(tombstone) ? undefined : tombstone;
  }

  /** A pass of the sweeper is through: forgets from the oldest on, up to one that has time left. */
  purge(): void {
    this.endedIds.purge();
    for (const [key, tombstone] of this.tombstones) {
      if (!this.#isOver(tombstone)) return;
      this.tombstones.delete(key);
    }
  }

  /** Takes over what earlier processes left; called before the library does. */
  restore(legacy: Legacy): void {
    for (const past of this.#scenario.hasOwnIds ? legacy.endedIds : []) this.#rememberPast(past);
    this.deliveries.restore(legacy);
  }

  #rememberPast({ id, key, generation, at }: PastTombstone): void {
    const tombstone = { generation, at, of: undefined };
    if (this.#isOver(tombstone)) return;
    this.endedIds.rememberPast(id, at);
    const known = this.tombstone(key as string);
    if (known === undefined || known.at <= at) this.#entomb(key as string, tombstone);
  }

  /**
   * A claim was made for a removal that the owner's `delete` then refused: it is taken back. It has cost the oldest
   * tombstone its place where there was no other, and an earlier one of the key is the youngest now.
   */
  wasRefused(of: Registration): void {
    if (of.isClaimed) return;
    const earlier = this.tombstone(of.key);
    this.#entomb(of.key, { generation: undefined, at: this.#time.now, of: undefined });
    this.tombstones.delete(of.key);
    if (earlier !== undefined) this.tombstones.set(of.key, earlier);
    if (!this.#scenario.hasOwnIds) return;
    this.endedIds.remember(this.#nameOf(of));
    this.endedIds.forget(this.#nameOf(of));
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
    if (this.#isNewRun(id) || this.#isLaterRun(id)) {
      this.told.delete(id);
      // While the ending of the other one is still owed, that one stands for both.
      if (!this.deliveries.isKnown(id)) this.deliveries.isAnother(id);
    }
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
    this.deliveries.push(id, this.#expected.length, index, of?.claimedBy ?? this.#facts.next());
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

  #isNewRun(id: string): boolean {
    const { newRuns } = this.#host;
    const count = newRuns.get(id) ?? 0;
    if (count > 1) newRuns.set(id, count - 1);
    else newRuns.delete(id);
    return count > 0;
  }

  /** What was delivered was told by an earlier process, of a run that is not remembered by its name any more. */
  #isLaterRun(id: string): boolean {
    const { hasOwnIds, tombstonesMax, tombstonesTtlMs } = this.#scenario;
    const isForgetful = tombstonesMax < 1_000 || tombstonesTtlMs < 86_400_000;
    return hasOwnIds && isForgetful && !this.told.has(id) && this.deliveries.delivered.has(id);
  }

  /** Learns the id and generation of a registration, which never change. */
  #name(of: Registration, id: string, generation: number): void {
    this.#findings.check(
      of.id === undefined || of.id === id,
      9,
      () => 'the id of a registration has changed',
    );
    of.generation = generation;
    if (of.id === undefined) this.named(of, id);
  }

  /** The id of a registration has become known. */
  named(of: Registration, id: string): void {
    const before = this.#nameOf(of);
    of.id = id;
    this.endedIds.rename(before, id);
    if (this.#openIds.delete(before)) this.#openIds.set(id, of);
  }

  #expectedIndex({ id, key, value }: EndedEvent): number {
    return this.#expected.findIndex(({ key: expectedKey, of }) => {
      if (of.id !== undefined) return of.id === id;
      return expectedKey === key && of.value === value;
    });
  }

  /** The library says that a run has not come back in time. */
  #lose({ id }: EndedEvent): void {
    const left = this.#awaited.run(id);
    const isOpen = left !== undefined && !left.claimed;
    const isTime = left !== undefined && this.#awaited.mayBeClosed(left);
    this.#findings.check(
      isOpen && isTime,
      'endings',
      () => `lost, which ${isOpen ? 'comes early' : 'it is not'}`,
    );
    if (left === undefined || !isOpen) return;
    this.#awaited.remove(left);
    this.#claimLeft(left, 'lost');
  }

  #mark(of: Registration): void {
    of.isClaimed = true;
    of.claimedBy = this.#facts.next();
    const id = this.#nameOf(of);
    if (this.#openIds.get(id) === of) this.#openIds.delete(id);
    this.#entomb(of.key, { generation: of.generation, at: this.#time.now, of });
  }

  /** Another registration of the run may end while the run itself is open. */
  #remember(id: string): void {
    if (this.#scenario.hasOwnIds && !this.#openIds.has(id)) this.endedIds.remember(id);
  }

  #markLeft(left: LeftEntry): void {
    this.#awaited.claim(left, this.#facts.next());
    this.#entomb(left.key, { generation: left.generation, at: this.#time.now, of: undefined });
    this.#remember(left.id as string);
  }

  /** The id of a run as far as it is known, or something that stands for it. */
  #nameOf(of: Registration): string {
    return of.id ?? `of registration ${of.number}`;
  }

  #entomb(key: string, tombstone: Tombstone): void {
    this.tombstones.delete(key);
    this.tombstones.set(key, tombstone);
    while (this.tombstones.size > this.#scenario.tombstonesMax) {
      const [oldest, { at }] = this.tombstones.entries().next().value as [string, Tombstone];
      this.tombstones.delete(oldest);
      const leftMs = at + this.#scenario.tombstonesTtlMs - this.#time.now;
      if (leftMs > 0) this.evictedTombstones += 1;
      if (Math.abs(leftMs) < 50) this.doubtfulTombstones += 1;
    }
  }

  #isOver({ at }: Tombstone): boolean {
    return this.#time.now >= at + this.#scenario.tombstonesTtlMs;
  }
}
