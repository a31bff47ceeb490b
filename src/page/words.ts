import { span } from '../diagnosis/explain.js';
import type { MapRow } from './map-rows.js';

/** Writes a share from 0 to 1 in percent. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Writes a number of bytes. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = count < 1_000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1_000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** Writes how long ago an instant was. */
export const ago = (at: number, instant: number): string => `${span(at - instant)} ago`;

/** Writes a length of time that need not be known. */
export const spanOr = (durationMs: number | undefined, otherwise: string): string =>
  durationMs === undefined ? otherwise : span(durationMs);

/** Says whether a map leaks, how fast it grows and when it is full. */
export function verdictWords({ leak, mode, excess }: MapRow): string {
  if (leak.state !== 'ok') {
    const rate = leak.by === 'weight' ? bytes(leak.perHour) : leak.perHour.toFixed(1);
    const full = leak.hoursToLimit === undefined ? '' : `, full in ${span(leak.hoursToLimit * 3_600_000)}`;
    return `${leak.state}, +${rate} an hour${full}`;
  }
  if (mode === 'observe') return 'observed';
  return excess > 0 ? `${excess} beyond maxEntries` : 'ok';
}

/** The counts that are not 0, with their names. */
export function countsWords(counts: Readonly<Record<string, number>>): string {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}
