import { type ExplainedState, explain } from '../diagnosis/explain.js';
import { shownKey } from '../events/shown.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { Subject } from './subject.js';

/** How many of the entries that are still there a message names. */
export const survivorsNamed = 3;

/** An entry that is still there. */
export interface Survivor {
  /** Its key. */
  readonly key: unknown;
  /** Since its registration; `undefined` if it was written past the wrapper and has no stamp yet. */
  readonly ageMs: number | undefined;
  /** Whether it is due, and what keeps it if it is, as `explain()` of a registry says. */
  readonly state: ExplainedState;
  /** What the next sweep would do with it and why, in one sentence. */
  readonly why: string;
  /** Where it was registered, such as `startRun (/app/runs.ts:12:8)`; `undefined` where that was not sampled. */
  readonly site: string | undefined;
}

/** The first entries of a map, in its own order, that `isCounted`; each explained. Removes nothing. */
export function survivorsOf(
  subject: Subject,
  tracker: Tracker,
  isCounted: (key: unknown) => boolean = () => true,
): Survivor[] {
  const survivors: Survivor[] = [];
  for (const key of tracker.native.keys()) {
    if (survivors.length >= survivorsNamed) break;
    if (isCounted(key)) survivors.push(survivor(subject, tracker, key));
  }
  return survivors;
}

function survivor({ engine, sites }: Subject, tracker: Tracker, key: unknown): Survivor {
  const { state, why } = explain(engine, tracker, key);
  const slot = tracker.stamps.slotOf(key);
  const ageMs = slot === undefined ? undefined : engine.timeline.now() - tracker.stamps.registeredAt(slot);
  return { key, ageMs, state, why: `${state}, ${why}`, site: sites?.siteOf(tracker, key) };
}

/** Entries for a message, a line or two each, and how many more there are. */
export function survivorLines(
  survivors: readonly Pick<Survivor, 'key' | 'why' | 'site'>[],
  total: number,
): string[] {
  const lines = survivors.flatMap(({ key, why, site }) => [
    `    ${shownKey(key)}: ${why}`,
    ...(site === undefined ? [] : [`      registered at ${site}`]),
  ]);
  const more = total - survivors.length;
  return more > 0 ? [...lines, `    and ${more} more`] : lines;
}
