import { span } from '../diagnosis/explain.js';
import { counted } from '../events/shown.js';
import type { Health } from '../registry/health.js';

/** How a registry is doing, for somebody who reads one sentence. */
export interface Sentence {
  /** `bad`: a map leaks, or it does not do its work. `doubtful`: somebody should look. */
  readonly tone: 'good' | 'doubtful' | 'bad';
  readonly text: string;
}

/** How many of some things there are, and how they are doing. */
export interface Verdicts {
  readonly total: number;
  readonly leaking: number;
  /** They grow without a known bound, and may leak. */
  readonly growing: number;
}

/** What the sentence is made of. */
export interface Facts {
  /** Epoch ms. */
  readonly at: number;
  readonly maps: Verdicts;
  /** Sizes that are no Map's. */
  readonly watched: Verdicts;
  /** Epoch ms. */
  readonly lastSweepAt: number | undefined;
  /** Endings that are not delivered yet, and no dead letters. */
  readonly pending: number;
  readonly deadLetters: number;
  /** From 0 to 1. */
  readonly heapShare: number;
  readonly health: Pick<Health, 'status'>;
  readonly closed: boolean;
}

/** From here on a heap is nearly full. */
const fullHeap = 0.85;

/** Says how a registry is doing. */
export function sentenceOf(facts: Facts): Sentence {
  const { at, maps, watched, lastSweepAt, pending, deadLetters, heapShare, closed } = facts;
  const letters = deadLetters === 0 ? 'no dead letters' : counted(deadLetters, 'dead letter');
  if (closed) {
    const what = 'nothing is swept or delivered by itself any more';
    const undelivered = `${counted(pending, 'ending')} undelivered`;
    return { tone: 'doubtful', text: `The registry is closed: ${what}; ${undelivered}; ${letters}.` };
  }
  const leaking = maps.leaking + watched.leaking;
  const growing = maps.growing + watched.growing;
  const sizes = watched.total === 0 ? '' : ` and ${counted(watched.total, 'watched size')}`;
  const leaks = `${leaking === 0 ? 'none' : leaking} of ${counted(maps.total, 'map')}${sizes} ${leaking > 1 ? 'leak' : 'leaks'}`;
  const grows = growing === 0 ? '' : `, ${growing} may`;
  const swept = lastSweepAt === undefined ? 'no sweep yet' : `last sweep ${span(at - lastSweepAt)} ago`;
  const heap = `heap at ${Math.round(heapShare * 100)} % of its limit`;
  const tone = toneOf(facts);
  return { tone, text: `${openings[tone]}: ${leaks}${grows}; ${swept}; ${letters}; ${heap}.` };
}

const openings = { good: 'All is well', doubtful: 'Worth a look', bad: 'Something is wrong' };

function toneOf({ maps, watched, health, heapShare }: Facts): Sentence['tone'] {
  if (maps.leaking + watched.leaking > 0 || health.status === 'failing') return 'bad';
  const mayLeak = maps.growing + watched.growing > 0;
  return health.status === 'warning' || mayLeak || heapShare >= fullHeap ? 'doubtful' : 'good';
}
