import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { afterEach, describe, expect, it as test, vi } from 'vitest';
import { startHttpServer } from '../../examples/http-server/server.ts';
import { itIn, startExample } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

const minutes = 60_000;
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
  order = (key: string, tea = 1) => this.ask('POST', '/orders', { body: { tea }, key });
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
    const server = await startHttpServer({ placeOrder, clock, requestTimeout: 500 });
    const browser = (address?: string) => new Browser(server.url, address);
    const placed = async (order: Promise<{ status: number; text: string }>, number: number) => {
      await eventually(() => expect(orders).toHaveLength(1));
      orders.pop()!.place(number);
      return order;
    };
    const end = () => server.close();
    return { ...server, ...server.registry.maps, clock, orders, browser, placed, end };
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

  it('keeps apart users and keys that read alike one after the other', async ({ world }) => {
    const { browser, placed } = world;
    const [ann, other] = [browser(), browser()];
    await ann.login('ann');
    await other.login('ann smith');
    expect(await placed(ann.order('smith 1'), 1)).toMatchObject({ status: 201, text: '{"number":1}' });
    expect(await placed(other.order('1'), 2)).toMatchObject({ status: 201, text: '{"number":2}' });
  });

  it('answers 422 to another order under the key of one, placed or under way, and places none', async ({
    world,
  }) => {
    const { browser, orders, placed } = world;
    const ann = browser();
    await ann.login();
    const first = ann.order('a', 1);
    await eventually(() => expect(orders).toHaveLength(1));
    expect((await ann.order('a', 2)).status).toBe(422);
    expect((await placed(first, 7)).status).toBe(201);
    expect((await ann.order('a', 2)).status).toBe(422);
    expect(await ann.status('POST', '/orders', { key: 'a' })).toBe(422);
    expect(await ann.order('a', 1)).toMatchObject({ status: 201, text: '{"number":7}' });
    expect(orders).toHaveLength(0);
  });

  it('answers likewise for 24 h, and places the order anew after', async ({ world }) => {
    const { clock, browser, placed, answers } = world;
    const ann = browser();
    await ann.login();
    expect((await placed(ann.order('a'), 1)).text).toBe('{"number":1}');
    await clock.advance(24 * 60 * minutes - 1_000);
    await ann.login();
    expect((await ann.order('a')).text).toBe('{"number":1}');
    await clock.advance(minutes + 1_000);
    expect(answers.size).toBe(0);
    expect((await placed(ann.order('a'), 2)).text).toBe('{"number":2}');
  });

  it('remembers 1,000 answers of a user, refuses him another with 429, and nobody else', async ({
    world,
  }) => {
    const { browser, placed, answers, orders } = world;
    const [ann, bob] = [browser(), browser()];
    await ann.login('ann');
    await bob.login('bob');
    for (let order = 0; order < 999; order += 1) answers.set(`${order}`, { user: 'ann', fingerprint: '' });
    expect((await placed(ann.order('a'), 1)).status).toBe(201);
    expect((await ann.order('b')).status).toBe(429);
    expect((await ann.order('a')).status).toBe(201);
    expect([answers.size, orders.length]).toEqual([1_000, 0]);
    expect((await placed(bob.order('b'), 2)).status).toBe(201);
  });

  it('counts for 10,000 addresses, and forgets none that comes again and again for those that come once', async ({
    world,
  }) => {
    const { clock, browser, visits } = world;
    const hammers = browser('192.0.2.1');
    const statuses = await Promise.all(Array.from({ length: 101 }, () => hammers.status('GET', '/me')));
    expect(statuses.filter((status) => status === 429)).toHaveLength(1);
    for (let address = 0; address < 30_000; address += 1) {
      visits.set(`10.${address}`, { count: 1, until: clock.now() + minutes });
      if (address % 5_000 !== 0) continue;
      await clock.advance(1);
      expect(await hammers.status('GET', '/me')).toBe(429);
    }
    await clock.advance(1);
    expect(visits.size).toBe(10_000);
    expect(await hammers.status('GET', '/me')).toBe(429);
  });

  it('ends a session at its logout, and no other', async ({ world }) => {
    const { browser, sessions } = world;
    const [here, there] = [browser(), browser()];
    await here.login();
    await there.login();
    expect(await here.status('POST', '/logout')).toBe(204);
    expect(sessions.size).toBe(1);
    expect(await here.status('GET', '/me')).toBe(401);
    expect(await there.status('GET', '/me')).toBe(200);
  });

  it('keeps 20 sessions of who logs in without end, the newest, and those of others', async ({ world }) => {
    const { clock, browser, sessions } = world;
    const [bob, first, last] = [browser(), browser(), browser()];
    await bob.login('bob');
    await first.login('ann');
    for (let login = 0; login < 60; login += 1) {
      await clock.advance(1_000);
      await last.login('ann');
    }
    await clock.advance(1);
    expect(sessions.size).toBe(21);
    expect(await first.status('GET', '/me')).toBe(401);
    expect(await last.status('GET', '/me')).toBe(200);
    expect(await bob.status('GET', '/me')).toBe(200);
  });

  it('lets go of clients that hang in the midst of a request, holds nothing for them, and serves others', async ({
    world,
  }) => {
    const { url, registry, browser, orders } = world;
    const ann = browser();
    await ann.login();
    const head = `POST /orders HTTP/1.1\r\nHost: x\r\nCookie: ${ann.cookie}\r\nIdempotency-Key: a\r\n`;
    const body = 'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"tea":';
    const hang = (said: string) => {
      const socket = net.connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {});
      socket.write(said);
      socket.resume();
      return once(socket, 'close');
    };
    const closed = [hang(''), hang(head), hang(head + body)];
    expect(await ann.status('GET', '/me')).toBe(200);
    await Promise.all(closed);
    expect(registry.report().maps.map(({ held }) => held)).toEqual([0, 0, 0]);
    expect(orders).toHaveLength(0);
    expect(await ann.status('GET', '/me')).toBe(200);
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

describe('examples/http-server over a restart', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-http-server-ages-'));
  const clock = createManualClock();
  let server: Awaited<ReturnType<typeof startHttpServer>>;
  /** Another life. Returns the browser there, with the cookie of one in the life before. */
  const restart = async () => {
    await server?.close();
    server = await startHttpServer({ folder, clock, placeOrder: async () => ({ at: clock.now() }) });
    return (of?: Browser) => Object.assign(new Browser(server.url), { cookie: of?.cookie ?? '' });
  };

  afterEach(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('goes on counting the 30 min and the 12 h of a session, and the 24 h of an answer', async () => {
    let browser = await restart();
    const [idle, busy] = [browser(), browser()];
    await idle.login('idle');
    await busy.login('busy');
    const { text } = await busy.order('a');
    for (let minute = 20; minute < 12 * 60; minute += 20) {
      await clock.advance(20 * minutes);
      browser = await restart();
      expect(await browser(busy).status('GET', '/me')).toBe(200);
      // No life is as long as that.
      if (minute === 40) expect(await browser(idle).status('GET', '/me')).toBe(401);
    }
    await clock.advance(20 * minutes);
    browser = await restart();
    expect(await browser(busy).status('GET', '/me')).toBe(401);

    for (const [hours, isKnown] of [
      [11.9, true],
      [0.2, false],
    ] as const) {
      await clock.advance(hours * 60 * minutes);
      browser = await restart();
      const again = browser();
      await again.login('busy');
      expect((await again.order('a')).text === text).toBe(isKnown);
    }
  });
});

describe('examples/http-server as a process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mapsweep-http-server-'));
  const start = (...args: string[]) => startExample('http-server/main.ts', '--folder', folder, ...args);

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

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
