import { join } from 'node:path';
import type { JournalRecord } from '../journal.js';
import { damageError } from './damage-report.js';
import { frameKind } from './frame.js';
import { systemFailure } from './journal-failures.js';
import { withSegment } from './segment-files.js';
import { readFrames, SegmentDamage } from './segment-frames.js';
import type { SegmentExtent } from './segment-head.js';

/**
 * Reads the records of segments that were checked before, a batch for each frame, as they are asked for: there is never
 * more of them in memory than was read at once.
 *
 * @throws MapsweepError `ERR_JOURNAL_DAMAGED` or `ERR_JOURNAL_IO` if a file has changed since it was checked
 */
export function* readPast(
  folder: string,
  live: readonly SegmentExtent[],
): Generator<readonly JournalRecord[]> {
  for (const { name, bytes } of live) {
    const path = join(folder, name);
    let texts: { readonly text: string; readonly offset: number }[] = [];
    const steps = withSegment(path, (descriptor) =>
      readFrames({ path, descriptor, bytes, mayBeCut: false }, (kind, payload, offset) => {
        if (kind === frameKind.records) texts.push({ text: payload.toString(), offset });
      }),
    );
    try {
      for (let next = steps.next(); ; next = steps.next(next.value.now())) {
        const batches = texts;
        texts = [];
        for (const { text, offset } of batches) yield parse(text, path, offset);
        if (next.done) break;
      }
    } catch (error) {
      if (error instanceof SegmentDamage) throw damageError(error, { moveAway: [], knownUntil: undefined });
      throw systemFailure(`cannot read '${path}'`, error);
    } finally {
      steps.return(0);
    }
  }
}

function parse(text: string, path: string, offset: number): readonly JournalRecord[] {
  try {
    const records = JSON.parse(text) as unknown;
    if (Array.isArray(records) && records.every(Array.isArray)) return records;
  } catch {
    // Said below.
  }
  throw new SegmentDamage(path, offset, 'a frame holds no records');
}
