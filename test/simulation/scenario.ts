import type { Random } from './random.js';

/** The maps of every simulated service: runs, two levels of companions, and one that has nothing to do with them. */
export const mapNames = ['runs', 'contexts', 'counters', 'cache'] as const;

export type MapName = (typeof mapNames)[number];

/** What the simulated owner keeps in its maps. Its fields are what policies read. */
export interface Item {
  /** Unique, so that a value tells which registration it belongs to. */
  readonly serial: number;
  endedAt: number | undefined;
  expiresAt: number | undefined;
  isGuarded: boolean;
  /** Every policy function throws for it, for as long as faults last. */
  failsPolicies: boolean;
  /** The owner knows that the end of the run was announced in an earlier life. */
  announced: boolean;
  /** Which run it is, by the owner's own name. Two items may be of one run. */
  readonly runId: string;
  /** It cannot be encoded, or what was encoded cannot be decoded. */
  readonly spoils: 'nothing' | 'encode' | 'decode';
}

/** What becomes of a map's entries in a restart with a journal. */
export type Persistence = 'none' | 'stamps' | 'values' | 'decoded';

/** The lifetimes of a map, ms; `Infinity` for none. */
export interface PlannedLifetimes {
  ttlMs: number;
  since: 'registeredAt' | 'lastActiveAt' | 'endedAt';
  hasExpiresAt: boolean;
  maxIdleMs: number;
  maxAgeMs: number;
}

/** How one map is set up. */
export interface MapPlan extends PlannedLifetimes {
  readonly name: MapName;
  readonly follows: MapName | undefined;
  /** A TrackedMap, an adopted Map, or an adopted object of a class whose `delete` may refuse. */
  readonly kind: 'tracked' | 'adopted' | 'owned';
  readonly hasGuard: boolean;
  readonly orphanAfterMs: number;
  readonly maxEntries: number;
  /** How many entries an owner may have, see {@link ownerOf}. */
  readonly maxPerOwner: number;
  readonly ownersAreOf: 'keys' | 'values';
  readonly hasHook: boolean;
  readonly isObserved: boolean;
  /** Swept more often than the others; `Infinity`: as often. */
  readonly sweepEveryMs: number;
  /** No callback tells of its removals, and nothing listens for them. */
  readonly isQuiet: boolean;
  /** The stamps of runs are kept whatever this says. */
  readonly persistence: Persistence;
}

const operationNames = [
  'register',
  'burst',
  'touch',
  'overwrite',
  'finish',
  'end',
  'endStale',
  'transfer',
  'delete',
  'clear',
  'guard',
  'hold',
  'release',
  'failPolicy',
  'refuse',
  'sweep',
  'sweepAtDeadline',
  'persist',
  'flush',
  'breakDisk',
  'healDisk',
  'takeAway',
  'redeliver',
  'redeliverAll',
  'inspect',
  'jumpWall',
  'suspend',
  'kill',
  'stop',
  'close',
] as const;

export type OperationName = (typeof operationNames)[number];

const outcomeNames = [
  'succeeds',
  'answersOddly',
  'succeedsLater',
  'throws',
  'throwsOddly',
  'rejectsLater',
  'hangs',
  'succeedsLate',
  'rejectsLate',
  'crashesBefore',
  'crashesAfter',
] as const;

/** What becomes of one attempt to deliver. */
export type OutcomeName = (typeof outcomeNames)[number];

/** Everything that stays the same during a run. */
export interface Scenario {
  readonly plans: readonly MapPlan[];
  /** What a process leaves to the next one: a journal, or a snapshot that the owner takes now and then. */
  readonly keeps: 'journal' | 'snapshots';
  /** The owner says which run is which. */
  readonly hasOwnIds: boolean;
  /** The first run under a key has that key for its name. Such a one is remembered among all that have ended. */
  readonly nameRunsByKey: boolean;
  /** The system has a clock that tells one boot from another. */
  readonly hasBootClock: boolean;
  /** Some processes only observe, or have nobody to deliver to. */
  readonly hasOddLives: boolean;
  readonly maxWaitMs: number;
  /** Of more bytes than this that wait the library drops all. */
  readonly mostUnwrittenBytes: number;
  /** How many times larger the journal is than it is. */
  readonly volumeScale: number;
  readonly sweepEveryMs: number;
  readonly sliceBudgetMs: number;
  readonly restoreWindowMs: number;
  readonly attempts: number;
  readonly giveUpAfterMs: number;
  /** There is a second recipient, who takes everything at once. */
  readonly hasAudit: boolean;
  /** The recipient ignores an id that it knows. */
  readonly isIdempotent: boolean;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  readonly attemptTimeoutMs: number;
  readonly concurrency: number;
  readonly maxPending: number;
  readonly maxDeadLetters: number;
  readonly deadLetterTtlMs: number;
  readonly tombstonesMax: number;
  readonly tombstonesTtlMs: number;
  readonly operations: Readonly<Record<OperationName, number>>;
  readonly outcomes: Readonly<Record<OutcomeName, number>>;
  /** The most that a callback takes, ms. */
  readonly slowestCallbackMs: number;
  /** How likely a callback is to call back in. */
  readonly reentrancy: number;
  readonly steps: number;
}

const intervalMs = 1_000;

/** Seeds from this one on draw maps with `maxPerOwner` too: those before it are to stay as they are. */
export const firstSeedWithOwners = 4e12;

/** The owners that there are, where they have a limit. */
export const owners = ['first', 'second'] as const;

/** Whose an entry is: by its value, which may be replaced by another owner's, or by its key. */
export function ownerOf(
  { ownersAreOf }: Pick<MapPlan, 'ownersAreOf'>,
  key: string,
  { serial }: Item,
): (typeof owners)[number] | undefined {
  if (ownersAreOf === 'values') return serial % 4 === 0 ? undefined : owners[serial % 2];
  if (key === 'f') return undefined;
  return key === 'd' || key === 'e' ? 'second' : 'first';
}

const usualWeights: Readonly<Record<OperationName, number>> = {
  register: 24,
  burst: 2,
  touch: 10,
  overwrite: 6,
  finish: 7,
  end: 10,
  endStale: 3,
  transfer: 3,
  delete: 8,
  clear: 1,
  guard: 5,
  hold: 5,
  release: 4,
  failPolicy: 3,
  refuse: 4,
  sweep: 4,
  sweepAtDeadline: 6,
  persist: 9,
  flush: 3,
  breakDisk: 1.5,
  healDisk: 3,
  takeAway: 0.15,
  redeliver: 4,
  redeliverAll: 1,
  inspect: 3,
  jumpWall: 3,
  suspend: 2,
  kill: 2.5,
  stop: 0.3,
  close: 0.5,
};

const usualOutcomes: Readonly<Record<OutcomeName, number>> = {
  succeeds: 20,
  answersOddly: 6,
  succeedsLater: 14,
  throws: 8,
  throwsOddly: 4,
  rejectsLater: 8,
  hangs: 3,
  succeedsLate: 5,
  rejectsLate: 4,
  crashesBefore: 1,
  crashesAfter: 1.5,
};

/**
 * Draws a scenario. Each leaves out some operations and faults altogether, so that the others come in rows that an even
 * mix would never give: "Swarm Testing", Groce and others, ISSTA 2012.
 */
export function drawScenario(random: Random, hasOwners: boolean): Scenario {
  const minDelayMs = random.pick([50, 200, 500]);
  const hasOwnIds = random.chance(0.4);
  const maxPending = random.pick([2, 4, 1_000, 1_000]);
  const scenario = {
    plans: mapNames.map((name) => drawPlan(name, random, intervalMs, hasOwners)),
    keeps: random.chance(0.7) ? 'journal' : 'snapshots',
    hasOwnIds,
    hasBootClock: random.chance(0.7),
    // What such a life leaves open and another run of the same name would be one and the same to it.
    hasOddLives: !hasOwnIds && random.chance(0.5),
    maxWaitMs: random.pick([300, 1_500]),
    mostUnwrittenBytes: random.pick([300, 1_000_000]),
    volumeScale: random.pick([1, 3_000]),
    sweepEveryMs: intervalMs,
    sliceBudgetMs: random.pick([1, 3, 5]),
    restoreWindowMs: random.pick([0, 700, 3_000, 8_000]),
    attempts: random.pick([1, 2, 3, 4, 4, Number.POSITIVE_INFINITY]),
    giveUpAfterMs: random.pick([600, 4_000, 12_000, 12_000, 86_400_000]),
    isIdempotent: random.chance(0.3),
    // Two runs of one name, and what there is no room for, are followed for one recipient alone.
    hasAudit: !hasOwnIds && maxPending === 1_000 && random.chance(0.6),
    minDelayMs,
    maxDelayMs: minDelayMs * random.pick([1, 2, 8]),
    attemptTimeoutMs: random.pick([300, 1_000, 2_500]),
    concurrency: random.pick([1, 2, 4, 32]),
    maxPending,
    maxDeadLetters: random.pick([1, 3, 1_000, 1_000]),
    deadLetterTtlMs: random.pick([2_000, 9_000, 604_800_000, 604_800_000]),
    tombstonesMax: random.pick([2, 5, 1_000, 1_000]),
    tombstonesTtlMs: random.pick([2_500, 6_000, 86_400_000, 86_400_000]),
    operations: swarm(usualWeights, random, ['register']),
    outcomes: swarm(usualOutcomes, random, ['succeeds', 'throws']),
    slowestCallbackMs: random.pick([0, 0, 2, 6]),
    reentrancy: random.pick([0, 0, 0.05, 0.2]),
    steps: random.between(40, 140),
  } as const;
  // Not drawn, so that all else stays as it is. Where few are remembered, the model would have to know which.
  return { ...scenario, nameRunsByKey: hasOwnIds && scenario.tombstonesMax >= 1_000 };
}

function swarm<Name extends string>(
  usual: Readonly<Record<Name, number>>,
  random: Random,
  always: readonly NoInfer<Name>[],
): Record<Name, number> {
  const weights: Record<Name, number> = { ...usual };
  for (const name of Object.keys(usual) as Name[]) {
    if (!always.includes(name) && random.chance(0.25)) weights[name] = 0;
  }
  return weights;
}

const leaders: Readonly<Partial<Record<MapName, MapName>>> = { contexts: 'runs', counters: 'contexts' };

function drawPlan(name: MapName, random: Random, intervalMs: number, hasOwners: boolean): MapPlan {
  const follows = leaders[name];
  const never = Number.POSITIVE_INFINITY;
  const some = (share: number, choices: readonly number[]): number =>
    random.chance(share) ? random.pick(choices) : never;
  const lifetimes: PlannedLifetimes = {
    ttlMs: some(0.6, [1_000, 2_000, 3_500]),
    since: random.pick(['registeredAt', 'lastActiveAt', 'endedAt', 'endedAt']),
    hasExpiresAt: random.chance(0.25),
    maxIdleMs: some(0.5, [1_500, 4_000]),
    maxAgeMs: some(0.3, [5_000, 9_000]),
  };
  // Something has to end every entry, or the run could not.
  const isEnded = lifetimes.maxIdleMs < never || lifetimes.maxAgeMs < never;
  if (!isEnded && (lifetimes.ttlMs === never || lifetimes.since === 'endedAt')) lifetimes.maxIdleMs = 6_000;
  // A leader that nothing ends by itself would keep a companion without a lifetime for ever.
  if (follows !== undefined && random.chance(0.5)) {
    Object.assign(lifetimes, { ttlMs: never, hasExpiresAt: false, maxIdleMs: never, maxAgeMs: never });
  }
  return {
    ...lifetimes,
    name,
    follows,
    kind: random.pick(['tracked', 'tracked', 'adopted', 'owned', 'owned']),
    hasGuard: random.chance(0.5),
    orphanAfterMs: follows === undefined ? never : random.pick([1_000, 2_500]),
    maxEntries: some(0.25, [3, 6]),
    maxPerOwner: hasOwners ? some(0.5, [1, 2, 4]) : never,
    ownersAreOf: hasOwners && random.chance(0.5) ? 'values' : 'keys',
    hasHook: random.chance(0.2),
    isObserved: name === 'cache' && random.chance(0.1),
    sweepEveryMs: some(0.2, [intervalMs / 4]),
    isQuiet: name === 'cache' && random.chance(0.25),
    persistence: random.pick(['none', 'stamps', 'values', 'decoded', 'decoded']),
  };
}
