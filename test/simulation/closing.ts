import { restart } from './restart.js';
import type { Simulation } from './simulation.js';

const closeDeadlineMs = 4_000;

/** Closes the registry, and starts the next process with what it left. */
export async function close(simulation: Simulation): Promise<void> {
  const { process, time, findings, random, volume } = simulation;
  const { model, registry, clock } = process;
  const { deliveries } = model.endings;
  const isInMemory = process.plans.every(({ kind }) => kind === 'tracked');
  const endsBy = time.now + closeDeadlineMs;
  let undelivered: number | undefined;
  simulation.log('close');
  process.isStopped = true;
  deliveries.isStopped = true;
  deliveries.close();
  model.awaited.stop();
  const closed = registry.close({ deadline: closeDeadlineMs });
  findings.check(registry.close() === closed, 8, () => 'a second close() is another one');
  void closed.then((result) => {
    undelivered = result.undelivered;
  });
  await settleUntil(simulation, () => undelivered !== undefined || process.isDead || time.now > endsBy + 2);
  if (process.isDead) return restart(simulation);
  findings.check(undelivered !== undefined, 8, () => 'close() does not come to its end');
  deliveries.isClosed = true;
  process.isClosed = true;
  const right = deliveries.pending.size + deliveries.losses.size;
  findings.check(
    // What the second recipient has not heard of counts too.
    undelivered === right || (simulation.scenario.hasAudit && (undelivered ?? 0) > right),
    'close',
    () => `close() says ${undelivered} undelivered, not ${right}`,
  );
  findings.check(clock.pendingTimers === 0, 8, () => 'a timer is left after close()');
  findings.check(!volume.isOwned, 'close', () => 'the journal is not free after close()');
  for (const plan of process.plans) {
    const own = plan.kind === 'tracked' ? [] : Object.getOwnPropertyNames(registry.maps[plan.name]);
    findings.check(own.length === 0, 12, () => `${plan.name} was released and keeps ${own.join(', ')}`);
  }
  const isKnown = simulation.hasJournal && process.journal?.isComplete === true;
  if (isKnown) model.isAllCertain();
  if (!simulation.isFaulty && random.chance(0.5)) return;
  // The process exits. By hand, its maps' entries are in the snapshot only if they are the registry's own.
  const snapshot = !simulation.hasJournal && isInMemory ? registry.snapshot() : undefined;
  process.isDead = true;
  clock.die();
  if (snapshot === undefined && !isKnown) simulation.kills += 1;
  await restart(simulation, snapshot === undefined ? {} : { snapshot });
}

/** Lets time pass while the registry closes. Its maps are not compared: it sweeps no more and is about to let go. */
async function settleUntil(simulation: Simulation, isOver: () => boolean): Promise<void> {
  const { process, time } = simulation;
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  for (;;) {
    for (let quiet = 0; quiet < 2; quiet += 1) {
      await turn();
      if (process.clock.pendingYields === 0) continue;
      process.clock.resume();
      quiet = -1;
    }
    // A callback may have asked for a sweep, whose beforeSweep lets go of what is in a quiet map.
    if (!process.isDead) process.model.notice();
    if (isOver()) return;
    const nextAt = Math.min(process.clock.nextAt, time.nextAt);
    if (nextAt === Number.POSITIVE_INFINITY) return;
    const isOfWorld = time.nextAt <= process.clock.nextAt;
    time.now = Math.max(time.now, nextAt);
    if (isOfWorld) time.fire();
    else process.clock.fire();
  }
}
