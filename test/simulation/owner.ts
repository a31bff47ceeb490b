import type { EndedEvent } from '../../src/events/ended-event.js';
import type {
  CallbackFailedEvent,
  DeadLetterEvent,
  DeliveryFailedEvent,
  RegistryEvents,
  RemovedEvent,
} from '../../src/events/event-bus.js';
import type { SweepReport } from '../../src/events/sweep-report.js';
import type { BeforeSweepContext } from '../../src/policy/policy.js';
import { endKey, releaseFirst, setKey, smallOperations } from './acts.js';
import type { EncodedItem } from './legacy.js';
import { type ModelHost, ownIdOf } from './model.js';
import type { OwnerCallbacks } from './process.js';
import type { Random } from './random.js';
import type { RecipientHost } from './recipient.js';
import type { Item, MapName, MapPlan } from './scenario.js';
import type { SimulatedProcess, Simulation } from './simulation.js';

/** The simulated service around the registry: what its callbacks do, and what it remembers of its own. */
export class Owner {
  readonly #simulation: Simulation;
  readonly #random: Random;
  #serial = 0;
  /** Keys that a run was named by: each only once, as is usual. */
  readonly #namedByKey = new Set<string>();
  /** Items that are about to be decoded, by map and key. */
  readonly #decoded = new Map<string, Item>();

  constructor(simulation: Simulation, random: Random) {
    this.#simulation = simulation;
    this.#random = random;
  }

  /** @param key where a new one is to be set, whose name may be that of its run */
  newItem(previous?: Item, key?: string): Item {
    this.#serial += 1;
    const { time, isFaulty } = this.#simulation;
    const random = this.#random;
    const expiresAt = random.chance(0.4) ? time.wall() + random.pick([-500, 0, 800, 2_500]) : undefined;
    return {
      serial: this.#serial,
      endedAt: previous?.endedAt ?? (random.chance(0.2) ? time.wall() : undefined),
      expiresAt: previous === undefined ? expiresAt : previous.expiresAt,
      isGuarded: isFaulty && random.chance(0.1),
      failsPolicies: false,
      announced: previous?.announced ?? false,
      runId: previous?.runId ?? this.#newRunId(key),
      spoils: isFaulty && random.chance(0.06) ? random.pick(['encode', 'decode']) : 'nothing',
    };
  }

  /** A name for a run: now and then none, or that of another run. */
  #newRunId(key: string | undefined): string {
    const random = this.#random;
    if (random.chance(0.05)) return '';
    const id = `run ${random.chance(0.2) ? random.between(1, this.#serial) : this.#serial}`;
    if (key === undefined || !this.#simulation.scenario.nameRunsByKey || this.#namedByKey.has(key)) return id;
    this.#namedByKey.add(key);
    return key;
  }

  /** Loads into a new process what the owner remembers, some of it. */
  fillAgain(): void {
    const { remembered, process } = this.#simulation;
    for (const [name, item] of remembered) {
      if (process.isDead) return;
      const [map, key] = name.split('/') as [MapName, string];
      if (this.#random.chance(0.4) || process.model.get(map, key) !== undefined) continue;
      setKey(this.#simulation, this.#simulation.plan(map), key, this.newItem(item));
    }
  }

  /** What is in the adopted maps before a registry is made. */
  findAgain(): Map<MapName, Map<string, Item>> {
    const { remembered, process } = this.#simulation;
    const found = new Map<MapName, Map<string, Item>>();
    for (const plan of process.plans) {
      if (plan.kind === 'tracked') continue;
      const entries = new Map<string, Item>();
      for (const [name, item] of remembered) {
        const [map, key] = name.split('/') as [MapName, string];
        if (map !== plan.name || this.#random.chance(0.4)) continue;
        const value = this.newItem(item);
        entries.set(key, value);
        remembered.set(name, value);
        process.model.find(plan, key, value);
      }
      found.set(plan.name, entries);
    }
    return found;
  }

  /**
   * The registry is about to look at what is in the maps, and to decode what earlier processes left: the model hears
   * first of what comes of that.
   */
  prepareReturns(): void {
    const { process, remembered } = this.#simulation;
    const { awaited } = process.model;
    this.#decoded.clear();
    for (const plan of process.plans) {
      process.model.expect(plan.name);
      if (plan.persistence !== 'decoded') continue;
      for (const left of [...awaited.of(plan.name)]) {
        const { key, value } = left;
        if (value === undefined || value.spoils === 'decode' || awaited.at(plan.name, key) !== left) continue;
        if (process.model.get(plan.name, key) !== undefined) continue;
        const item = this.#itemOf(value);
        this.#decoded.set(`${plan.name}/${key}/${value.serial}`, item);
        remembered.set(`${plan.name}/${key}`, item);
        process.model.fill(plan, item, left);
      }
    }
  }

  #itemOf({ endedAt, expiresAt, announced, runId }: EncodedItem): Item {
    this.#serial += 1;
    const settled = { isGuarded: false, failsPolicies: false, spoils: 'nothing' } as const;
    return { serial: this.#serial, endedAt, expiresAt, announced, runId, ...settled };
  }

  /** Takes back whatever keeps entries from leaving. */
  calm(): void {
    const { process } = this.#simulation;
    while (process.holds.length > 0) releaseFirst(this.#simulation);
    process.refused.clear();
    for (const registration of process.model.all()) {
      registration.value.isGuarded = false;
      registration.value.failsPolicies = false;
      process.model.disturb(registration);
    }
  }

  modelHost(
    process: SimulatedProcess,
    kind: { readonly isWithoutRecipient: boolean; readonly leavesOpen: boolean },
  ): ModelHost {
    const simulation = this.#simulation;
    return {
      isWithoutRecipient: () => kind.isWithoutRecipient,
      leavesOpen: () => kind.leavesOpen,
      isClaimWritten: (id) => process.journal === undefined || simulation.volume.holdsClaim(id),
      isJournalSettled: () => process.journal?.isSettled !== false,
      isJournalLost: () => process.knowsOfRobbery,
      isAnother: (id) => simulation.isAnother(id),
      newRuns: simulation.newRuns,
      plans: process.plans,
      scenario: simulation.scenario,
      time: simulation.time,
      findings: simulation.findings,
      act: () => {
        simulation.act += 1;
        return simulation.act;
      },
      eventBeganWith: () => simulation.eventBeganWith,
      // While the registry is being made nothing leaves.
      isPresent: (map, key) => process.isStarting || Map.prototype.has.call(process.registry.maps[map], key),
      refuses: (map, key) => simulation.process.refused.has(`${map}/${key}`),
      isStopped: () => process.isStopped,
      isSweepAsked: () => simulation.process.sweeps.size + simulation.process.startingSweeps > 0,
      hasPaused: () => simulation.hasPaused,
    };
  }

  recipientHost(): RecipientHost {
    const simulation = this.#simulation;
    return {
      scenario: simulation.scenario,
      time: simulation.time,
      isFaulty: () => simulation.isFaulty,
      acted: ({ id, ofEarlierRun }, key) => {
        // One that comes late is about another run of the same name.
        if (ofEarlierRun === undefined) simulation.acted(id);
        // The owner's own record, which a later life loads: that run was announced.
        const record = simulation.remembered.get(`runs/${key}`);
        if (record !== undefined && this.#random.chance(0.3)) record.announced = true;
      },
      settles: (attempt, succeeded) => {
        simulation.log(`${simulation.trace.id(attempt.id)} ${succeeded ? 'succeeds' : 'fails'}`);
        simulation.process.model.endings.deliveries.attemptSettles(attempt, succeeded);
      },
      crash: () => simulation.kill(),
      callBack: ({ key, generation }) => {
        if (this.#random.chance(0.1) && !simulation.isWindowClosing) endKey(simulation, key, { generation });
        this.#callBackIn();
      },
    };
  }

  callbacksFor(process: SimulatedProcess): OwnerCallbacks {
    const simulation = this.#simulation;
    const { model } = process;
    const failing = (value: Item): void => {
      if (value.failsPolicies) throw new Error('a policy that always fails');
    };
    return {
      isDead: () => process.isDead,
      instant: (name, value) => {
        this.#takeTime();
        failing(value);
        return value[name];
      },
      guards: (value) => {
        this.#takeTime();
        if (value.isGuarded || value.failsPolicies) model.guardHeld(value);
        failing(value);
        return value.isGuarded;
      },
      dispose: (plan, value, key, reason) => {
        model.disposed(plan, value, key, reason);
        simulation.log(`${plan.name} ${key} ${reason}`);
        this.#takeTime();
        this.#callBackIn();
        if (this.#random.chance(0.05)) throw new Error('a dispose that fails');
      },
      replaced: (plan, value, key, replacement) => {
        model.replaced(plan, value, key, replacement);
        this.#takeTime();
        this.#callBackIn();
        if (this.#random.chance(0.05)) throw new Error('a replaced that fails');
      },
      beforeSweep: (plan, value, key, context) => this.#beforeSweep(process, plan, value, key, context),
      audit: (id) => simulation.audit.hears(id),
      deliver: (event, context) => {
        const { deliveries } = model.endings;
        simulation.audit.mustHear(event.id);
        const attempt = deliveries.attemptStarts(event.id, context.attempt);
        this.#takeTime();
        const called = `${simulation.trace.id(event.id)} attempt ${context.attempt}`;
        return simulation.recipient.handle(
          event,
          context,
          attempt,
          () => !process.isDead,
          (outcome) => simulation.log(`${called} ${outcome}`),
        );
      },
      encode: (value) => {
        if (value.spoils === 'encode') return this.#refuseToEncode(value);
        const { serial, endedAt, expiresAt, announced, runId, spoils } = value;
        return { serial, endedAt, expiresAt, announced, runId, spoils };
      },
      decode: (map, json, key) => {
        if (json.spoils === 'decode') throw new Error('a value that cannot be decoded');
        return this.#decoded.get(`${map}/${key}/${json.serial}`) ?? this.#itemOf(json);
      },
      identify: (value, key) => {
        model.identified(key, value);
        const id = ownIdOf(value);
        if (id !== undefined) return id;
        if (value.serial % 2 === 0) throw new Error('an id that fails');
        return { serial: value.serial };
      },
      lets: (plan, key) => this.#lets(process, plan, key),
      told: (type, event) => this.#told(process, type, event),
    };
  }

  #told(process: SimulatedProcess, type: keyof RegistryEvents, event: unknown): void {
    const simulation = this.#simulation;
    const { endings } = process.model;
    const id = (of: string): string => simulation.trace.id(of);
    if (type === 'subagent-ended') {
      const ended = event as EndedEvent;
      endings.announced(ended);
      simulation.log(`${id(ended.id)} ${String(ended.key)} ended: ${ended.reason}`);
      this.#callBackIn();
    } else if (type === 'swept' || type === 'evicted') {
      const { value, map, key, rule } = event as RemovedEvent;
      process.model.removed(value as Item, type);
      simulation.log(`${map} ${String(key)} was ${type} by ${rule}`);
      this.#callBackIn();
    } else if (type === 'delivery-failed') {
      const failed = event as DeliveryFailedEvent;
      simulation.log(`${id(failed.event.id)} attempt ${failed.attempt} failed, again in ${failed.retryInMs}`);
      endings.deliveries.failed(failed);
      this.#callBackIn();
    } else if (type === 'dead-letter') {
      const { letter, dropped } = event as DeadLetterEvent;
      simulation.log(`${id(letter.id)} ${dropped ? 'dropped' : `dead: ${letter.cause}`}`);
      const { audit } = simulation;
      const isOfAudit = letter.recipient === 'audit';
      if (dropped) (isOfAudit ? audit : endings.deliveries).wasDropped(letter.id);
      else (isOfAudit ? audit : endings.deliveries).died(letter);
      this.#callBackIn();
    } else if (type === 'clock-jumped') {
      process.model.jumped((event as RegistryEvents['clock-jumped']).byMs);
    } else if (type === 'journal-failed') {
      const { isFinal } = event as RegistryEvents['journal-failed'];
      simulation.log(`journal-failed${isFinal ? ', for good' : ''}`);
      process.journalFailures += 1;
      if (isFinal) {
        process.knowsOfRobbery = true;
        endings.deliveries.isStopped = true;
      }
    } else if (type === 'callback-failed') {
      this.#callbackFailed(event as CallbackFailedEvent);
    } else if (type === 'sweep-finished') {
      endings.purge();
      // A tick that came late tells of a pass that there was not.
      if ((event as SweepReport).skipped === 'late-tick') process.model.hasSkipped();
      else process.sweeps.clear();
      process.finishedPasses += 1;
      process.passFinishedIn = simulation.act;
      simulation.time.unseenJumpAt = Number.POSITIVE_INFINITY;
    }
  }

  /** What callbacks throw is told; an error that is neither theirs nor one of the library's classes is a bug. */
  #callbackFailed({ map, callback, error }: CallbackFailedEvent): void {
    const isBug = error instanceof Error && error.constructor !== Error && !('code' in error);
    const { findings } = this.#simulation;
    findings.check(
      !isBug || callback === 'detail',
      13,
      () => `${map}.${callback} failed with ${String(error)}`,
    );
  }

  async #beforeSweep(
    process: SimulatedProcess,
    plan: MapPlan,
    value: Item,
    key: string,
    { signal }: BeforeSweepContext,
  ): Promise<void> {
    const simulation = this.#simulation;
    const registration = process.model.hookBegins(plan, key, value, signal);
    const outcomes = { succeeds: 4, later: 4, throws: 2, rejects: 2, hangs: 1 };
    const outcome = simulation.isFaulty ? this.#random.weighted(outcomes) : 'succeeds';
    simulation.log(`beforeSweep ${plan.name} ${key} ${outcome}`);
    const { hook } = registration ?? {};
    const settle = (succeeded: boolean): void => {
      if (registration === undefined || hook === undefined || registration.hook !== hook) return;
      registration.hook = undefined;
      registration.isApproved = succeeded && !hook.isOutdated && !signal.aborted;
    };
    this.#callBackIn();
    if (outcome === 'succeeds') return settle(true);
    if (outcome === 'throws') {
      settle(false);
      throw new Error('beforeSweep failed');
    }
    await new Promise<void>((resolve) => {
      if (outcome === 'hangs') return;
      simulation.time.later(this.#random.between(1, 3_000), resolve);
    });
    if (process.isDead) return new Promise<void>(() => {});
    settle(outcome === 'later');
    if (outcome === 'rejects') throw signal.aborted ? signal.reason : new Error('beforeSweep failed');
  }

  #refuseToEncode({ serial }: Item): unknown {
    if (serial % 3 === 0) throw new Error('a value that cannot be encoded');
    return serial % 3 === 1 ? undefined : Promise.reject(new Error('not in time'));
  }

  /** The `delete` of the owner's own class: may call back in, refuse and throw. */
  #lets(process: SimulatedProcess, plan: MapPlan, key: string): boolean {
    const { model } = process;
    if (process.isDead) return true;
    // A claim is being made for the removal that runs: nobody knows yet whether the entry will leave.
    if (plan.name === 'runs' && model.get('runs', key) !== undefined && this.#random.chance(0.15)) {
      endKey(this.#simulation, key, {});
      if (process.isDead) return true;
    }
    if (this.#random.chance(0.1)) this.#simulation.persist();
    const how = process.refused.get(`${plan.name}/${key}`);
    if (how === undefined) return true;
    this.#simulation.log(`${plan.name} ${key} ${how}`);
    const registration = model.get(plan.name, key);
    if (plan.name === 'runs' && registration !== undefined) model.endings.wasRefused(registration);
    if (how === 'throws') throw new Error('a delete that throws');
    return false;
  }

  #takeTime(): void {
    const { slowestCallbackMs } = this.#simulation.scenario;
    if (this.#simulation.process.isStarting) return;
    if (slowestCallbackMs > 0 && this.#random.chance(0.4)) {
      this.#simulation.time.spend(this.#random.between(0, slowestCallbackMs));
    }
  }

  /** Now and then a callback uses the registry itself, or the process ends inside of it. */
  #callBackIn(): void {
    const simulation = this.#simulation;
    if (simulation.isReentrant || !simulation.isFaulty || simulation.process.isDead) return;
    if (simulation.isWindowClosing) return;
    const random = this.#random;
    if (!random.chance(simulation.scenario.reentrancy)) return;
    simulation.isReentrant = true;
    try {
      simulation.log('calls back in');
      if (random.chance(0.1)) simulation.persist();
      else if (random.chance(0.03) && simulation.scenario.operations.kill > 0) simulation.kill();
      else smallOperations(simulation, random);
    } finally {
      simulation.isReentrant = false;
    }
  }
}
