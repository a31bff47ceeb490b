import {
  anyPlan,
  deleteKey,
  endKey,
  guard,
  holdKey,
  keys,
  presentKey,
  releaseFirst,
  setKey,
  sweep,
  touchKey,
} from './acts.js';
import { close } from './closing.js';
import type { MapName, OperationName } from './scenario.js';
import { mapNames } from './scenario.js';
import type { Simulation } from './simulation.js';

const reasons = ['completed', 'failed', 'killed', undefined];

const circular: { self?: unknown } = {};
circular.self = circular;
/** What owners attach to an end, some of it nothing that JSON could carry. */
const details: readonly unknown[] = [undefined, undefined, 'text', { code: 1 }, circular, () => {}];

type Operation = (simulation: Simulation) => void | Promise<void>;

const operations: Readonly<Record<OperationName, Operation>> = {
  register(simulation) {
    const { random } = simulation;
    const plan = anyPlan(simulation, random);
    const key = random.pick(keys);
    setKey(simulation, plan, key, simulation.owner.newItem(undefined, key));
    if (plan.name !== 'runs' || !random.chance(0.5)) return;
    for (const companion of ['contexts', 'counters'] as const) {
      if (simulation.process.isDead) return;
      if (random.chance(0.7)) setKey(simulation, simulation.plan(companion), key, simulation.owner.newItem());
    }
  },
  burst(simulation) {
    const plan = anyPlan(simulation, simulation.random);
    for (
      let number = simulation.random.between(3, 12);
      number > 0 && !simulation.process.isDead;
      number -= 1
    ) {
      const key = `burst${number}`;
      setKey(simulation, plan, key, simulation.owner.newItem(undefined, key));
    }
  },
  touch(simulation) {
    const plan = anyPlan(simulation, simulation.random);
    touchKey(simulation, plan.name, simulation.random.pick(keys));
  },
  overwrite(simulation) {
    const plan = anyPlan(simulation, simulation.random);
    const key = presentKey(simulation, plan.name, simulation.random);
    if (key === undefined) return;
    const previous = simulation.process.model.get(plan.name, key)?.value;
    const isSame = previous !== undefined && simulation.random.chance(0.2);
    setKey(simulation, plan, key, isSame ? previous : simulation.owner.newItem(undefined, key));
  },
  finish(simulation) {
    const { random, process, time } = simulation;
    const plan = anyPlan(simulation, random);
    const key = presentKey(simulation, plan.name, random);
    const registration = key === undefined ? undefined : process.model.get(plan.name, key);
    if (registration === undefined) return;
    registration.value.endedAt ??= time.wall();
    process.model.disturb(registration);
    if (plan.name === 'runs' && random.chance(0.6)) endKey(simulation, registration.key, {});
    if (random.chance(0.3)) touchKey(simulation, plan.name, registration.key);
  },
  end(simulation) {
    const { random } = simulation;
    const options = { reason: random.pick(reasons), detail: random.pick(details) };
    endKey(simulation, random.pick(keys), options);
  },
  endStale(simulation) {
    const { random, process } = simulation;
    const key = random.pick(keys);
    const registration = process.model.get('runs', key);
    if (registration?.isSpoilt) {
      // No snapshot shows one that cannot be encoded, and a generation that is guessed may be its own.
      const shown = process.registry.stamps('runs', key)?.generation;
      if (shown !== undefined) process.model.checkGeneration(registration, shown);
    }
    const current = registration?.generation;
    const last = process.model.endings.tombstone(key)?.of;
    const guesses = [(current ?? 2) - 1, (current ?? 1) + 1];
    // Generations are not consecutive: where one came and left unseen, nobody knows which lie beyond it.
    if (last !== undefined && last.generation === undefined)
      guesses.splice(0, 2, ...(current === undefined ? [] : [current + 1]));
    const generation = random.pick([current, last?.generation, ...guesses]);
    if (generation !== undefined && generation >= 1) endKey(simulation, key, { generation });
  },
  transfer(simulation) {
    const { random, process } = simulation;
    const { model, registry } = process;
    const from = random.pick(keys);
    const to = random.pick(keys);
    if (random.chance(0.8) && from !== to) {
      // A run that was started anew under another key may have kept its name.
      const previous = random.chance(0.5) ? model.get('runs', from)?.value : undefined;
      const item = simulation.owner.newItem(undefined, to);
      setKey(simulation, simulation.plan('runs'), to, { ...item, runId: previous?.runId ?? item.runId });
    }
    if (process.isDead) return;
    const source = model.get('runs', from);
    if (source !== undefined) model.disturb(source);
    const right = model.endings.transfer(from, source, model.get('runs', to));
    const answer = registry.transfer(from, to);
    simulation.findings.check(
      answer === right,
      9,
      () => `transfer(${from}, ${to}) says ${answer}, not ${right}`,
    );
    if (random.chance(0.8) && from !== to) deleteKey(simulation, simulation.plan('runs'), from);
  },
  delete(simulation) {
    deleteKey(simulation, anyPlan(simulation, simulation.random), simulation.random.pick(keys));
  },
  clear(simulation) {
    const { process, random } = simulation;
    const plan = anyPlan(simulation, random);
    process.model.clearing = plan.name;
    process.registry.maps[plan.name].clear();
    if (!process.isDead) process.model.notice();
    process.model.clearing = undefined;
  },
  guard(simulation) {
    const plan = anyPlan(simulation, simulation.random);
    guard(simulation, plan, simulation.random.pick(keys));
  },
  hold(simulation) {
    const { random } = simulation;
    const plan = anyPlan(simulation, random);
    const key = random.chance(0.8) ? presentKey(simulation, plan.name, random) : random.pick(keys);
    if (key !== undefined) holdKey(simulation, plan.name, key);
  },
  release(simulation) {
    releaseFirst(simulation);
  },
  failPolicy(simulation) {
    const plan = anyPlan(simulation, simulation.random);
    const [first] = simulation.process.model.of(plan.name).values();
    if (first === undefined) return;
    first.value.failsPolicies = true;
    simulation.process.model.disturb(first);
  },
  refuse(simulation) {
    const { random, process } = simulation;
    const name = `${random.pick(mapNames)}/${random.pick(keys)}`;
    if (simulation.plan(name.split('/')[0] as MapName).kind !== 'owned') return;
    if (process.refused.size > 0 && random.chance(0.6)) process.refused.clear();
    else process.refused.set(name, random.pick(['throws', 'refuses']));
    for (const registration of process.model.all()) process.model.disturb(registration);
  },
  sweep(simulation) {
    sweep(simulation, true);
  },
  async sweepAtDeadline(simulation) {
    const { process, time } = simulation;
    const deadlines = [...process.model.all()].map((registration) => process.model.deadlineOf(registration));
    const ahead = deadlines.filter((at) => at > time.now && at < time.now + 6_000);
    if (ahead.length === 0) return;
    await simulation.advance(Math.min(...ahead) - time.now);
    await simulation.event(() => {
      simulation.log('sweep at a deadline');
      sweep(simulation, true);
    });
  },
  persist(simulation) {
    simulation.persist();
  },
  flush(simulation) {
    const { process, findings } = simulation;
    const { model, registry, journal } = process;
    model.notice();
    const { count } = model.facts;
    void registry.flushed().then(
      () => {
        if (process.isDead) return;
        simulation.log('flushed');
        model.facts.certain = Math.max(model.facts.certain, count);
      },
      (error: unknown) => {
        const isToldOf = (journal?.failures ?? 0) > 0 || process.isStopped;
        findings.check(isToldOf, 'journal', () => 'flushed() rejects, and nothing has failed');
        findings.check(error instanceof Error, 'journal', () => `flushed() rejects with ${String(error)}`);
      },
    );
  },
  breakDisk({ volume, random }) {
    volume.breaks(random.pick(['slow', 'full', 'hangs']));
  },
  healDisk({ volume }) {
    volume.heals();
  },
  takeAway({ volume, process, hasJournal }) {
    if (!hasJournal || process.isStopped) return;
    process.wasRobbed = true;
    volume.takeAway();
  },
  redeliver(simulation) {
    const { process, random } = simulation;
    const letters = process.registry.deadLetters();
    const id = letters.length === 0 ? 'unknown' : random.pick(letters).id;
    const { deliveries } = process.model.endings;
    const isOfAudit = deliveries.mayRedeliver && simulation.audit.redeliver(id);
    const right = deliveries.redeliver(id) || isOfAudit;
    const answer = process.registry.redeliver(id);
    simulation.findings.check(answer === right, 9, () => `redeliver says ${answer}`);
  },
  redeliverAll({ process, scenario, findings, audit }) {
    // Those that there is no time for in this turn come later, and what is new then would take their room.
    if (scenario.maxPending < 1_000) return;
    const { deliveries } = process.model.endings;
    const ofAudit = deliveries.mayRedeliver ? audit.redeliverAll() : 0;
    const right = deliveries.redeliverAll() + ofAudit;
    const answer = process.registry.redeliver();
    findings.check(answer === right, 9, () => `redeliver() says ${answer}, not ${right}`);
  },
  inspect(simulation) {
    const { process, findings } = simulation;
    const { model } = process;
    // Reading remembers nothing, so what is shown to it is not shown to the sweeps.
    model.isReading = true;
    const { endings } = process.registry.report();
    for (const registration of model.all()) {
      const { plan, key } = registration;
      const isKept = model.isHeld(registration, simulation.time.now);
      const isLeaving = registration.isLeaving && model.isLeaderless(registration);
      const mayBe = isLeaving || (simulation.time.now >= model.deadlineOf(registration) && !isKept);
      const mustBe = isLeaving || (model.isDue(registration) && !isKept);
      const answer = process.registry.isDue(plan.name, key);
      findings.check(answer ? mayBe : !mustBe, 4, () => `isDue(${plan.name}, ${key}) says ${answer}`);
    }
    model.isReading = false;
    const delivered = model.endings.deliveries.deliveredTotal;
    const shownDelivered = endings?.recipients[0]?.delivered ?? 0;
    findings.check(shownDelivered === delivered, 9, () => `reports ${shownDelivered}, not ${delivered}`);
    const { evictedTombstones, doubtfulTombstones } = model.endings;
    const shown = endings?.tombstonesEvicted ?? 0;
    findings.check(
      Math.abs(shown - evictedTombstones) <= doubtfulTombstones,
      11,
      () => `${shown} tombstones evicted, not ${evictedTombstones}`,
    );
  },
  async jumpWall(simulation) {
    const { time, random, process } = simulation;
    const byMs = random.pick([-1, 1]) * random.pick([2_000, 10_000, 3_600_000]);
    simulation.log(`the wall clock jumps by ${byMs}`);
    time.now += 1;
    time.jumpWall(byMs);
    time.now += 1;
    if (random.chance(0.5)) {
      const [some] = process.model.all();
      if (some !== undefined) {
        process.registry.stamps(some.plan.name, some.key);
        time.unseenJumpAt = Number.POSITIVE_INFINITY;
        time.now += 1;
      }
    }
    await simulation.advance(0);
  },
  async suspend(simulation) {
    const { time, random, process } = simulation;
    const { model, clock } = process;
    const ms = random.pick([500, 1_500, 2_500, 7_000, 60_000]);
    simulation.log(`suspended for ${ms}`);
    time.now += ms;
    for (const registration of model.all()) model.disturb(registration);
    model.suspended(ms);
    model.overLimitSince.clear();
    if (clock.pendingYields === 0) model.isLate(ms);
    await simulation.advance(0);
  },
  kill(simulation) {
    simulation.kill();
  },
  stop(simulation) {
    const { process } = simulation;
    process.isStopped = true;
    process.model.endings.deliveries.isStopped = true;
    process.model.awaited.stop();
    process.registry.stop();
    process.registry.stop();
    for (const { hook } of process.model.all()) if (hook !== undefined) hook.isOutdated = true;
  },
  close: (simulation) => close(simulation),
};

const asynchronous: ReadonlySet<OperationName> = new Set(['sweepAtDeadline', 'jumpWall', 'suspend', 'close']);

/** Has the owner, or the world, do something. */
export async function operate(simulation: Simulation, name: OperationName): Promise<void> {
  if (simulation.findings.lines.length > 0) return;
  simulation.log(name);
  if (asynchronous.has(name)) {
    simulation.act += 1;
    await operations[name](simulation);
  } else {
    await simulation.event(() => {
      void operations[name](simulation);
    });
  }
}
