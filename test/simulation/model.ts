import type { EndedReason, LibraryReason, RemovalReason } from '../../src/events/reasons.js';
import { Awaited } from './awaited.js';
import { checkEvicted, checkSwept } from './departure-rules.js';
import { type EndingHost, EndingModel } from './ending-model.js';
import { Facts } from './facts.js';
import type { LeftEntry, Legacy } from './legacy.js';
import { Registration } from './registration.js';
import { type Item, type MapName, type MapPlan, ownerOf } from './scenario.js';

/** What the model has to see of the world besides what it is told. */
export interface ModelHost extends EndingHost {
  /** How the maps are set up in this process. */
  readonly plans: readonly MapPlan[];
  /** Counts what the owner does, calls from inside of callbacks included. */
  act(): number;
  /** The number that the event being simulated began with. */
  eventBeganWith(): number;
  /** Whether a key is really in a map. */
  isPresent(map: MapName, key: string): boolean;
  /** Whether the owner's `delete` refuses a key. */
  refuses(map: MapName, key: string): boolean;
  /** Whether the registry was stopped. */
  isStopped(): boolean;
  /** Whether a sweep that was asked for is under way. */
  isSweepAsked(): boolean;
  /** Whether a pass has paused in this event, so that others acted in its midst. */
  hasPaused(): boolean;
}

type Departure = Exclude<RemovalReason, 'companion' | 'closed'>;

/** The default of `beforeSweepTimeout`. */
const longestAttemptMs = 30_000;

const endOf: Readonly<Record<Departure, EndedReason>> = {
  deleted: 'deleted',
  cleared: 'deleted',
  swept: 'swept',
  evicted: 'evicted',
};

/**
 * One process as it ought to be: which entries there are, what stamps they have, when they may leave. Plain maps of
 * plain records, written from the contract. It is told what the owner does before the library is, and hears from the
 * library's callbacks what that does; both are checked.
 */
export class Model {
  readonly maps = new Map<MapName, Map<string, Registration>>();
  readonly endings: EndingModel;
  /** What earlier processes left and what has not come back. */
  readonly awaited: Awaited;
  readonly facts = new Facts();
  /** Jumps of the wall clock that the library has seen. */
  jumpedMs = 0;
  /** Since when every tick has come in time. */
  punctualSince = Number.NEGATIVE_INFINITY;
  /** What has left since the journal was last known to have everything. */
  readonly gone = new Set<Registration>();
  /** Registrations by the value that is in the map. */
  readonly #bySerial = new Map<number, Registration>();
  /** Values that have left and whose `dispose` has to be called before the event is over. */
  readonly #disposals = new Map<number, RemovalReason>();
  /** Values that were overwritten and whose `replaced` has to be called before the event is over, and by which. */
  readonly #replacements = new Map<number, Item>();
  /** Values whose `swept` or `evicted` event has to come before the event is over. */
  readonly #removals = new Set<number>();
  readonly #disposed = new Set<number>();
  readonly #lastGeneration = new Map<MapName, number>();
  /** What the owner is removing at this moment. */
  deleting: { readonly map: MapName; readonly key: string } | undefined;
  clearing: MapName | undefined;
  /** Somebody looks at the registry, and changes nothing. */
  isReading = false;
  /** A tick that came too late removes nothing, and neither does anything before this instant. */
  noSweepBefore = Number.NEGATIVE_INFINITY;
  /** When the tick comes that follows the last one that removed nothing: that one sweeps, however late it is. */
  #followsAt = Number.NEGATIVE_INFINITY;
  /** Hooks that have begun. */
  hooksBegun = 0;
  /** Hooks that a sweep by hand has started though the registry was stopped, or to which it has given their time-outs back. */
  hooksByHand = 0;
  /** Since when a map has been seen to hold more than it may. */
  readonly overLimitSince = new Map<MapName, number>();
  readonly host: ModelHost;

  constructor(host: ModelHost) {
    this.host = host;
    const { restoreWindowMs, sweepEveryMs } = host.scenario;
    this.awaited = new Awaited(host.time, restoreWindowMs, sweepEveryMs);
    this.awaited.isLeftOpen = host.leavesOpen();
    this.endings = new EndingModel(host, this.awaited, this.facts);
    for (const { name } of host.plans) this.maps.set(name, new Map());
  }

  of(map: MapName): Map<string, Registration> {
    return this.maps.get(map) as Map<string, Registration>;
  }

  get(map: MapName, key: string): Registration | undefined {
    return this.of(map).get(key);
  }

  *all(): Generator<Registration> {
    for (const entries of this.maps.values()) yield* entries.values();
  }

  // --- what the owner does, told before it is done ------------------------------------------------------------------

  set(plan: MapPlan, key: string, value: Item): void {
    this.notice();
    const known = this.get(plan.name, key);
    if (known === undefined) this.#register(plan, key, value);
    else {
      if (known.value !== value && !plan.isQuiet) this.#replacements.set(known.value.serial, value);
      this.#bySerial.delete(known.value.serial);
      this.#bySerial.set(value.serial, known);
      known.value = value;
      this.#isValued(known, value);
      this.#isActive(known);
    }
  }

  touch(map: MapName, key: string): boolean {
    this.notice();
    const known = this.get(map, key);
    if (known !== undefined) this.#isActive(known);
    return known !== undefined;
  }

  /** Somebody begins to use an entry: nothing may be on its way to remove it, or what it accompanies. */
  hold(registration: Registration): void {
    registration.holds += 1;
    for (let held: Registration | undefined = registration; held !== undefined; held = this.#leaderOf(held))
      this.#outdate(held);
  }

  /** Somebody uses an entry no more, which was active until now; nothing comes of that if it has left. */
  release(registration: Registration): void {
    this.notice();
    registration.holds -= 1;
    if (registration.isThere) this.#isActive(registration);
  }

  #leaderOf({ plan: { follows }, key }: Registration): Registration | undefined {
    return follows === undefined ? undefined : this.get(follows, key);
  }

  /** The owner changed something about a value without telling the library. */
  disturb(registration: Registration): void {
    registration.disturbedIn = this.host.act();
    registration.removableSince = undefined;
  }

  /** Takes over what earlier processes left; called before the library does. */
  restore(legacy: Legacy): void {
    this.endings.restore(legacy);
    for (const [map, lastGeneration] of legacy.lastGenerations)
      this.#lastGeneration.set(map, Math.max(lastGeneration, this.#lastGeneration.get(map) ?? 0));
    this.awaited.take(legacy, this.host.scenario.hasOwnIds, this.facts);
  }

  /** What is in a map already is compared with what is awaited there. */
  expect(map: MapName): void {
    for (const registration of [...this.of(map).values()]) this.#comeBack(registration);
  }

  /** The registry sets what was decoded of an entry that is awaited: its owner is not asked which run that is. */
  fill(plan: MapPlan, value: Item, left: LeftEntry): void {
    this.notice();
    this.#register(plan, left.key, value, true, left);
  }

  /** The registry finds an entry in a map that it adopts. */
  find(plan: MapPlan, key: string, value: Item): void {
    this.#register(plan, key, value, false);
  }

  /** All is there: runs that were announced in an earlier life count as ended. */
  settleAnnounced(): void {
    for (const registration of this.of('runs').values())
      if (registration.value.announced) this.endings.claimSilently(registration);
  }

  /** The owner is asked which run an item is: once for each registration. */
  identified(key: string, value: Item): void {
    const registration = this.get('runs', key);
    const isKnown = registration !== undefined && registration.value === value && !registration.isIdentified;
    this.host.findings.check(isKnown, 'id', () => `the id of ${key} was asked for again`);
    if (registration !== undefined) registration.isIdentified = true;
  }

  /** The library has seen the wall clock jump. */
  jumped(byMs: number): void {
    this.jumpedMs += byMs;
  }

  /** A tick came too late, and removed nothing. */
  hasSkipped(): void {
    this.#followsAt = this.host.time.now + this.#pauseMs;
  }

  /** The tick that is next comes late for having been stopped for so long. */
  isLate(ms: number): void {
    const { time, scenario } = this.host;
    if (ms <= 2 * scenario.sweepEveryMs) return;
    const isToFollow = time.now - ms < this.#followsAt;
    this.noSweepBefore = isToFollow ? Number.NEGATIVE_INFINITY : time.now + this.#pauseMs;
  }

  get #pauseMs(): number {
    return Math.min(5_000, this.host.scenario.sweepEveryMs);
  }

  /** The process was stopped for so long. */

  suspended(ms: number): void {
    this.awaited.suspended(ms);
    this.punctualSince = this.host.time.now;
  }

  /** What instants in the journal may be off by, since callbacks take time. */
  get slackMs(): number {
    return 1 + 60 * this.host.scenario.slowestCallbackMs;
  }

  /** Gives up what must have been given up by now. */
  closeWindow(): void {
    for (const left of [...this.awaited.all()]) {
      if (!this.awaited.mustBeClosed(left)) continue;
      const isLost = left.map !== 'runs' || left.claimed;
      this.host.findings.check(
        isLost,
        'endings',
        () => `${left.key} did not come back and did not end as lost`,
      );
      this.awaited.remove(left);
    }
  }

  /** Everything that has come about is in the journal. */
  isAllCertain(): void {
    this.facts.certain = this.facts.count;
    this.gone.clear();
    this.awaited.gone.clear();
    for (const registration of this.all()) registration.certainActiveAt = registration.toldActiveAt;
    this.endings.deliveries.isAllCertain();
  }

  // --- what the library tells ---------------------------------------------------------------------------------------

  /** A guard was asked about a value and holds: that is activity of the entry, and of those that it accompanies. */
  guardHeld(value: Item): void {
    const registration = this.#bySerial.get(value.serial);
    if (this.isReading || registration === undefined) return;
    this.#isActive(registration);
  }

  disposed(plan: MapPlan, value: Item, key: string, reason: RemovalReason): void {
    const { findings } = this.host;
    const { serial } = value;
    if (!this.#disposals.has(serial)) {
      const registration = this.#bySerial.get(serial);
      const isLeaving = registration?.isLeaving && this.isLeaderless(registration);
      if (isLeaving && reason === 'companion') this.#depart(registration as Registration, 'companion');
      else if (registration === undefined || reason === 'companion' || reason === 'closed') {
        findings.add(7, `dispose of ${plan.name} ${key} (${reason}) for a value that has not just left`);
        return;
      } else this.left(registration, reason);
    }
    const right = this.#disposals.get(serial);
    findings.check(right === reason, 7, () => `dispose of ${plan.name} ${key} says ${reason}, not ${right}`);
    findings.check(!this.#disposed.has(serial), 7, () => `dispose of ${plan.name} ${key} twice`);
    this.#disposals.delete(serial);
    this.#disposed.add(serial);
  }

  replaced(plan: MapPlan, value: Item, key: string, replacement: Item): void {
    const { findings } = this.host;
    const right = this.#replacements.get(value.serial);
    const called = `replaced of ${plan.name} ${key}`;
    findings.check(right !== undefined, 7, () => `${called} for a value that was not just overwritten`);
    findings.check(right === replacement, 7, () => `${called} names another replacement`);
    const isDisposed = this.#disposed.has(value.serial);
    findings.check(!isDisposed, 7, () => `${called} for a value that was disposed of`);
    this.#replacements.delete(value.serial);
    this.#disposed.add(value.serial);
  }

  removed(value: Item, reason: LibraryReason): void {
    const isExpected = this.#removals.delete(value.serial);
    this.host.findings.check(isExpected, 'events', () => `'${reason}' of what was not removed by it`);
  }

  /** A `beforeSweep` begins. */
  hookBegins(plan: MapPlan, key: string, value: Item, signal: AbortSignal): Registration | undefined {
    const { findings, time } = this.host;
    const registration = this.#bySerial.get(value.serial);
    if (registration === undefined || !registration.isThere) {
      findings.add(4, `beforeSweep for ${plan.name} ${key}, which is gone`);
      return undefined;
    }
    const { hook } = registration;
    findings.check(hook === undefined || hook.signal.aborted, 'beforeSweep', () => `two at once for ${key}`);
    const isDue = time.now >= this.deadlineOf(registration);
    findings.check(
      isDue || Math.min(plan.maxEntries, plan.maxPerOwner) < 100,
      4,
      () => `beforeSweep for ${key}, which is not due`,
    );
    registration.hook = { signal, isOutdated: false, startedAt: time.now };
    this.hooksBegun += 1;
    if (this.host.isStopped()) this.hooksByHand += 1;
    registration.wasTried = true;
    registration.isApproved = false;
    return registration;
  }

  /** An entry is gone for a reason of its own: so are its companions, and the run has ended. */
  left(registration: Registration, reason: Departure): void {
    const { plan, key } = registration;
    const { findings } = this.host;
    if (reason === 'deleted') {
      const isMeant = this.deleting?.map === plan.name && this.deleting.key === key;
      findings.check(isMeant, 7, () => `${plan.name} ${key} was deleted, and nobody deletes it`);
    } else if (reason === 'swept') checkSwept(this, registration);
    else if (reason === 'evicted') checkEvicted(this, registration);
    if (reason === 'cleared') {
      findings.check(this.clearing === plan.name, 7, () => `${plan.name} was cleared, and nobody clears it`);
      // All of them have left before the first is told.
      for (const other of [...this.of(plan.name).values()]) this.#depart(other, 'cleared');
      return;
    }
    if (reason !== 'deleted' && this.#isListening) this.#removals.add(registration.value.serial);
    this.#depart(registration, reason);
  }

  /** Nobody tells of what leaves a quiet map: finds out what is gone, and by what right. */
  notice(): void {
    for (const plan of this.host.plans) {
      if (!plan.isQuiet) continue;
      const gone = [...this.of(plan.name).values()].filter(({ key }) => !this.host.isPresent(plan.name, key));
      // Nobody knows who left first. What is not due can only have been evicted, while those that were due were there still.
      gone.sort((one, other) => this.deadlineOf(other) - this.deadlineOf(one));
      for (const registration of gone) {
        const { key } = registration;
        const isDeleted = this.deleting?.map === plan.name && this.deleting.key === key;
        const isOver =
          this.of(plan.name).size > plan.maxEntries ||
          this.isOwnerOver(plan, ownerOf(plan, key, registration.value));
        if (this.clearing === plan.name || isDeleted) this.#depart(registration, 'deleted');
        else this.left(registration, isOver ? 'evicted' : 'swept');
      }
    }
  }

  get #isListening(): boolean {
    return !this.host.plans.some(({ isQuiet }) => isQuiet);
  }

  /** Whether an owner has more entries than he may. */
  isOwnerOver(plan: MapPlan, owner: string | undefined): boolean {
    return this.countOf(plan, owner) > plan.maxPerOwner;
  }

  /** How many entries an owner has, if owners have a limit. */
  countOf(plan: MapPlan, owner: string | undefined): number {
    if (owner === undefined || plan.maxPerOwner === Number.POSITIVE_INFINITY) return 0;
    const his = [...this.of(plan.name).values()].filter(
      ({ key, value }) => ownerOf(plan, key, value) === owner,
    );
    return his.length;
  }

  // --- what may happen ----------------------------------------------------------------------------------------------

  isLeaderless({ plan: { follows }, key }: Registration): boolean {
    return follows !== undefined && !this.of(follows).has(key);
  }

  /** Whether it counts as without a leader: not while that is awaited. The earliest and the latest that may be known. */
  #isOrphan(registration: Registration): readonly [mayBe: boolean, mustBe: boolean] {
    const { follows } = registration.plan;
    if (follows === undefined || !this.isLeaderless(registration)) return [false, false];
    const awaited = this.awaited.at(follows, registration.key);
    return awaited === undefined ? [true, true] : [this.awaited.mayBeOver(awaited), false];
  }

  /** The earliest instant from which on an entry may be due. */
  deadlineOf(registration: Registration): number {
    return registration.deadline(this.#isOrphan(registration)[0], this.host.time)[0];
  }

  /** Whether an entry must be due. */
  isDue(registration: Registration): boolean {
    return this.host.time.now >= registration.deadline(this.#isOrphan(registration)[1], this.host.time)[1];
  }

  /** Whether a guard or a hold keeps an entry: its own, or that of a companion which is not beyond its own `maxAge`. */
  isHeld(registration: Registration, now: number): boolean {
    const { plan, key } = registration;
    if (now >= registration.registeredAt + plan.maxAgeMs) return false;
    if (registration.isHeld(now)) return true;
    return this.host.plans.some(({ name, follows }) => {
      const companion = follows === plan.name ? this.get(name, key) : undefined;
      return companion !== undefined && this.isHeld(companion, this.host.time.now);
    });
  }

  /** Whether nothing but a sweep is missing for an entry to leave. */
  isRemovable(registration: Registration): boolean {
    const { plan, key } = registration;
    const { now } = this.host.time;
    if (plan.isObserved || this.host.refuses(plan.name, key)) return false;
    if (registration.isLeaving && this.isLeaderless(registration)) return true;
    // Its beforeSweep holds it until one attempt after its maxAge, or the one that runs then, has ended.
    const isTrying = registration.hook !== undefined && now < registration.hook.startedAt + longestAttemptMs;
    if (plan.hasHook && (isTrying || now < registration.registeredAt + plan.maxAgeMs)) return false;
    return this.isDue(registration) && !this.isHeld(registration, now);
  }

  /** Everything has settled: what had to come of the event has come. `isQuiet`: no timer is due. */
  checkAtRest(isQuiet: boolean): void {
    this.notice();
    const { findings } = this.host;
    for (const reason of this.#disposals.values())
      findings.add(7, `a value that left (${reason}) was not disposed`);
    for (const _ of this.#removals) findings.add('events', 'a removal was not told');
    for (const _ of this.#replacements) findings.add(7, 'nobody was told of a value that was overwritten');
    this.#replacements.clear();
    this.#disposals.clear();
    this.#removals.clear();
    for (const registration of this.all()) {
      const { hook, key } = registration;
      registration.isApproved = false;
      if (hook?.isOutdated) {
        findings.check(
          hook.signal.aborted,
          'beforeSweep',
          () => `touched, and the signal for ${key} goes on`,
        );
      }
    }
    this.endings.checkAtRest(isQuiet);
  }

  /** A registration has a generation: it stays, and is greater than any before of the key. */
  checkGeneration(registration: Registration, generation: number): void {
    const { plan, key, isRestored } = registration;
    const { findings } = this.host;
    const known = registration.generation;
    findings.check(
      known === undefined || known === generation,
      3,
      () => `the generation of ${plan.name} ${key} has gone from ${known} to ${generation}`,
    );
    if (known !== undefined) return;
    const last = this.#lastGeneration.get(plan.name) ?? 0;
    findings.check(
      isRestored || registration.isSpoilt || generation > last,
      3,
      () => `generation ${generation} of ${key} after ${last}`,
    );
    registration.generation = generation;
    this.#fresh.push({ map: plan.name, generation });
  }

  /** All entries of an event have been looked at: later ones have to come after these. */
  rememberGenerations(): void {
    for (const { map, generation } of this.#fresh.splice(0)) {
      this.#lastGeneration.set(map, Math.max(generation, this.#lastGeneration.get(map) ?? 0));
    }
  }

  readonly #fresh: { map: MapName; generation: number }[] = [];

  #register(plan: MapPlan, key: string, value: Item, isWritten = true, filled?: LeftEntry): void {
    const { time } = this.host;
    const registration = new Registration(plan, key, value, time.now, this.host.act(), this.facts.next());
    this.of(plan.name).set(key, registration);
    this.#bySerial.set(value.serial, registration);
    this.#isValued(registration, value);
    this.#leaderCame(registration);
    if (plan.name === 'runs' && this.host.scenario.hasOwnIds) registration.id = ownIdOf(value);
    registration.isIdentified = filled?.id !== undefined;
    const isBack = isWritten && this.#comeBack(registration, filled);
    if (isWritten && isBack) this.#lend(plan, key, registration.lastActiveAt, true);
    else if (isWritten) this.#lend(plan, key, time.now);
    if (plan.name === 'runs') this.endings.registered(registration);
  }

  /** A leader comes: a `beforeSweep` of its orphans is for nothing. Of one that was awaited there are none. */
  #leaderCame({ plan, key }: Registration): void {
    if (this.awaited.at(plan.name, key) !== undefined) return;
    for (const { name, follows } of this.host.plans) {
      const companion = follows === plan.name ? this.get(name, key) : undefined;
      if (companion === undefined) continue;
      companion.isApproved = false;
      if (companion.hook !== undefined) companion.hook.isOutdated = true;
    }
  }

  #isValued(registration: Registration, value: Item): void {
    registration.serials.add(value.serial);
    const isEncoded =
      registration.plan.persistence === 'values' || registration.plan.persistence === 'decoded';
    if (isEncoded && value.spoils === 'encode') registration.isSpoilt = true;
  }

  /** Takes the stamps and the claim that an earlier life left for a key. */
  #comeBack(registration: Registration, filled?: LeftEntry): boolean {
    const { plan, key, value } = registration;
    const left = filled ?? this.awaited.find(plan.name, key, registration.id);
    if (left === undefined) {
      const isAsked = plan.name === 'runs' && this.host.time.now < this.awaited.settlesUntil;
      if (isAsked && value.announced) this.endings.claimSilently(registration);
      return false;
    }
    this.awaited.remove(left);
    const { now } = this.host.time;
    const latest = (at: number): number => Math.min(at + left.lateMs, now);
    registration.registeredAt = left.registeredAt;
    registration.lastActiveAt = Math.max(left.registeredAt, latest(left.lastActiveAt));
    registration.borrowedAt = latest(left.usedAt);
    registration.toldActiveAt = registration.activeAt;
    registration.certainActiveAt = registration.activeAt;
    registration.generation = left.generation;
    registration.cameFrom = left;
    registration.isRestored = true;
    if (left.value !== undefined) registration.serials.add(left.value.serial);
    if (plan.name !== 'runs') return true;
    // Also where the owner names it now for the first time: it is not the run of that name.
    if (left.id !== undefined && left.id !== registration.id) this.endings.left(registration);
    registration.id = left.id ?? registration.id;
    if (left.claimed) this.endings.claimAgain(registration);
    else {
      this.endings.isTheRun(registration);
      if (value.announced) this.endings.claimSilently(registration);
    }
    return true;
  }

  #isActive(registration: Registration): void {
    const { plan, key } = registration;
    registration.lastActiveAt = this.host.time.now;
    registration.toldActiveAt = this.host.time.now;
    this.#outdate(registration);
    this.#lend(plan, key, this.host.time.now);
  }

  /** Activity of a companion is activity of its leader's entry, and on up the chain. */
  #lend({ follows }: MapPlan, key: string, at: number, isOfThen = false): void {
    if (follows === undefined) return;
    const leader = this.get(follows, key);
    if (leader !== undefined) {
      leader.borrowedAt = Math.max(leader.borrowedAt, at);
      if (isOfThen) leader.isOfThen = true;
      // What has come back tells no leader of what it did then.
      else leader.toldActiveAt = at;
      this.#outdate(leader);
    }
    const leading = this.host.plans.find(({ name }) => name === follows) as MapPlan;
    this.#lend(leading, key, at, isOfThen);
  }

  #outdate(registration: Registration): void {
    this.disturb(registration);
    registration.isApproved = false;
    if (registration.hook !== undefined) registration.hook.isOutdated = true;
  }

  /** An entry is about to leave: what it keeps is kept by it no more, and a pass that has passed that over is past it. */
  #letsGo(registration: Registration): void {
    if (!this.isHeld(registration, Number.NEGATIVE_INFINITY)) return;
    for (let kept = this.#leaderOf(registration); kept !== undefined; kept = this.#leaderOf(kept))
      this.disturb(kept);
  }

  #depart(registration: Registration, reason: Departure | 'companion'): void {
    const { plan, key, value } = registration;
    const isPresent = this.host.isPresent(plan.name, key);
    this.host.findings.check(
      !isPresent,
      7,
      () => `${plan.name} ${key} (${reason}) is told of and still there`,
    );
    this.#letsGo(registration);
    // What a sweep or an eviction takes was not in use, though there may be a hold of it.
    if (registration.holds > 0 && reason !== 'swept' && reason !== 'evicted')
      this.#lend(plan, key, this.host.time.now);
    this.of(plan.name).delete(key);
    this.#bySerial.delete(value.serial);
    registration.isThere = false;
    registration.leftBy = this.facts.next();
    this.gone.add(registration);
    if (registration.hook !== undefined) registration.hook.isOutdated = true;
    if (!plan.isQuiet) this.#disposals.set(value.serial, reason);
    if (plan.name === 'runs' && reason !== 'companion' && !registration.isClaimed) {
      this.endings.claim(registration, endOf[reason]);
    }
    if (plan.name === 'runs') this.endings.left(registration);
    for (const follower of this.host.plans) {
      if (follower.follows !== plan.name || follower.isObserved) continue;
      const companion = this.get(follower.name, key);
      if (companion === undefined) continue;
      if (this.host.refuses(follower.name, key)) companion.isLeaving = true;
      else this.#depart(companion, 'companion');
    }
  }
}

/** The owner's name of a run; `undefined` for an answer that is none. */
export function ownIdOf({ runId }: Item): string | undefined {
  return runId === '' ? undefined : runId;
}
