import { span } from '../diagnosis/explain.js';
import { counted } from '../events/shown.js';
import { findingsOf } from './baseline-findings.js';
import {
  type Asked,
  type BaselineCourse,
  type BaselineMap,
  type BaselineResult,
  isToBlame,
  type JudgedMap,
} from './baseline-outcome.js';
import type { BaselineWalk } from './baseline-walk.js';
import { countNets, leavingsText } from './leaving.js';
import type { MapLedger } from './ledger.js';
import type { Subject } from './subject.js';

/** Puts together what a walk has found. */
export function baselineResult(subject: Subject, walk: BaselineWalk, asked: Asked): BaselineResult {
  const maps = walk.ledger.maps.map((ledger) => ({ ledger, result: mapResult(walk, ledger, asked) }));
  const findings = findingsOf(walk, maps, asked);
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
    pending: { before: walk.levels.pending.before, after: walk.levels.pending.after },
    deadLetters: walk.lost.size,
    nets: maps.reduce((nets, { result }) => nets + countNets(result.left), 0),
    elapsedMs: walk.passedMs,
    runs: walk.countedRuns,
    decided: held || findings.some(({ isCertain }) => isCertain),
    message: message.join('\n'),
  };
}

function mapResult(walk: BaselineWalk, ledger: MapLedger, { times }: Asked): BaselineMap {
  const { before, after } = ledger;
  const course = courseOf(walk, ledger);
  const isBlamed = isToBlame(course);
  const { atFirst, now } = ledger.stayed;
  // Of a queue that only grows, nothing stays for good.
  const stayed = course !== 'grows' ? atFirst : now > 0 ? now : after - before;
  return {
    name: ledger.tracker.name,
    before,
    after,
    perRun: (isBlamed ? stayed : after - before) / times,
    course,
    left: walk.leftFrom(ledger),
    survivors: isBlamed ? (walk.firstStayOf(ledger)?.survivors ?? []) : [],
  };
}

function courseOf(walk: BaselineWalk, ledger: MapLedger): BaselineCourse {
  if (walk.areUndecided(ledger)) return 'undecided';
  if (walk.areLate(ledger)) return 'late';
  return walk.finalCourse(ledger);
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
