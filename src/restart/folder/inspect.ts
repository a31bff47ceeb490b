import { readdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MapsweepError } from '../../errors.js';
import type { JournalRecord } from '../journal.js';
import { findRemedy, type Remedy } from './damage-report.js';
import { noteIn } from './lock-file.js';
import { isAlive, type OwnerNote } from './owner-note.js';
import { lockName, ownerName } from './ownership.js';
import { readPast } from './past.js';
import { listSegments, type SegmentFile } from './segment-files.js';
import { SegmentDamage } from './segment-frames.js';
import { runNow } from './steps.js';
import { type Survey, survey, type TornTail } from './survey.js';
import { codeOf } from './system-calls.js';

/** Says for a person what records mean: what is open, one line each. */
export type DescribeRecords = (records: Iterable<readonly JournalRecord[]>) => readonly string[];

/** What is in a folder, found without its lock and without changing anything. */
export interface Inspection {
  /** Its path, links resolved. */
  readonly folder: string;
  /** Who has it, or had it last; `isAlive` is `'unknown'` if that process cannot be seen from here. */
  readonly owner: (OwnerNote & { readonly isAlive: boolean | 'unknown' }) | undefined;
  readonly segments: readonly InspectedSegment[];
  /** How many records there are of each kind, most first. Empty if the journal cannot be read. */
  readonly kinds: Readonly<Record<string, number>>;
  /** What is left of a write that was cut short, by a full disk or since its owner was killed; or one that is under way just now. */
  readonly tornTail: TornTail | undefined;
  /** What is wrong, where, and what can be done about it. */
  readonly damage:
    | ({ readonly file: string; readonly offset: number; readonly what: string } & Remedy)
    | undefined;
  /** Says why a journal whose bytes are whole cannot be read: its version is newer, or its records are none. */
  readonly unreadable: string | undefined;
  /** What is open, for a person. Empty if the journal cannot be read. */
  readonly open: readonly string[];
}

/** A segment in a folder. */
export interface InspectedSegment {
  readonly name: string;
  /** Its length; of one that is live, how many bytes of it count. */
  readonly bytes: number;
  /** ISO 8601. */
  readonly writtenAt: string;
  /** True if it is part of the journal, false if it will be removed; `undefined` if the journal cannot be read. */
  readonly isLive: boolean | undefined;
  /** How many records it has. `undefined` if it is not live. */
  readonly records: number | undefined;
}

/** How often the folder is looked at anew if its owner removes files meanwhile. */
const attempts = 5;

/**
 * Looks into a folder, also while somebody owns it.
 *
 * @throws an error if there is no such folder, no journal in it, or it cannot be read
 */
export function inspectFolder(path: string, describe: DescribeRecords = () => []): Inspection {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return inspectOnce(realpathSync(path), describe);
    } catch (error) {
      const isGone = codeOf(error instanceof MapsweepError ? error.cause : error) === 'ENOENT';
      if (!isGone || attempt === attempts) throw error;
    }
  }
}

function inspectOnce(folder: string, describe: DescribeRecords): Inspection {
  // Says first that it is no folder, if it is none.
  readdirSync(folder);
  const note = noteIn(join(folder, ownerName)) ?? noteIn(join(folder, lockName));
  const owner = note && { ...note, isAlive: isAlive(note) };
  const found = { folder, owner, tornTail: undefined, damage: undefined, unreadable: undefined };
  let files: SegmentFile[] = [];
  try {
    files = listSegments(folder);
    if (files.length === 0 && owner === undefined) throw new Error('there is no journal in it');
    const surveyed = runNow(survey(files));
    const whole = { ...found, ...countRecords(folder, files, surveyed), tornTail: surveyed.tornTail };
    return { ...whole, ...described(() => describe(readPast(folder, surveyed.live))) };
  } catch (error) {
    const uncounted = { segments: files.map((file) => segment(file, {})), kinds: {}, open: [] };
    if (error instanceof MapsweepError && error.code === 'ERR_JOURNAL_VERSION')
      return { ...found, ...uncounted, unreadable: error.message };
    if (!(error instanceof SegmentDamage)) throw error;
    const where = { file: basename(error.path), offset: error.offset, what: error.message };
    return { ...found, ...uncounted, damage: { ...where, ...runNow(findRemedy(files, error)) } };
  }
}

/** What the frames hold is somebody else's to judge; what was found of them is told all the same. */
function described(describe: () => readonly string[]): Pick<Inspection, 'open' | 'unreadable'> {
  try {
    return { open: describe(), unreadable: undefined };
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf((error as Error).cause) === 'ENOENT') throw error;
    return { open: [], unreadable: (error as Error).message };
  }
}

function countRecords(
  folder: string,
  files: readonly SegmentFile[],
  { live }: Survey,
): Pick<Inspection, 'segments' | 'kinds'> {
  const counts = new Map<string, number>();
  const extents = new Map(live.map((extent) => [extent.name, extent]));
  const segments = files.map((file) => {
    const extent = extents.get(file.name);
    if (extent === undefined) return segment(file, { isLive: false });
    let records = 0;
    for (const batch of readPast(folder, [extent]))
      for (const [kind] of batch) {
        records += 1;
        counts.set(String(kind), (counts.get(String(kind)) ?? 0) + 1);
      }
    return segment(file, { isLive: true, bytes: extent.bytes, records });
  });
  const kinds = Object.fromEntries([...counts].sort(([, one], [, other]) => other - one));
  return { segments, kinds };
}

const segment = (
  { name, bytes, writtenAt }: SegmentFile,
  known: { readonly isLive?: boolean; readonly bytes?: number; readonly records?: number },
): InspectedSegment => ({
  name,
  bytes: known.bytes ?? bytes,
  writtenAt: new Date(writtenAt).toISOString(),
  isLive: known.isLive,
  records: known.records,
});
