import { span } from '../diagnosis/explain.js';
import { growthInWords } from '../registry/figures.js';
import type { MapRow } from './map-rows.js';

/** Writes a share from 0 to 1 in percent. */
export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Writes how long ago an instant was. */
export const ago = (at: number, instant: number): string => `${span(at - instant)} ago`;

/** Writes a length of time that need not be known. */
export const spanOr = (durationMs: number | undefined, otherwise: string): string =>
  durationMs === undefined ? otherwise : span(durationMs);

/** Says whether a map leaks, how fast it grows and when it is full. */
export function verdictWords({ leak, mode, excess }: MapRow): string {
  if (leak.state !== 'ok') return `${leak.state}, ${growthInWords(leak)}`;
  if (mode === 'observe') return 'observed';
  return excess > 0 ? `${excess} beyond maxEntries` : 'ok';
}

/** The counts that are not 0, with their names. */
export function countsWords(counts: Readonly<Record<string, number>>): string {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}
