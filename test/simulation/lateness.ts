import { type MapPlan, owners } from './scenario.js';
import type { Simulation } from './simulation.js';

/** What nothing holds any more has to leave within an interval, and no map stays above its limit. */
export function checkLateness(simulation: Simulation, isQuiet: boolean): void {
  const { model, isStopped } = simulation.process;
  const { findings, time, scenario } = simulation;
  const isTicking = !isStopped;
  for (const registration of model.all()) {
    if (!model.isRemovable(registration) || !isTicking) registration.removableSince = undefined;
    else if (registration.removableSince === undefined) {
      registration.removableSince = time.now;
      registration.spentBefore = time.spent;
    } else {
      const spentMs = time.spent - registration.spentBefore;
      const { plan, key } = registration;
      const intervalMs = Math.min(scenario.sweepEveryMs, plan.sweepEveryMs);
      const lateMs = time.now - registration.removableSince - spentMs - intervalMs;
      findings.check(lateMs <= 2, 5, () => `${plan.name} ${key} could have left and is still there`);
    }
  }
  if (isTicking && isQuiet) checkSizes(simulation);
}

/** No map stays above its limit, unless something holds its entries. */
function checkSizes(simulation: Simulation): void {
  const { model } = simulation.process;
  const { findings, time, scenario } = simulation;
  // Where callbacks add entries, or are slow enough to let others add some, the next pass takes its time.
  const isPrompt = scenario.reentrancy === 0 && scenario.slowestCallbackMs === 0;
  const graceMs = isPrompt ? 0 : 2 * scenario.sweepEveryMs;
  for (const plan of simulation.process.plans) {
    const { name, maxEntries, hasHook, kind, isObserved } = plan;
    const { size } = model.of(name);
    const isOver = size > maxEntries || owners.some((owner) => model.isOwnerOver(plan, owner));
    const isHeld = [...model.of(name).values()].some((registration) => model.isHeld(registration, time.now));
    const isFree = !mayBeGuarded(simulation, plan) && !hasHook && kind !== 'owned' && !isObserved && !isHeld;
    if (!isFree || !isOver) model.overLimitSince.delete(name);
    else {
      const since = model.overLimitSince.get(name) ?? time.now;
      model.overLimitSince.set(name, since);
      findings.check(time.now - since < graceMs, 'maxEntries', () => `${name} holds ${size}`);
    }
  }
}

/** A guard keeps entries of the map, or of one that follows it: nobody is told when it lets go of them, nor that it did. */
function mayBeGuarded(simulation: Simulation, { name, hasGuard }: MapPlan): boolean {
  const followers = simulation.process.plans.filter(({ follows }) => follows === name);
  return hasGuard || followers.some((plan) => mayBeGuarded(simulation, plan));
}
