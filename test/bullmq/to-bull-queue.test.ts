import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createRegistry, type EndedEvent } from 'mapsweep';
import { toBullQueue } from 'mapsweep/bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { endedEvent } from '../endings/recorded-notifier.js';
import { eventually } from '../postgres/gateways.js';
import { RedisServer } from './redis.js';

let server: RedisServer;
let queue: Queue;
let closing: { close(): unknown }[];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server?.dispose());

beforeEach(async () => {
  closing = [];
  queue = newQueue(`endings ${Math.random()}`);
});

afterEach(async () => {
  for (const one of closing) await one.close();
});

const connection = (port = server.port): { host: string; port: number; enableOfflineQueue: boolean } => ({
  host: '127.0.0.1',
  port,
  enableOfflineQueue: false,
});

function newQueue(name: string, port?: number): Queue {
  const made = new Queue(name, { connection: new Redis({ ...connection(port), maxRetriesPerRequest: 1 }) });
  made.on('error', () => {});
  closing.push({
    close: async () => {
      (made.opts.connection as Redis).disconnect();
      await made.close();
    },
  });
  return made;
}

/** A worker, and the ids of what it has done. */
function work(): { done: string[]; jobs: { name: string; data: Record<string, unknown> }[] } {
  const heard = { done: [] as string[], jobs: [] as { name: string; data: Record<string, unknown> }[] };
  const worker = new Worker(
    queue.name,
    async ({ name, data }) => {
      heard.done.push(data.id);
      heard.jobs.push({ name, data });
    },
    { connection: { host: '127.0.0.1', port: server.port } },
  );
  worker.on('error', () => {});
  closing.unshift(worker);
  return heard;
}

const event = (id: string, more: Partial<EndedEvent> = {}): EndedEvent => ({
  ...endedEvent(id),
  key: 'run-1',
  value: { secret: 'of the owner' },
  detail: { exit: 0 },
  ...more,
});

const attempt = { attempt: 1, signal: new AbortController().signal };

describe('toBullQueue', () => {
  it('lets a worker hear of an ending once, however often it is delivered, done or not', async () => {
    const deliver = toBullQueue(queue);
    const heard = work();
    // With what BullMQ refuses in an id of a job.
    const ids = ['a:1', 'a:2', '17', '0', 'ü\0\ud800'];
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(ids.map((id) => deliver(event(id), attempt)));
      await eventually(() => (heard.done.length >= ids.length ? true : undefined), 'all of them done');
    }
    await sleep(300);
    expect(heard.done.length).toBe(ids.length);
    expect(heard.done.slice(0, 4).sort()).toEqual(ids.slice(0, 4).sort());
  });

  it('sends everything of an ending but its value, and that if it is asked for', async () => {
    const heard = work();
    await toBullQueue(queue)(event('a'), attempt);
    await toBullQueue(queue, { jobName: 'over', value: () => ({ exit: 1 }) })(event('b'), attempt);
    await eventually(() => (heard.jobs.length === 2 ? true : undefined), 'two jobs');
    const { value: _, ...all } = event('a');
    expect(heard.jobs).toEqual([
      { name: 'ended', data: all },
      { name: 'over', data: { ...all, id: 'b', value: { exit: 1 } } },
    ]);
  });

  it('keeps jobs for keepFor whatever the queue says, in whole seconds', async () => {
    const forgetful = new Queue(queue.name, {
      connection: queue.opts.connection,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    });
    closing.unshift(forgetful);
    await toBullQueue(forgetful, { keepFor: 90_500 })(event('a'), attempt);
    const [job] = await queue.getWaiting();
    expect(job?.opts).toMatchObject({ removeOnComplete: { age: 91 }, removeOnFail: { age: 91 } });
  });

  it('rejects while Redis is away, and a registry delivers all of it once when Redis is back', async () => {
    const deliver = toBullQueue(queue);
    await deliver(event('first'), attempt);
    const heard = work();
    await eventually(() => (heard.done.length === 1 ? true : undefined), 'the first one');
    await server.down();
    await expect(deliver(event('second'), attempt)).rejects.toThrow();
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: {} },
      ended: { map: 'runs', deliver, attempts: 1_000, minDelay: '50ms', maxDelay: '200ms' },
    });
    for (let index = 0; index < 20; index += 1) {
      registry.maps.runs.set(`run ${index}`, {});
      registry.end(`run ${index}`);
    }
    await sleep(500);
    expect(registry.report().endings?.pending).toBe(20);
    await server.up();
    await eventually(() => (heard.done.length >= 21 ? true : undefined), 'all of them');
    await sleep(300);
    expect(new Set(heard.done).size).toBe(21);
    expect(heard.done.length).toBe(21);
    await registry.close();
  });

  it('sends each ending once while Redis hangs, however often it is tried, and delivers all when it goes on', async () => {
    await toBullQueue(queue)(event('first'), attempt);
    const sent: unknown[] = [];
    const counting = Object.create(queue) as Queue;
    counting.add = ((name, data, options) => {
      sent.push(data.id);
      return queue.add(name, data, options);
    }) as Queue['add'];
    const registry = createRegistry<{ runs: Map<string, object> }>({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        deliver: toBullQueue(counting),
        idempotent: true,
        attemptTimeout: '50ms',
        minDelay: '10ms',
        maxDelay: '50ms',
      },
    });
    let failed = 0;
    registry.on('delivery-failed', () => {
      failed += 1;
    });
    server.freeze();
    try {
      for (const key of ['a', 'b', 'c']) {
        registry.maps.runs.set(key, {});
        registry.end(key);
      }
      await eventually(() => failed >= 15 || undefined, 'fifteen attempts that timed out');
      expect(new Set(sent).size).toBe(3);
      expect(sent.length).toBe(3);
    } finally {
      server.thaw();
    }
    await eventually(() => registry.report().endings?.pending === 0 || undefined, 'all of them delivered');
    expect(await queue.count()).toBe(4);
    await registry.close();
  });

  it('tells each attempt of one job what came of it, keeps none that is given up, and sends it anew after an error', async () => {
    const answers: ((error?: Error) => void)[] = [];
    const deliver = toBullQueue({
      name: 'slow',
      opts: { connection: connection() },
      waitUntilReady: async () => {},
      add: () =>
        new Promise<void>((resolve, reject) => {
          answers.push((error) => (error === undefined ? resolve() : reject(error)));
        }),
    });
    const outcomes: string[] = [];
    const tried = (name: string, signal: AbortSignal): Promise<unknown> =>
      Promise.resolve(deliver(event('a'), { attempt: 1, signal })).then(
        () => outcomes.push(`${name} is through`),
        (error: Error) => outcomes.push(`${name}: ${error.message}`),
      );
    const stop = new AbortController();
    const first = tried('the first', stop.signal);
    const givenUp = tried('a second', stop.signal);
    const third = tried('a third', attempt.signal);
    await tried('one too late', AbortSignal.abort(new Error('timed out before')));
    stop.abort(new Error('timed out'));
    await givenUp;
    expect(outcomes).toEqual(['one too late: timed out before', 'a second: timed out']);
    expect(answers.length).toBe(1);
    answers[0]?.(new Error('READONLY'));
    await Promise.all([first, third]);
    expect(outcomes.slice(2).sort()).toEqual(['a third: READONLY', 'the first: READONLY']);
    const again = [tried('the next', attempt.signal), tried('one beside it', attempt.signal)];
    await eventually(() => answers.length === 2 || undefined, 'a second job');
    answers[1]?.();
    await Promise.all(again);
    expect(outcomes.slice(4).sort()).toEqual(['one beside it is through', 'the next is through']);
  });

  it('rejects if Redis was never there, instead of waiting for it', async () => {
    const nowhere = newQueue('nowhere', 1);
    await expect(toBullQueue(nowhere)(event('a'), attempt)).rejects.toMatchObject({ code: 'ERR_REDIS_AWAY' });
  });

  it('keeps nothing of the deliveries that were given up while Redis was never there', async () => {
    const deliver = toBullQueue({
      name: 'never',
      opts: { connection: connection() },
      waitUntilReady: () => new Promise(() => {}),
      add: async () => {},
    });
    const refusal = async (): Promise<WeakRef<object>> => {
      const [outcome] = await Promise.allSettled([deliver(event('a'), attempt)]);
      return new WeakRef((outcome as PromiseRejectedResult).reason);
    };
    const refused = await refusal();
    await eventually(() => {
      globalThis.gc?.();
      return refused.deref() === undefined || undefined;
    }, 'an error that nobody holds');
    // Still of use.
    await expect(deliver(event('a'), attempt)).rejects.toMatchObject({ code: 'ERR_REDIS_AWAY' });
  });

  it('says at once what a queue throws when it is asked', async () => {
    const deliver = toBullQueue({
      name: 'closed',
      opts: { connection: connection() },
      waitUntilReady: () => {
        throw new Error('no connection');
      },
      add: async () => {},
    });
    await expect(deliver(event('a'), attempt)).rejects.toThrow('no connection');
    await expect(deliver(event('b'), attempt)).rejects.toThrow('no connection');
  });

  it('waits anew after an answer that was an error', async () => {
    const answers = [Promise.reject(new Error('no auth')), Promise.resolve()];
    const done: unknown[] = [];
    const deliver = toBullQueue({
      name: 'locked',
      opts: { connection: connection() },
      waitUntilReady: () => answers.shift()!,
      add: async (_name, { id }) => done.push(id),
    });
    await expect(deliver(event('a'), attempt)).rejects.toThrow('no auth');
    await deliver(event('b'), attempt);
    expect(done).toEqual(['b']);
  });

  it('refuses a queue whose connection would keep commands, and says what to do', () => {
    for (const refused of [
      { host: '127.0.0.1', port: server.port },
      { host: '127.0.0.1', port: server.port, enableOfflineQueue: true },
    ]) {
      const other = new Queue('other', { connection: refused });
      closing.push(other);
      expect(() => toBullQueue(other)).toThrow(/"other".*enableOfflineQueue: false/);
    }
    expect(() => toBullQueue({} as never)).toThrow(
      /queue must be a Queue of bullmq \(npm install bullmq ioredis\)/,
    );
    expect(() => toBullQueue(queue, { keepfor: '1h' } as never)).toThrow(/keepFor/);
    expect(() => toBullQueue(queue, { keepFor: 10 })).toThrow(/keepFor/);
  });

  it('warns of a Redis that drops keys when it is full, once, and of no other', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const dropping = await RedisServer.start(['--maxmemory-policy', 'allkeys-lru']);
    closing.push({ close: () => dropping.dispose() });
    const deliver = toBullQueue(newQueue('dropping', dropping.port));
    await toBullQueue(queue)(event('a'), attempt);
    await deliver(event('a'), attempt);
    await deliver(event('b'), attempt);
    await sleep(50);
    const ours = warn.mock.calls.filter(
      ([, options]) => (options as { code?: string })?.code === 'MAPSWEEP_REDIS_EVICTION',
    );
    expect(ours.map(([message]) => message)).toEqual([expect.stringContaining("'allkeys-lru'")]);
    warn.mockRestore();
  });
});
