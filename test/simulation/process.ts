import type { DeliveryContext, EndedEvent } from '../../src/events/ended-event.js';
import type { RegistryEvents } from '../../src/events/event-bus.js';
import type { RemovalReason } from '../../src/events/reasons.js';
import type { BeforeSweepContext, Policy } from '../../src/policy/policy.js';
import type { createRegistry, Registry } from '../../src/registry/registry.js';
import type { OpenJournal, openNow } from '../../src/restart/open-journal.js';
import type { Clock } from '../../src/time/clock.js';
import type { EncodedItem } from './legacy.js';
import { type Item, type MapName, type MapPlan, ownerOf, type Scenario } from './scenario.js';

/** The library under test: the real one, or a copy with a planted bug. */
export interface Library {
  readonly createRegistry: typeof createRegistry;
  readonly openNow: typeof openNow;
}

/** What sets a process apart from the others of a scenario. */
export interface ProcessSetup {
  readonly plans: readonly MapPlan[];
  /** Nothing is removed, evicted or claimed. */
  readonly isObserving: boolean;
  /** Nobody is there to deliver to. */
  readonly isWithoutRecipient: boolean;
  readonly journal: OpenJournal | undefined;
  /** What is in the adopted maps before the registry is made. */
  readonly found: ReadonlyMap<MapName, ReadonlyMap<string, Item>>;
}

/** The maps of the simulated service. */
export type SimulatedMaps = Record<MapName, Map<string, Item>>;

/** What the owner's callbacks do. */
export interface OwnerCallbacks {
  /** Nothing of a process that is gone has any effect. */
  isDead(): boolean;
  instant(name: 'endedAt' | 'expiresAt', value: Item): number | undefined;
  guards(value: Item): boolean;
  dispose(plan: MapPlan, value: Item, key: string, reason: RemovalReason): void;
  replaced(plan: MapPlan, value: Item, key: string, replacement: Item): void;
  beforeSweep(plan: MapPlan, value: Item, key: string, context: BeforeSweepContext): Promise<void>;
  deliver(event: EndedEvent<string, Item>, context: DeliveryContext): unknown;
  /** The second recipient hears of an ending. */
  audit(id: string): void;
  encode(value: Item): unknown;
  decode(map: MapName, json: EncodedItem, key: string): Item;
  /** Which run an item of the runs is. */
  identify(value: Item, key: string): unknown;
  /** Whether the owner's `delete` does what it is asked; may throw. */
  lets(plan: MapPlan, key: string): boolean;
  told<Name extends keyof RegistryEvents>(type: Name, event: RegistryEvents[Name]): void;
}

/** Makes a registry by the scenario, with the maps that it is to sweep. */
export function startRegistry(
  library: Library,
  scenario: Scenario,
  clock: Clock,
  owner: OwnerCallbacks,
  setup: ProcessSetup,
): Registry<SimulatedMaps> {
  const { plans, journal, isObserving, isWithoutRecipient } = setup;
  const found = (name: MapName): ReadonlyMap<string, Item> => setup.found.get(name) ?? new Map();
  const policies = Object.fromEntries(
    plans.map((plan) => [plan.name, policyOf(plan, owner, found(plan.name))]),
  );
  const registry = library.createRegistry<SimulatedMaps>({
    maps: policies as Record<MapName, Policy<string, Item> & { adopt?: Map<string, Item> }>,
    ended: {
      map: 'runs',
      ...(isWithoutRecipient
        ? {}
        : {
            deliver: recipientsOf(scenario, owner),
          }),
      ...(scenario.hasOwnIds
        ? {
            id: (value: Item, key: string) =>
              (owner.isDead() ? 'of nobody' : owner.identify(value, key)) as string,
          }
        : {}),
      settled: (value) => value.announced,
      attempts: scenario.attempts,
      giveUpAfter: scenario.giveUpAfterMs,
      idempotent: scenario.isIdempotent,
      minDelay: scenario.minDelayMs,
      maxDelay: scenario.maxDelayMs,
      attemptTimeout: scenario.attemptTimeoutMs,
      concurrency: scenario.concurrency,
      maxPending: scenario.maxPending,
      maxDeadLetters: scenario.maxDeadLetters,
      deadLetterTtl: scenario.deadLetterTtlMs,
      tombstones: { max: scenario.tombstonesMax, ttl: scenario.tombstonesTtlMs },
    },
    sweepEvery: scenario.sweepEveryMs,
    sliceBudget: scenario.sliceBudgetMs,
    restoreWindow: scenario.restoreWindowMs,
    clock,
    ...(journal === undefined ? {} : { persistTo: journal }),
    ...(isObserving ? { mode: 'observe' } : {}),
  });
  const isListening = !plans.some(({ isQuiet }) => isQuiet);
  const removals = isListening ? (['swept', 'evicted'] as const) : [];
  for (const type of [
    'subagent-ended',
    'callback-failed',
    'sweep-finished',
    'delivery-failed',
    'dead-letter',
    'clock-jumped',
    'journal-failed',
    ...removals,
  ] as const) {
    registry.on(type, (event) => {
      if (!owner.isDead()) owner.told(type, event);
    });
  }
  return registry;
}

function recipientsOf({ hasAudit }: Scenario, owner: OwnerCallbacks) {
  const deliver = (event: EndedEvent<string, Item>, context: DeliveryContext): unknown =>
    owner.isDead() ? new Promise(() => {}) : owner.deliver(event, context);
  if (!hasAudit) return deliver;
  const audit = ({ id }: EndedEvent<string, Item>): unknown =>
    owner.isDead() ? new Promise(() => {}) : owner.audit(id);
  return { default: deliver, audit };
}

function policyOf(
  plan: MapPlan,
  owner: OwnerCallbacks,
  found: ReadonlyMap<string, Item>,
): Policy<string, Item> {
  const ask = (name: 'endedAt' | 'expiresAt') => (value: Item) =>
    owner.isDead() ? undefined : owner.instant(name, value);
  const { ttlMs, since, maxIdleMs, maxAgeMs, maxEntries, maxPerOwner } = plan;
  return {
    ...(ttlMs < Infinity ? { ttl: ttlMs, since: since === 'endedAt' ? ask('endedAt') : since } : {}),
    ...(plan.hasExpiresAt ? { expiresAt: ask('expiresAt') } : {}),
    ...(maxIdleMs < Infinity ? { maxIdle: maxIdleMs } : {}),
    ...(maxAgeMs < Infinity ? { maxAge: maxAgeMs } : {}),
    ...(maxEntries < Infinity ? { maxEntries } : {}),
    ...(maxPerOwner < Infinity
      ? { maxPerOwner: { max: maxPerOwner, owner: (value: Item, key: string) => ownerOf(plan, key, value) } }
      : {}),
    ...(plan.follows === undefined ? {} : { follows: plan.follows, orphanAfter: plan.orphanAfterMs }),
    ...(plan.hasGuard ? { keepWhile: (value: Item) => owner.isDead() || owner.guards(value) } : {}),
    ...(plan.hasHook
      ? {
          beforeSweep: (value: Item, key: string, context: BeforeSweepContext) =>
            owner.isDead() ? new Promise<void>(() => {}) : owner.beforeSweep(plan, value, key, context),
        }
      : {}),
    ...(plan.isQuiet
      ? {}
      : {
          dispose: (value: Item, key: string, reason: RemovalReason) => {
            if (!owner.isDead()) owner.dispose(plan, value, key, reason);
          },
          replaced: (value: Item, key: string, replacement: Item) => {
            if (!owner.isDead()) owner.replaced(plan, value, key, replacement);
          },
        }),
    ...(plan.isObserved ? { mode: 'observe' } : {}),
    ...(plan.sweepEveryMs < Infinity ? { sweepEvery: plan.sweepEveryMs } : {}),
    ...(plan.kind === 'adopted' ? { adopt: new Map<string, Item>(found) } : {}),
    ...(plan.kind === 'owned' ? { adopt: filled(new OwnedMap(plan, owner), found) } : {}),
    ...persistenceOf(plan, owner),
  };
}

function persistenceOf({ name, persistence }: MapPlan, owner: OwnerCallbacks): Policy<string, Item> {
  if (persistence === 'none') return {};
  if (persistence === 'stamps') return { persist: true };
  const encode = (value: Item): unknown => (owner.isDead() ? undefined : owner.encode(value));
  const decode = (json: unknown, key: string): Item => owner.decode(name, json as EncodedItem, key);
  return { persist: persistence === 'values' ? { encode } : { encode, decode } };
}

function filled(map: Map<string, Item>, found: ReadonlyMap<string, Item>): Map<string, Item> {
  for (const [key, value] of found) map.set(key, value);
  return map;
}

/** An owner's own class, whose `delete` keeps an index in step and sometimes refuses. */
class OwnedMap extends Map<string, Item> {
  readonly #plan: MapPlan;
  readonly #owner: OwnerCallbacks;
  readonly #index = new Set<string>();

  constructor(plan: MapPlan, owner: OwnerCallbacks) {
    super();
    this.#plan = plan;
    this.#owner = owner;
  }

  override set(key: string, value: Item): this {
    this.#index.add(key);
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    if (!this.#owner.lets(this.#plan, key)) return false;
    this.#index.delete(key);
    return super.delete(key);
  }

  override clear(): void {
    this.#index.clear();
    super.clear();
  }
}
