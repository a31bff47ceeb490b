import { createRegistry, type Registry } from 'mapsweep';
import { every, failing, type Service, startOn, turn } from './service.js';

const minute = 60_000;

/** Services that keep something for a while, or for good, and do not leak. */
export const healthy: ReadonlyArray<readonly [claim: string, start: () => Service]> = [
  [
    'deletes what it sets, also where it fails',
    () => {
      const { registry, maps } = startOn({ maps: { contexts: {} } });
      const runOnce = async (run: number) => {
        maps.contexts.set(run, {});
        try {
          await (run % 3 === 0 ? failing() : turn());
        } finally {
          maps.contexts.delete(run);
        }
      };
      return { registry, run: (run) => runOnce(run).catch(() => {}), options: { nets: 'fail' } };
    },
  ],
  [
    'ends its runs, which leave five minutes later with their companions',
    () => {
      const { clock, registry, maps } = startOn({
        maps: {
          runs: { ttl: '5m', since: (value: { endedAt?: number }) => value.endedAt, maxIdle: '24h' },
          seqs: { follows: 'runs' },
        },
        ended: { map: 'runs', deliver: () => turn() },
      });
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.seqs.set(run, 1);
          registry.end(run);
          maps.runs.set(run, { endedAt: clock.now() });
        },
        options: { nets: 'fail' },
      };
    },
  ],
  ...[30, 150, 250, 300].map(
    (size) =>
      [
        `keeps the ${size} latest`,
        () => {
          const { registry, maps } = startOn({ maps: { latest: {} } });
          return {
            registry,
            run: (run: number) => {
              maps.latest.set(run, {});
              maps.latest.delete(run - size);
            },
          };
        },
      ] as const,
  ),
  [
    'is a cache with a cap of its own',
    () => {
      const { registry, maps } = startOn({
        maps: { cache: { maxEntries: 50 }, larger: { maxEntries: 5_000 } },
      });
      return {
        registry,
        run: (run) => {
          maps.cache.set(run, {});
          maps.larger.set(run, {});
        },
        options: { nets: 'fail' },
      };
    },
  ],
  [
    'is a cache with a cap and a TTL',
    () => {
      const { registry, maps } = startOn({ maps: { cache: { maxEntries: 50, ttl: '5m' } } });
      return { registry, run: (run) => maps.cache.set(run, {}), options: { nets: 'fail' } };
    },
  ],
  ...[32, 256].map(
    (shards) =>
      [
        `makes ${shards} shards when they are needed`,
        () => {
          const { registry, maps } = startOn({ maps: { shards: {} } });
          return { registry, run: (run: number) => maps.shards.set(run % shards, {}) };
        },
      ] as const,
  ),
  ...[16, 48, 64, 97].map(
    (size) =>
      [
        `flushes a buffer of ${size}`,
        () => {
          const { registry, maps } = startOn({ maps: { buffer: {} } });
          return {
            registry,
            run: (run: number) => {
              maps.buffer.set(run, {});
              if (maps.buffer.size === size) maps.buffer.clear();
            },
          };
        },
      ] as const,
  ),
  [
    'evicts at random',
    () => {
      const { registry, maps } = startOn({ maps: { cache: {} } });
      let state = 7;
      const random = () => {
        state = (state * 16_807) % 2_147_483_647;
        return state / 2_147_483_647;
      };
      return {
        registry,
        run: (run) => {
          maps.cache.set(run, {});
          if (maps.cache.size <= 120) return;
          maps.cache.delete([...maps.cache.keys()][Math.floor(random() * maps.cache.size)]);
        },
      };
    },
  ],
  [
    'adopts a map meanwhile that has 500 old entries',
    () => {
      const old = new Map(Array.from({ length: 500 }, (_, key) => [key, {}]));
      const { registry, maps } = startOn({ maps: { runs: {} } });
      return {
        registry,
        run: (run) => {
          if (run === 50) registry.adopt('old', old, {});
          maps.runs.set(run, {});
          maps.runs.delete(run);
        },
      };
    },
  ],
  [
    'adopts a map for each connection and releases the one before, with its entries',
    () => {
      const { registry } = startOn({ maps: { runs: {} } });
      let last: { release(): void } | undefined;
      return {
        registry,
        run: (run) => {
          last?.release();
          last = registry.adopt(`connection ${run}`, new Map([['peer', {}]]), {});
        },
      };
    },
  ],
  [
    'keeps the last 50 messages in the value of an entry',
    () => {
      const history: number[] = [];
      const { registry, maps } = startOn({
        maps: { histories: { weigh: (messages: number[]) => messages.length } },
      });
      maps.histories.set('user', history);
      return {
        registry,
        run: (run) => {
          history.push(run);
          if (history.length > 50) history.shift();
        },
      };
    },
  ],
  [
    'buffers 48 messages in the value of an entry',
    () => {
      const messages: number[] = [];
      const { registry, maps } = startOn({ maps: { buffers: { weigh: (all: number[]) => all.length } } });
      maps.buffers.set('out', messages);
      return {
        registry,
        run: (run) => {
          messages.push(run);
          if (messages.length === 48) messages.length = 0;
        },
      };
    },
  ],
  [
    'joins and leaves a room',
    () => {
      const members = new Set<number>();
      const { registry, maps } = startOn({ maps: { rooms: { weigh: (all: Set<number>) => all.size } } });
      maps.rooms.set('lobby', members);
      return {
        registry,
        run: (run) => {
          members.add(run);
          registry.touch('rooms', 'lobby');
          members.delete(run - 3);
        },
      };
    },
  ],
  [
    'has a guard that lets go after half an hour',
    () => {
      const { clock, registry, maps } = startOn({
        maps: {
          leases: {
            ttl: '5m',
            keepWhile: ({ until }: { until: number }): boolean => Date.now() > 0 && isHeld(until),
          },
        },
      });
      const isHeld = (until: number) => clock.now() < until;
      return { registry, run: (run) => maps.leases.set(run, { until: clock.now() + 30 * minute }) };
    },
  ],
  [
    'delivers at the third attempt',
    () => {
      const { registry, maps } = startOn({
        maps: { runs: {} },
        ended: {
          map: 'runs',
          deliver: (_event: unknown, { attempt }: { attempt: number }) =>
            attempt < 3 ? failing() : undefined,
        },
      });
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.runs.delete(run);
        },
      };
    },
  ],
  [
    'deletes a row in a beforeSweep that fails at first',
    () => {
      const failed = new Set<unknown>();
      const beforeSweep = async (_value: unknown, key: unknown) => {
        if (failed.has(key)) return;
        failed.add(key);
        await failing();
      };
      const { registry, maps } = startOn({ maps: { rows: { ttl: '5m', beforeSweep } } });
      return { registry, run: (run) => maps.rows.set(run, {}) };
    },
  ],
  [
    'counts by the minute, and keeps the last sixty counts',
    () => {
      const counts = new Map<number, number>();
      const { clock, registry, maps } = startOn({ maps: { counts: { adopt: counts }, runs: { ttl: '5m' } } });
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          const now = Math.floor(clock.now() / minute);
          counts.set(now, (counts.get(now) ?? 0) + 1);
          for (const at of counts.keys()) if (at <= now - 60) counts.delete(at);
        },
      };
    },
  ],
  [
    'sets twice as much at each of ten runs, and starts again, all of which leaves',
    () => {
      const { registry, maps } = startOn({ maps: { batches: { ttl: '5m' } } });
      return {
        registry,
        run: (run) => {
          for (let item = 2 ** (run % 11); item > 0; item -= 1) maps.batches.set(`${run}/${item}`, {});
        },
        options: { times: 22 },
      };
    },
  ],
  [
    'registers the same heartbeat anew at each run',
    () => {
      const { registry, maps } = startOn({ maps: { heartbeats: {} } });
      return {
        registry,
        run: () => {
          maps.heartbeats.delete('last');
          maps.heartbeats.set('last', {});
        },
      };
    },
  ],
  [
    'serves ten users again and again',
    () => {
      const { registry, maps } = startOn({ maps: { users: {}, sessions: { maxIdle: '24h' } } });
      return {
        registry,
        run: (run) => {
          maps.users.set(run % 10, {});
          maps.sessions.set(run % 10, {});
        },
      };
    },
  ],
  [
    'answers two at once, each by its own id',
    () => {
      const { registry, maps } = startOn({ maps: { waiting: {} } });
      let next = 0;
      const ask = async () => {
        const id = next++;
        maps.waiting.set(id, {});
        await turn();
        maps.waiting.delete(id);
      };
      return { registry, run: () => Promise.all([ask(), ask()]) };
    },
  ],
  [
    'uses a fixture up and leaves nothing in its place',
    () => {
      const jobs = new Map<string, object>(Array.from({ length: 120 }, (_, job) => [`job ${job}`, {}]));
      const { registry } = startOn({ maps: { jobs: { adopt: jobs } } });
      return { registry, run: (run) => jobs.delete(`job ${run}`) };
    },
  ],
  [
    'removes the listener that it has added',
    () => {
      const listeners = new Set<() => void>();
      const { registry } = startOn({ maps: { listeners: { adopt: listeners } } });
      return {
        registry,
        run: () => {
          const listener = () => {};
          listeners.add(listener);
          listeners.delete(listener);
        },
      };
    },
  ],
  [
    'makes one map and one entry at its first run, without a warm-up',
    () => {
      const { registry } = startOn({ maps: { runs: {} } });
      const made = new Map<string, object>();
      return {
        registry,
        run: () => {
          if (made.size > 0) return;
          registry.adopt('made', made, {});
          made.set('once', {});
        },
        options: { warmup: 0 },
      };
    },
  ],
  [
    'comes back after a restart and ends',
    () => {
      const policy = {
        maps: { runs: { ttl: '5m', since: (value: { endedAt?: number }) => value.endedAt } },
        ended: { map: 'runs', deliver: () => {} },
      } as const;
      const earlier = startOn(policy);
      for (let run = 0; run < 400; run += 1) earlier.maps.runs.set(`run ${run}`, {});
      const { clock, registry, maps } = startOn(policy);
      registry.restore(earlier.registry.snapshot());
      return {
        registry,
        run: (run) => {
          maps.runs.set(`run ${run}`, {});
          registry.end(`run ${run}`);
          maps.runs.set(`run ${run}`, { endedAt: clock.now() });
        },
      };
    },
  ],
  [
    'works on in a timer and cleans up there',
    () => {
      const { clock, registry, maps } = startOn({ maps: { jobs: { ttl: '1h' } } });
      return {
        registry,
        run: (run) => {
          maps.jobs.set(run, {});
          clock.setTimeout(() => maps.jobs.set(`retry of ${run}`, {}), 10 * minute);
        },
      };
    },
  ],
  [
    'has one connection that it makes anew at each run, and that a heartbeat keeps alive',
    () => {
      const { clock, registry, maps } = startOn({ maps: { connections: { maxIdle: '30m' } } });
      every(clock, 10 * minute, () => (registry as unknown as Registry).touch('connections', 'main'));
      return {
        registry,
        run: () => {
          maps.connections.delete('main');
          maps.connections.set('main', {});
        },
      };
    },
  ],
  [
    'keeps the 30 latest, with a lifetime that is longer than the time it gets',
    () => {
      const { registry, maps } = startOn({ maps: { latest: { maxIdle: '24h' } } });
      return {
        registry,
        run: (run) => {
          maps.latest.set(run, {});
          maps.latest.delete(run - 30);
        },
        options: { drain: '5m' },
      };
    },
  ],
  [
    'has a bounded cache whose lifetimes take real time',
    () => {
      const registry = createRegistry({ maps: { cache: { ttl: '5m', maxEntries: 50 } } });
      return { registry, run: (run) => registry.maps.cache.set(run, {}) };
    },
  ],
  [
    'makes something once that would leave in real time',
    () => {
      const registry = createRegistry({ maps: { pools: { maxIdle: '5m' } } });
      return { registry, run: () => registry.maps.pools.set('main', {}), options: { warmup: 0 } };
    },
  ],
  [
    'delivers at once, where no time is let pass',
    () => {
      const { registry, maps } = startOn({ maps: { runs: {} }, ended: { map: 'runs', deliver: () => {} } });
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.runs.delete(run);
        },
        options: { drain: false },
      };
    },
  ],
  [
    'doubles what is in a cache, within its bound',
    () => {
      const { registry, maps } = startOn({ maps: { cache: { maxEntries: 5_000 } } });
      let next = 0;
      return {
        registry,
        run: async () => {
          if (maps.cache.size >= 2_500) return;
          for (let more = Math.max(1, maps.cache.size); more > 0; more -= 1) maps.cache.set(next++, {});
          await turn();
        },
        options: { times: 3, warmup: 13 },
      };
    },
  ],
];
