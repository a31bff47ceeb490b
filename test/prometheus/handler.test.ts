import { createServer } from 'node:http';
import express from 'express';
import { describe, expect, it } from 'vitest';
import { createRegistry } from '../../src/index.ts';
import { type MetricsHandler, metricsHandler, registerMetrics } from '../../src/prometheus.ts';
import { createManualClock } from '../../src/testing.ts';
import { ask as askFor, fastifyListening, listening, type Reply } from '../http/serving.ts';
import { AggregatorRegistry, Gauge, Register } from './client.ts';

const text = 'text/plain; version=0.0.4; charset=utf-8';
const openMetrics = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** What Prometheus 2.42 sends. */
const acceptOfPrometheus =
  'application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3';

/** The same handler as a user would mount it, in a framework each. Each resolves to a port. */
const frameworks: Record<string, (handler: MetricsHandler) => Promise<number>> = {
  'node:http': (handler) => listening(createServer(handler)),
  'express get': async (handler) => {
    const app = express().get('/metrics', handler);
    return listening(createServer(app));
  },
  'express use': async (handler) => listening(createServer(express().use('/metrics', handler))),
  'fastify get': (handler) => fastifyListening((app) => app.get('/metrics', handler)),
  'fastify all': (handler) => fastifyListening((app) => app.all('/metrics', handler)),
};

const ask = (port: number, method?: string, headers?: Record<string, string>): Promise<Reply> =>
  askFor(port, '/metrics', method, headers);

function registerOf(type: typeof text | typeof openMetrics = text) {
  const register = new Register();
  register.setContentType(type as never);
  registerMetrics(createRegistry({ maps: { runs: {} }, clock: createManualClock() }), { register });
  return register;
}

const serveIn = (framework: string, register: Register): Promise<number> =>
  (frameworks[framework] as (handler: MetricsHandler) => Promise<number>)(metricsHandler(register));

describe.each(Object.keys(frameworks))('metricsHandler in %s', (framework) => {
  const serve = (register: Register) => serveIn(framework, register);

  it('answers GET with 200 and what metrics() gives', async () => {
    const register = registerOf();
    const { status, headers, body } = await ask(await serve(register));
    expect([status, headers['content-type']]).toEqual([200, text]);
    expect(body).toBe(await register.metrics());
    expect(body).toContain('mapsweep_entries{map="runs",registry="default"} 0');
  });

  it('answers HEAD with 200, the headers of GET, and no body', async () => {
    const port = await serve(registerOf());
    const head = await ask(port, 'HEAD');
    const get = await ask(port);
    expect([head.status, head.body]).toEqual([200, '']);
    expect(head.headers['content-type']).toBe(text);
    expect(head.headers['content-length']).toBe(get.headers['content-length']);
  });

  it('lets nobody store an answer or guess its type, whatever that is', async () => {
    const register = registerOf();
    const port = await serve(register);
    const answers = [await ask(port), await ask(port, 'HEAD')];
    if (framework !== 'express get' && framework !== 'fastify get') answers.push(await ask(port, 'POST'));
    new Gauge({
      name: 'mine',
      help: 'mine',
      registers: [register],
      collect: () => Promise.reject(new Error('no')),
    });
    answers.push(await ask(port));
    for (const { headers } of answers) {
      expect([headers['cache-control'], headers['x-content-type-options']]).toEqual(['no-store', 'nosniff']);
    }
  });

  it('answers 500 without a stack trace where a metric of the user fails, and 200 again when it works', async () => {
    const register = registerOf();
    let fails = true;
    new Gauge({
      name: 'mine',
      help: 'mine',
      registers: [register],
      collect() {
        if (fails) throw new Error('secret of the database');
        this.set(1);
      },
    });
    const port = await serve(register);
    const failed = await ask(port);
    expect([failed.status, failed.headers['content-type']]).toEqual([500, 'text/plain; charset=utf-8']);
    expect(failed.body).toBe('The metrics could not be collected\n');
    fails = false;
    expect((await ask(port)).status).toBe(200);
  });

  it('answers in OpenMetrics where the register speaks it and the client accepts it, else in text', async () => {
    const port = await serve(registerOf(openMetrics));
    for (const accept of [acceptOfPrometheus, '*/*', 'application/*, text/plain;q=0.9']) {
      const { headers, body } = await ask(port, 'GET', { Accept: accept });
      expect([accept, headers['content-type']]).toEqual([accept, openMetrics]);
      expect(body.endsWith('# EOF\n')).toBe(true);
      expect(body).toContain(
        '# TYPE mapsweep_registered counter\nmapsweep_registered_total{map="runs",registry="default"} 0',
      );
    }
    for (const accept of ['text/plain', 'text/*;q=0.5, image/png', 'text/plain;version=0.0.4, */*;q=0.1']) {
      const { headers, body } = await ask(port, 'GET', { Accept: accept });
      expect([accept, headers['content-type']]).toEqual([accept, text]);
      expect(body).not.toContain('# EOF');
      expect(body).toContain(
        '# TYPE mapsweep_registered_total counter\nmapsweep_registered_total{map="runs",registry="default"} 0',
      );
    }
  });

  it('answers in text whatever is accepted where the register speaks text', async () => {
    const port = await serve(registerOf());
    for (const accept of [acceptOfPrometheus, 'application/openmetrics-text', '*/*', '', ';q=,,']) {
      const { status, headers } = await ask(port, 'GET', { Accept: accept });
      expect([status, headers['content-type']]).toEqual([200, text]);
    }
  });
});

describe('metricsHandler', () => {
  it.each(['node:http', 'express use', 'fastify all'])(
    'answers POST, PUT and DELETE with 405 and Allow: GET, HEAD in %s',
    async (framework) => {
      const port = await serveIn(framework, registerOf());
      for (const method of ['POST', 'PUT', 'DELETE']) {
        const { status, headers, body } = await ask(port, method);
        expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
        expect(body).not.toContain('mapsweep');
      }
    },
  );

  it('serves the default register of prom-client where none is given', async () => {
    // That of the one which is installed here, whichever these tests are about.
    const { register, Gauge: InstalledGauge } = await import('prom-client');
    new InstalledGauge({ name: 'mine', help: 'mine' }).set(1);
    const { body } = await ask(await listening(createServer(metricsHandler())));
    expect(body).toContain('\nmine 1\n');
    register.clear();
  });

  it('keeps the default labels of a register in both formats', async () => {
    const register = registerOf(openMetrics);
    register.setDefaultLabels({ service: 'gateway' });
    const port = await listening(createServer(metricsHandler(register)));
    for (const accept of ['*/*', 'text/plain']) {
      expect((await ask(port, 'GET', { Accept: accept })).body).toContain(
        '{map="runs",registry="default",service="gateway"} 0',
      );
    }
  });

  it('is awaited by Fastify, which complains of nothing while a hook of the application takes its time', async () => {
    const complaints: string[] = [];
    const port = await fastifyListening(
      (app) => {
        app.addHook('onSend', () => new Promise((resolve) => setImmediate(resolve)));
        app.get('/metrics', metricsHandler(registerOf()));
      },
      { logger: { level: 'warn', stream: { write: (line: string) => complaints.push(line) } } },
    );
    expect((await ask(port)).status).toBe(200);
    expect(complaints).toEqual([]);
  });

  it('writes no body in answer to HEAD, also to a response that would send it', async () => {
    const ended: unknown[] = [];
    const headers = new Map<string, string | number>();
    const response = {
      statusCode: 0,
      setHeader: (name: string, value: string | number) => headers.set(name, value),
      end: (...body: unknown[]) => ended.push(...body),
    };
    const register = registerOf();
    await metricsHandler(register)({ method: 'HEAD', headers: {} }, response);
    expect([response.statusCode, ended]).toEqual([200, []]);
    expect(headers.get('Content-Length')).toBe(Buffer.byteLength(await register.metrics()));
  });

  it('leaves a response alone that somebody else has ended meanwhile', async () => {
    const handler = metricsHandler(registerOf());
    const server = createServer((incoming, response) => {
      void handler(incoming, response);
      response.end('too late');
    });
    expect((await ask(await listening(server))).body).toBe('too late');
  });

  it('serves an AggregatorRegistry as the register that it is where there are no workers', async () => {
    const register = new AggregatorRegistry();
    registerMetrics(createRegistry({ maps: { runs: {} }, clock: createManualClock() }), { register });
    const { status, body } = await ask(await listening(createServer(metricsHandler(register))));
    expect(status).toBe(200);
    expect(body).toContain('mapsweep_entries{map="runs",registry="default"} 0');
  });

  it('refuses what is no register', () => {
    expect(() => metricsHandler({} as never)).toThrow(/register must be a Registry of prom-client/);
    expect(() => metricsHandler(createRegistry({}) as never)).toThrow(
      'A registry of mapsweep goes to registerMetrics(registry)',
    );
  });
});
