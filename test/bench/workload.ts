/**
 * The same keys and values for every contender, in every process: from a generator with a fixed seed.
 */

/** A small object such as gateways keep for a run. */
export interface RunRecord {
  readonly runId: string;
  readonly startedAt: number;
  state: 'running' | 'done';
  endedAt: number | undefined;
  /** For contenders that keep their stamp in the value, epoch ms. */
  lastActiveAt: number;
}

/** Keys and values by index; `shuffled` are the same keys in an order of their own. */
export interface Workload {
  readonly keys: readonly string[];
  readonly values: readonly RunRecord[];
  /** In this order, and no more than this many, entries are read, set again and touched. */
  readonly shuffled: readonly string[];
}

const hexDigits = '0123456789abcdef';
/** Beyond this many calls an operation is timed no better, only longer. */
const mostCalls = 250_000;

/** Makes `size` keys like run ids, and a value each. */
export function createWorkload(size: number): Workload {
  const random = randomFrom(20_260_620);
  // Written as bytes, so that a key is one flat string and not the tree of its pieces.
  const text = Buffer.from('agent:main:subagent:00000000-0000-0000-0000-000000000000', 'latin1');
  const keys: string[] = [];
  const values: RunRecord[] = [];
  const startedAt = Date.now();
  for (let index = 0; index < size; index += 1) {
    let bits = 0;
    for (let at = 0, digits = 0; at < 36; at += 1) {
      if (at === 8 || at === 13 || at === 18 || at === 23) continue;
      if (digits % 8 === 0) bits = random();
      digits += 1;
      text[at + 20] = hexDigits.charCodeAt(bits & 15);
      bits >>>= 4;
    }
    const runId = text.toString('latin1');
    keys.push(runId);
    values.push({ runId, startedAt, state: 'running', endedAt: undefined, lastActiveAt: startedAt });
  }
  // A string's hash is computed once, at its first use as a key, and kept in the string: not by whoever comes first.
  const hashed = new Set(keys);
  if (hashed.size !== size) throw new Error('two keys of the workload are the same');
  const shuffled = [...keys];
  for (let index = size - 1; index > 0; index -= 1) {
    const other = random() % (index + 1);
    const held = shuffled[index] as string;
    shuffled[index] = shuffled[other] as string;
    shuffled[other] = held;
  }
  return { keys, values, shuffled: shuffled.slice(0, mostCalls) };
}

/** 32-bit integers from a seed: mulberry32 by Tommy Ettinger. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
