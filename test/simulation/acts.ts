import type { EndOptions } from '../../src/endings/endings.js';
import type { Random } from './random.js';
import type { Item, MapName, MapPlan } from './scenario.js';
import type { Simulation } from './simulation.js';

/** The keys that come up again and again. */
export const keys = ['a', 'b', 'c', 'd', 'e', 'f'];

/** Sets a key, in the model and then in the map. */
export function setKey(simulation: Simulation, plan: MapPlan, key: string, value: Item): void {
  const { model, registry } = simulation.process;
  simulation.remembered.set(`${plan.name}/${key}`, value);
  model.set(plan, key, value);
  registry.maps[plan.name].set(key, value);
}

/** Deletes a key; the model hears of it by the callbacks. */
export function deleteKey(simulation: Simulation, plan: MapPlan, key: string): void {
  const { model, registry } = simulation.process;
  const outer = model.deleting;
  model.deleting = { map: plan.name, key };
  const known = model.get(plan.name, key);
  const isRefused = simulation.process.refused.has(`${plan.name}/${key}`);
  try {
    registry.maps[plan.name].delete(key);
  } catch (error) {
    const isOurs = error instanceof Error && error.message === 'a delete that throws';
    simulation.findings.check(isOurs, 1, () => `delete threw ${String(error)}`);
  } finally {
    if (!simulation.process.isDead) model.notice();
    model.deleting = outer;
  }
  const isGone = known === undefined || !known.isThere;
  simulation.findings.check(
    simulation.process.isDead || isRefused || isGone,
    1,
    () => `${key} was not deleted`,
  );
}

/** Says that a run has ended, and compares the answer. */
export function endKey(simulation: Simulation, key: string, options: EndOptions): void {
  const { model, registry, isDead } = simulation.process;
  if (isDead) return;
  const registration = model.get('runs', key);
  if (registration !== undefined) model.disturb(registration);
  const right = model.endings.end(key, registration, options);
  const answer = registry.end(key, options);
  simulation.log(`end ${key}: ${answer}`);
  simulation.findings.check(answer === right, 9, () => `end(${key}) says ${answer}, not ${right}`);
}

/** Touches an entry, and compares the answer. */
export function touchKey(simulation: Simulation, map: MapName, key: string): void {
  const { model, registry } = simulation.process;
  const right = model.touch(map, key);
  const answer = registry.touch(map, key);
  simulation.findings.check(answer === right, 'touch', () => `touch(${map}, ${key}) says ${answer}`);
}

/** One of the maps, the runs more often than others. */
export function anyPlan(simulation: Simulation, random: Random): MapPlan {
  return simulation.plan(random.weighted({ runs: 5, contexts: 2, counters: 2, cache: 3 }));
}

/** A key that is in a map. */
export function presentKey(simulation: Simulation, map: MapName, random: Random): string | undefined {
  const present = [...simulation.process.model.of(map).keys()];
  return present.length === 0 ? undefined : random.pick(present);
}

/** One or two operations that fit into any place: inside a callback, between two slices. */
export function smallOperations(simulation: Simulation, random: Random): void {
  for (let left = random.between(1, 2); left > 0 && !simulation.process.isDead; left -= 1) {
    simulation.process.model.notice();
    const plan = anyPlan(simulation, random);
    const key = random.pick(keys);
    const name = random.weighted({
      set: 4,
      touch: 3,
      delete: 2,
      end: 2,
      guard: 1,
      hold: 1,
      release: 1,
      sweep: 1,
    });
    simulation.log(`${name} ${plan.name} ${key}`);
    if (name === 'set') setKey(simulation, plan, key, simulation.owner.newItem(undefined, key));
    else if (name === 'touch') touchKey(simulation, plan.name, key);
    else if (name === 'delete') deleteKey(simulation, plan, key);
    else if (name === 'end') endKey(simulation, key, {});
    else if (name === 'sweep') sweep(simulation, false);
    else if (name === 'hold') holdKey(simulation, plan.name, key);
    else if (name === 'release') releaseFirst(simulation);
    else guard(simulation, plan, key);
  }
}

/** Takes a hold, which is of nothing if there is no such entry. */
export function holdKey(simulation: Simulation, map: MapName, key: string): void {
  const { model, registry, holds } = simulation.process;
  model.notice();
  const registration = model.get(map, key);
  if (registration !== undefined) model.hold(registration);
  const hold = registry.hold(map, key);
  const isRight = hold.isHeld === (registration !== undefined);
  simulation.findings.check(isRight, 'hold', () => `hold(${map}, ${key}) holds ${hold.isHeld}`);
  if (registration !== undefined) holds.push({ hold, registration });
}

/** Gives the hold back that was taken first, if there is one. */
export function releaseFirst({ process, findings }: Simulation): void {
  process.model.notice();
  const first = process.holds.shift();
  if (first === undefined) return;
  const { hold, registration } = first;
  const { key, isThere } = registration;
  findings.check(hold.isHeld === isThere, 'hold', () => `a hold of ${key} says that it holds ${hold.isHeld}`);
  process.model.release(registration);
  hold.release();
  findings.check(!hold.isHeld, 'hold', () => `a hold of ${key} was released, and holds`);
}

/** Puts a guard up, or takes it down. */
export function guard(simulation: Simulation, plan: MapPlan, key: string): void {
  const registration = simulation.process.model.get(plan.name, key);
  if (registration === undefined) return;
  registration.value.isGuarded = !registration.value.isGuarded;
  simulation.process.model.disturb(registration);
}

/** Asks for a sweep; what is due now has to be gone when it is over, if no pass was under way. */
export function sweep(simulation: Simulation, isWhole: boolean): void {
  const { process, findings } = simulation;
  const { model, registry, clock, sweeps } = process;
  const began = simulation.act;
  const isNew = isWhole && clock.pendingYields === 0;
  const due = isNew ? [...model.all()].filter((registration) => model.isRemovable(registration)) : [];
  const [underWay] = sweeps;
  // The first slice runs inside of the call.
  process.startingSweeps += 1;
  const { finishedPasses } = process;
  if (process.isStopped) model.hooksByHand = model.hooksBegun;
  const promise = registry.sweep();
  process.startingSweeps -= 1;
  // One that has told of its end is given until its promise settles, and may be known from then.
  const isOver = process.passFinishedIn === simulation.act;
  findings.check(
    underWay === undefined || underWay === promise || isOver,
    8,
    () => 'a second sweep beside one that runs',
  );
  if (process.finishedPasses === finishedPasses) sweeps.add(promise);
  void promise.then((report) => {
    sweeps.delete(promise);
    if (process.isDead || report.skipped !== undefined) return;
    model.notice();
    for (const registration of due) {
      const isLeft =
        registration.isThere && registration.disturbedIn <= began && model.isRemovable(registration);
      const { plan, key } = registration;
      findings.check(!isLeft || plan.hasHook, 5, () => `${plan.name} ${key} was due, and a sweep left it`);
    }
  });
}
