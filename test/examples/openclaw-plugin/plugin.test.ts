import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { createManualClock, type ManualClock } from 'mapsweep/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Logger, Route, Service } from '../../../examples/openclaw-plugin/gateway-api.js';
import { createPlugin } from '../../../examples/openclaw-plugin/index.js';

const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const TOKEN = 'a-token-of-its-own-for-prometheus';

/** The part of a gateway that a plugin sees, with real HTTP. */
class FakeGateway {
  readonly lines: string[] = [];
  /** What its plugin API tells of its release. */
  version: unknown = '2026.4.8';
  readonly routes = new Map<string, Route>();
  service: Service | undefined;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const [path = ''] = (request.url ?? '').split('?');
      const below = ({ path: prefix, match }: Route) => match === 'prefix' && path.startsWith(`${prefix}/`);
      const route = this.routes.get(path) ?? [...this.routes.values()].find(below);
      if (route !== undefined) return void route.handler(request, response);
      response.statusCode = 404;
      response.end();
    });
  }

  readonly logger: Logger = {
    info: (message) => void this.lines.push(`info ${message}`),
    warn: (message) => void this.lines.push(`warn ${message}`),
    error: (message) => void this.lines.push(`error ${message}`),
  };

  load(plugin: ReturnType<typeof createPlugin>, pluginConfig?: unknown, registrationMode = 'full'): void {
    plugin.register({
      registrationMode,
      pluginConfig,
      logger: this.logger,
      runtime: { version: this.version },
      registerHttpRoute: (route) => void this.routes.set(route.path, route),
      registerService: (service) => {
        this.service = service;
      },
    });
  }

  async start(): Promise<void> {
    await this.service?.start({ logger: this.logger });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.origin}${path}`, init);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

const withToken = (token: string): RequestInit => ({ headers: { Authorization: `Bearer ${token}` } });

describe('the OpenClaw plugin', () => {
  let gateway: FakeGateway;
  let clock: ManualClock;
  let seqByRun: Map<string, number>;
  let root: object;
  let plugin: ReturnType<typeof createPlugin>;

  beforeEach(async () => {
    gateway = new FakeGateway();
    await gateway.listen();
    clock = createManualClock();
    seqByRun = new Map([['run-1', 3]]);
    root = { [Symbol.for('openclaw.agentEvents.state')]: { seqByRun, runContextById: new Map() } };
    plugin = createPlugin({ root, clock });
  });

  afterEach(async () => {
    await gateway.service?.stop();
    await gateway.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('has the id of its manifest', () => {
    const file = new URL('../../../examples/openclaw-plugin/openclaw.plugin.json', import.meta.url);
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as {
      id: string;
      activation: unknown;
      configSchema: { properties: object };
      uiHints: object;
    };
    expect(manifest.id).toBe(plugin.id);
    expect(manifest.activation).toEqual({ onStartup: true });
    const options = ['mode', 'sweepEvery', 'leakCycle', 'defaults', 'maps', 'scrapeToken'];
    expect(Object.keys(manifest.configSchema.properties)).toEqual(options);
    expect(Object.keys(manifest.uiHints)).toEqual(options);
  });

  it('touches nothing before its service is started', async () => {
    gateway.load(plugin);
    expect(Object.getOwnPropertyNames(seqByRun)).toEqual([]);
    expect((await gateway.fetch('/mapsweep/metrics')).status).toBe(503);
    expect(gateway.lines).toEqual([]);
  });

  it.each(['setup-only', 'cli-metadata', 'discovery'])('registers nothing in the mode %s', (mode) => {
    gateway.load(plugin, {}, mode);
    expect([gateway.routes.size, gateway.service]).toEqual([0, undefined]);
  });

  it('serves metrics and a report under the rules of the gateway', async () => {
    gateway.load(plugin);
    await gateway.start();
    expect([...gateway.routes.values()].map(({ path, auth, match }) => [path, auth, match])).toEqual([
      ['/mapsweep/metrics', 'gateway', 'exact'],
      ['/mapsweep/report', 'gateway', 'exact'],
      ['/mapsweep/page', 'gateway', 'prefix'],
    ]);
    const metrics = await gateway.fetch('/mapsweep/metrics');
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await metrics.text()).toContain(`mapsweep_entries{map="${COUNTERS}",registry="default"} 1\n`);
    const report = await gateway.fetch('/mapsweep/report');
    expect(report.headers.get('content-type')).toMatch(/^application\/json/);
    const { maps } = (await report.json()) as { maps: { name: string; oldest: { key: unknown }[] }[] };
    expect(maps.find(({ name }) => name === COUNTERS)?.oldest).toMatchObject([{ key: 'run-1' }]);
    expect(gateway.lines[0]).toMatch(/^info mapsweep: tracks 2 maps/);
  });

  it('names keys that JSON cannot carry, and shows nothing of what is in them', async () => {
    const secret = { apiKey: 'sk-secret', self: {} };
    secret.self = secret;
    Object.assign(root, { [Symbol.for('openclaw.sockets')]: new Set([secret, 10n]) });
    gateway.load(plugin);
    await gateway.start();
    const text = await (await gateway.fetch('/mapsweep/report')).text();
    expect(text).not.toContain('sk-secret');
    expect(text).toContain('"key":"an object"');
    expect(text).toContain('"key":"10n"');
  });

  it('runs nothing of a key, cuts what is long, and escapes what would move a cursor', async () => {
    const calls: string[] = [];
    const trap = (): never => {
      calls.push('called');
      throw new Error('hunter2');
    };
    const keys = [
      { [inspect.custom]: trap, toJSON: trap, toString: trap },
      'k'.repeat(5e6),
      '\x9b2J\u202e\n\ud800',
    ];
    Object.assign(root, { [Symbol.for('openclaw.odd\x9b\u202e')]: new Set<unknown>(keys) });
    gateway.load(plugin);
    await gateway.start();
    const response = await gateway.fetch('/mapsweep/report');
    const text = await response.text();
    expect([response.status, calls]).toEqual([200, []]);
    expect(text).toMatch(/^[\x20-\x7e]+$/);
    expect(text.length).toBeLessThan(10_000);
    const { maps } = JSON.parse(text) as { maps: { name: string; oldest: { key: unknown }[] }[] };
    expect(maps.find(({ name }) => name === 'openclaw.odd\x9b\u202e')?.oldest.map(({ key }) => key)).toEqual([
      'an object',
      `'${'k'.repeat(64)}'… (5000000 characters)`,
      "'\\u{9b}2J\\u{202e}\\n\\ud800'",
    ]);
  });

  it('lets nobody store an answer or guess its type, whatever that is', async () => {
    gateway.load(plugin, { scrapeToken: TOKEN });
    const headersOf = async (path: string, init?: RequestInit) => {
      const { status, headers } = await gateway.fetch(path, init);
      return [status, headers.get('cache-control'), headers.get('x-content-type-options')];
    };
    const paths = ['/mapsweep/metrics', '/mapsweep/report'];
    for (const path of paths) {
      expect(await headersOf(path)).toEqual([401, 'no-store', 'nosniff']);
      expect(await headersOf(path, withToken(TOKEN))).toEqual([503, 'no-store', 'nosniff']);
    }
    await gateway.start();
    for (const path of paths) {
      const { headers } = withToken(TOKEN);
      expect(await headersOf(path, withToken(TOKEN))).toEqual([200, 'no-store', 'nosniff']);
      expect(await headersOf(path, { headers, method: 'HEAD' })).toEqual([200, 'no-store', 'nosniff']);
      expect(await headersOf(path, { headers, method: 'PUT' })).toEqual([405, 'no-store', 'nosniff']);
    }
  });

  it('writes one printable line of a log for each message, whatever properties are called', async () => {
    const forged = 'a\n\x1b[31m2026 ERROR forged\u202e';
    const state = {
      [forged]: new Map(),
      ['x'.repeat(1e6)]: new Map(),
      [`${forged}2`]: Object.freeze(new Map()),
    };
    Object.assign(root, { [Symbol.for('openclaw.odd')]: state });
    gateway.load(plugin);
    await gateway.start();
    expect(gateway.lines.length).toBeGreaterThan(2);
    for (const line of gateway.lines) {
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(line.length).toBeLessThan(5_000);
    }
    expect(gateway.lines.join()).toContain('a\\u{a}\\u{1b}[31m2026 ERROR forged\\u{202e}');
  });

  it('makes no labels of sessions: less than 1,000 series of a dictionary with 3,000 maps', async () => {
    const bySession = Object.fromEntries(
      Array.from({ length: 3_000 }, (_, index) => [
        `session-${index}`,
        { queue: new Map(), seen: new Set() },
      ]),
    );
    Object.assign(root, { [Symbol.for('openclaw.x.state')]: { bySession, few: new Map([['a', 1]]) } });
    gateway.load(plugin);
    await gateway.start();
    const text = await (await gateway.fetch('/mapsweep/metrics')).text();
    expect(text).toContain('mapsweep_entries{map="openclaw.x.state/few",registry="default"} 1\n');
    expect(text).not.toContain('session-');
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length).toBeLessThan(
      1_000,
    );
  });

  it.each([
    ['none', {}],
    ['another', withToken('a-token-of-its-own-for-prometheuz')],
    ['a longer one', withToken(`${TOKEN}!`)],
    ['an empty one', { headers: { Authorization: 'Bearer ' } }],
    ['the right one by another scheme', { headers: { Authorization: `Basic ${TOKEN}` } }],
  ])('answers 401 to a request with %s where it has a scrapeToken', async (_, init) => {
    gateway.load(plugin, { scrapeToken: TOKEN });
    await gateway.start();
    expect([...gateway.routes.values()].map(({ auth }) => auth)).toEqual(['plugin', 'plugin', 'plugin']);
    for (const path of ['/mapsweep/metrics', '/mapsweep/report']) {
      const response = await gateway.fetch(path, init);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      expect(await response.text()).toBe('Unauthorized\n');
    }
  });

  it('opens to its scrapeToken', async () => {
    gateway.load(plugin, { scrapeToken: TOKEN });
    await gateway.start();
    expect((await gateway.fetch('/mapsweep/metrics', withToken(TOKEN))).status).toBe(200);
    expect((await gateway.fetch('/mapsweep/report', withToken(TOKEN))).status).toBe(200);
  });

  it('shows the page behind the rules of the gateway, with its style, its script and its other forms', async () => {
    Object.assign(root, { [Symbol.for('openclaw.commandQueueState')]: { lanes: new Map() } });
    gateway.load(plugin);
    expect((await gateway.fetch('/mapsweep/page')).status).toBe(503);
    await gateway.start();
    const page = await gateway.fetch('/mapsweep/page');
    const html = await page.text();
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
    expect(html).toContain(COUNTERS);
    const parts = [...html.matchAll(/(?:src|href)="(\.\/[^"?]*)/g)].map(([, part]) => part as string);
    expect(parts).toContain('./page/page.css');
    for (const part of new Set(parts)) {
      const { pathname } = new URL(part, 'http://gateway/mapsweep/page');
      expect([pathname, (await gateway.fetch(pathname)).status]).toEqual([pathname, 200]);
    }
    const lanes = encodeURIComponent('openclaw.commandQueueState/lanes');
    expect(await (await gateway.fetch(`/mapsweep/page/?map=${lanes}`)).text()).toContain(
      'kept while its guard says so: queue.length or activeTaskIds.size or draining (keepWhile)',
    );
    expect(await (await gateway.fetch('/mapsweep/page/report.txt')).text()).toContain(COUNTERS);
  });

  it('lets nobody change anything on the page', async () => {
    gateway.load(plugin);
    await gateway.start();
    const { origin } = gateway;
    const post = await gateway.fetch('/mapsweep/page/sweep', { method: 'POST', headers: { origin } });
    expect([post.status, await post.text()]).toEqual([403, 'Refused: nothing can be changed here\n']);
  });

  it('asks for the scrapeToken on the page, and keeps it in a cookie that opens the page alone', async () => {
    gateway.load(plugin, { scrapeToken: TOKEN });
    await gateway.start();
    const asked = await gateway.fetch('/mapsweep/page');
    expect([asked.status, await asked.text()]).toEqual([401, expect.not.stringContaining(COUNTERS)]);
    expect((await gateway.fetch('/mapsweep/page/report.json')).status).toBe(401);
    expect((await gateway.fetch('/mapsweep/page/report.txt', withToken(`${TOKEN}!`))).status).toBe(401);
    expect((await gateway.fetch('/mapsweep/page/report.txt', withToken(TOKEN))).status).toBe(200);
    const typed = await gateway.fetch('/mapsweep/page/token', {
      method: 'POST',
      headers: { origin: gateway.origin },
      body: new URLSearchParams({ token: TOKEN }),
      redirect: 'manual',
    });
    const cookie = typed.headers.get('set-cookie')?.split(';')[0] ?? '';
    expect([typed.status, cookie]).toEqual([303, expect.stringMatching(/^mapsweep-/)]);
    const headers = { cookie };
    expect(await (await gateway.fetch('/mapsweep/page', { headers })).text()).toContain(COUNTERS);
    expect((await gateway.fetch('/mapsweep/metrics', { headers })).status).toBe(401);
  });

  it('shows on the page what a newer start of the service tracks', async () => {
    gateway.load(plugin);
    await gateway.start();
    await gateway.fetch('/mapsweep/page');
    Object.assign(root, { [Symbol.for('openclaw.later')]: new Map() });
    await gateway.start();
    expect(await (await gateway.fetch('/mapsweep/page')).text()).toContain('openclaw.later');
  });

  it('answers GET and HEAD, and 405 to anything else', async () => {
    gateway.load(plugin);
    await gateway.start();
    for (const path of ['/mapsweep/metrics', '/mapsweep/report']) {
      const head = await gateway.fetch(path, { method: 'HEAD' });
      expect([head.status, await head.text()]).toEqual([200, '']);
      const post = await gateway.fetch(path, { method: 'POST' });
      expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  it('says what is wrong with its config, tracks nothing, and lets the gateway start', async () => {
    gateway.load(plugin, { maps: { [COUNTERS]: { maxIdel: '5m' } }, scrapeToken: TOKEN });
    await gateway.start();
    expect(gateway.lines).toEqual([expect.stringMatching(/^error mapsweep: .*config is wrong.*maxIdel/)]);
    expect(Object.getOwnPropertyNames(seqByRun)).toEqual([]);
    expect(gateway.routes.get('/mapsweep/report')?.auth).toBe('gateway');
    const response = await gateway.fetch('/mapsweep/report');
    expect([response.status, await response.text()]).toEqual([503, expect.stringContaining('maxIdel')]);
  });

  it.each([
    ['2026.9.6', undefined],
    ['2027.1.0', 'does not know OpenClaw 2027.1.0, only 2026.4 and 2026.9'],
    [undefined, 'does not know which release of OpenClaw this is'],
  ])('says in one line that it does not know a release: %s', async (version, said) => {
    gateway.version = version;
    gateway.load(plugin);
    await gateway.start();
    const told = gateway.lines.filter((line) => line.includes('does not know'));
    expect(told).toEqual(said === undefined ? [] : [expect.stringContaining(said)]);
  });

  it('removes nothing in a release that it does not know, however long', async () => {
    gateway.version = '2027.1.0';
    gateway.load(plugin);
    await gateway.start();
    await clock.advance(2 * 24 * 3_600_000);
    expect(seqByRun.size).toBe(1);
  });

  it('does not speak of a built-in list that is not wanted', async () => {
    gateway.version = '2027.1.0';
    gateway.load(plugin, { defaults: false });
    await gateway.start();
    expect(gateway.lines.join()).not.toContain('does not know');
  });

  it('releases everything when its service stops, and can be started again', async () => {
    gateway.load(plugin);
    await gateway.start();
    await gateway.service?.stop();
    expect(Object.getOwnPropertyNames(seqByRun)).toEqual([]);
    expect((await gateway.fetch('/mapsweep/metrics')).status).toBe(503);
    await gateway.start();
    expect((await gateway.fetch('/mapsweep/metrics')).status).toBe(200);
  });

  it('shows the same maps once when it is started twice', async () => {
    gateway.load(plugin);
    await gateway.start();
    await gateway.start();
    expect((await gateway.fetch('/mapsweep/metrics')).status).toBe(200);
    expect(gateway.lines.filter((line) => line.includes('tracks 2 maps'))).toHaveLength(2);
  });

  it('answers on the routes of one registration what the service of another found', async () => {
    gateway.load(plugin);
    const { service } = gateway;
    gateway.load(plugin);
    await service?.start({ logger: gateway.logger });
    expect((await gateway.fetch('/mapsweep/report')).status).toBe(200);
    await service?.stop();
    expect((await gateway.fetch('/mapsweep/report')).status).toBe(503);
  });

  it('works for the gateway that loads it anew before the old one has stopped', async () => {
    gateway.load(plugin);
    await gateway.start();
    const old = gateway.service;
    gateway.load(plugin);
    await gateway.start();
    await old?.stop();
    await clock.advance(60_000);
    expect(await (await gateway.fetch('/mapsweep/metrics')).text()).toContain(
      `mapsweep_entries{map="${COUNTERS}",registry="default"} 1\n`,
    );
  });
});
