import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { afterEach, describe, expect, it as test, vi } from 'vitest';
import { startHttpServer } from '../../examples/http-server/server.ts';
import { itIn } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

const minutes = 60_000;
const root = fileURLToPath(new URL('../..', import.meta.url));
/** A real server is awaited, however busy the machine is. */
const eventually = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { interval: 2, timeout: 20_000 });

/** A browser with its cookie, at an address of its own. */
class Browser {
  cookie = '';
  readonly url: string;
  readonly address: string;

  constructor(url: string, address = '192.0.2.1') {
    this.url = url;
    this.address = address;
  }

  async ask(method: string, path: string, { body, key }: { body?: object; key?: string } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        Cookie: this.cookie,
        'X-Forwarded-For': this.address,
        'Content-Type': 'application/json',
        ...(key !== undefined && { 'Idempotency-Key': key }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    this.cookie = response.headers.get('set-cookie')?.split(';')[0] ?? this.cookie;
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  async status(method: string, path: string, options?: { body?: object; key?: string }) {
    return (await this.ask(method, path, options)).status;
  }

  login = (user = 'ann') => this.ask('POST', '/login', { body: { user } });
  order = (key: string) => this.ask('POST', '/orders', { body: { tea: 1 }, key });
}

describe('examples/http-server', () => {
  /** The server of the example, on a clock that the test moves, and whose orders are placed when the test says so. */
  const it = itIn(makeWorld);

  async function makeWorld() {
    const clock = createManualClock();
    const orders: Array<{ place: (number: number) => void; fail: () => void }> = [];
    const placeOrder = () =>
      new Promise<object>((resolve, reject) => {
        orders.push({
          place: (number) => resolve({ number }),
          fail: () => reject(new Error('the shop is away')),
        });
      });
    const server = await startHttpServer({ placeOrder, clock });
    const browser = (address?: string) => new Browser(server.url, address);
    const end = () => server.close();
    return { ...server, ...server.registry.maps, clock, orders, browser, end };
  }

  it('ends a session after 30 idle minutes, to the millisecond, though no sweep has come', async ({
    world,
  }) => {
    const { clock, registry, browser, sessions } = world;
    const ann = browser();
    await ann.login();
    registry.stop();
    await clock.advance(30 * minutes - 1);
    expect(await ann.ask('GET', '/me')).toMatchObject({ status: 200, text: '{"user":"ann"}' });
    await clock.advance(30 * minutes);
    expect(sessions.size).toBe(1);
    expect(await ann.status('GET', '/me')).toBe(401);
  });

  it('ends a session 12 h after its login, however busy it is', async ({ world }) => {
    const { clock, browser, sessions } = world;
    const ann = browser();
    await ann.login();
    for (let step = 0; step < 12 * 4 - 1; step += 1) {
      await clock.advance(15 * minutes);
      expect(await ann.status('GET', '/me')).toBe(200);
    }
    await clock.advance(15 * minutes);
    expect(await ann.status('GET', '/me')).toBe(401);
    await clock.advance(minutes);
    expect(sessions.size).toBe(0);
  });

  it('keeps a session whose request takes 2 h, and lets it go 30 min after', async ({ world }) => {
    const { clock, browser, orders, sessions } = world;
    const ann = browser();
    await ann.login();
    const order = ann.order('a');
    await eventually(() => expect(orders).toHaveLength(1));
    await clock.advance(120 * minutes);
    expect(sessions.size).toBe(1);
    orders[0]!.place(1);
    expect((await order).status).toBe(201);
    await clock.advance(29 * minutes);
    expect(sessions.size).toBe(1);
    await clock.advance(2 * minutes);
    expect(sessions.size).toBe(0);
  });

  it('lets an address through 100 times a minute, others meanwhile, and forgets both', async ({ world }) => {
    const { clock, registry, browser, visits } = world;
    registry.stop();
    const [hammers, other] = [browser('192.0.2.1'), browser('192.0.2.2')];
    const statuses = await Promise.all(Array.from({ length: 130 }, () => hammers.status('GET', '/me')));
    expect(statuses.filter((status) => status === 401)).toHaveLength(100);
    await clock.advance(10_000);
    const { status, headers } = await hammers.ask('GET', '/me');
    expect([status, headers.get('Retry-After')]).toEqual([429, '50']);
    expect(await other.status('GET', '/me')).toBe(401);
    await clock.advance(50_000);
    expect(await hammers.status('GET', '/me')).toBe(401);
    await clock.advance(minutes);
    await registry.sweep();
    expect(visits.size).toBe(0);
  });

  it('places an order once for 5 requests at a time with one key, and answers a later one likewise', async ({
    world,
  }) => {
    const { clock, browser, orders } = world;
    const ann = browser();
    await ann.login();
    const asked = Array.from({ length: 5 }, () => ann.order('a'));
    await eventually(() => expect(world.registry.report().maps[0]!.held).toBe(1));
    await eventually(() => expect(orders).toHaveLength(1));
    orders[0]!.place(7);
    for (const { status, text } of await Promise.all(asked)) {
      expect({ status, text }).toEqual({ status: 201, text: '{"number":7}' });
    }
    await clock.advance(20 * minutes);
    expect((await ann.order('a')).text).toBe('{"number":7}');
    expect(orders).toHaveLength(1);
  });

  it('places no order without a key, which would be taken for the one before', async ({ world }) => {
    const ann = world.browser();
    await ann.login();
    expect(await ann.status('POST', '/orders', { body: { tea: 1 } })).toBe(400);
    expect(world.orders).toHaveLength(0);
  });

  it('tries an order again that has failed, and keeps the keys of users apart', async ({ world }) => {
    const { browser, orders } = world;
    const [ann, bob] = [browser(), browser()];
    await ann.login('ann');
    await bob.login('bob');
    const attempt = async (of: Browser, settle: 'place' | 'fail') => {
      const order = of.order('a');
      await eventually(() => expect(orders).toHaveLength(1));
      orders.pop()![settle](8);
      return (await order).status;
    };
    expect(await attempt(ann, 'fail')).toBe(502);
    expect(await attempt(ann, 'place')).toBe(201);
    expect(await attempt(bob, 'place')).toBe(201);
  });

  it('leaves nothing of browsers that log out, forget to, or break off in the midst of an order', async ({
    world,
  }) => {
    const { registry, browser, orders } = world;
    const scenario = async (run: number) => {
      const someone = browser(`192.0.2.${run}`);
      await someone.login(`user-${run}`);
      const order = someone.order('a');
      await eventually(() => expect(orders).toHaveLength(1));
      orders.pop()!.place(run);
      await order;
      if (run % 2 === 0) return someone.ask('POST', '/logout');
      const breaking = new AbortController();
      const broken = fetch(`${world.url}/orders`, {
        method: 'POST',
        headers: { Cookie: someone.cookie, 'Idempotency-Key': 'b', 'X-Forwarded-For': someone.address },
        signal: breaking.signal,
      }).catch(() => {});
      await eventually(() => expect(orders).toHaveLength(1));
      breaking.abort();
      await broken;
      orders.pop()!.place(run);
      await eventually(() => expect(registry.report().maps.every(({ held }) => held === 0)).toBe(true));
    };
    await expect(scenario).toReturnToBaseline({ registry, times: 12, warmup: 2 });
  });

  it('serves its health and its metrics', async ({ world }) => {
    const { browser } = world;
    await browser().login();
    expect((await browser().ask('GET', '/health/ready')).text).toBe('ok\n');
    expect((await browser().ask('GET', '/metrics')).text).toMatch(
      /mapsweep_entries\{map="sessions",[^}]*\} 1\n/,
    );
  });
});

describe('examples/http-server as a process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-http-server-'));
  const processes: ChildProcess[] = [];

  afterEach(() => {
    for (const { pid, exitCode, signalCode } of processes)
      if (exitCode === null && signalCode === null) process.kill(pid!, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(...args: string[]) {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', 'examples/http-server/main.ts', '--folder', folder, ...args],
      // The sources of the package, and not its last build.
      { cwd: root, env: { ...process.env, NODE_OPTIONS: '', TSX_TSCONFIG_PATH: 'test/tsconfig.json' } },
    );
    processes.push(child);
    let errors = '';
    child.stderr.on('data', (text) => {
      errors += text;
    });
    const exited = once(child, 'exit');
    const lines: string[] = [];
    createInterface(child.stdout).on('line', (line) => lines.push(line));
    await eventually(() => expect([child.exitCode, errors, lines.length]).toEqual([null, '', 1]));
    return { child, exited, lines, url: lines[0]!.split(' at ')[1]! };
  }

  test('knows sessions, orders and what was under way after SIGKILL, and ends in order at SIGTERM', async () => {
    const first = await start('--order-takes', '300');
    const ann = new Browser(first.url);
    await ann.login();
    const { text } = await ann.order('done');
    const underWay = ann.order('under way').catch(() => 'broken');
    await eventually(() => expect(first.lines.filter((line) => line === 'placing an order')).toHaveLength(2));
    first.child.kill('SIGKILL');
    await first.exited;
    expect(await underWay).toBe('broken');

    const second = await start('--order-takes', '1500', '--notice', '1000');
    const again = new Browser(second.url);
    again.cookie = ann.cookie;
    expect(await again.ask('GET', '/me')).toMatchObject({ status: 200, text: '{"user":"ann"}' });
    expect(await again.order('done')).toMatchObject({ status: 201, text });
    expect(await again.order('under way')).toMatchObject({ status: 409 });

    const last = again.order('last');
    await eventually(() => expect(second.lines).toContain('placing an order'));
    second.child.kill('SIGTERM');
    await eventually(async () => expect(await again.status('GET', '/health/ready')).toBe(503));
    expect(await again.status('GET', '/health/live')).toBe(200);
    expect((await last).status).toBe(201);
    expect(await second.exited).toEqual([0, null]);
    await expect(again.ask('GET', '/me')).rejects.toThrow();
  });
});
