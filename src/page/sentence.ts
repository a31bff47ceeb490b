import { span } from '../diagnosis/explain.js';
import type { Health } from '../registry/health.js';
import type { MapList } from './map-rows.js';

/** How a registry is doing, for somebody who reads one sentence. */
export interface Sentence {
  /** `bad`: a map leaks, or it does not do its work. `doubtful`: somebody should look. */
  readonly tone: 'good' | 'doubtful' | 'bad';
  readonly text: string;
}

/** What the sentence is made of. */
export interface Facts {
  /** Epoch ms. */
  readonly at: number;
  readonly maps: Pick<MapList, 'total' | 'leaking' | 'growing'>;
  /** Epoch ms. */
  readonly lastSweepAt: number | undefined;
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
  const { at, maps, lastSweepAt, deadLetters, heapShare, closed } = facts;
  if (closed) return { tone: 'doubtful', text: 'The registry is closed: nothing is tracked any more.' };
  const leaks = `${maps.leaking === 0 ? 'none' : maps.leaking} of ${counted(maps.total, 'map')} ${maps.leaking > 1 ? 'leak' : 'leaks'}`;
  const grows = maps.growing === 0 ? '' : `, ${maps.growing} may`;
  const swept = lastSweepAt === undefined ? 'no sweep yet' : `last sweep ${span(at - lastSweepAt)} ago`;
  const letters = deadLetters === 0 ? 'no dead letters' : counted(deadLetters, 'dead letter');
  const heap = `heap at ${Math.round(heapShare * 100)} % of its limit`;
  const tone = toneOf(facts);
  return { tone, text: `${openings[tone]}: ${leaks}${grows}; ${swept}; ${letters}; ${heap}.` };
}

const openings = { good: 'All is well', doubtful: 'Worth a look', bad: 'Something is wrong' };

function toneOf({ maps, health, heapShare }: Facts): Sentence['tone'] {
  if (maps.leaking > 0 || health.status === 'failing') return 'bad';
  return health.status === 'warning' || maps.growing > 0 || heapShare >= fullHeap ? 'doubtful' : 'good';
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
