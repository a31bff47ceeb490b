import { counted, describe } from '../../events/shown.js';
import type { InspectedSegment, Inspection } from './inspect.js';
import { describeOwner } from './owner-note.js';

/** How many lines of what is open are shown, and how many segments. */
const longestList = 50;

/** Puts what was found in a folder into lines for a terminal. */
export function inspectionText(inspection: Inspection): string {
  const { folder, segments, tornTail, damage, unreadable, open } = inspection;
  const live = segments.filter(({ isLive }) => isLive !== false);
  const superseded = segments.filter(({ isLive }) => isLive === false);
  const lines = [
    folder,
    `  owner: ${ownerText(inspection)}`,
    `  journal: ${sizeText(live)}`,
    ...listed(live.map(segmentText)),
  ];
  if (superseded.length > 0) lines.push(`  no part of it any more, to be removed: ${sizeText(superseded)}`);
  const isRead = damage === undefined && unreadable === undefined;
  if (isRead || Object.keys(inspection.kinds).length > 0) lines.push(`  records: ${kindsText(inspection)}`);
  if (tornTail !== undefined)
    lines.push(
      `  torn: ${tornTail.bytes} bytes at byte ${tornTail.offset} of ${tornTail.path} are ` +
        (inspection.owner?.isAlive === false
          ? 'what is left of a write that was cut short: the disk was full, or its owner was killed; the next owner leaves them out'
          : 'a write that is under way, or what is left of one'),
    );
  if (unreadable !== undefined) lines.push(`  not readable: ${printable(unreadable)}`);
  if (damage !== undefined) lines.push(...damageText(damage));
  if (open.length > 0) lines.push('  open:', ...listed(open.map((line) => printable(line))));
  return `${lines.join('\n')}\n`;
}

function ownerText({ owner }: Inspection): string {
  if (owner === undefined) return 'nobody has left a note';
  const { isAlive, releasedAt } = owner;
  const whose = describeOwner(owner);
  if (releasedAt !== undefined) return `nobody; ${whose} gave it back at ${describe(releasedAt)}`;
  if (isAlive === true) return `${whose}, which is running`;
  return isAlive === false
    ? `nobody; ${whose} has ended without giving it back`
    : `${whose}, of another machine or container: whether it is running cannot be told from here`;
}

const sizeText = (segments: readonly InspectedSegment[]): string => {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  return `${counted(segments.length, 'segment')}, ${bytesText(bytes)}`;
};

const segmentText = ({ name, bytes, writtenAt, records }: InspectedSegment): string =>
  `${name}  ${bytesText(bytes)}${records === undefined ? '' : `, ${counted(records, 'record')}`}, written ${writtenAt}`;

function kindsText({ kinds }: Inspection): string {
  const all = Object.entries(kinds);
  const shown = all
    .slice(0, longestList)
    .map(([kind, count]) => `${count} ${JSON.stringify(kind.slice(0, 40))}`);
  return all.length === 0 ? 'none' : shown.join(', ');
}

function damageText({
  file,
  offset,
  what,
  moveAway,
  knownUntil,
}: NonNullable<Inspection['damage']>): string[] {
  const lines = [`  DAMAGED: ${file} at byte ${offset}: ${what}`];
  if (knownUntil === undefined)
    lines.push(
      '  To start without it, move the whole folder away. All that it knew is lost then: what was open is never told, and',
      '  what was told may be told again.',
    );
  else
    lines.push(
      `  To start without what was written after ${new Date(knownUntil).toISOString()}, move away:`,
      ...listed(moveAway),
    );
  return lines;
}

function listed(items: readonly string[]): string[] {
  const lines = items.slice(0, longestList).map((item) => `    ${item}`);
  if (items.length > longestList) lines.push(`    … and ${items.length - longestList} more`);
  return lines;
}

const bytesText = (bytes: number): string =>
  bytes < 10_000 ? `${bytes} bytes` : `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;

/** Texts are somebody else's, who may have put into them what a terminal obeys. */
const printable = (text: string): string => text.slice(0, 500).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�');
