import { readPast } from '../../src/restart/folder/past.js';
import { listSegments } from '../../src/restart/folder/segment-files.js';
import { runNow } from '../../src/restart/folder/steps.js';
import { type Survey, survey } from '../../src/restart/folder/survey.js';
import { Past } from '../../src/restart/past.js';

/** Reads a journal that nobody owns at the moment, as the next life would find it: takes no lock, and changes nothing. */
export function readFolder(folder: string): { readonly past: Past; readonly survey: Survey } {
  const found = runNow(survey(listSegments(folder)));
  const past = new Past();
  for (const records of readPast(folder, found.live)) for (const record of records) past.play(record);
  return { past, survey: found };
}
