import type { Tracker } from '../sweeping/tracker.js';
import { type Course, longStretch, mostStretches } from './course.js';
import { drainTo } from './drain.js';
import { GrowthWatch } from './explosion.js';
import { FirstStay } from './first-stay.js';
import { type CaughtEntry, type Leavings, LeavingWatch } from './leaving.js';
import { Ledger, type MapLedger } from './ledger.js';
import { Levels } from './levels.js';
import { LostEndings } from './lost-endings.js';
import type { RunNumbers } from './run-numbers.js';
import type { RunningCheck } from './running-check.js';
import type { Scenario } from './scenario.js';
import type { Subject } from './subject.js';
import type { TestTime } from './test-time.js';

/** How a check of a scenario goes about it. */
export interface WalkPlan {
  readonly times: number;
  readonly warmup: number;
  readonly numbers: RunNumbers;
  readonly drain: boolean | number;
  readonly time: TestTime | undefined;
  readonly scenario: Scenario;
  readonly current: RunningCheck;
}

/** A map that grew by a factor at each run. */
export interface Explosion {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly runs: number;
  /** Not so where its entries would leave by themselves, and nothing lets time pass. */
  readonly isCertain: boolean;
}

/**
 * Runs a scenario in stretches: as many runs each, and after each the time that its entries need to leave. The first
 * tells whether anything stays; a second and further ones whether that goes on.
 */
export class BaselineWalk {
  readonly #subject: Subject;
  readonly #plan: WalkPlan;
  readonly #stays = new Map<MapLedger, FirstStay>();
  readonly #left = new Map<Tracker, Leavings>();
  #watches = new Map<Tracker, GrowthWatch>();
  #drainedMs = 0;
  #ledger: Ledger | undefined;
  #leavings: LeavingWatch | undefined;
  #levels: Levels | undefined;

  /** The endings that were given up and nobody has heard of since. */
  readonly lost: LostEndings;
  /** Stretches that are over. */
  stretches = 0;
  /** Whether any run touched a map. */
  isTouched = false;
  /** Whether a map came in any run, which may have gone again. */
  hasAdopted = false;
  explosion: Explosion | undefined;
  /** What a run threw after the first stretch, which was already enough to see that something stays. */
  brokeOff: { readonly run: number; readonly error: unknown } | undefined;
  /** How much time was let pass after the first stretch, ms. */
  passedMs = 0;

  constructor(subject: Subject, plan: WalkPlan) {
    this.#subject = subject;
    this.#plan = plan;
    this.lost = new LostEndings(subject.engine);
  }

  get ledger(): Ledger {
    return this.#ledger as Ledger;
  }

  /** By which rules entries left that came in the first stretch of a map. */
  leftFrom({ tracker }: MapLedger): Leavings {
    return this.#left.get(tracker) ?? this.#leavings?.of(tracker) ?? {};
  }

  /** The first entries of a map that left only by a safety net. */
  caughtOf({ tracker }: MapLedger): readonly CaughtEntry[] {
    return this.#leavings?.caughtOf(tracker) ?? [];
  }

  get levels(): Levels {
    return this.#levels as Levels;
  }

  /** A course as it stands when the walk is over: what might still grow then is no proof of health. */
  finalCourse({ course }: { readonly course: Course }): Course {
    const isOver = this.brokeOff !== undefined || this.stretches >= mostStretches;
    return (course === 'doubtful' || course === 'sparse') && isOver ? 'grows' : course;
  }

  /** How often the scenario ran after the warm-up. */
  get countedRuns(): number {
    const { numbers, warmup } = this.#plan;
    return Math.max(0, numbers.next - numbers.first - warmup);
  }

  /** What had stayed in a map at first; `undefined` if nothing ever did. */
  firstStayOf(map: MapLedger): FirstStay | undefined {
    return this.#stays.get(map);
  }

  /** Returns whether entries of the first stretch were swept, or wait for it still, after the time they were given. */
  areLate(map: MapLedger): boolean {
    const { drain, time } = this.#plan;
    return typeof drain === 'number' && time !== undefined && this.#waitForTime(map);
  }

  /** Returns whether nobody knows if entries would leave: they need time that could not, or was not let, pass. */
  areUndecided(map: MapLedger): boolean {
    const { drain, time } = this.#plan;
    const isTimed = drain === true || (typeof drain === 'number' && time === undefined);
    return isTimed && this.#waitForTime(map);
  }

  // Where no more of them come it does not matter whether they leave.
  #waitForTime(map: MapLedger): boolean {
    const wasSwept = (generation: number) => this.#leavings?.wasSwept(map.tracker, generation) === true;
    return map.course !== 'stopped' && this.firstStayOf(map)?.waitedForTime(wasSwept) === true;
  }

  /** @throws what the scenario throws in its warm-up or its first stretch */
  async run(): Promise<void> {
    const walk = () => this.#walk();
    // In its drains too: a timer may register what a run only began.
    await (this.#subject.sites?.withRate(1, walk) ?? walk());
  }

  async #walk(): Promise<void> {
    const { warmup } = this.#plan;
    try {
      const opening = new Ledger(this.#subject);
      await this.#runTimes(warmup, opening);
      if (this.explosion === undefined) await this.#drain(this.#plan.drain, opening);
      this.#ledger = new Ledger(this.#subject);
      this.#leavings = new LeavingWatch(this.#subject, this.ledger);
      this.#levels = new Levels(this.#subject);
      this.lost.clear();
      if (this.explosion === undefined) await this.#stretchesUntilClear();
    } finally {
      this.#leavings?.stop();
      this.lost.stop();
    }
  }

  async #stretchesUntilClear(): Promise<void> {
    do {
      try {
        await this.#stretch();
      } catch (error) {
        this.#plan.current.assertGoingOn();
        if (this.stretches === 0) throw error;
        this.levels.undoBegin();
        this.brokeOff = { run: this.#plan.numbers.next - 1, error };
        return;
      }
    } while (this.#isDoubtful());
  }

  async #stretch(): Promise<void> {
    const times = this.#plan.times * (this.#courses().includes('sparse') ? longStretch : 1);
    this.levels.begin(times);
    await this.#runTimes(times, this.ledger);
    if (this.explosion !== undefined) return;
    this.ledger.endRuns();
    await this.#drain(this.#plan.drain, this.ledger);
    this.ledger.endStretch(times);
    this.levels.end();
    if (this.levels.all.some(({ hasChanged }) => hasChanged)) this.isTouched = true;
    if (this.stretches === 0) this.passedMs = this.#drainedMs;
    this.stretches += 1;
    for (const map of this.ledger.maps) this.#noteFirstStay(map);
  }

  async #runTimes(times: number, ledger: Ledger): Promise<void> {
    const before = this.#traces();
    const { measurements } = this.#subject.engine;
    const mapAdded = (): void => {
      // Of a single map, others are none of it.
      this.hasAdopted = this.#subject.owner !== undefined;
    };
    const observer = { mapAdded };
    measurements.add(observer);
    const noteTouch = (): void => {
      measurements.delete(observer);
      if (this.hasAdopted || before !== this.#traces()) this.isTouched = true;
    };
    this.#watches = new Map();
    this.#watchGrowth();
    const runs = async (): Promise<void> => {
      for (let left = times; left > 0 && this.explosion === undefined; left -= 1) {
        const run = this.#plan.numbers.next;
        // Whatever comes of it, it may have set something.
        this.#plan.numbers.next += 1;
        await this.#plan.scenario.once(run);
        this.#levels?.sample();
        this.#ledger?.sample();
        const suspect = this.#watchGrowth();
        if (suspect !== undefined) await this.#lookAtGrowth(suspect, ledger);
      }
    };
    await runs().finally(noteTouch);
  }

  /** Notes the sizes after a run. Returns the map that grows by a factor at each, if one does. */
  #watchGrowth(): Tracker | undefined {
    let suspect: Tracker | undefined;
    for (const tracker of this.#subject.trackers()) {
      const size = tracker.native.size();
      const watch = this.#watches.get(tracker);
      if (watch === undefined) this.#watches.set(tracker, new GrowthWatch(size));
      else if (watch.explodes(size)) suspect ??= tracker;
    }
    return suspect;
  }

  /** A scenario may set more and more at each run that time or a cap removes: only what stays after a drain explodes. */
  async #lookAtGrowth(tracker: Tracker, ledger: Ledger): Promise<void> {
    const { base, runs } = this.#watches.get(tracker) as GrowthWatch;
    const { maxEntries } = tracker.policy;
    const after = tracker.native.size();
    await this.#drain(this.#plan.drain, ledger);
    const stayed = tracker.native.size();
    const isBounded = maxEntries < Number.POSITIVE_INFINITY && stayed <= maxEntries;
    if (!isBounded && stayed - base > (after - base) / 2) {
      const isCertain = this.#plan.time !== undefined || this.#plan.drain === false || !tracker.isManaged;
      this.explosion = { name: tracker.name, before: base, after, runs, isCertain };
    }
    this.#watches.clear();
  }

  async #drain(drain: boolean | number, ledger: Ledger): Promise<void> {
    const { time, current } = this.#plan;
    const passedBefore = time?.passedMs ?? 0;
    await drainTo(this.#subject, {
      drain,
      time,
      counts: (tracker, key) => (ledger.of(tracker)?.stretchOf(key) ?? -1) >= 0,
      pending: this.#levels?.pending.before ?? 0,
      current,
    });
    this.#drainedMs = (time?.passedMs ?? 0) - passedBefore;
  }

  #isDoubtful(): boolean {
    if (this.explosion !== undefined || this.stretches >= mostStretches) return false;
    const courses = this.#courses();
    return !courses.includes('grows') && (courses.includes('doubtful') || courses.includes('sparse'));
  }

  /** The courses of whatever further runs can tell more about. */
  #courses(): Course[] {
    return [...this.ledger.maps, ...this.levels.all].map(({ course }) => course);
  }

  #noteFirstStay(map: MapLedger): void {
    if (map.looks.length === 1) this.#left.set(map.tracker, this.#leavings?.of(map.tracker) ?? {});
    if (this.#stays.has(map) || map.firstStretch < 0) return;
    this.#stays.set(map, new FirstStay(this.#subject, map, this.#drainedMs));
  }

  /** Another text after anything was done to a map, or an end was told. */
  #traces(): string {
    const { registry } = this.#subject;
    const endings = registry?.endings;
    const maps = this.#subject.trackers().map(({ name, native, activity, registeredTotal, removedTotal }) => {
      const left = Object.values(removedTotal).join('/');
      return `${name} ${native.size()} ${activity.writes} ${registeredTotal} ${left}`;
    });
    const ended = endings && [...Object.values(endings.endedTotal), endings.duplicatesTotal].join('/');
    return [...maps, ended].join('\n');
  }
}
