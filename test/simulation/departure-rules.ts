import type { Model } from './model.js';
import type { Registration } from './registration.js';
import { ownerOf } from './scenario.js';

/** A sweep removes what is due, and nothing else. */
export function checkSwept(model: Model, registration: Registration): void {
  const { findings, time } = model.host;
  const { plan, key } = registration;
  findings.check(!plan.isObserved, 4, () => `${plan.name} is only observed, and ${key} was swept`);
  const earlyMs = model.deadlineOf(registration) - time.now;
  findings.check(earlyMs <= 0, 4, () => `${plan.name} ${key} was swept ${earlyMs} ms early`);
  findings.check(
    !model.isHeld(registration, time.now),
    4,
    () => `${plan.name} ${key} was swept and is guarded`,
  );
  findings.check(
    isApproved(registration, time.now),
    4,
    () => `${plan.name} ${key} was swept before its beforeSweep had succeeded`,
  );
  // Its own ticks may be made up for earlier.
  const isOften = plan.sweepEveryMs < Number.POSITIVE_INFINITY;
  const isLate = time.now < model.noSweepBefore && !model.host.isSweepAsked() && !plan.hasHook && !isOften;
  findings.check(!isLate || plan.isQuiet, 4, () => `${plan.name} ${key} was swept by a tick that came late`);
}

/** Over the limit, due entries go first, then those whose end was told, then the longest idle; guarded ones never. */
export function checkEvicted(model: Model, registration: Registration): void {
  const { findings, time } = model.host;
  const { plan, key, isClaimed, activeAt } = registration;
  const entries = [...model.of(plan.name).values()];
  findings.check(!plan.isObserved, 4, () => `${plan.name} is only observed, and ${key} was evicted`);
  const owner = ownerOf(plan, key, registration.value);
  const isOver = entries.length > plan.maxEntries;
  const isOwnerOver = model.isOwnerOver(plan, owner);
  findings.check(
    isOver || isOwnerOver,
    4,
    () => `${key} was evicted from ${plan.name}, which is not over its limit`,
  );
  const isDue = time.now >= model.deadlineOf(registration);
  const isHeld = model.isHeld(registration, isDue ? time.now : Number.NEGATIVE_INFINITY);
  findings.check(!isHeld, 4, () => `${plan.name} ${key} was evicted and is guarded`);
  findings.check(isApproved(registration, time.now), 4, () => `${key} was evicted before its beforeSweep`);
  if (isDue || plan.hasHook || plan.isQuiet || model.host.hasPaused()) return;
  // Nobody can say from here for which of the two it left.
  if (isOver && isOwnerOver) return;
  const began = model.host.eventBeganWith();
  const others = entries.filter((other) => {
    const isMeant = other !== registration && (isOver || ownerOf(plan, other.key, other.value) === owner);
    const mayGo = isMeant && !model.isHeld(other, Number.NEGATIVE_INFINITY);
    return mayGo && other.disturbedIn < began && !model.host.refuses(plan.name, other.key);
  });
  // What only a look can find due, a pass need not have looked at since the last sweep.
  const isGuardable = model.host.plans.some(
    ({ name, hasGuard }) => hasGuard && (name === plan.name || plan.name === 'runs'),
  );
  const first = others.find((other) => {
    const isByTimeAlone = !other.asksFunctions && !other.isLeaving && !isGuardable;
    return isByTimeAlone && other.removableSince !== undefined && model.isRemovable(other);
  });
  findings.check(
    first === undefined,
    'maxEntries',
    () => `${key} was evicted before ${first?.key}, which is due`,
  );
  if (isClaimed) return;
  const ended = others.some((other) => other.isClaimed);
  findings.check(!ended, 'maxEntries', () => `${key} was evicted before one that has ended`);
  const idler = others.some((other) => !other.isRestored && !other.isOfThen && other.activeAt < activeAt);
  findings.check(!idler || registration.isRestored, 'maxEntries', () => `${key} was not the longest idle`);
}

/** Its `beforeSweep` has succeeded, or `maxAge` is over and it was tried: then it leaves whatever came of that. */
function isApproved({ plan, isApproved, registeredAt, wasTried }: Registration, now: number): boolean {
  return !plan.hasHook || isApproved || (wasTried && now >= registeredAt + plan.maxAgeMs);
}
