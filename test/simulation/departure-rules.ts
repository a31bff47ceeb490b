import type { Model } from './model.js';
import type { Registration } from './registration.js';

/** A sweep removes what is due, and nothing else. */
export function checkSwept(model: Model, registration: Registration): void {
  const { findings, time } = model.host;
  const { plan, key } = registration;
  findings.check(!plan.isObserved, 4, () => `${plan.name} is only observed, and ${key} was swept`);
  const earlyMs = model.deadlineOf(registration) - time.now;
  findings.check(earlyMs <= 0, 4, () => `${plan.name} ${key} was swept ${earlyMs} ms early`);
  findings.check(!registration.isHeld(time.now), 4, () => `${plan.name} ${key} was swept and is guarded`);
  const isApproved = !plan.hasHook || registration.isApproved;
  findings.check(isApproved, 4, () => `${plan.name} ${key} was swept before its beforeSweep had succeeded`);
  const isLate = time.now < model.noSweepBefore && !model.host.isSweepAsked() && !plan.hasHook;
  findings.check(!isLate || plan.isQuiet, 4, () => `${plan.name} ${key} was swept by a tick that came late`);
}

/** Over the limit, due entries go first, then those whose end was told, then the longest idle; guarded ones never. */
export function checkEvicted(model: Model, registration: Registration): void {
  const { findings, time } = model.host;
  const { plan, key, isClaimed, activeAt } = registration;
  const entries = [...model.of(plan.name).values()];
  findings.check(!plan.isObserved, 4, () => `${plan.name} is only observed, and ${key} was evicted`);
  const isOver = entries.length > plan.maxEntries;
  findings.check(isOver, 4, () => `${key} was evicted from ${plan.name}, which is not over its limit`);
  const isDue = time.now >= model.deadlineOf(registration);
  const isHeld = registration.isHeld(isDue ? time.now : Number.NEGATIVE_INFINITY);
  findings.check(!isHeld, 4, () => `${plan.name} ${key} was evicted and is guarded`);
  findings.check(
    !plan.hasHook || registration.isApproved,
    4,
    () => `${key} was evicted before its beforeSweep`,
  );
  if (isDue || plan.hasHook || plan.isQuiet || model.host.hasPaused()) return;
  const began = model.host.eventBeganWith();
  const others = entries.filter((other) => {
    const mayGo = other !== registration && !other.isHeld(Number.NEGATIVE_INFINITY);
    return mayGo && other.disturbedIn < began && !model.host.refuses(plan.name, other.key);
  });
  const first = others.find((other) => other.removableSince !== undefined && model.isRemovable(other));
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
