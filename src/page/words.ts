import { exactSpan, span } from '../diagnosis/explain.js';
import { shownText } from '../events/shown.js';
import { leakInWords, verdictInWords, type WatchedFigures } from '../registry/figures.js';
import { type EndingsView, type LetterLine, mostLetters } from './endings.js';
import type { MapRow } from './map-rows.js';
import type { HeldLine } from './opened-map.js';
import type { PageView } from './view.js';

/** Writes a share from 0 to 1 in percent. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Writes how long ago an instant was. */
export const ago = (at: number, instant: number): string => `${span(at - instant)} ago`;

/** Writes a length of time that need not be known. */
export const spanOr = (durationMs: number | undefined, otherwise: string): string =>
  durationMs === undefined ? otherwise : span(durationMs);

/** Says whether a map leaks, how fast it grows and when it is full. */
export const verdictWords = (row: MapRow): string =>
  verdictInWords({ ...row, leak: { ...row.leak, hoursToLimit: row.hoursToLimit } });

/** How a watched size is doing, and what it is bounded to. */
export function watchedWords({ size, max, leak }: WatchedFigures): string {
  const bound = max === undefined ? '' : ` of ${max}`;
  return `${leakInWords(leak)}; ${size}${bound}`;
}

/** The counts that are not 0, with their names. */
export function countsWords(counts: Readonly<Record<string, number>>): string {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}

/** Says when sweeps come, and whether they do anything. */
export function sweepingWords({ sweepEveryMs, mode, stopped }: PageView): string {
  if (stopped) return 'Nothing is swept by itself any more.';
  return `A sweep every ${exactSpan(sweepEveryMs)}${mode === 'observe' ? ', which only observes: nothing is removed' : ''}.`;
}

/** Says for how long a hold has been taken, and where. */
export const holdWords = ({ forMs, site }: HeldLine): string =>
  `held for ${span(forMs)}${site === undefined ? '' : `, at ${shownText(site)}`}`;

/** Says why an ending is not delivered by itself any more, but for the error. */
export const letterWords = ({ reason, cause, attempts, ambiguous }: LetterLine): string =>
  `${reason}; ${cause} after ${attempts} attempts${ambiguous ? ', and may have arrived all the same' : ''}`;

/** What is said when an address names a map that is not there. */
export const noSuchMap = 'There is no such map any more.';

/** What is said when an address names an entry that is not there. */
export const hasLeft = 'The entry that was asked for has left.';

/** Says that only the oldest of the dead letters are shown; `undefined` if all are. */
export function lettersLeftOut({ letters, deadLetters, recipients }: EndingsView): string | undefined {
  if (letters.length >= deadLetters) return undefined;
  return `The oldest ${mostLetters}${recipients.length > 1 ? ' of each recipient' : ''} are shown.`;
}
