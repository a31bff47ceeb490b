import ms from 'ms';
import { defaultRecipient } from '../endings/ended-policy.js';
import { counted, describe } from '../events/shown.js';
import type { JournalRecord } from './journal.js';
import type { PastEnding } from './left.js';
import { played } from './past.js';

/** So many endings and dead letters are named. */
const mostNamed = 20;

/**
 * Says for a person what records leave open: what is in which map, who has to be told of what, and what was given up.
 *
 * @throws MapsweepError `ERR_JOURNAL_DAMAGED` or `ERR_JOURNAL_VERSION`
 */
export function describeRecords(batches: Iterable<readonly JournalRecord[]>): string[] {
  const past = played(batches);
  const endings = [...past.endings.values()];
  const owed = endings.filter(({ letter }) => letter === undefined);
  const dead = endings.filter(({ letter }) => letter !== undefined);
  return [
    ...[...past.maps].map(([name, { entries }]) => {
      const runs = [...entries.values()].filter(({ id, claimed }) => id !== undefined && !claimed).length;
      const open = name === past.endedMap ? `, ${runs} of them runs that have not ended` : '';
      return `${describe(name)}: ${counted(entries.size, 'entry', 'entries')}${open}`;
    }),
    ...section(owed, `${counted(owed.length, 'ending')} to be told`),
    ...section(dead, `${counted(dead.length, 'ending')} given up (dead letters)`),
  ];
}

function section(endings: readonly PastEnding[], title: string): string[] {
  if (endings.length === 0) return [];
  const more = endings.length - mostNamed;
  return [
    `${title}:`,
    ...endings.slice(0, mostNamed).map(endingLine),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

function endingLine({ key, recipient, reason, endedAt, attempts, letter }: PastEnding): string {
  const to = recipient === defaultRecipient ? '' : ` to ${describe(recipient)}`;
  const ago = ms(Math.max(0, Date.now() - endedAt));
  const tried = attempts === 0 ? '' : `, ${counted(attempts, 'attempt')} failed`;
  const why =
    letter === undefined
      ? ''
      : `, ${letter.cause}${letter.error === undefined ? '' : `: ${describe(letter.error)}`}`;
  return `  ${describe(key)} ${describe(reason)} ${ago} ago${to}${tried}${why}`;
}
