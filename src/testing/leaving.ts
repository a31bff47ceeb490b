import type { KeptBy } from '../events/reasons.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { Tracker } from '../sweeping/tracker.js';
import type { Ledger } from './ledger.js';
import type { Subject } from './subject.js';
import { type Survivor, survivorsNamed } from './survivors.js';

/** How often entries left by each rule, such as `ttl` or `rules[0].maxIdle`; or as `deleted`, `cleared`, `companion`. */
export type Leavings = Readonly<Record<string, number>>;

/** The lifetimes that are ceilings: they end what nobody has ended. */
const ceiling = /(^|\.)(maxIdle|maxAge|orphanAfter)$/;

/** What was evicted would have stayed else: nobody had said that it ended, or its lifetime had not begun. */
const evictedUnended = /^(maxEntries|maxPerOwner) before its end$/;

/** Returns whether an entry that left by this rule would be there still if it were not for a safety net. */
export function isNet(rule: string): boolean {
  return evictedUnended.test(rule) || ceiling.test(rule);
}

/** Counts those that left only by a safety net. */
export function countNets(left: Leavings): number {
  return Object.entries(left).reduce((nets, [rule, count]) => nets + (isNet(rule) ? count : 0), 0);
}

/** An entry that left only by a safety net. */
export type CaughtEntry = Pick<Survivor, 'key' | 'why' | 'site'> & {
  /** What kept it until its `maxAge`, if anything did. */
  readonly keptBy: KeptBy | undefined;
};

/** Counts by which rules entries leave. Until it is stopped it listens on the bus of the registry. */
export class LeavingWatch {
  readonly #subject: Subject;
  readonly #ledger: Ledger | undefined;
  readonly #byRule = new Map<string, Map<string, number>>();
  readonly #caught = new Map<string, CaughtEntry[]>();
  readonly #swept = new Map<string, Set<number>>();
  readonly #before = new Map<Tracker, Readonly<Record<string, number>>>();
  readonly #undo: (() => void)[];
  #evictedRun: number | undefined;

  /** @param ledger with it only those count that have come since it was opened, as far as the library removed them */
  constructor(subject: Subject, ledger?: Ledger) {
    this.#subject = subject;
    this.#ledger = ledger;
    for (const tracker of subject.trackers()) this.#before.set(tracker, { ...tracker.removedTotal });
    const { bus } = subject.engine;
    this.#undo = [
      // Comes before the eviction of the same entry is told.
      bus.on('ended', ({ reason, generation }) => {
        this.#evictedRun = reason === 'evicted' ? generation : undefined;
      }),
      bus.on('swept', ({ map, key, generation, rule, keptBy }) => {
        this.#left(map, key, generation, rule, keptBy);
        this.#swept.set(map, (this.#swept.get(map) ?? new Set<number>()).add(generation));
      }),
      bus.on('evicted', ({ map, generation, rule, value, key }) => {
        const policy = subject.engine.trackers.get(map)?.policy;
        const isRun = subject.registry?.endings?.tracker.name === map;
        const isUnended = isRun ? this.#evictedRun === generation : policy && !hasBegun(policy, value, key);
        const cap = rule === 'maxPerOwner' ? rule : 'maxEntries';
        this.#left(map, key, generation, isUnended ? `${cap} before its end` : rule);
      }),
    ];
  }

  /** Counts no more. */
  stop(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  /** By which rules entries of a map left so far. */
  of(tracker: Tracker): Leavings {
    const left: Record<string, number> = Object.fromEntries(this.#byRule.get(tracker.name) ?? []);
    const before = this.#before.get(tracker);
    const total = tracker.removedTotal;
    for (const reason of ['deleted', 'cleared', 'companion'] as const) {
      const count = total[reason] - (before?.[reason] ?? 0);
      if (count > 0) left[reason] = count;
    }
    return left;
  }

  /** The first entries of a map that left only by a safety net. */
  caughtOf({ name }: Tracker): readonly CaughtEntry[] {
    return this.#caught.get(name) ?? [];
  }

  /** Returns whether a registration was swept because it was due. */
  wasSwept(tracker: Tracker, generation: number): boolean {
    return this.#swept.get(tracker.name)?.has(generation) ?? false;
  }

  #left(map: string, key: unknown, generation: number, rule: string, keptBy?: KeptBy): void {
    const tracker = this.#subject.engine.trackers.get(map);
    const ledger = tracker && this.#ledger?.of(tracker);
    if (ledger !== undefined && !ledger.hasCome(generation)) return;
    const counts = this.#byRule.get(map) ?? new Map<string, number>();
    this.#byRule.set(map, counts.set(rule, (counts.get(rule) ?? 0) + 1));
    const caught = this.#caught.get(map) ?? [];
    if (!isNet(rule) || caught.length >= survivorsNamed) return;
    const site = tracker && this.#subject.sites?.siteOfRegistration(tracker, generation);
    const keeping = keptBy && `: ${keepingText(keptBy, tracker)}`;
    this.#caught.set(map, [...caught, { key, why: `left by ${rule}${keeping ?? ''}`, site, keptBy }]);
  }
}

/** Returns whether a lifetime that an event begins has begun for a value; true too if there is none such, as in a cache. */
function hasBegun({ rules, own }: CompiledPolicy<unknown, unknown>, value: unknown, key: unknown): boolean {
  try {
    const { ttlMs, since, expiresAt } = rules.find(({ match }) => match(key))?.lifetimes ?? own;
    const hasTtl = ttlMs < Number.POSITIVE_INFINITY;
    if (hasTtl ? typeof since !== 'function' : expiresAt === undefined) return true;
    const instants = [hasTtl && typeof since === 'function' ? since : undefined, expiresAt];
    return instants.some((instant) => (instant?.(value, key) ?? undefined) !== undefined);
  } catch {
    return true;
  }
}

/** Says what kept an entry until its `maxAge`. */
function keepingText(keptBy: KeptBy, tracker: Tracker | undefined): string {
  if (keptBy === 'beforeSweep') return 'its beforeSweep had not succeeded';
  if (keptBy === 'hold') return 'a hold kept it until then';
  return `keepWhile${tracker?.policy.keepWhile ? '' : ' of a companion'} kept it until then`;
}

/** Says by which rules entries left, such as `200 by ttl, 3 deleted`; empty if none did. */
export function leavingsText(left: Leavings): string {
  return Object.entries(left)
    .map(([rule, count]) => {
      if (rule === 'deleted' || rule === 'cleared') return `${count} ${rule}`;
      if (rule === 'companion') return `${count} with their leader`;
      return `${count} by ${rule}${isNet(rule) ? ' (a safety net)' : ''}`;
    })
    .join(', ');
}
