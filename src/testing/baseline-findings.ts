import { span } from '../diagnosis/explain.js';
import { counted, shownError } from '../events/shown.js';
import { type Asked, type BaselineMap, isToBlame, type JudgedMap } from './baseline-outcome.js';
import type { BaselineWalk } from './baseline-walk.js';
import { observedLines } from './drained.js';
import { countNets, isNet, leavingsText } from './leaving.js';
import type { MapLedger } from './ledger.js';
import type { Level } from './levels.js';
import { stayAdvice } from './stay-advice.js';
import { survivorLines } from './survivors.js';
import { makesTimePass } from './test-time.js';

/** Something that speaks against the scenario: a clause for the head of the message, and its lines. */
export interface Finding {
  readonly clause: string;
  readonly lines: readonly string[];
  /** Whether it is one for certain: not so where only time was lacking. */
  readonly isCertain: boolean;
}

/** Finds what speaks against the scenario, the worst first. */
export function findingsOf(walk: BaselineWalk, maps: readonly JudgedMap[], asked: Asked): Finding[] {
  return [
    ...explosionFinding(walk),
    ...entriesFinding(walk, maps, asked),
    ...walk.levels.all.flatMap((level) => levelFinding(walk, level, asked)),
    ...releasedFinding(walk),
    ...deadLettersFinding(walk),
    ...netsFinding(walk, maps, asked),
    ...brokeOffFinding(walk),
    ...untouchedFinding(walk),
  ];
}

function explosionFinding({ explosion }: BaselineWalk): Finding[] {
  if (explosion === undefined) return [];
  const { name, before, after, runs, isCertain } = explosion;
  const how = `${before} -> ${counted(after, 'entry', 'entries')} in ${counted(runs, 'run')}`;
  return [
    {
      clause: `'${name}' grows faster and faster`,
      lines: [
        `  ${name}: ${how}, more at each run than at the one before: the check has stopped there`,
        ...(isCertain ? [] : [timeStoodStill()]),
      ],
      isCertain,
    },
  ];
}

function entriesFinding(walk: BaselineWalk, maps: readonly JudgedMap[], asked: Asked): Finding[] {
  const grown = maps.filter(({ result }) => isToBlame(result.course));
  if (grown.length === 0) return [];
  const lines = grown.flatMap((map) => grownLines(map, asked));
  const { brokeOff } = walk;
  if (brokeOff === undefined && grown.some(({ result }) => result.course === 'grows')) {
    lines.push(...stayAdvice(grown, asked.isTimed));
  }
  if (grown.some(({ result }) => result.course === 'undecided')) {
    lines.push(asked.isTimed ? needsLonger(walk, grown) : timeStoodStill());
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
    ...survivorLines(survivors, course === 'grows' && now > 0 ? now : atFirst),
    ...observedLines(ledger.tracker),
  ];
}

/** What shows that a growth is no coincidence, and that it is one even if the size does not show it. */
function evidence({ looks, firstStretch, stayed }: MapLedger, result: BaselineMap, asked: Asked): string[] {
  const { before, after, course } = result;
  if (course === 'late') return [`due later than a drain of ${span(asked.drain as number)} allows`];
  if (course !== 'grows') return [];
  if (stayed.now === 0 && looks.length > firstStretch + 1) {
    const sizes = looks.slice(firstStretch + 1).map(({ size }) => size);
    return [`then ${sizes.join(' and ')} after as many runs again: what comes leaves, but not as fast`];
  }
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

function levelFinding(walk: BaselineWalk, level: Level, { times, isTimed }: Asked): Finding[] {
  if (walk.finalCourse(level) !== 'grows') return [];
  const { called, clause, before, after } = level;
  const failures = level === walk.levels.pending ? walk.lost.lines : [];
  const isTriedAgain = failures.length > 0 && !isTimed;
  const advice = isTriedAgain
    ? `What failed is tried again after a time, and here nothing ${makesTimePass()}`
    : level.advice;
  const isCertain = walk.brokeOff === undefined && !isTriedAgain;
  const rate = `${shownRate((after - before) / times)} per run${isCertain ? ', and it goes on' : ''}`;
  const line = `  ${called}: ${shown(before)} -> ${shown(after)}, ${rate}`;
  const lines = [line, ...failures];
  if (advice !== undefined && walk.brokeOff === undefined) lines.push(`  ${advice}`);
  return [{ clause, lines, isCertain }];
}

function releasedFinding({ ledger: { released } }: BaselineWalk): Finding[] {
  if (released.length === 0) return [];
  const lines = released.map(
    ({ name, before, after }) =>
      `  ${name}: ${before} -> ${counted(after, 'entry', 'entries')}, and then it was released: nobody can say which of them leave`,
  );
  return [{ clause: 'a map was released with entries in it', lines, isCertain: false }];
}

function deadLettersFinding({ lost, countedRuns }: BaselineWalk): Finding[] {
  if (lost.size === 0) return [];
  const line = `  dead letters: ${counted(lost.size, 'ending')} of ${counted(countedRuns, 'run')} given up, so that nobody heard of them`;
  return [{ clause: 'deliveries were given up', lines: [line, ...lost.lines], isCertain: true }];
}

function netsFinding(walk: BaselineWalk, maps: readonly JudgedMap[], asked: Asked): Finding[] {
  const nets = maps.reduce((total, { result }) => total + countNets(result.left), 0);
  if (asked.nets === 'pass' || nets === 0) return [];
  const lines = maps.flatMap(({ ledger, result: { name, left } }) => {
    const caught = Object.fromEntries(Object.entries(left).filter(([rule]) => isNet(rule)));
    const count = countNets(left);
    return count === 0
      ? []
      : [`  ${name}: ${leavingsText(caught)}`, ...survivorLines(walk.caughtOf(ledger), count)];
  });
  const named = maps.flatMap(({ ledger }) => walk.caughtOf(ledger));
  const advice = [
    ...(named.some(({ keptBy }) => keptBy !== undefined) ? [keptUntilNet] : []),
    ...(named.some(({ keptBy }) => keptBy === undefined) ? [caughtByNet] : []),
  ];
  return [
    {
      clause: `${counted(nets, 'entry', 'entries')} left only by a safety net`,
      lines: [...lines, ...advice],
      isCertain: true,
    },
  ];
}

function brokeOffFinding({ brokeOff }: BaselineWalk): Finding[] {
  if (brokeOff === undefined) return [];
  const { run, error } = brokeOff;
  const line = `  Run ${run}, which would have told whether that goes on, failed: ${shownError(error)}`;
  return [{ clause: `run ${run} failed`, lines: [line], isCertain: false }];
}

function untouchedFinding({ isTouched, hasAdopted, explosion, ledger }: BaselineWalk): Finding[] {
  const hasMaps = ledger.maps.length > 0 || hasAdopted;
  if (hasMaps && (isTouched || explosion !== undefined)) return [];
  const [clause, line] = hasMaps ? touchedNone : hasNone;
  return [{ clause: `${clause}, which proves nothing`, lines: [line], isCertain: false }];
}

const hasNone = ['it has no maps', '  Does the scenario run what it should, and adopt its maps?'] as const;

const touchedNone = [
  'the scenario touched no map of it',
  '  Nothing was registered, set, touched, deleted or ended in any run. Does the scenario run what it should, ' +
    'return its promise, and use these maps?',
] as const;

const keptUntilNet =
  '  What is kept until its maxAge has to be let go before: keepWhile has to do so, whoever takes a hold has to release it, ' +
  'and beforeSweep has to succeed.';

const caughtByNet =
  '  Have their owner delete them when it is done with them, or give them a ttl that begins then; if the safety net is ' +
  'what is to remove them, leave nets out.';

const timeStoodStill = (): string =>
  `  Some of these leave by themselves after a time, and here nothing ${makesTimePass()}`;

const dayMs = 24 * 60 * 60_000;

function needsLonger(walk: BaselineWalk, grown: readonly JudgedMap[]): string {
  const needMs = Math.max(...grown.map(({ ledger }) => walk.firstStayOf(ledger)?.needMs ?? 0));
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
