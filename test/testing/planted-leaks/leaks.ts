import type { Registry } from 'mapsweep';
import { every, failing, type Service, startOn, turn } from './service.js';

const minute = 60_000;

/** Services that leak, each in its own way, and what the message has to say of it. */
export const leaks: ReadonlyArray<readonly [claim: string, says: RegExp, start: () => Service]> = [
  [
    'keeps an entry of each run',
    /contexts: 10 -> 110 entries, \+1 per run\n {4}then \+100 and \+100 in as many runs again\n/,
    () => {
      const { registry, maps } = startOn({ maps: { contexts: {} } });
      return { registry, run: (run) => maps.contexts.set(run, {}) };
    },
  ],
  [
    'keeps an entry of every tenth run',
    /contexts: 1 -> 11 entries, \+0\.1 per run/,
    () => {
      const { registry, maps } = startOn({ maps: { contexts: {} } });
      return {
        registry,
        run: (run) => {
          maps.contexts.set(run, {});
          if (run % 10 > 0) maps.contexts.delete(run);
        },
      };
    },
  ],
  [
    'keeps an entry of every fiftieth run',
    /contexts: \d+ -> \d+ entries, \+0\.02 per run/,
    () => {
      const { registry, maps } = startOn({ maps: { contexts: {} } });
      return {
        registry,
        run: (run) => {
          maps.contexts.set(run, {});
          if (run % 50 !== 20) maps.contexts.delete(run);
        },
      };
    },
  ],
  [
    'keeps an entry for each hour that passes, whatever runs',
    /hours: \d+ -> \d+ entries/,
    () => {
      const { clock, registry, maps } = startOn({ maps: { hours: {}, runs: { ttl: '90m' } } });
      every(clock, 60 * minute, () => maps.hours.set(clock.now(), {}));
      return { registry, run: (run) => maps.runs.set(run, {}) };
    },
  ],
  [
    'forgets the clean-up where a run fails',
    /transports: 2 -> 22 entries, \+0\.2 per run/,
    () => {
      const { registry, maps } = startOn({ maps: { transports: {} } });
      const runOnce = async (run: number) => {
        maps.transports.set(run, {});
        await (run % 5 === 0 ? failing() : turn());
        maps.transports.delete(run);
      };
      return { registry, run: (run) => runOnce(run).catch(() => {}) };
    },
  ],
  [
    'forgets one of two that run at once',
    /waiting: 10 -> 110 entries/,
    () => {
      const { registry, maps } = startOn({ maps: { waiting: {} } });
      let next = 0;
      let latest = 0;
      const ask = async () => {
        const id = next++;
        latest = id;
        maps.waiting.set(id, {});
        await turn();
        // It should be its own id: alone it is.
        maps.waiting.delete(latest);
      };
      return { registry, run: () => Promise.all([ask(), ask()]) };
    },
  ],
  [
    'puts a result in the place of each job of a fixture that it uses up',
    /jobs: 200 -> 200 entries, \+1 per run\n {4}100 entries that came in 100 runs stay, and others made room\n/,
    () => {
      const jobs = new Map<string, object>(Array.from({ length: 200 }, (_, job) => [`job ${job}`, {}]));
      const { registry } = startOn({ maps: { jobs: { adopt: jobs } } });
      return {
        registry,
        run: (run) => {
          jobs.delete(`job ${run}`);
          jobs.set(`result ${run}`, {});
        },
      };
    },
  ],
  [
    'leaks beside a buffer whose flush hides it',
    /outbox: .*\+0\.0\d+ per run/,
    () => {
      const { registry, maps } = startOn({ maps: { outbox: {} } });
      const { outbox } = maps;
      return {
        registry,
        run: (run) => {
          outbox.set(`message ${run}`, {});
          if (run % 11 === 10) {
            for (const key of [...outbox.keys()]) if (String(key).startsWith('message')) outbox.delete(key);
          }
          if (run % 12 === 5) outbox.set(`lost ${run}`, {});
        },
      };
    },
  ],
  [
    'leaks where the TTL of a fixture makes room meanwhile',
    /mixed: \d+ -> \d+ entries, \+1 per run/,
    () => {
      const mixed = new Map<string, { endedAt?: number }>();
      const { clock, registry } = startOn({
        maps: {
          mixed: { adopt: mixed, ttl: '30m', since: (value: { endedAt?: number }) => value.endedAt },
          jobs: { ttl: '10m' },
        },
      });
      for (let job = 0; job < 300; job += 1) mixed.set(`fixture ${job}`, { endedAt: clock.now() });
      return {
        registry,
        run: (run) => {
          registry.maps.jobs.set(run, {});
          mixed.set(`run ${run}`, {});
        },
      };
    },
  ],
  [
    'leaks where a guard lets a fixture go meanwhile',
    /mixed: \d+ -> \d+ entries, \+1 per run/,
    () => {
      const mixed = new Map<string, { held?: boolean; ends?: number }>();
      let isOpen = true;
      const { clock, registry } = startOn({
        maps: {
          mixed: {
            adopt: mixed,
            expiresAt: (value: { ends?: number }) => value.ends,
            keepWhile: (value: { held?: boolean }) => value.held === true && isOpen,
          },
        },
      });
      for (let lease = 0; lease < 100; lease += 1)
        mixed.set(`lease ${lease}`, { held: true, ends: clock.now() });
      return {
        registry,
        run: (run) => {
          if (run === 20) isOpen = false;
          mixed.set(`run ${run}`, {});
        },
      };
    },
  ],
  [
    'is guarded and never let go',
    /leases: 10 -> 110 entries[\s\S]*guarded, due by ttl .* no maxAge/,
    () => {
      const { registry, maps } = startOn({ maps: { leases: { ttl: '5m', keepWhile: () => true } } });
      return { registry, run: (run) => maps.leases.set(run, {}) };
    },
  ],
  [
    'has a guard that throws',
    /leases: 10 -> 110 entries/,
    () => {
      const keepWhile = () => {
        throw new Error('no such lease');
      };
      const { registry, maps } = startOn({ maps: { leases: { ttl: '5m', keepWhile } } });
      return { registry, run: (run) => maps.leases.set(run, {}) };
    },
  ],
  [
    'has a TTL that begins in epoch seconds, which is no answer',
    /runs: 10 -> 110 entries[\s\S]*failing/,
    () => {
      const { clock, registry, maps } = startOn({
        maps: { runs: { ttl: '5m', since: (value: { ended: number }) => value.ended } },
      });
      return { registry, run: (run) => maps.runs.set(run, { ended: Math.floor(clock.now() / 1_000) }) };
    },
  ],
  [
    'sets a companion whose leader never comes',
    /seqs: 10 -> 110 entries/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: { ttl: '5m' }, seqs: { follows: 'runs', orphanAfter: false } },
      });
      return {
        registry,
        run: (run) => {
          maps.runs.set(`run:${run}`, {});
          maps.seqs.set(`run-${run}`, 0);
        },
      };
    },
  ],
  [
    'sets a companion after its leader has left, which only orphanAfter removes',
    /left only by a safety net:\n {2}seqs: 100 by orphanAfter/,
    () => {
      const { registry, maps } = startOn({ maps: { runs: { ttl: '5m' }, seqs: { follows: 'runs' } } });
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.runs.delete(run);
          maps.seqs.set(run, 0);
        },
        options: { nets: 'fail' },
      };
    },
  ],
  [
    'never ends its runs, which only maxIdle removes',
    /100 entries left only by a safety net:\n {2}runs: 100 by maxIdle \(a safety net\)/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: { ttl: '5m', since: (value: { endedAt?: number }) => value.endedAt, maxIdle: '24h' } },
        ended: { map: 'runs', deliver: () => {} },
      });
      return { registry, run: (run) => maps.runs.set(run, {}), options: { nets: 'fail' } };
    },
  ],
  [
    'ends every second run, and a rule has a maxAge for the others',
    /50 entries left only by a safety net:\n {2}runs: 50 by rules\[0\]\.maxAge/,
    () => {
      const since = (value: { endedAt?: number }) => value.endedAt;
      const { clock, registry, maps } = startOn({
        maps: { runs: { rules: [{ match: /^cron:/, ttl: '5m', since, maxAge: '6h' }] } },
      });
      return {
        registry,
        run: (run) => maps.runs.set(`cron:${run}`, run % 2 ? { endedAt: clock.now() } : {}),
        options: { nets: 'fail' },
      };
    },
  ],
  [
    'never ends its runs, which only a cap evicts',
    /left only by a safety net:\n {2}runs: \d+ by maxEntries before its end/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: { ttl: '5m', since: (value: { endedAt?: number }) => value.endedAt, maxEntries: 50 } },
      });
      return { registry, run: (run) => maps.runs.set(run, {}), options: { nets: 'fail' } };
    },
  ],
  [
    'never ends its runs, and evicts them from the map of the endings',
    /left only by a safety net:\n {2}runs: \d+ by maxEntries before its end/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: { maxEntries: 20 } },
        ended: { map: 'runs', deliver: () => {} },
      });
      return { registry, run: (run) => maps.runs.set(run, {}), options: { nets: 'fail' } };
    },
  ],
  [
    'never ends its runs, far below a cap',
    /runs: 10 -> 110 entries, \+1 per run/,
    () => {
      const { registry, maps } = startOn({
        maps: {
          runs: { ttl: '5m', since: (value: { endedAt?: number }) => value.endedAt, maxEntries: 10_000 },
        },
      });
      return { registry, run: (run) => maps.runs.set(run, {}) };
    },
  ],
  [
    'holds more than its cap, since guards keep what is to be evicted',
    /sessions: 10 -> 110 entries/,
    () => {
      const { registry, maps } = startOn({ maps: { sessions: { maxEntries: 5, keepWhile: () => true } } });
      return { registry, run: (run) => maps.sessions.set(run, {}) };
    },
  ],
  [
    'adds to the value of one entry at each run',
    /the weight of the values in 'rooms': 500 -> 5500, \+50 per run, and it goes on/,
    () => {
      const rooms = new Map([['lobby', new Set<number>()]]);
      const { registry } = startOn({
        maps: { rooms: { adopt: rooms, weigh: (members: Set<number>) => 50 * members.size } },
      });
      return { registry, run: (run) => rooms.get('lobby')?.add(run) };
    },
  ],
  [
    'adds to the value of one entry while others shrink more than that',
    /the weight of the values in 'histories'/,
    () => {
      const histories = new Map<string, number[]>([['leaking', []]]);
      for (let user = 0; user < 50; user += 1) histories.set(`user ${user}`, Array(1_000).fill(0));
      const { registry } = startOn({
        maps: { histories: { adopt: histories, weigh: (history: number[]) => history.length } },
      });
      return {
        registry,
        run: (run) => {
          histories.get('leaking')?.push(run);
          histories.get(`user ${run % 50}`)?.splice(0, 2);
        },
      };
    },
  ],
  [
    'adds to the value of a session that it registers anew at each use',
    /the weight of the values in 'sessions': 11 -> 111, \+1 per run, and it goes on/,
    () => {
      const { registry, maps } = startOn({
        maps: { sessions: { weigh: (history: number[]) => history.length } },
      });
      maps.sessions.set('user', [0]);
      return {
        registry,
        run: (run) => {
          const history = maps.sessions.get('user') as number[];
          maps.sessions.delete('user');
          maps.sessions.set('user', [...history, run]);
        },
      };
    },
  ],
  [
    'adds to the value of a session that came in the first stretch',
    /the weight of the values in 'sessions'/,
    () => {
      const { registry, maps } = startOn({
        maps: { sessions: { weigh: (history: number[]) => history.length } },
      });
      return {
        registry,
        run: (run) => {
          if (run === 40) maps.sessions.set('late', []);
          maps.sessions.get('late')?.push(run);
        },
      };
    },
  ],
  [
    'looks entries up by an object that is another one each time',
    /sockets: 10 -> 110 entries/,
    () => {
      const { registry, maps } = startOn({ maps: { sockets: {} } });
      return {
        registry,
        run: () => {
          maps.sockets.set({ port: 80 }, {});
          maps.sockets.delete({ port: 80 });
        },
      };
    },
  ],
  [
    'removes another listener than it has added',
    /listeners: 10 -> 110 entries/,
    () => {
      const listeners = new Set<() => void>();
      const { registry } = startOn({ maps: { listeners: { adopt: listeners } } });
      const heard = (_name: string): void => {};
      return {
        registry,
        run: () => {
          listeners.add(() => heard('event'));
          listeners.delete(() => heard('event'));
        },
      };
    },
  ],
  [
    'moves a constant number of entries to new keys, and forgets one each time',
    /routes: .* \+1 per run/,
    () => {
      const { registry, maps } = startOn({ maps: { routes: {} } });
      return {
        registry,
        run: (run) => {
          // Five routes, by the number of the deployment.
          for (let route = 0; route < 5; route += 1) maps.routes.set(`${run}/${route}`, {});
          for (let route = 0; route < 4; route += 1) maps.routes.delete(`${run}/${route}`);
        },
      };
    },
  ],
  [
    'leaks into a map that is adopted while it runs',
    /late: 110 -> 210 entries, \+1 per run/,
    () => {
      const late = new Map<number, object>();
      const { registry } = startOn({ maps: { runs: {} } });
      return {
        registry,
        run: (run) => {
          if (run === 50) registry.adopt('late', late, {});
          late.set(run, {});
        },
      };
    },
  ],
  [
    'leaks into a map that takes the place of another',
    /late: \d+ -> \d+ entries, \+1 per run/,
    () => {
      const { registry, maps } = startOn({ maps: { runs: {} } });
      const early = registry.adopt('early', new Map(), {});
      const late = new Map<number, object>();
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.runs.delete(run);
          if (run === 50) {
            early.release();
            registry.adopt('late', late, {});
          }
          if (run >= 50) late.set(run, {});
        },
      };
    },
  ],
  [
    'takes two jobs in while one is done',
    /backlog: 10 -> 110 entries, \+1 per run\n {4}then 210 and 310 after as many runs again/,
    () => {
      const { registry, maps } = startOn({ maps: { backlog: {} } });
      return {
        registry,
        run: (run) => {
          maps.backlog.set(`${run}/1`, {});
          maps.backlog.set(`${run}/2`, {});
          maps.backlog.delete(maps.backlog.keys().next().value);
        },
      };
    },
  ],
  [
    'adopts a map for each connection and never releases it',
    /the number of tracked maps: 11 -> 111, \+1 per run/,
    () => {
      const { registry } = startOn({ maps: { runs: {} } });
      return { registry, run: (run) => registry.adopt(`connection ${run}`, new Map(), {}) };
    },
  ],
  [
    'releases the map into which it leaks',
    /leaky: 10 -> 60 entries, and then it was released/,
    () => {
      const leaky = new Map<number, object>();
      const { registry, maps } = startOn({ maps: { runs: {} } });
      const handle = registry.adopt('leaky', leaky, {});
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.runs.delete(run);
          if (run < 60) leaky.set(run, {});
          if (run === 60) handle.release();
        },
      };
    },
  ],
  [
    'leaks after a restart, where nobody knows the restored runs any more',
    /runs: 1 -> 101 entries|runs: \d+ -> \d+ entries, \+1 per run/,
    () => {
      const policy = {
        maps: { runs: { ttl: '5m', since: (value: { endedAt?: number }) => value.endedAt } },
        ended: { map: 'runs', deliver: () => {} },
      } as const;
      const earlier = startOn(policy);
      for (let run = 0; run < 400; run += 1) earlier.maps.runs.set(`run ${run}`, {});
      const { registry, maps } = startOn(policy);
      registry.restore(earlier.registry.snapshot());
      // Each comes back from the store of the service, and its own timer, which would end it, is not set again.
      return { registry, run: (run) => maps.runs.set(`run ${run}`, {}) };
    },
  ],
  [
    'doubles its subscriptions at each reconnect',
    /'subscriptions' grows faster and faster:\n {2}subscriptions: 1 -> \d+ entries in \d+ runs/,
    () => {
      const subscriptions = new Map<string, object>([['s', {}]]);
      const { registry } = startOn({ maps: { subscriptions: { adopt: subscriptions } } });
      let id = 0;
      return {
        registry,
        run: () => {
          if (subscriptions.size > 20_000) throw new Error('still running');
          for (const value of [...subscriptions.values()])
            subscriptions.set(`r${id++}`, { ...(value as object) });
        },
      };
    },
  ],
  [
    'grows by a tenth at each run',
    /'retries' grows faster and faster/,
    () => {
      const { registry, maps } = startOn({ maps: { retries: {} } });
      let id = 0;
      return {
        registry,
        run: () => {
          if (maps.retries.size > 100_000) throw new Error('still running');
          for (let more = 1 + maps.retries.size / 10; more > 0; more -= 1) maps.retries.set(id++, {});
        },
      };
    },
  ],
  [
    'cannot deliver, and goes on trying',
    /notifications piled up:\n {2}pending notifications: \d+ -> \d+, \+1 per run/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: { ttl: '5m' } },
        ended: { map: 'runs', attempts: 1_000, deliver: failing },
      });
      return { registry, run: (run) => maps.runs.set(run, {}) };
    },
  ],
  [
    'gives every delivery up',
    /deliveries were given up:\n {2}dead letters: 100 endings/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: {} },
        ended: { map: 'runs', attempts: 2, maxDeadLetters: 5, deliver: failing },
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
    'gives one delivery in twenty up',
    /dead letters: 5 endings/,
    () => {
      const { registry, maps } = startOn({
        maps: { runs: {} },
        ended: {
          map: 'runs',
          attempts: 2,
          deliver: ({ key }: { key: unknown }) => (Number(key) % 20 === 7 ? failing() : undefined),
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
    'is only observed, so that its TTL removes nothing',
    /sessions: 10 -> 110 entries[\s\S]*'sessions' is only observed: nothing is removed from it, and time will not help/,
    () => {
      const { registry, maps } = startOn({ maps: { sessions: { ttl: '5m', mode: 'observe' } } });
      return { registry, run: (run) => maps.sessions.set(run, {}) };
    },
  ],
  [
    'writes down in dispose what has left',
    /graveyard: 10 -> 110 entries/,
    () => {
      const graveyard = new Map<unknown, object>();
      const { registry, maps } = startOn({
        maps: {
          graveyard: { adopt: graveyard },
          runs: { ttl: '5m', dispose: (value: object, key: unknown) => graveyard.set(key, value) },
        },
      });
      return { registry, run: (run) => maps.runs.set(run, {}) };
    },
  ],
  [
    'has a beforeSweep that never succeeds',
    /rows: 10 -> 110 entries[\s\S]*waiting, due by ttl/,
    () => {
      const { registry, maps } = startOn({ maps: { rows: { ttl: '5m', beforeSweep: failing } } });
      return { registry, run: (run) => maps.rows.set(run, {}) };
    },
  ],
  [
    'has a delete of its own that refuses',
    /pinned: 10 -> 110 entries/,
    () => {
      class Pinned extends Map<number, object> {
        override delete(): boolean {
          return false;
        }
      }
      const pinned = new Pinned();
      const { registry } = startOn({ maps: { pinned: { adopt: pinned, ttl: '5m' } } });
      return { registry, run: (run) => pinned.set(run, {}) };
    },
  ],
  [
    'registers again in a timer what had left',
    /jobs: \d+ -> \d+ entries/,
    () => {
      const { clock, registry, maps } = startOn({
        maps: { jobs: { ttl: '5m', since: (job: { endedAt?: number }) => job.endedAt } },
      });
      return {
        registry,
        run: (run) => {
          maps.jobs.set(`job ${run}`, { endedAt: clock.now() });
          clock.setTimeout(() => maps.jobs.set(`retry of ${run}`, {}), 2 * minute);
        },
      };
    },
  ],
  [
    'touches for ever what is to idle out',
    /sessions: \d+ -> \d+ entries, \+0\.05 per run\n {4}then \+5 and \+5 in as many runs again\n {4}20: live, due by maxIdle in 30m; age 2h, idle 0ms/,
    () => {
      const { clock, registry, maps } = startOn({ maps: { sessions: { maxIdle: '30m' } } });
      const heartbeat = (run: number): void => {
        registry.touch('sessions', run);
        clock.setTimeout(() => heartbeat(run), 10 * minute);
      };
      return {
        registry,
        run: (run) => {
          maps.sessions.set(run, {});
          if (run % 20 === 0) heartbeat(run);
        },
        options: { drain: '2h' },
      };
    },
  ],
  [
    'keeps for ever what is to idle out, by a companion that it touches',
    /runs: 10 -> 110 entries, \+1 per run\n {4}then \+100 and \+100 in as many runs again/,
    () => {
      const { clock, registry, maps } = startOn({
        maps: { runs: { maxIdle: '1h' }, beats: { follows: 'runs' } },
      });
      every(clock, 30 * minute, () => {
        for (const key of maps.beats.keys()) (registry as unknown as Registry).touch('beats', key);
      });
      return {
        registry,
        run: (run) => {
          maps.runs.set(run, {});
          maps.beats.set(run, {});
        },
        options: { drain: '5h' },
      };
    },
  ],
  [
    'needs longer than the drain that it is given',
    /runs: 10 -> 100 entries, \+1 per run\n {4}due later than a drain of 4m allows/,
    () => {
      const { registry, maps } = startOn({ maps: { runs: { ttl: '5m' } } });
      return { registry, run: (run) => maps.runs.set(run, {}), options: { drain: '4m' } };
    },
  ],
  [
    'writes past the wrapper and never deletes',
    /sly: 10 -> 110 entries/,
    () => {
      const sly = new Map<number, object>();
      const { registry } = startOn({ maps: { sly: { adopt: sly } } });
      return { registry, run: (run) => Map.prototype.set.call(sly, run, {}) };
    },
  ],
  [
    'leaks beside a cache that is full',
    /mixed: \d+ -> \d+ entries, \+0\.1 per run/,
    () => {
      const { registry, maps } = startOn({ maps: { mixed: {} } });
      const order: number[] = [];
      return {
        registry,
        run: (run) => {
          maps.mixed.set(run, {});
          order.push(run);
          if (order.length > 30) maps.mixed.delete(order.shift());
          if (run % 10 === 0) maps.mixed.set(`lost ${run}`, {});
        },
      };
    },
  ],
];
