import { damageError, findRemedy } from './damage-report.js';
import { systemFailure } from './journal-failures.js';
import { Ownership, type Warn } from './ownership.js';
import { prepareFolder } from './prepare-folder.js';
import { listSegments, type SegmentFile } from './segment-files.js';
import { SegmentDamage } from './segment-frames.js';
import type { Steps } from './steps.js';
import { type Survey, survey } from './survey.js';

/** A folder that this process owns, and what was found in it. */
export interface OpenFolder {
  readonly ownership: Ownership;
  readonly survey: Survey;
}

/**
 * Takes a folder and checks all that is in it. If it throws, nothing was changed and the folder is free.
 *
 * @throws MapsweepTypeError `ERR_INVALID_OPTION`
 * @throws MapsweepError `ERR_JOURNAL_LOCKED`, `ERR_JOURNAL_DAMAGED`, `ERR_JOURNAL_VERSION` or `ERR_JOURNAL_IO`
 */
export function* openFolder(path: string, warn: Warn): Steps<OpenFolder> {
  const folder = prepareFolder(path);
  const ownership = Ownership.take(folder, warn);
  let files: SegmentFile[] = [];
  try {
    files = listSegments(folder);
    const found = yield* survey(files);
    ownership.beginEpoch(Math.max(0, ...files.map(({ epoch }) => epoch)));
    return { ownership, survey: found };
  } catch (error) {
    try {
      if (error instanceof SegmentDamage) throw damageError(error, yield* findRemedy(files, error));
      throw systemFailure(`cannot read the folder '${folder}'`, error);
    } finally {
      ownership.release();
    }
  }
}
