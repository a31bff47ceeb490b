import { getHeapStatistics } from 'node:v8';
import { badness } from '../diagnosis/leak-verdict.js';
import type { DeadLetter } from '../events/dead-letter.js';
import { shownText } from '../events/shown.js';
import {
  type CallbackErrors,
  callbackErrorsOf,
  type WatchedFigures,
  watchedFigures,
} from '../registry/figures.js';
import { type Health, healthOf } from '../registry/health.js';
import type { RegistryInternals } from '../registry/internals.js';
import { type JournalFigures, journalFigures } from '../registry/journal-figures.js';
import { type EndingsView, viewEndings } from './endings.js';
import type { KeyWords } from './keys.js';
import { listMaps, type MapList } from './map-rows.js';
import { findMap, type OpenedMap, openMap } from './opened-map.js';
import type { PageQuery } from './query.js';
import { type Sentence, sentenceOf } from './sentence.js';

/** All that the page shows, as plain data. */
export interface PageView {
  /** Epoch ms. */
  readonly at: number;
  readonly registry: string;
  readonly sentence: Sentence;
  readonly health: Health;
  readonly mode: 'sweep' | 'observe';
  readonly sweepEveryMs: number;
  /** Epoch ms. */
  readonly lastSweepAt: number | undefined;
  readonly stopped: boolean;
  readonly closed: boolean;
  /** How much of its limit the heap takes, from 0 to 1. */
  readonly heapShare: number;
  readonly maps: MapList;
  /** Sizes that are no Map's, the worst first. */
  readonly watched: readonly WatchedFigures[];
  /** The map that is opened; `undefined` if none is, or there is none of that name. */
  readonly opened: OpenedMap | undefined;
  readonly endings: EndingsView | undefined;
  /** What callbacks of the owner threw, what threw most often first. */
  readonly callbackErrors: readonly CallbackErrors[];
  /** How many more there are of each than are shown. */
  readonly leftOut: { readonly watched: number; readonly callbackErrors: number };
  readonly journal: JournalFigures | undefined;
}

/** What decides how a registry is viewed, whoever asks. */
export interface Viewer {
  readonly parts: RegistryInternals;
  readonly keys: KeyWords;
  /** What addresses a dead letter. */
  readonly handleOf: (letter: Pick<DeadLetter, 'id' | 'recipient'>) => string;
}

/** Looks at a registry. Costs a glance at each map, and more only for what is shown. */
export function viewOf({ parts, keys, handleOf }: Viewer, query: PageQuery): PageView {
  const { engine, deliveries } = parts;
  engine.timeline.notice();
  const at = engine.timeline.clock.now();
  const maps = listMaps(parts, query);
  const tracker = findMap(parts, query.map);
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  const health = shortened(healthOf(parts, keys.error));
  const lastSweepAt = engine.sweeper.lastFinishedAt;
  const heapShare = used / limit;
  const pending = deliveries?.pendingCount ?? 0;
  const deadLetters = deliveries?.deadLetterCount ?? 0;
  const sizes = watchedFigures(parts).sort(
    (one, other) => badness[other.leak.state] - badness[one.leak.state],
  );
  const inState = (state: WatchedFigures['leak']['state']): number =>
    sizes.filter(({ leak }) => leak.state === state).length;
  const watched = { total: sizes.length, leaking: inState('leaking'), growing: inState('growing') };
  const failures = callbackErrorsOf(engine).sort((one, other) => other.count - one.count);
  const { isClosed: closed } = parts;
  return {
    at,
    registry: shownText(parts.name),
    sentence: sentenceOf({ at, maps, watched, lastSweepAt, pending, deadLetters, heapShare, health, closed }),
    health,
    mode: engine.observing ? 'observe' : 'sweep',
    sweepEveryMs: engine.sweepEveryMs,
    lastSweepAt,
    stopped: engine.isStopped,
    closed,
    heapShare,
    maps,
    watched: sizes.slice(0, mostShown),
    opened: tracker && openMap(parts, tracker, keys, query.entry),
    endings: viewEndings(parts, keys, handleOf),
    callbackErrors: failures.slice(0, mostShown),
    leftOut: {
      watched: Math.max(0, sizes.length - mostShown),
      callbackErrors: Math.max(0, failures.length - mostShown),
    },
    journal: journalFigures(parts, keys.error),
  };
}

/** So many watched sizes are shown, and so many failures of callbacks: there may be some of each map. */
const mostShown = 200;

/** So many reasons are shown: of ten thousand maps, each may have one. */
const mostReasons = 20;

function shortened({ status, reasons }: Health): Health {
  const more = reasons.length - mostReasons;
  return { status, reasons: more > 0 ? [...reasons.slice(0, mostReasons), `and ${more} more`] : reasons };
}
