/**
 * Synthetic histories of the size of a map, a size a minute, from a seeded generator: what healthy maps do, and leaks.
 */

export interface Random {
  /** Uniform in [from, to). */
  between(from: number, to: number): number;
  normal(): number;
  poisson(mean: number): number;
}

/** A history: called once for every minute, in order, it answers the size of the map. */
export type History = (minute: number) => number;

export interface Shape {
  readonly name: string;
  readonly days: number;
  readonly history: (random: Random) => History;
}

export interface Leak extends Shape {
  /** The day it begins. */
  readonly from: number;
  /** The day it ends. */
  readonly until?: number;
}

const HOUR = 60;
const DAY = 24 * HOUR;

/** mulberry32, a public-domain generator of 32 bits by Tommy Ettinger. */
export function randomOf(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const poisson = (mean: number) => {
    if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal()));
    let count = 0;
    for (let product = next(); product > Math.exp(-mean); product *= next()) count++;
    return count;
  };
  return { between: (from, to) => from + (to - from) * next(), normal, poisson };
}

/** Live entries: some arrive, and each stays for `life` minutes on average. Returns how many there are. */
function churn(random: Random, life: number): (arrivals: number) => number {
  let live = 0;
  const leaves = 1 - Math.exp(-1 / life);
  return (arrivals) => {
    const gone = Math.min(live, random.poisson(live * leaves));
    live += random.poisson(arrivals) - gone;
    return live;
  };
}

/** Mean-reverting noise (Ornstein-Uhlenbeck) around 0. */
function meanReverting(random: Random, minutes: number, deviation: number): () => number {
  let value = 0;
  const keeps = Math.exp(-1 / minutes);
  return () => {
    value = value * keeps + deviation * Math.sqrt(1 - keeps * keeps) * random.normal();
    return value;
  };
}

const sine = (minute: number, phase: number) => Math.sin(2 * Math.PI * (minute / DAY + phase));
const size = (value: number) => Math.max(0, Math.round(value));

export const healthy: readonly Shape[] = [
  {
    name: 'constant',
    days: 10,
    history: (random) => {
      const constant = size(random.between(0, 2000));
      return () => constant;
    },
  },
  {
    name: 'idle, at times 1 or 2 entries',
    days: 10,
    history: (random) => () => (random.between(0, 1) < 0.01 ? size(random.between(0, 2)) : 0),
  },
  {
    name: 'a handful: 1, 2, then 3 entries',
    days: 14,
    history: (random) => {
      const arrivals = [0, random.between(HOUR, 3 * DAY), random.between(HOUR, 12 * DAY)];
      return (minute) => arrivals.filter((arrival) => arrival <= minute).length;
    },
  },
  {
    name: 'white noise',
    days: 14,
    history: (random) => {
      const mean = random.between(20, 500);
      const deviation = mean * random.between(0.02, 0.3);
      return () => size(mean + deviation * random.normal());
    },
  },
  {
    name: 'churn, 2-30 min each',
    days: 14,
    history: (random) => {
      const live = churn(random, random.between(2, 30));
      const load = random.between(1, 20);
      return () => live(load);
    },
  },
  {
    name: 'churn, 1-4 h each',
    days: 14,
    history: (random) => {
      const live = churn(random, random.between(HOUR, 4 * HOUR));
      const load = random.between(0.2, 3);
      return () => live(load);
    },
  },
  {
    name: 'daily cycle of load',
    days: 14,
    history: (random) => {
      const live = churn(random, random.between(2, 30));
      const load = random.between(2, 20);
      const swing = random.between(0.5, 1);
      const phase = random.between(0, 1);
      return (minute) => live(load * (1 + swing * sine(minute, phase)));
    },
  },
  {
    name: 'daily cycle, sine with noise',
    days: 14,
    history: (random) => {
      const mean = random.between(100, 400);
      const swing = mean * random.between(0.3, 0.9);
      const phase = random.between(0, 1);
      const deviation = random.between(1, 10);
      return (minute) => size(mean + swing * sine(minute, phase) + deviation * random.normal());
    },
  },
  {
    name: 'daily cycle, sine without noise',
    days: 14,
    history: (random) => {
      const mean = random.between(100, 400);
      const swing = mean * random.between(0.3, 0.9);
      const phase = random.between(0, 1);
      return (minute) => size(mean + swing * sine(minute, phase));
    },
  },
  {
    name: 'office hours, uneven days',
    days: 21,
    history: (random) => {
      const live = churn(random, random.between(2, 30));
      const load = random.between(2, 20);
      const offset = random.between(0, DAY);
      const busy = Array.from({ length: 30 }, () => random.between(0.5, 1.5));
      return (minute) => {
        const hour = ((minute + offset) % DAY) / HOUR;
        const office = Math.min(1, Math.max(0.1, (hour - 6) / 4), Math.max(0.1, (21 - hour) / 4));
        return live(load * busy[Math.floor((minute + offset) / DAY)]! * office);
      };
    },
  },
  {
    name: 'weekly cycle, quiet week-ends',
    days: 28,
    history: (random) => {
      const live = churn(random, random.between(2, 30));
      const load = random.between(2, 20);
      const offset = random.between(0, 7 * DAY);
      const weekend = random.between(0.1, 0.5);
      return (minute) => {
        const day = Math.floor((minute + offset) / DAY) % 7;
        return live(load * (day >= 5 ? weekend : 1) * (1 + 0.8 * sine(minute + offset, -0.25)));
      };
    },
  },
  {
    name: 'bursts that drain',
    days: 14,
    history: (random) => {
      const live = churn(random, 5);
      const often = 1 / random.between(2 * HOUR, 30 * HOUR);
      const drain = 1 - random.between(0.02, 0.2);
      let burst = 0;
      return () => {
        if (random.between(0, 1) < often) burst += random.between(100, 3000);
        burst *= drain;
        return live(4) + size(burst);
      };
    },
  },
  {
    name: 'sawtooth, 5 min to 3 h',
    days: 14,
    history: (random) => {
      const period = random.between(5, 3 * HOUR);
      const load = random.between(0.5, 20);
      let entries = 0;
      let drainedAt = 0;
      return (minute) => {
        entries += random.poisson(load);
        if (minute - drainedAt >= period) [entries, drainedAt] = [0, minute];
        return entries;
      };
    },
  },
  {
    name: 'sawtooth, 6 to 20 h',
    days: 14,
    history: (random) => {
      const period = random.between(6 * HOUR, 20 * HOUR);
      const load = random.between(0.5, 20);
      let entries = 0;
      let drainedAt = -random.between(0, period);
      return (minute) => {
        entries += random.poisson(load);
        if (minute - drainedAt >= period) [entries, drainedAt] = [0, minute];
        return entries;
      };
    },
  },
  {
    name: 'drains of 80-95 % of the entries',
    days: 14,
    history: (random) => {
      const period = random.between(30, 170);
      const load = random.between(0.5, 20);
      const kept = random.between(0.05, 0.2);
      let entries = 0;
      let drainedAt = 0;
      return (minute) => {
        entries += random.poisson(load);
        if (minute - drainedAt >= period) [entries, drainedAt] = [size(entries * kept), minute];
        return entries;
      };
    },
  },
  {
    name: 'a TTL of 1-2 h that fills up',
    days: 7,
    history: (random) => {
      const ttl = size(random.between(HOUR, 2 * HOUR));
      const load = random.between(0.5, 20);
      const arrivals: number[] = [];
      let entries = 0;
      return (minute) => {
        arrivals.push(random.poisson(load));
        entries += arrivals[minute]! - (arrivals[minute - ttl] ?? 0);
        return entries;
      };
    },
  },
  {
    name: 'warm-up, 10 min to 2 h',
    days: 10,
    history: (random) => {
      const plateau = random.between(100, 5000);
      const minutes = random.between(10, 2 * HOUR);
      const live = churn(random, 5);
      return (minute) => size(plateau * (1 - Math.exp(-minute / minutes))) + live(4);
    },
  },
  {
    name: 'warm-up, 2 to 8 h',
    days: 10,
    history: (random) => {
      const plateau = random.between(100, 5000);
      const minutes = random.between(2 * HOUR, 8 * HOUR);
      const live = churn(random, 5);
      return (minute) => size(plateau * (1 - Math.exp(-minute / minutes))) + live(4);
    },
  },
  {
    name: 'a step to a new plateau',
    days: 10,
    history: (random) => {
      const live = churn(random, random.between(3, 20));
      const at = random.between(0.1, 9) * DAY;
      const height = size(random.between(50, 2000));
      return (minute) => live(5) + (minute >= at ? height : 0);
    },
  },
  {
    name: 'five steps in two weeks',
    days: 14,
    history: (random) => {
      const live = churn(random, random.between(3, 20));
      const steps = Array.from({ length: 5 }, () => ({
        at: random.between(0.1, 13) * DAY,
        height: size(random.between(20, 500)),
      }));
      return (minute) =>
        live(5) + steps.reduce((sum, { at, height }) => sum + (minute >= at ? height : 0), 0);
    },
  },
  {
    name: 'load that rises in five steps',
    days: 14,
    history: (random) => {
      const live = churn(random, random.between(10, 60));
      const steps = Array.from({ length: 5 }, () => random.between(0.1, 13) * DAY);
      return (minute) => live(2 + 3 * steps.filter((at) => minute >= at).length);
    },
  },
  {
    name: 'walk around a mean, 0.5-6 h',
    days: 21,
    history: (random) => {
      const mean = random.between(100, 500);
      const walk = meanReverting(random, random.between(30, 6 * HOUR), mean * random.between(0.05, 0.25));
      return () => size(mean + walk());
    },
  },
  {
    name: 'walk around a mean, 12-48 h',
    days: 28,
    history: (random) => {
      const mean = random.between(100, 500);
      const walk = meanReverting(random, random.between(0.5, 2) * DAY, mean * random.between(0.05, 0.25));
      return () => size(mean + walk() + 3 * random.normal());
    },
  },
  {
    name: 'batch jobs, up to 3 h each',
    days: 14,
    history: (random) => {
      const every = size(random.between(2 * HOUR, DAY));
      const length = random.between(20, Math.min(3 * HOUR, every * 0.8));
      const load = random.between(1, 20);
      const live = churn(random, 5);
      let batch = 0;
      return (minute) => {
        if (minute % every < length) batch += random.poisson(load);
        else batch *= 0.9;
        return size(batch) + live(2);
      };
    },
  },
];

interface LeakPattern {
  readonly name: string;
  readonly days: number;
  /** Entries leaked a minute. */
  readonly rate: number;
  readonly from?: number;
  readonly until?: number;
  /** Whether what had leaked is removed at the end. */
  readonly drained?: boolean;
  /** Entries that arrive a minute and leave again; how long they stay, in minutes. */
  readonly load?: number;
  readonly life?: readonly [from: number, to: number];
  /** What the load of a day follows, between 0 and 2; and whether the leak follows it too. */
  readonly swing?: number;
  readonly leakFollowsLoad?: boolean;
}

function leaking(pattern: LeakPattern): Leak {
  const { name, days, rate, load = 0, life = [5, 30], from = 0, until, swing = 0 } = pattern;
  return {
    name,
    days,
    from,
    until,
    history: (random) => {
      const live = churn(random, random.between(...life));
      const phase = random.between(0, 1);
      let leaked = 0;
      return (minute) => {
        const day = minute / DAY;
        const factor = 1 + swing * sine(minute, phase);
        if (day >= from && !(until !== undefined && day >= until)) {
          leaked += random.poisson(rate * (pattern.leakFollowsLoad ? factor : 1));
        } else if (pattern.drained) leaked = 0;
        return leaked + live(load * factor);
      };
    },
  };
}

export const leaks: readonly Leak[] = [
  leaking({ name: 'nothing leaves, 5 a minute', days: 3, rate: 5 }),
  leaking({ name: 'nothing leaves, 1 a minute', days: 3, rate: 1 }),
  leaking({ name: '20 a minute under churn', days: 3, rate: 20, load: 20, life: [2, 5] }),
  leaking({ name: '10 a minute, from day 1', days: 4, rate: 10, load: 4, life: [2, 5], from: 1 }),
  leaking({ name: '1 a minute, heavy churn', days: 5, rate: 1, load: 8 }),
  leaking({ name: '1 a minute, heavy churn, from day 1', days: 6, rate: 1, load: 8, from: 1 }),
  leaking({ name: '1 a minute, heavy churn, from day 10', days: 14, rate: 1, load: 8, from: 10 }),
  leaking({ name: '6 an hour, heavy churn', days: 10, rate: 1 / 10, load: 8 }),
  leaking({ name: '1 an hour, quiet map', days: 20, rate: 1 / 60, load: 0.5, life: [3, 3] }),
  leaking({ name: '1 an hour, heavy churn', days: 40, rate: 1 / 60, load: 8 }),
  leaking({ name: '1 a minute on a daily cycle', days: 20, rate: 1, load: 8, swing: 0.8, from: 2 }),
  leaking({
    name: '1 a minute, following the load',
    days: 20,
    rate: 1,
    load: 8,
    swing: 0.9,
    leakFollowsLoad: true,
    from: 2,
  }),
  leaking({ name: '6 an hour on a daily cycle', days: 30, rate: 1 / 10, load: 8, swing: 0.8, from: 2 }),
  leaking({ name: 'stops after two days', days: 10, rate: 1, load: 8, from: 2, until: 4 }),
  leaking({
    name: 'is drained after two days',
    days: 10,
    rate: 1,
    load: 8,
    from: 2,
    until: 4,
    drained: true,
  }),
  {
    name: 'a tenth of the runs, the rest drained',
    days: 20,
    from: 0,
    history: (random) => {
      const period = random.between(HOUR, 6 * HOUR);
      const load = random.between(1, 10);
      let leaked = 0;
      let others = 0;
      let drainedAt = 0;
      return (minute) => {
        leaked += random.poisson(load / 10);
        others += random.poisson((load * 9) / 10);
        if (minute - drainedAt >= period) [others, drainedAt] = [0, minute];
        return leaked + others;
      };
    },
  },
];
