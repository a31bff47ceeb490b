import fc from 'fast-check';

/** The maps of every program. Their names are such as objects have already; the last one is adopted in the middle. */
export const mapNames = ['runs', '__proto__', 'constructor', 'toString', 'extra'] as const;
export type Name = (typeof mapNames)[number];

/** The keys of all maps, likewise. */
export const keys: readonly unknown[] = ['a', 'b', '__proto__', 'constructor', -0, Number.NaN];

/** Everything of the owner's that the library calls: options, methods of his class, recipients and listeners. */
export const callbackNames = [
  'dispose',
  'replaced',
  'keepWhile',
  'since',
  'expiresAt',
  'activeAt',
  'match',
  'beforeSweep',
  'weigh',
  'unstamped',
  'encode',
  'deliver',
  'settled',
  'id',
  'delete',
  'set',
  'clear',
  'ended',
  'swept',
  'evicted',
  'sweep-finished',
  'callback-failed',
  'delivery-failed',
  'dead-letter',
] as const;
export type CallbackName = (typeof callbackNames)[number];

/** What one can do to a registry and its maps, from outside and from inside of a callback. */
const actNames = [
  'set',
  'setSame',
  'delete',
  'clear',
  'touch',
  'get',
  'end',
  'endGeneration',
  'transfer',
  'sweep',
  'mapSweep',
  'adopt',
  'release',
  'read',
  'snapshot',
  'redeliver',
  'flushed',
  'listen',
  'mutate',
  'iterate',
  'getOrInsert',
  'hold',
  'unhold',
  'deleteGeneration',
  'bypassSet',
  'bypassDelete',
  'wrong',
  'burn',
  'stop',
  'close',
] as const;
export type ActName = (typeof actNames)[number];

export interface Act {
  readonly act: ActName;
  readonly map: Name;
  readonly key: number;
  readonly other: number;
}

/** How a callback answers: as it should, or not. */
const answers = ['honest', 'throw', 'nonsense', 'reject', 'hang', 'yes', 'promise'] as const;
export type Answer = (typeof answers)[number];

/** What the next call of a callback does before it answers. */
export interface Arm {
  readonly in: CallbackName;
  readonly acts: readonly Act[];
  readonly answer: Answer;
}

export type Step =
  | Act
  | Arm
  | { readonly advance: number }
  | { readonly turn: true }
  | { readonly look: true };

export interface MapConfig {
  readonly kind: 'tracked' | 'map' | 'subclass';
  readonly ttl: number | undefined;
  readonly since: 'registeredAt' | 'lastActiveAt' | 'function';
  readonly expiresAt: boolean;
  readonly maxIdle: number | undefined;
  readonly maxAge: number | undefined;
  readonly activeAt: boolean;
  readonly keepWhile: boolean;
  readonly rule: 'none' | 'text' | 'function';
  readonly maxEntries: number | undefined;
  readonly beforeSweep: boolean;
  readonly dispose: 'none' | 'plain' | 'sets its key again';
  readonly weigh: boolean;
  readonly unstamped: 'now' | 'expired' | 'function';
  readonly persist: boolean;
  readonly observe: boolean;
  readonly follows: boolean;
  readonly orphanAfter: number | undefined;
  readonly initial: number;
}

export interface Config {
  readonly maps: Readonly<Record<'runs' | 'second' | 'third' | 'set' | 'extra', MapConfig>>;
  readonly ended: boolean;
  readonly ids: boolean;
  readonly settled: boolean;
  readonly recipients: 0 | 1 | 2;
  readonly idempotent: boolean;
  readonly attempts: number;
  readonly options: 'plain' | 'frozen' | 'getters' | 'null prototype';
}

export interface Program {
  readonly config: Config;
  readonly before: readonly Arm[];
  readonly steps: readonly Step[];
}

/** The interval of the sweeper, ms. */
export const interval = 10_000;

const durations = fc.option(fc.constantFrom(0, 5_000, 25_000, 60_000), { nil: undefined });
const mapConfig: fc.Arbitrary<MapConfig> = fc.record({
  kind: fc.constantFrom('tracked', 'map', 'subclass'),
  ttl: durations,
  since: fc.constantFrom('registeredAt', 'lastActiveAt', 'function'),
  expiresAt: fc.boolean(),
  maxIdle: durations,
  maxAge: durations,
  activeAt: fc.boolean(),
  keepWhile: fc.boolean(),
  rule: fc.constantFrom('none', 'text', 'function'),
  maxEntries: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  beforeSweep: fc.boolean(),
  dispose: fc.constantFrom('none', 'plain', 'sets its key again'),
  weigh: fc.boolean(),
  unstamped: fc.constantFrom('now', 'expired', 'function'),
  persist: fc.boolean(),
  observe: fc.integer({ min: 0, max: 9 }).map((chance) => chance === 9),
  follows: fc.boolean(),
  orphanAfter: durations,
  initial: fc.integer({ min: 0, max: 3 }),
});

const config: fc.Arbitrary<Config> = fc.record({
  maps: fc.record({
    runs: mapConfig,
    second: mapConfig,
    third: mapConfig,
    set: mapConfig,
    extra: mapConfig,
  }),
  ended: fc.boolean(),
  ids: fc.boolean(),
  settled: fc.boolean(),
  recipients: fc.constantFrom(0, 1, 2),
  idempotent: fc.boolean(),
  attempts: fc.integer({ min: 1, max: 4 }),
  options: fc.constantFrom('plain', 'frozen', 'getters', 'null prototype'),
});

// What ends everything comes seldom, or there would be nothing left to do for most programs.
const rare: Partial<Record<ActName, number>> = { close: 1, stop: 1, bypassSet: 3, bypassDelete: 3, burn: 4 };
const common: Partial<Record<ActName, number>> = { set: 60, delete: 25 };
const act: fc.Arbitrary<Act> = fc.record({
  act: fc.oneof(
    ...actNames.map((name) => ({
      weight: rare[name] ?? common[name] ?? 12,
      arbitrary: fc.constant(name),
    })),
  ),
  map: fc.constantFrom(...mapNames),
  key: fc.nat(keys.length - 1),
  other: fc.nat(keys.length - 1),
});
const arm: fc.Arbitrary<Arm> = fc.record({
  in: fc.constantFrom(...callbackNames),
  acts: fc.array(act, { maxLength: 3 }),
  answer: fc.constantFrom('honest', ...answers),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 9, arbitrary: act },
  { weight: 6, arbitrary: arm },
  {
    weight: 3,
    arbitrary: fc.record({ advance: fc.constantFrom(0, 1_000, 10_000, 10_000, 15_000, 35_000) }),
  },
  { weight: 1, arbitrary: fc.constant({ turn: true } as const) },
  { weight: 1, arbitrary: fc.constant({ look: true } as const) },
);

/** Programs of `length` steps. */
export const programs = (length: number): fc.Arbitrary<Program> =>
  fc.record({
    config,
    before: fc.array(arm, { maxLength: 6 }),
    steps: fc.array(step, { minLength: length, maxLength: length, size: 'max' }),
  });
