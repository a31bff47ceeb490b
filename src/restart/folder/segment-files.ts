import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SegmentDamage } from './segment-frames.js';
import { segmentIdOf } from './segment-name.js';
import type { Steps } from './steps.js';
import { closeQuietly, openFile, openFor, statOfDescriptor } from './system-calls.js';

/** A file that is a segment by its name. */
export interface SegmentFile {
  readonly name: string;
  readonly path: string;
  readonly epoch: number;
  /** Its length in bytes when the folder was listed. */
  readonly bytes: number;
  /** When it was last written to, epoch ms. */
  readonly writtenAt: number;
}

/**
 * Lists the segments of a folder in their order. Other files are none of the journal's business.
 *
 * @throws SegmentDamage if something with a segment's name is no regular file; it is not opened
 */
export function listSegments(folder: string): SegmentFile[] {
  const files: SegmentFile[] = [];
  for (const name of readdirSync(folder).sort()) {
    const id = segmentIdOf(name);
    if (id === undefined) continue;
    const path = join(folder, name);
    const found = lstatSync(path);
    if (!found.isFile()) throw new SegmentDamage(path, 0, 'it is no regular file');
    files.push({ name, path, epoch: id.epoch, bytes: found.size, writtenAt: found.mtimeMs });
  }
  return files;
}

/** Opens a segment, does some work with it, and closes it whatever happens. */
export function* withSegment<T>(path: string, work: (descriptor: number) => Steps<T>): Steps<T> {
  const descriptor = yield* openFile(path, openFor.reading);
  try {
    // Something else may have taken the name since the folder was listed.
    if (!(yield* statOfDescriptor(descriptor)).isFile())
      throw new SegmentDamage(path, 0, 'it is no regular file');
    return yield* work(descriptor);
  } finally {
    closeQuietly(descriptor);
  }
}
