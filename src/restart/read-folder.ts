import { damageError, findRemedy } from './folder/damage-report.js';
import { readPast } from './folder/past.js';
import { listSegments, type SegmentFile } from './folder/segment-files.js';
import { SegmentDamage } from './folder/segment-frames.js';
import { runNow } from './folder/steps.js';
import { type Survey, survey } from './folder/survey.js';
import { Past } from './past.js';

/** What is in the folder of a journal. */
export interface FolderContent {
  /** What the lives that wrote it left, as the next one would find it. */
  readonly past: Past;
  readonly survey: Survey;
}

/**
 * Reads a journal that nobody owns at the moment: takes no lock, and changes nothing. Beside an owner that is at work,
 * files may go while they are read.
 *
 * @throws MapsweepError `ERR_JOURNAL_DAMAGED` naming file and offset, or `ERR_JOURNAL_VERSION`
 */
export function readFolder(folder: string): FolderContent {
  let files: SegmentFile[] = [];
  try {
    files = listSegments(folder);
    const found = runNow(survey(files));
    const past = new Past();
    for (const records of readPast(folder, found.live)) for (const record of records) past.play(record);
    return { past, survey: found };
  } catch (error) {
    if (error instanceof SegmentDamage) throw damageError(error, runNow(findRemedy(files, error)));
    throw error;
  }
}
