/**
 * Maps as they are in services: what arrives in them, how long it stays, and what removes it. Hours throughout.
 */
import type { Random } from './random.ts';

/** How many arrive in an hour, at this hour of the history. */
export type Rate = (hour: number) => number;

/** Entries of one kind. */
export interface Stream {
  readonly perHour: Rate;
  /** How long one stays; `Infinity` until something else removes it. */
  readonly stays: () => number;
  /** It is what leaks. */
  readonly isLeak?: boolean;
}

/** One map, with the parameters that a seed has given it. */
export interface Model {
  readonly streams: readonly Stream[];
  /** So many are there from the start on, and stay. */
  readonly loaded?: number;
  /** A ceiling removes what has this age. */
  readonly ceiling?: number;
  readonly maxEntries?: number;
  readonly expectedMax?: number;
  /** Everything leaves, every so often. */
  readonly purgedEvery?: number;
  /** The process ends and starts anew, every so often, and the map is empty. */
  readonly restartsEvery?: number;
  /** It has a journal: a restart, which is a kill, leaves all as it was, and what was counted until the last full hour. */
  readonly outlastsRestarts?: boolean;
  /** What the policy says about how long entries stay. */
  readonly ttl?: number;
  readonly longest?: number;
}

export interface SimulatedMap {
  readonly name: string;
  readonly days: number;
  /** When the leak begins; `undefined` for a healthy map. */
  readonly leaksFrom?: number;
  readonly model: (random: Random) => Model;
}

const DAY = 24;
const always =
  (rate: number): Rate =>
  () =>
    rate;
const forEver = () => Infinity;

/** Between 0 and twice the rate, over a day. */
const daily =
  (rate: number, phase = 0, swing = 0.9) =>
  (hour: number) =>
    rate * (1 + swing * Math.sin(2 * Math.PI * (hour / DAY + phase)));
/** From 9 to 19 o'clock, and nothing at night. */
const office =
  (rate: number, startsAt = 9) =>
  (hour: number) => {
    const clock = (hour + startsAt) % DAY;
    return clock >= 9 && clock < 19 ? rate : 0;
  };
const weekdays = (rate: Rate) => (hour: number) => (Math.floor(hour / DAY) % 7 < 5 ? rate(hour) : 0);
const from = (start: number, rate: Rate) => (hour: number) => (hour < start ? 0 : rate(hour));
const lognormal = (random: Random, median: number, sigma: number) => () =>
  median * Math.exp(sigma * random.normal());
const exponential = (random: Random, mean: number) => () => random.exponential(mean);
const minutes = (count: number) => count / 60;

/** Short runs, as most maps of a gateway have them. */
const churn = (random: Random, perHour: Rate = always(random.between(50, 200))): Stream => ({
  perHour,
  stays: exponential(random, minutes(random.between(1, 8))),
});
const leak = (perHour: Rate): Stream => ({ perHour, stays: forEver, isLeak: true });
const pureLeak = (often: string, days: number, perHour: Rate): SimulatedMap => ({
  name: `nothing leaves, ${often}`,
  days,
  leaksFrom: 0,
  model: () => ({ streams: [leak(perHour)] }),
});

export const healthyMaps: readonly SimulatedMap[] = [
  { name: 'loaded at the start, 5,000 for ever', days: 3, model: () => ({ streams: [], loaded: 5_000 }) },
  {
    name: 'a set of 200 tenants',
    days: 7,
    model: (random) => {
      const seen = new Set<number>();
      let next = 0;
      const rate = random.between(40, 120);
      return {
        streams: [
          {
            perHour: (hour) => {
              // New are those among the visitors of the hour who were never seen.
              if (hour >= next) next = hour;
              return (rate * (200 - seen.size)) / 200;
            },
            stays: () => {
              seen.add(seen.size);
              return Infinity;
            },
          },
        ],
      };
    },
  },
  {
    name: 'a handful of settings, one in some hours',
    days: 7,
    model: (random) => {
      const until = random.between(5, 30);
      return { streams: [{ perHour: (hour) => (hour < until ? 0.3 : 0), stays: forEver }] };
    },
  },
  {
    name: 'requests of seconds',
    days: 7,
    model: (random) => ({ streams: [{ perHour: always(300), stays: exponential(random, minutes(0.3)) }] }),
  },
  { name: 'runs of minutes', days: 10, model: (random) => ({ streams: [churn(random)] }) },
  {
    name: 'runs of 20 minutes, by day',
    days: 10,
    model: (random) => ({
      streams: [{ perHour: daily(60, random.between(0, 1)), stays: exponential(random, 0.33) }],
    }),
  },
  {
    name: 'runs, quiet at week-ends',
    days: 21,
    model: (random) => ({ streams: [churn(random, weekdays(daily(60, -0.25)))] }),
  },
  {
    name: 'runs with a long tail (lognormal)',
    days: 10,
    model: (random) => ({
      streams: [
        {
          perHour: always(random.between(20, 100)),
          stays: lognormal(random, minutes(5), random.between(1.5, 2.5)),
        },
      ],
    }),
  },
  {
    name: 'runs with a heavy tail (Pareto)',
    days: 14,
    model: (random) => {
      const alpha = random.between(0.6, 1.2);
      return {
        streams: [
          {
            perHour: always(random.between(20, 100)),
            stays: () => minutes(1) * random.between(1e-9, 1) ** (-1 / alpha),
          },
        ],
      };
    },
  },
  {
    name: 'jobs of 1 to 6 hours',
    days: 7,
    model: (random) => ({
      streams: [{ perHour: always(random.between(3, 30)), stays: () => random.between(1, 6) }],
    }),
  },
  {
    name: 'sessions of 8 hours',
    days: 7,
    model: (random) => ({
      streams: [{ perHour: always(random.between(3, 40)), stays: () => 8 + random.normal() }],
    }),
  },
  {
    name: 'sessions of 8 hours, office hours',
    days: 10,
    model: (random) => ({
      streams: [
        { perHour: office(random.between(5, 40)), stays: () => Math.max(0.1, 8 + 2 * random.normal()) },
      ],
    }),
  },
  {
    name: 'sessions of 8 hours among short ones',
    days: 7,
    model: (random) => ({
      streams: [churn(random), { perHour: always(random.between(3, 30)), stays: () => 8 + random.normal() }],
    }),
  },
  {
    name: 'sessions that end at lunch or in the evening',
    days: 10,
    model: (random) => {
      const rate = random.between(5, 40);
      let now = 0;
      return {
        streams: [
          {
            perHour: (hour) => {
              now = hour;
              return office(rate)(hour);
            },
            stays: () => {
              const clock = (now + 9) % DAY;
              const lunch = 12.5 - clock;
              return lunch > 0 && random.between(0, 1) < 0.5 ? lunch : 20 - clock + random.normal() / 2;
            },
          },
        ],
      };
    },
  },
  {
    name: 'connections of two days',
    days: 14,
    model: (random) => ({
      streams: [{ perHour: always(random.between(3, 40)), stays: exponential(random, 48) }],
    }),
  },
  {
    name: 'connections of two days, by day',
    days: 14,
    model: (random) => ({
      streams: [
        { perHour: daily(random.between(3, 40), random.between(0, 1)), stays: exponential(random, 48) },
      ],
    }),
  },
  {
    name: 'connections of 36 to 60 hours, expectedMax',
    days: 14,
    model: (random) => ({
      streams: [churn(random), { perHour: always(10), stays: () => random.between(36, 60) }],
      expectedMax: 1_000,
    }),
  },
  {
    name: 'purged weekly, expectedMax',
    days: 28,
    model: (random) => ({
      streams: [{ perHour: daily(random.between(5, 30)), stays: forEver }],
      purgedEvery: 7 * DAY,
      expectedMax: 10_000,
    }),
  },
  {
    name: 'purged weekly, most leave young, expectedMax',
    days: 28,
    model: (random) => ({
      streams: [churn(random), { perHour: always(5), stays: forEver }],
      purgedEvery: 7 * DAY,
      expectedMax: 5_000,
    }),
  },
  {
    name: 'purged every 6 hours',
    days: 7,
    model: (random) => ({
      streams: [{ perHour: always(random.between(10, 60)), stays: forEver }],
      purgedEvery: 6,
    }),
  },
  {
    name: 'a TTL of a day, 40 % deleted sooner',
    days: 7,
    model: (random) => ({
      streams: [
        { perHour: always(20), stays: exponential(random, 0.2) },
        { perHour: daily(30), stays: () => DAY },
      ],
      ttl: DAY,
      longest: DAY,
    }),
  },
  {
    name: 'a TTL of a day, none deleted',
    days: 7,
    model: (random) => ({
      streams: [{ perHour: daily(random.between(10, 60), random.between(0, 1)), stays: () => DAY }],
      ttl: DAY,
      longest: DAY,
    }),
  },
  {
    name: 'a TTL of a week, some deleted',
    days: 28,
    model: (random) => ({
      streams: [
        { perHour: always(20), stays: exponential(random, 1) },
        { perHour: daily(20), stays: () => 7 * DAY },
      ],
      ttl: 7 * DAY,
      longest: 7 * DAY,
    }),
  },
  {
    name: 'idle out after 30 minutes, or log out',
    days: 7,
    model: (random) => ({
      streams: [
        { perHour: daily(60), stays: exponential(random, 0.4) },
        { perHour: daily(60), stays: forEver },
      ],
      ceiling: 1,
      longest: 0.5,
    }),
  },
  {
    name: 'idle out after a day, none deleted',
    days: 10,
    model: (random) => ({
      streams: [{ perHour: daily(random.between(5, 50), random.between(0, 1)), stays: forEver }],
      ceiling: DAY,
      longest: DAY,
    }),
  },
  {
    name: 'a cache at its cap',
    days: 7,
    model: (random) => ({
      streams: [{ perHour: always(random.between(50, 200)), stays: forEver }],
      maxEntries: 2_000,
    }),
  },
  {
    name: 'a cache at its cap, invalidated at any age',
    days: 7,
    model: (random) => ({
      streams: [
        { perHour: always(random.between(50, 200)), stays: exponential(random, random.between(2, 20)) },
      ],
      maxEntries: 1_000,
    }),
  },
  {
    name: 'bursts that drain',
    days: 10,
    model: (random) => {
      const starts = Array.from({ length: 12 }, () => random.between(0, 240));
      return {
        streams: [
          churn(random),
          {
            perHour: (hour) => (starts.some((start) => hour >= start && hour < start + 1) ? 1_000 : 0),
            stays: () => random.between(0.1, 3),
          },
        ],
      };
    },
  },
  {
    name: 'a batch each night, done by morning',
    days: 10,
    model: (random) => ({
      streams: [
        churn(random),
        { perHour: (hour) => (hour % DAY < 3 ? 300 : 0), stays: () => random.between(0.5, 6) },
      ],
    }),
  },
  {
    name: 'load that doubles in a week',
    days: 10,
    model: (random) => ({
      streams: [
        { perHour: (hour) => 30 * 2 ** (hour / 168), stays: exponential(random, random.between(0.2, 3)) },
      ],
    }),
  },
  {
    name: 'load that trebles at a deploy',
    days: 7,
    model: (random) => {
      const at = random.between(20, 120);
      return {
        streams: [
          { perHour: (hour) => (hour < at ? 30 : 90), stays: exponential(random, random.between(0.2, 3)) },
        ],
      };
    },
  },
  {
    name: 'runs beside 5,000 loaded at the start',
    days: 7,
    model: (random) => ({ streams: [churn(random)], loaded: 5_000 }),
  },
  {
    name: 'runs beside 500 loaded on day 2',
    days: 7,
    model: (random) => ({
      streams: [churn(random), { perHour: (hour) => (hour >= 40 && hour < 41 ? 500 : 0), stays: forEver }],
    }),
  },
  {
    name: 'restarts every 12 hours, runs of minutes',
    days: 5,
    model: (random) => ({ streams: [churn(random)], restartsEvery: 12 }),
  },
  {
    name: 'restarts every 12 hours, sessions of 2 hours among short ones',
    days: 5,
    model: (random) => ({
      streams: [churn(random), { perHour: always(random.between(1, 40)), stays: exponential(random, 2) }],
      restartsEvery: 12,
    }),
  },
  {
    name: 'killed every 5 hours with a journal, runs of minutes',
    days: 5,
    model: (random) => ({ streams: [churn(random)], restartsEvery: 5, outlastsRestarts: true }),
  },
  {
    name: 'killed every 5 hours with a journal, sessions of 8 hours among short ones',
    days: 7,
    model: (random) => ({
      streams: [
        churn(random),
        { perHour: daily(random.between(2, 30), 0.8), stays: () => random.between(7, 9) },
      ],
      restartsEvery: 5,
      outlastsRestarts: true,
    }),
  },
  {
    name: 'killed every 5 hours with a journal, a TTL of a day, 40 % deleted sooner',
    days: 7,
    model: (random) => ({
      streams: [
        {
          perHour: daily(50, random.between(0, 1)),
          stays: () => (random.between(0, 1) < 0.4 ? random.between(0, 10) : DAY),
        },
      ],
      ttl: DAY,
      longest: DAY,
      restartsEvery: 5,
      outlastsRestarts: true,
    }),
  },
];

export const leakingMaps: readonly SimulatedMap[] = [
  {
    name: 'one an hour under churn',
    days: 4,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(1))] }),
  },
  {
    name: 'one an hour under churn by day',
    days: 5,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random, daily(100, random.between(0, 1))), leak(always(1))] }),
  },
  {
    name: 'one an hour from day 6 on',
    days: 10,
    leaksFrom: 144,
    model: (random) => ({ streams: [churn(random), leak(from(144, always(1)))] }),
  },
  {
    name: 'six a day under churn',
    days: 10,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(0.25))] }),
  },
  {
    name: 'ten an hour under churn',
    days: 3,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(10))] }),
  },
  {
    name: 'one a minute under churn',
    days: 3,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(60))] }),
  },
  {
    name: 'one in ten runs',
    days: 5,
    leaksFrom: 0,
    model: (random) => ({
      streams: [churn(random, daily(60, random.between(0, 1))), leak(daily(6, random.between(0, 1)))],
    }),
  },
  {
    name: 'ten an hour in office hours',
    days: 10,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random, office(100)), leak(office(10))] }),
  },
  {
    name: 'ten an hour on weekdays',
    days: 21,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random, weekdays(office(100))), leak(weekdays(office(10)))] }),
  },
  {
    name: 'restarts every 12 hours, ten an hour',
    days: 5,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(10))], restartsEvery: 12 }),
  },
  {
    name: 'killed every 5 hours with a journal, one an hour under churn',
    days: 5,
    leaksFrom: 0,
    model: (random) => ({
      streams: [churn(random), leak(always(1))],
      restartsEvery: 5,
      outlastsRestarts: true,
    }),
  },
  {
    name: 'killed every 5 hours with a journal, nothing leaves, five an hour',
    days: 4,
    leaksFrom: 0,
    model: () => ({ streams: [leak(always(5))], restartsEvery: 5, outlastsRestarts: true }),
  },
  {
    name: 'five an hour behind an idle limit of a day',
    days: 6,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(5))], ceiling: DAY, longest: DAY }),
  },
  {
    name: 'two an hour behind a maxAge of two days',
    days: 6,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(2))], ceiling: 2 * DAY, longest: 2 * DAY }),
  },
  {
    name: 'ten an hour behind a cap of 500',
    days: 6,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(10))], maxEntries: 500 }),
  },
  {
    name: 'ten an hour beside 5,000 loaded at the start',
    days: 4,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(10))], loaded: 5_000 }),
  },
  {
    name: 'ten an hour among bursts',
    days: 5,
    leaksFrom: 0,
    model: (random) => {
      const starts = Array.from({ length: 8 }, () => random.between(0, 120));
      return {
        streams: [
          churn(random),
          {
            perHour: (hour) => (starts.some((start) => hour >= start && hour < start + 1) ? 500 : 0),
            stays: () => random.between(0.1, 2),
          },
          leak(always(10)),
        ],
      };
    },
  },
  {
    name: 'five an hour since a deploy that trebles the load',
    days: 7,
    leaksFrom: 72,
    model: (random) => ({
      streams: [churn(random, (hour) => (hour < 72 ? 40 : 120)), leak(from(72, always(5)))],
    }),
  },
  {
    name: 'five an hour, TTL of an hour',
    days: 4,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random), leak(always(5))], ttl: 1, longest: 1 }),
  },
  pureLeak('one a minute', 3, always(60)),
  pureLeak('five an hour', 3, always(5)),
  pureLeak('one an hour', 7, always(1)),
  pureLeak('six a day', 10, always(0.25)),
  pureLeak('office hours', 5, office(20)),
  {
    name: 'nine in ten never leave',
    days: 3,
    leaksFrom: 0,
    model: (random) => ({ streams: [churn(random, always(2)), leak(always(18))] }),
  },
];

/** Leaks among entries of which some stay for hours: found, but only once those have left. */
export const hardLeakingMaps: readonly SimulatedMap[] = [
  {
    name: 'five an hour among sessions of 8 hours',
    days: 10,
    leaksFrom: 0,
    model: (random) => ({
      streams: [churn(random), { perHour: always(10), stays: () => 8 + random.normal() }, leak(always(5))],
    }),
  },
  {
    name: 'five an hour among a long tail',
    days: 10,
    leaksFrom: 0,
    model: (random) => ({
      streams: [{ perHour: always(50), stays: lognormal(random, minutes(5), 2) }, leak(always(5))],
    }),
  },
  {
    name: 'two an hour among runs of 20 minutes',
    days: 7,
    leaksFrom: 0,
    model: (random) => ({
      streams: [{ perHour: daily(60), stays: exponential(random, 0.33) }, leak(always(2))],
    }),
  },
];

/**
 * Healthy maps that can look like a leak, for as long as none of what stays has left: the rules cannot know better, and
 * `expectedMax` tells them.
 */
export const ambiguousMaps: readonly SimulatedMap[] = [
  {
    name: 'connections of two days among short ones',
    days: 14,
    model: (random) => ({
      streams: [churn(random), { perHour: always(random.between(1, 40)), stays: exponential(random, 48) }],
    }),
  },
  {
    name: 'connections of 36 to 60 hours',
    days: 7,
    model: (random) => ({ streams: [{ perHour: always(10), stays: () => random.between(36, 60) }] }),
  },
  {
    name: 'purged weekly',
    days: 28,
    model: (random) => ({
      streams: [{ perHour: daily(random.between(5, 30)), stays: forEver }],
      purgedEvery: 7 * DAY,
    }),
  },
];
