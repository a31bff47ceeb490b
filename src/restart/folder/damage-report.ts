import { basename, dirname } from 'node:path';
import { MapsweepError } from '../../errors.js';
import type { SegmentFile } from './segment-files.js';
import { SegmentDamage } from './segment-frames.js';
import type { Steps } from './steps.js';
import { readHead } from './survey.js';

/** What can be done about damage: which files to move away to start without them, and what is lost then. */
export interface Remedy {
  /** The names of the files; empty if only the whole folder will do. */
  readonly moveAway: readonly string[];
  /** The instant up to which the rest knows everything, epoch ms; `undefined` if nothing is left. */
  readonly knownUntil: number | undefined;
}

/** Finds the latest state before the damage that is complete. */
export function* findRemedy(files: readonly SegmentFile[], damage: SegmentDamage): Steps<Remedy> {
  const sizes = new Map(files.map(({ name, bytes }) => [name, bytes]));
  for (const [index, file] of [...files.entries()].reverse()) {
    if (file.path >= damage.path) continue;
    const head = yield* headIfReadable(file);
    if (head?.before.every(({ name, bytes }) => (sizes.get(name) ?? -1) >= bytes))
      return { moveAway: files.slice(index + 1).map(({ name }) => name), knownUntil: file.writtenAt };
  }
  return { moveAway: [], knownUntil: undefined };
}

/** Puts damage and remedy into words. */
export function damageError(damage: SegmentDamage, { moveAway, knownUntil }: Remedy): MapsweepError {
  const folder = dirname(damage.path);
  const [first, ...others] = moveAway;
  const remedy =
    first === undefined || knownUntil === undefined
      ? `To start without it, move the whole folder away; all that it knew is lost: what was open is never told, and ` +
        'what was told may be told again'
      : `To start without it, move away '${first}'${others.length > 0 ? ` and what sorts behind it (${moveAway.length} files)` : ''}; ` +
        `what was written after ${new Date(knownUntil).toISOString()} is lost then`;
  return new MapsweepError(
    'ERR_JOURNAL_DAMAGED',
    `persistTo: '${basename(damage.path)}' in '${folder}' is damaged at byte ${damage.offset}: ${damage.message}. Nothing ` +
      `was changed. ${remedy}`,
    { cause: damage },
  );
}

function* headIfReadable(file: SegmentFile): ReturnType<typeof readHead> {
  try {
    return yield* readHead(file);
  } catch (error) {
    if (error instanceof SegmentDamage || error instanceof MapsweepError) return undefined;
    throw error;
  }
}
