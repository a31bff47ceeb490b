import { span } from '../diagnosis/explain.js';
import type { BaselineWalk } from './baseline-walk.js';
import type { Course } from './course.js';
import { observedLines } from './drained.js';
import { countNets, isNet, type Leavings, leavingsText } from './leaving.js';
import type { MapLedger } from './ledger.js';
import type { Level } from './levels.js';
import type { Subject } from './subject.js';
import { counted, type Survivor, survivorLines } from './survivors.js';

/**
 * How the entries of a map fared.
 *
 * - `back`: nothing that came has stayed
 * - `bounded`: what stayed is within the map's own `maxEntries`
 * - `stopped`: what stayed was made once, and no more of it came
 * - `turns-over`: what stayed has made room for others since
 * - `paced`: as few came however often the scenario ran: they go by time
 * - `grows`: a leak
 * - `late`: what stayed left, or will, by its own lifetime, later than `drain` allows
 * - `undecided`: it would need more time than could be let pass
 * - `doubtful`, `sparse`: the check has ended before it could tell, since something else grew
 */
export type BaselineCourse = Course | 'late' | 'undecided';

/** How one map fared. */
export interface BaselineMap {
  readonly name: string;
  /** Entries after the warm-up. */
  readonly before: number;
  /** Entries after the first stretch. */
  readonly after: number;
  /** Of a map that grows, the entries that came and stayed, per run; of others, the growth; negative where it shrank. */
  readonly perRun: number;
  readonly course: BaselineCourse;
  /** By which rules entries left that came in the first stretch, and how many. */
  readonly left: Leavings;
  /** The first of the entries that came and stayed; empty where the map is not to blame. */
  readonly survivors: readonly Survivor[];
}

/** What came of {@link returnToBaseline}. */
export interface BaselineResult {
  /** Whether nothing stayed behind that goes on growing, no delivery is owed or given up, and the check proves it. */
  readonly held: boolean;
  /** Every map, in the order in which they were registered. */
  readonly maps: readonly BaselineMap[];
  /** Notifications that wait to be delivered, before and after. */
  readonly pending: { readonly before: number; readonly after: number };
  /** Endings that were given up, so that nobody heard of them. */
  readonly deadLetters: number;
  /** Entries that left only by a safety net. */
  readonly nets: number;
  /** How much time was let pass after the first stretch, ms. */
  readonly elapsedMs: number;
  /** How often the scenario ran after the warm-up. */
  readonly runs: number;
  /**
   * `false` where nobody can say: no map was touched; or entries would leave by themselves, and no time could be let
   * pass, or not enough of it. The outcome says little then.
   */
  readonly decided: boolean;
  /** For a person: what grew, by how much a run, and its first survivors; and by which rules entries left. */
  readonly message: string;
}

/** What of the options the result depends on. */
interface Asked {
  readonly times: number;
  readonly nets: 'pass' | 'fail';
  readonly drain: boolean | number;
  /** Whether anything can let time pass. */
  readonly isTimed: boolean;
}

/** Something that speaks against the scenario: a clause for the head of the message, and its lines. */
interface Finding {
  readonly clause: string;
  readonly lines: readonly string[];
  /** Whether it is one for certain: not so where only time was lacking. */
  readonly isCertain: boolean;
}

/** Puts together what a walk has found. */
export function baselineResult(subject: Subject, walk: BaselineWalk, asked: Asked): BaselineResult {
  const maps = walk.ledger.maps.map((ledger) => ({ ledger, result: mapResult(walk, ledger, asked) }));
  const nets = maps.reduce((total, { result }) => total + countNets(result.left), 0);
  const findings = [
    ...explosionFinding(walk),
    ...entriesFinding(walk, maps, asked),
    ...walk.levels.all.flatMap((level) => levelFinding(walk, level, asked)),
    ...releasedFinding(walk),
    ...pendingFinding(walk, asked),
    ...deadLettersFinding(walk),
    ...netsFinding(maps, nets, asked),
    ...untouchedFinding(walk),
  ];
  const held = findings.length === 0;
  const after = `after ${counted(asked.times, 'run')}`;
  const [first] = findings;
  const message =
    first === undefined
      ? [`${subject.called} returned to its baseline ${after}; ${timeText(walk, maps)}`, ...notes(maps)]
      : [
          `expected ${subject.called} to return to its baseline ${after}, but ${first.clause}:`,
          ...findings.flatMap(({ lines }) => lines),
          ...notes(maps),
          `  ${timeText(walk, maps)}`,
        ];
  return {
    held,
    maps: maps.map(({ result }) => result),
    pending: walk.pending,
    deadLetters: walk.deadLetters,
    nets,
    elapsedMs: walk.passedMs,
    runs: walk.countedRuns,
    decided: held || findings.some(({ isCertain }) => isCertain),
    message: message.join('\n'),
  };
}

interface JudgedMap {
  readonly ledger: MapLedger;
  readonly result: BaselineMap;
}

const isToBlame = ({ result: { course } }: JudgedMap): boolean =>
  course === 'grows' || course === 'late' || course === 'undecided';

function mapResult(walk: BaselineWalk, ledger: MapLedger, { times }: Asked): BaselineMap {
  const { before, after } = ledger;
  const course = courseOf(walk, ledger);
  const isBlamed = course === 'grows' || course === 'late' || course === 'undecided';
  const { atFirst, now } = ledger.stayed;
  const stayed = course === 'grows' ? now : atFirst;
  return {
    name: ledger.tracker.name,
    before,
    after,
    perRun: (isBlamed ? stayed : after - before) / times,
    course,
    left: walk.leftFrom(ledger),
    survivors: isBlamed ? walk.survivorsOf(ledger) : [],
  };
}

function courseOf(walk: BaselineWalk, ledger: MapLedger): BaselineCourse {
  if (walk.areUndecided(ledger)) return 'undecided';
  if (walk.areLate(ledger)) return 'late';
  return walk.finalCourse(ledger);
}

function explosionFinding({ explosion }: BaselineWalk): Finding[] {
  if (explosion === undefined) return [];
  const { name, before, after, runs } = explosion;
  const how = `${before} -> ${counted(after, 'entry', 'entries')} in ${counted(runs, 'run')}`;
  return [
    {
      clause: `'${name}' grows faster and faster`,
      lines: [`  ${name}: ${how}, more at each run than at the one before: the check has stopped there`],
      isCertain: true,
    },
  ];
}

function entriesFinding(walk: BaselineWalk, maps: readonly JudgedMap[], asked: Asked): Finding[] {
  const grown = maps.filter(isToBlame);
  if (grown.length === 0) return [];
  const lines = grown.flatMap((map) => grownLines(map, asked));
  const { brokeOff } = walk;
  if (brokeOff !== undefined) {
    lines.push(
      `  Run ${brokeOff.run}, which would have told whether that goes on, failed: ${shownError(brokeOff.error)}`,
    );
  } else if (grown.some(({ result }) => result.course === 'grows')) lines.push(fillsUp);
  if (grown.some(({ result }) => result.course === 'undecided')) {
    lines.push(asked.isTimed ? needsLonger(walk, grown) : timeStoodStill);
  }
  const isCertain = grown.some(({ result: { course } }) => course === 'late' || course === 'grows');
  return [
    {
      clause: maps.length === 1 ? 'it grew' : `${grown.length} of its ${counted(maps.length, 'map')} grew`,
      lines,
      isCertain: isCertain && brokeOff === undefined,
    },
  ];
}

function grownLines({ ledger, result }: JudgedMap, asked: Asked): string[] {
  const { name, before, after, perRun, survivors, course } = result;
  const { atFirst, now } = ledger.stayed;
  return [
    `  ${name}: ${before} -> ${counted(after, 'entry', 'entries')}, ${shownRate(perRun)} per run`,
    ...evidence(ledger, result, asked).map((line) => `    ${line}`),
    ...survivorLines(survivors, course === 'grows' ? now : atFirst),
    ...observedLines(ledger.tracker),
  ];
}

/** What shows that a growth is no coincidence, and that it is one where the size does not show it. */
function evidence({ looks, firstStretch, stayed }: MapLedger, result: BaselineMap, asked: Asked): string[] {
  const { before, after, course } = result;
  if (course === 'late') return [`due later than a drain of ${span(asked.drain as number)} allows`];
  if (course !== 'grows') return [];
  const lines: string[] = [];
  if (after - before < stayed.atFirst) {
    const came = `${counted(stayed.now, 'entry', 'entries')} that came in ${counted(asked.times, 'run')}`;
    lines.push(`${came} stay, and others made room`);
  }
  const further = looks.at(-1)?.stayed.slice(firstStretch + 1) ?? [];
  if (further.length === 0) return lines;
  const counts = further.map((count, index) => {
    const runs = looks[firstStretch + 1 + index]?.runs;
    return `+${count}${runs === looks[firstStretch]?.runs ? '' : ` (in ${runs} runs)`}`;
  });
  return [...lines, `then ${counts.join(' and ')} in as many runs again`];
}

function levelFinding(walk: BaselineWalk, level: Level, { times }: Asked): Finding[] {
  if (walk.finalCourse(level) !== 'grows') return [];
  const { called, before, after } = level;
  const line = `  ${called}: ${shown(before)} -> ${shown(after)}, ${shownRate((after - before) / times)} per run, and it goes on`;
  return [{ clause: `${called} grew`, lines: [line], isCertain: walk.brokeOff === undefined }];
}

function releasedFinding({ ledger: { released } }: BaselineWalk): Finding[] {
  if (released.length === 0) return [];
  const lines = released.map(
    ({ name, before, after }) =>
      `  ${name}: ${before} -> ${counted(after, 'entry', 'entries')}, and then it was released: nobody can say which of them leave`,
  );
  return [{ clause: 'a map was released with entries in it', lines, isCertain: false }];
}

function pendingFinding({ pending: { before, after } }: BaselineWalk, { times }: Asked): Finding[] {
  if (after <= before) return [];
  const rate = shownRate((after - before) / times);
  const line = `  pending notifications: ${before} -> ${after}, ${rate} per run`;
  return [{ clause: 'notifications piled up', lines: [line], isCertain: true }];
}

function deadLettersFinding({ deadLetters, countedRuns }: BaselineWalk): Finding[] {
  if (deadLetters === 0) return [];
  const line = `  dead letters: ${counted(deadLetters, 'ending')} of ${counted(countedRuns, 'run')} given up, so that nobody heard of them`;
  return [{ clause: 'deliveries were given up', lines: [line], isCertain: true }];
}

function netsFinding(maps: readonly JudgedMap[], nets: number, asked: Asked): Finding[] {
  if (asked.nets === 'pass' || nets === 0) return [];
  const lines = maps.flatMap(({ result: { name, left } }) => {
    const caught = Object.fromEntries(Object.entries(left).filter(([rule]) => isNet(rule)));
    return countNets(left) === 0 ? [] : [`  ${name}: ${leavingsText(caught)}`];
  });
  return [
    { clause: `${counted(nets, 'entry', 'entries')} left only by a safety net`, lines, isCertain: true },
  ];
}

function untouchedFinding({ isTouched, explosion, ledger }: BaselineWalk): Finding[] {
  if (ledger.maps.length === 0) {
    return [{ clause: 'it has no maps any more, which proves nothing', lines: [], isCertain: false }];
  }
  if (isTouched || explosion !== undefined) return [];
  const line =
    '  Nothing was registered, set, touched, deleted or ended in any run. Does the scenario run what it should, ' +
    'return its promise, and use these maps?';
  return [
    { clause: 'the scenario touched no map of it, which proves nothing', lines: [line], isCertain: false },
  ];
}

/** What stayed and is no leak, and why. */
function notes(maps: readonly JudgedMap[]): string[] {
  return maps.flatMap(({ ledger, result: { name, before, after, course } }) => {
    const why = noLeak[course];
    if (why === undefined) return [];
    const { maxEntries } = ledger.tracker.policy;
    return [
      `  ${name}: ${before} -> ${counted(after, 'entry', 'entries')}, ${why.replace('MAX', String(maxEntries))}`,
    ];
  });
}

const noLeak: Partial<Record<BaselineCourse, string>> = {
  bounded: 'within its maxEntries of MAX',
  stopped: 'and no more in as many runs again: made once (a larger warmup makes it before)',
  'turns-over': 'others each time: what comes makes room',
  paced: 'and as few at four times the runs: they come with time and not with runs',
  doubtful: 'which may go on or not: a larger warmup tells',
  sparse: 'which may go on or not: a larger warmup tells',
};

function timeText(walk: BaselineWalk, maps: readonly JudgedMap[]): string {
  const passed = walk.passedMs === 0 ? 'no time passed' : `${span(walk.passedMs)} passed`;
  const left = maps
    .filter(({ result }) => Object.keys(result.left).length > 0)
    .map(({ result }) => `${result.name} ${leavingsText(result.left)}`);
  return left.length === 0 ? passed : `${passed}; entries left: ${left.join('; ')}`;
}

const fillsUp =
  '  If something of your own removes them later, set drain to the time that it takes; if this is a cache that fills, ' +
  'set warmup to as many runs as fill it, or its maxEntries.';

const timeStoodStill =
  '  Some of these leave by themselves after a time, and here nothing makes time pass: make the registry with ' +
  "{ clock: createManualClock() } of 'mapsweep/testing', or use fake timers.";

const dayMs = 24 * 60 * 60_000;

function needsLonger(walk: BaselineWalk, grown: readonly JudgedMap[]): string {
  const needMs = Math.max(...grown.map(({ ledger }) => walk.datedOf(ledger)?.needMs ?? 0));
  return (
    '  Some of these leave by themselves later than the 7d that are let pass at most, so that this decides nothing: ' +
    `set drain: '${Math.ceil(needMs / dayMs)}d'.`
  );
}

function shownRate(perRun: number): string {
  return `+${shown(perRun)}`;
}

function shown(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function shownError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
