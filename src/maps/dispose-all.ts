import type { Engine } from '../sweeping/engine.js';
import { reconcile } from '../sweeping/reconcile.js';
import { closeOut } from '../sweeping/removals.js';
import type { Tracker } from '../sweeping/tracker.js';

/**
 * Has every live entry leave through its map's own `delete`, those of leaders first, in slices. Nobody is told of an end, and
 * neither guards nor holds nor `beforeSweep` are asked. Maps that are only observed are left alone. What is set meanwhile stays.
 *
 * @param deadlineAt when it gives up, monotonic ms
 * @param isLeft says whether the registry has been left at once meanwhile: nothing more is removed then
 * @returns how many entries are still there
 */
export async function disposeAll(engine: Engine, deadlineAt: number, isLeft: () => boolean): Promise<number> {
  const { timeline } = engine;
  const slices = engine.newSlices();
  let undisposed = 0;
  const trackers = leadersFirst(engine.trackers).filter(({ observing }) => !observing);
  for (const tracker of trackers) {
    // What was set past the wrapper too, though the sizes agree.
    for (const _ of reconcile(tracker)) {
      if (isLeft()) break;
      if (slices.isOver()) await slices.giveWay();
    }
    for (const [, slot, generation] of tracker.stamps.present()) {
      if (isLeft()) break;
      const isOver = timeline.now() >= deadlineAt;
      if (isOver || !closeOut(tracker, slot, generation)) undisposed += 1;
      if (slices.isOver()) await slices.giveWay();
    }
  }
  slices.end();
  // The maps that were given back have no stamps any more.
  if (isLeft()) undisposed = trackers.reduce((sum, { native }) => sum + native.size(), 0);
  return undisposed;
}

function leadersFirst(trackers: ReadonlyMap<string, Tracker>): Tracker[] {
  const depth = (tracker: Tracker): number => {
    const { leader } = tracker.companions;
    return leader === undefined ? 0 : 1 + depth(leader);
  };
  return [...trackers.values()].sort((one, other) => depth(one) - depth(other));
}
