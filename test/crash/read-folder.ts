import { readPast } from '../../src/restart/folder/past.js';
import { listSegments } from '../../src/restart/folder/segment-files.js';
import { runNow } from '../../src/restart/folder/steps.js';
import { type Survey, survey } from '../../src/restart/folder/survey.js';
import { type Past, played } from '../../src/restart/past.js';

/** Reads a journal that nobody owns at the moment, as the next life would find it: takes no lock, and changes nothing. */
export function readFolder(folder: string): { readonly past: Past; readonly survey: Survey } {
  const found = runNow(survey(listSegments(folder)));
  return { past: played(readPast(folder, found.live)), survey: found };
}
