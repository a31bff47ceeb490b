import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { setTimeout as pause } from 'node:timers/promises';

// Not the globals: Jest's `fakeTimers: { enableGlobally: true }` has replaced those before anything is loaded. Constants,
// since fake timers that are installed later may replace what the module exports.

/** The `setTimeout` of the process, also where a test runner has installed fake timers. */
export const realSetTimeout = setTimeout;
/** As {@link realSetTimeout}. */
export const realClearTimeout = clearTimeout;
/** As {@link realSetTimeout}. */
export const realSetImmediate = setImmediate;
/** Waits. As {@link realSetTimeout}. */
export const realPause = pause;
