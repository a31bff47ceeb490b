import type { JournalRecord } from '../../src/restart/journal.js';

/**
 * Reads what `journal-writer` has written: numbers that follow one another, some of them more than once, and checkpoints
 * that stand for all numbers up to one. Returns up to which number all are known, and where one is missing.
 */
export function replay(past: Iterable<readonly JournalRecord[]>): { known: number; gaps: string[] } {
  let known = 0;
  const gaps: string[] = [];
  let checkpoint = 0;
  const ahead: number[] = [];
  for (const batch of past) {
    for (const [kind, value] of batch) {
      if (kind === 'up to') checkpoint = Math.max(checkpoint, Number(value));
      if (kind === 'number') ahead.push(Number(value));
    }
  }
  known = checkpoint;
  // Numbers before the first one are the checkpoint's; behind it none may be missing or out of order.
  let last: number | undefined;
  for (const number of ahead) {
    if (last !== undefined && number > last + 1) gaps.push(`${number} after ${last}`);
    if (last === undefined && number > checkpoint + 1)
      gaps.push(`${number} after the checkpoint of ${checkpoint}`);
    last = number;
    known = Math.max(known, number);
  }
  return { known, gaps };
}
