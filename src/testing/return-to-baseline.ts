import { RegistrationSites } from '../diagnosis/registration-sites.js';
import { MapsweepTypeError } from '../errors.js';
import { shownText } from '../events/shown.js';
import { type Duration, durationMs } from '../policy/duration.js';
import { readInteger, readOptions } from '../policy/read-options.js';
import { Baseline, drainTo } from './baseline.js';
import { pendingOf } from './drained.js';
import { notASubject, type Subject, subjectOf } from './subject.js';
import { counted, type Survivor, survivorLines, survivorsOf } from './survivors.js';
import { type Advancer, readAdvancer, testTimeOf } from './test-time.js';

/** The options of {@link returnToBaseline}. */
export interface BaselineOptions {
  /** The registry whose maps are compared; or a single TrackedMap, adopted map or handle. */
  registry: object;
  /** How often the scenario runs between the two looks. From 1. Default 100. */
  times?: number;
  /** How often it runs before the first look, so that what is made once is there. From 0. Default 10. */
  warmup?: number;
  /**
   * Whether entries that only a lifetime removes get the time to leave before each look. `true` lets pass what they
   * need, at most 7 days; a duration does so before the first look, and lets pass no more than that before the second;
   * `false` compares as it is. Default `true`.
   */
  drain?: boolean | Duration;
  /**
   * What lets time pass while draining. Default: the manual clock that the maps were made with. For the fake timers of
   * a test runner: `{ advance: (ms) => jest.advanceTimersByTimeAsync(ms) }`.
   */
  clock?: Advancer;
}

/** How one map fared. */
export interface BaselineMap {
  readonly name: string;
  /** Entries after the warm-up. */
  readonly before: number;
  /** Entries after the counted runs. */
  readonly after: number;
  /** Growth per run of the scenario; negative where the map shrank. */
  readonly perRun: number;
  /** The first of the entries that came and stayed; empty where the map has not grown. */
  readonly survivors: readonly Survivor[];
}

/** What came of {@link returnToBaseline}. */
export interface BaselineResult {
  /** Whether no map has grown, and no more notifications are pending than before. */
  readonly held: boolean;
  /** Every map, in the order in which they were registered. */
  readonly maps: readonly BaselineMap[];
  /** Notifications that wait to be delivered, before and after. */
  readonly pending: { readonly before: number; readonly after: number };
  /**
   * Whether lifetimes had the time that they need: `false` where nothing could make time pass and entries are left that
   * time would remove. The outcome says little then.
   */
  readonly decided: boolean;
  /** For a person: each map that grew, by how much a run, and its first survivors. */
  readonly message: string;
}

/**
 * Runs a scenario again and again, and compares every map before and after: what it leaves behind is a leak, named by
 * map, by its growth per run, and by its first survivors. No garbage collection is asked, so the answer is the same
 * every time.
 *
 * While the counted runs go on, every registration has its call site sampled.
 *
 * @param scenario called with the number of the run, from 0; a promise is awaited before the next run. What it throws
 *   rejects the result
 * @throws MapsweepTypeError or MapsweepRangeError where an option is wrong
 * @throws MapsweepError `ERR_NO_CLOCK` where a clock is given that the maps do not follow
 */
export function returnToBaseline(
  scenario: (run: number) => unknown,
  options: BaselineOptions,
): Promise<BaselineResult> {
  return baselineWithFallback('returnToBaseline', scenario, options);
}

/** As {@link returnToBaseline}, for a check of another name and with the fake timers of its test runner. */
export async function baselineWithFallback(
  check: string,
  scenario: unknown,
  options: unknown,
  fakeTimers?: Advancer,
): Promise<BaselineResult> {
  if (typeof scenario !== 'function') {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      `${check} takes the scenario as a function, which it calls many times; ${notASubject(scenario)}`,
    );
  }
  const read = readOptions('', options ?? {}, {
    registry: readSubject,
    times: (value, option) => readInteger(value, option, { min: 1 }),
    warmup: (value, option) => readInteger(value, option),
    drain: (value, option) => (typeof value === 'boolean' ? value : durationMs(value, option)),
    clock: readAdvancer,
  });
  const given = read.registry ?? readSubject(undefined, 'registry');
  const subject = { ...given, sites: sitesOfMap(given) };
  const { times = 100, warmup = 10, drain = true } = read;
  const time = testTimeOf(subject.engine, read.clock, fakeTimers);
  const run = async (from: number, to: number): Promise<void> => {
    for (let number = from; number < to; number += 1) await (scenario as (run: number) => unknown)(number);
  };

  await run(0, warmup);
  // In full, whatever the second look allows: what leaves later would make room for a leak.
  await drainTo(subject, { drain: drain !== false, time, baseline: new Baseline(undefined) });
  const baseline = new Baseline(subject);
  const countedRuns = (): Promise<void> => run(warmup, warmup + times);
  await (subject.sites?.withRate(1, countedRuns) ?? countedRuns());
  const decided = await drainTo(subject, { drain, time, baseline });
  return compared(subject, baseline, { times, decided });
}

const readSubject = (value: unknown, option: string): Subject => {
  const subject = subjectOf(value);
  if (subject !== undefined) return subject;
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${option} must be a registry, a TrackedMap, an adopted Map or Set, or its handle; ${notASubject(value)}`,
  );
};

function compared(
  subject: Subject,
  baseline: Baseline,
  { times, decided }: { times: number; decided: boolean },
): BaselineResult {
  const maps = subject.trackers().map((tracker): BaselineMap => {
    const before = baseline.sizeOf(tracker);
    const after = tracker.native.size();
    const survivors =
      after > before ? survivorsOf(subject, tracker, (key) => baseline.isNew(tracker, key)) : [];
    return { name: tracker.name, before, after, perRun: (after - before) / times, survivors };
  });
  const pending = { before: baseline.pending, after: pendingOf(subject) };
  const grown = maps.filter(({ before, after }) => after > before);
  const held = grown.length === 0 && pending.after <= pending.before;
  const message = held
    ? `${subject.called} returned to its baseline after ${counted(times, 'run')}`
    : [
        `expected ${subject.called} to return to its baseline after ${counted(times, 'run')}, but ${outgrown(maps, grown)}:`,
        ...grown.flatMap(grownLines),
        ...(pending.after > pending.before ? [pendingLine(pending, times)] : []),
        ...(decided ? [] : [timeStoodStill]),
      ].join('\n');
  return { held, maps, pending, decided, message };
}

function outgrown(maps: readonly BaselineMap[], grown: readonly BaselineMap[]): string {
  if (grown.length === 0) return 'notifications piled up';
  if (maps.length === 1) return 'it grew';
  return `${grown.length} of its ${counted(maps.length, 'map')} grew`;
}

function grownLines({ name, before, after, perRun, survivors }: BaselineMap): string[] {
  return [
    `  ${shownText(name)}: ${before} -> ${counted(after, 'entry', 'entries')}, ${shownRate(perRun)} per run`,
    ...survivorLines(survivors, after - before),
  ];
}

function pendingLine({ before, after }: BaselineResult['pending'], times: number): string {
  return `  pending notifications: ${before} -> ${after}, ${shownRate((after - before) / times)} per run`;
}

function shownRate(perRun: number): string {
  return `+${Number(perRun.toPrecision(3))}`;
}

const timeStoodStill =
  '  Some of these leave by themselves after a time, and here nothing makes time pass: make the registry with ' +
  "{ clock: createManualClock() } of 'mapsweep/testing', or use fake timers.";

/** Where a single map's entries are registered, while nobody else samples that. */
function sitesOfMap({ engine, sites, trackers }: Subject): RegistrationSites | undefined {
  if (sites !== undefined || trackers().some(({ onRegistered }) => onRegistered !== undefined)) return sites;
  return new RegistrationSites(engine, 0);
}
