import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import express, { type RequestHandler } from 'express';
import { type Clock, createRegistry, healthHandler } from 'mapsweep';
import { metricsHandler, registerMetrics } from 'mapsweep/prometheus';
import { Registry } from 'prom-client';

interface Session {
  user: string;
}

/** The requests of an address within its minute. */
interface Visits {
  count: number;
  until: number;
}

/** What is known of a request that may come twice: its order, or that somebody is at it. */
interface Answer {
  user: string;
  /** Of what was asked: another request is no second one, though it has the same key. */
  fingerprint: string;
  order?: unknown;
  placing?: Promise<unknown>;
}

export interface HttpServerOptions {
  /** Does what must not be done twice. */
  placeOrder: (order: unknown) => Promise<unknown>;
  /** Where sessions and answers survive a restart. Default: they do not. */
  folder?: string;
  port?: number;
  /** How long a client may take to say what it wants, ms. */
  requestTimeout?: number;
  clock?: Clock;
}

export async function startHttpServer(options: HttpServerOptions) {
  const { placeOrder, folder, port = 0, requestTimeout = 30_000, clock } = options;
  const now = () => clock?.now() ?? Date.now();
  const registry = createRegistry<{
    sessions: Map<string, Session>;
    visits: Map<string, Visits>;
    answers: Map<string, Answer>;
  }>({
    maps: {
      sessions: {
        maxIdle: '30m',
        maxAge: '12h',
        maxEntries: 100_000,
        // Whoever logs in without end takes his own places.
        maxPerOwner: { owner: (session) => session.user, max: 20 },
        persist: {
          encode: ({ user }) => ({ user }),
          decode: (json) => json as Session,
        },
      },
      visits: {
        expiresAt: (visits) => visits.until,
        // Whoever has many addresses takes the places of those that were not heard of longest.
        maxEntries: 10_000,
      },
      answers: {
        ttl: '24h',
        maxPerOwner: { owner: (answer) => answer.user, max: 1_000 },
        persist: {
          encode: ({ user, fingerprint, order }) => ({ user, fingerprint, order }),
          decode: (json) => json as Answer,
        },
      },
    },
    persistTo: folder,
    clock,
  });
  const { sessions, visits, answers } = registry.maps;

  const notTooOften: RequestHandler = (request, response, next) => {
    const address = request.ip ?? '';
    // What is due is over, though no sweep has come yet.
    if (registry.isDue('visits', address)) visits.delete(address);
    const visit = visits.get(address) ?? { count: 0, until: now() + 60_000 };
    visit.count += 1;
    visits.set(address, visit);
    if (visit.count <= 100) return next();
    response.setHeader('Retry-After', Math.ceil((visit.until - now()) / 1_000));
    response.status(429).end();
  };

  const signedIn: RequestHandler = (request, response, next) => {
    const id = /(?:^|; )sid=([\w-]+)/.exec(request.get('cookie') ?? '')?.[1] ?? '';
    const session = sessions.get(id);
    if (session === undefined || registry.isDue('sessions', id)) return void response.status(401).end();
    // For as long as the request takes. Its end counts as activity.
    registry.hold('sessions', id).until(finished(response));
    Object.assign(response.locals, { id, user: session.user });
    next();
  };

  function place(key: string, user: string, fingerprint: string, order: unknown): Promise<unknown> {
    const answer: Answer = { user, fingerprint };
    answers.set(key, answer);
    answer.placing = (async () => {
      // The next life is to know that it may have been placed.
      await registry.flushed();
      const placed = await placeOrder(order);
      // Another object: that of a value which is changed in place the journal would not hear.
      answers.set(key, { user, fingerprint, order: placed });
      return placed;
    })();
    answer.placing.catch(() => answers.delete(key));
    return registry.hold('answers', key).until(answer.placing);
  }

  let isLeaving = false;
  const app = express();
  app.set('trust proxy', 'loopback');
  const register = new Registry();
  registerMetrics(registry, { register });
  // Whatever sends the traffic is told in good time that this one is leaving.
  app.use('/health/ready', (_request, response, next) =>
    isLeaving ? void response.status(503).end('leaving\n') : next(),
  );
  app.use('/health', healthHandler(registry));
  app.get('/metrics', metricsHandler(register));
  app.use(notTooOften, express.json());

  app.post('/login', async (request, response) => {
    // Your authentication goes here.
    const { user } = request.body as { user: string };
    const id = randomBytes(32).toString('base64url');
    sessions.set(id, { user });
    // Once the client has the cookie, no kill forgets the session.
    await registry.flushed();
    response.setHeader('Set-Cookie', `sid=${id}; HttpOnly; SameSite=Lax; Path=/`);
    response.status(204).end();
  });
  app.get('/me', signedIn, (_request, response) => void response.json({ user: response.locals.user }));
  app.post('/logout', signedIn, (_request, response) => {
    sessions.delete(response.locals.id);
    response.status(204).end();
  });
  app.post('/orders', signedIn, async (request, response) => {
    const { user } = response.locals as { user: string };
    const idempotencyKey = request.get('idempotency-key');
    if (idempotencyKey === undefined)
      return void response.status(400).json({ error: 'Idempotency-Key is missing' });
    const key = JSON.stringify([user, idempotencyKey]);
    const known = answers.get(key);
    const fingerprint = createHash('sha256')
      .update(JSON.stringify(request.body ?? null))
      .digest('base64');
    // As draft-ietf-httpapi-idempotency-key-header says.
    if (known !== undefined && known.fingerprint !== fingerprint)
      return void response.status(422).json({ error: 'Idempotency-Key is of another request' });
    if (known?.order !== undefined) return void response.status(201).json(known.order);
    // Another life began it, and nobody knows how far that came.
    if (known !== undefined && known.placing === undefined) return void response.status(409).end();
    if (known === undefined && !registry.hasRoom('answers', user)) return void response.status(429).end();
    try {
      const order = await (known?.placing ?? place(key, user, fingerprint, request.body));
      await registry.flushed();
      response.status(201).json(order);
    } catch {
      response.status(502).end();
    }
  });

  // Who does not say what he wants has a socket for so long, and nothing of the above.
  const timeouts = { requestTimeout, headersTimeout: requestTimeout, connectionsCheckingInterval: 1_000 };
  const http = createServer(timeouts, app).listen(port, '127.0.0.1');
  await once(http, 'listening');
  return {
    registry,
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    /**
     * The order of a shutdown: say so, take no more, let the requests that are under way end, then close the registry, which
     * delivers and writes what is pending.
     */
    async close({ notice = 0, deadline = 5_000 } = {}): Promise<void> {
      isLeaving = true;
      // The load balancer asks every few seconds: until then requests still come, and are served.
      if (notice > 0) await new Promise((resolve) => setTimeout(resolve, notice));
      const closed = new Promise((resolve) => http.close(resolve));
      // One that becomes idle meanwhile would be kept alive for seconds.
      const idle = setInterval(() => http.closeIdleConnections(), 50);
      const late = setTimeout(() => http.closeAllConnections(), deadline);
      await closed;
      clearInterval(idle);
      clearTimeout(late);
      await registry.close({ deadline: '5s' });
    },
  };
}
