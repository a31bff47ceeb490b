import { createServer } from 'node:http';
import express from 'express';
import { createRegistry, type Handler, healthHandler } from 'mapsweep';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/registry/internals.ts';
import { openNow } from '../../src/restart/open-journal.ts';
import { MemoryVolume } from '../restart/memory-journal.ts';
import { ask, fastifyListening, listening } from './serving.ts';

/** The handler as a user would mount it below /health, in a framework each. */
const frameworks: Record<string, (handler: Handler) => Promise<number>> = {
  'node:http': (handler) => listening(createServer(handler)),
  express: (handler) => listening(createServer(express().use('/health', handler))),
  fastify: (handler) => fastifyListening((app) => app.all('/health', handler).all('/health/*', handler)),
};

/** A registry whose time can pass without a timer coming, with a leak or a dead letter if wanted. */
function setup(name = 'runs') {
  const clock = createManualClock();
  const ahead = { ms: 0 };
  const registry = createRegistry({
    maps: { [name]: {} },
    ended: {
      map: name,
      attempts: 1,
      deliver: () => {
        throw new Error('down');
      },
    },
    clock: { ...clock, monotonic: () => clock.monotonic() + ahead.ms, now: () => clock.now() + ahead.ms },
  });
  const die = async () => {
    (registry.maps[name] as Map<unknown, unknown>).set('a', 1);
    registry.end('a');
    await clock.advance(0);
  };
  const standStill = () => {
    ahead.ms = 180_001;
  };
  return { clock, registry, die, standStill };
}

const paths = ['/health/live', '/health/ready', '/health'];
const codes = (port: number) => Promise.all(paths.map(async (path) => (await ask(port, path)).status));

describe.each(Object.keys(frameworks))('healthHandler in %s', (framework) => {
  const serve = (handler: Handler) =>
    (frameworks[framework] as (handler: Handler) => Promise<number>)(handler);

  it('answers live, ready and detail by the path, 200 while all is well', async () => {
    const { registry } = setup();
    const port = await serve(healthHandler(registry));
    const answers = await Promise.all(
      [...paths, '/health/live?full=1', '/health/x'].map((path) => ask(port, path)),
    );
    const detail = '{"status":"ok","reasons":[]}\n';
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, 'ok\n'],
      [200, 'ok\n'],
      [200, detail],
      [200, 'ok\n'],
      [200, detail],
    ]);
    expect(answers.map(({ headers }) => headers['content-type'])).toEqual(
      ['text/plain', 'text/plain', 'application/json', 'text/plain', 'application/json'].map(
        (type) => `${type}; charset=utf-8`,
      ),
    );
  });

  it('lets nobody store an answer or guess its type, gives HEAD no body, and refuses POST', async () => {
    const port = await serve(healthHandler(setup().registry));
    const answers = [
      await ask(port, '/health'),
      await ask(port, '/health', 'HEAD'),
      await ask(port, '/health', 'POST'),
    ];
    for (const { headers } of answers) {
      expect([headers['cache-control'], headers['x-content-type-options']]).toEqual(['no-store', 'nosniff']);
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 405]);
    expect(answers[1]?.body).toBe('');
    expect(answers[1]?.headers['content-length']).toBe(answers[0]?.headers['content-length']);
    expect(answers[2]?.headers.allow).toBe('GET, HEAD');
  });

  it('answers 503 everywhere when the sweeper stands still', async () => {
    const { registry, standStill } = setup();
    const port = await serve(healthHandler(registry));
    standStill();
    expect(await codes(port)).toEqual([503, 503, 503]);
    expect((await ask(port, '/health/live')).body).toBe('failing\n');
    expect(JSON.parse((await ask(port, '/health')).body)).toEqual(registry.health());
  });
});

describe('healthHandler', () => {
  const serve = (handler: Handler) => listening(createServer(handler));

  it('never fails liveness or readiness because of a dead letter or a stop by hand, and says so in detail', async () => {
    const { registry, die } = setup();
    const port = await serve(healthHandler(registry));
    await die();
    registry.stop();
    expect(await codes(port)).toEqual([200, 200, 200]);
    expect((await ask(port, '/health/live')).body).toBe('ok\n');
    expect((await ask(port, '/health/ready')).body).toBe('warning\n');
    expect(JSON.parse((await ask(port, '/health')).body)).toEqual({
      status: 'warning',
      reasons: [
        "1 ending given up for recipient 'default' (see deadLetters()), the last one attempts-exhausted: Error: down",
        'sweeping was stopped by hand',
      ],
    });
  });

  it('never fails liveness or readiness because of a leak', async () => {
    const { clock, registry } = setup();
    const runs = registry.maps.runs as Map<unknown, unknown>;
    for (let minute = 0; minute < 13 * 60; minute += 1) {
      for (let run = 0; run < 5; run += 1) runs.set(minute * 5 + run, run);
      await clock.advance(60_000);
    }
    const port = await serve(healthHandler(registry));
    expect(registry.health().reasons).toEqual([expect.stringMatching(/'runs'/)]);
    expect(await codes(port)).toEqual([200, 200, 200]);
  });

  it('fails readiness and not liveness when the journal takes nothing: a restart would lose what is unwritten', async () => {
    const volume = new MemoryVolume();
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: { map: 'runs' },
      persistTo: openNow(volume.open(), { maxWaitMs: 5_000 }),
      clock,
    });
    const port = await serve(healthHandler(registry));
    expect(await codes(port)).toEqual([200, 200, 200]);
    const { recorder } = (internalsOf(registry) as NonNullable<ReturnType<typeof internalsOf>>).restart;
    Object.defineProperty(recorder?.writer, 'state', {
      value: { isLost: false, waitingSince: clock.monotonic() - 30_001, error: new Error('ENOSPC\u202e') },
    });
    expect(await codes(port)).toEqual([200, 503, 503]);
    expect((await ask(port, '/health')).body).toContain('ENOSPC\\\\u{202e}');
    registry.stop();
  });

  it('gives the tick that is late its turn before it judges', async () => {
    const { registry, standStill } = setup();
    const handler = healthHandler(registry, { show: 'live' });
    const { engine } = internalsOf(registry) as NonNullable<ReturnType<typeof internalsOf>>;
    standStill();
    // What the tick does that was due all the time, right after the request that the loop has come to first.
    setTimeout(
      () => Object.defineProperty(engine.sweeper, 'lastTickAt', { value: engine.timeline.now() }),
      0,
    );
    const response = { statusCode: 0, setHeader: () => {}, end: () => {} };
    await handler({ method: 'GET', headers: {} }, response);
    expect(response.statusCode).toBe(200);
  });

  it.each([
    ['/live', '/live'],
    ['/live', '/live?full=1'],
    ['/health/live', '/health/live/'],
    ['/health', '/health/live/'],
    ['/health', '/health/LIVE'],
  ])('answers live where it is mounted at %s in Express and asked for %s', async (mount, path) => {
    const { registry } = setup();
    registry.stop();
    const port = await listening(createServer(express().use(mount, healthHandler(registry))));
    expect((await ask(port, path)).body).toBe('ok\n');
  });

  it('goes by an address that was rewritten', async () => {
    const { registry } = setup();
    const rewritten = express().use((request, _, next) => {
      request.url = '/live';
      next();
    });
    const port = await listening(createServer(rewritten.use(healthHandler(registry))));
    expect((await ask(port, '/alive')).body).toBe('ok\n');
  });

  it.each(['live', 'ready', 'detail'] as const)('answers %s on any path with that option', async (show) => {
    const { registry } = setup();
    const port = await serve(healthHandler(registry, { show }));
    const { body } = await ask(port, '/healthz/ready');
    expect(body).toBe(show === 'detail' ? '{"status":"ok","reasons":[]}\n' : 'ok\n');
  });

  it('shows a name of a map that would reverse a line only escaped', async () => {
    const name = 'a\u202eb\n';
    const { clock, registry } = setup(name);
    const map = registry.maps[name] as Map<unknown, unknown>;
    for (let minute = 0; minute < 13 * 60; minute += 1) {
      for (let run = 0; run < 5; run += 1) map.set(minute * 5 + run, run);
      await clock.advance(60_000);
    }
    const [reason] = registry.health().reasons;
    expect(reason).toContain('a\\u{202e}b\\n');
    expect(reason).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it.each([
    ['no registry', () => healthHandler({} as never), /registry must be a registry/],
    ['another view', () => healthHandler(setup().registry, { show: 'all' as never }), /show must be .*live/],
    [
      'a misspelt option',
      () => healthHandler(setup().registry, { shw: 'live' } as never),
      /Did you mean 'show'/,
    ],
  ])('checks its arguments at once: %s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});
