import { connect } from 'node:net';
import { createRegistry } from 'mapsweep';
import { statusPage } from 'mapsweep/page';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { readQuery, searchOf } from '../../src/page/query.ts';
import { openNow } from '../../src/restart/open-journal.ts';
import { ask } from '../http/serving.ts';
import { MemoryVolume } from '../restart/memory-journal.ts';
import { gateway, send, served, textAt, wordsOf } from './setting.ts';

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const token = 'correct horse battery';
const portOf = (address: string) => Number(new URL(address).port);

describe('every answer', () => {
  it.each(['/', '/report.json', '/report.txt', '/page.css', '/page.js', '/favicon.ico', '/?map=gone'])(
    'has the content security policy: %s',
    async (path) => {
      const address = await served(gateway().registry);
      const { headers } = await fetch(`${address}${path}`);
      expect(headers.get('content-security-policy')).toBe(policy);
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      // With `no-referrer` no form of the page would bear its origin.
      expect(headers.get('referrer-policy')).toBe('same-origin');
    },
  );

  it('has it also when it is a refusal or the form for the token', async () => {
    const refused = await ask(portOf(await served(gateway().registry)), '/', 'GET', { host: 'evil.example' });
    const form = await fetch(await served(gateway().registry, { token }));
    expect([refused.status, form.status]).toEqual([403, 401]);
    expect(refused.headers['content-security-policy']).toBe(policy);
    expect(form.headers.get('content-security-policy')).toBe(policy);
  });

  it('takes GET and HEAD for what is looked at, and POST for what acts', async () => {
    const port = portOf(await served(gateway().registry, { allow: 'actions' }));
    const statuses = await Promise.all(
      [
        ['HEAD', '/'],
        ['POST', '/'],
        ['POST', '/page.css'],
        ['PUT', '/'],
        ['DELETE', '/sweep'],
      ].map(async ([method, path]) => (await ask(port, path as string, method)).status),
    );
    expect(statuses).toEqual([200, 405, 405, 405, 405]);
  });
});

it.each(['sweep', 'find', 'token', 'redeliver'])(
  'what only takes forms is the page for whoever looks, and may be where it is mounted: /%s',
  async (name) => {
    const { registry } = gateway();
    registry.maps.sockets.set('a', 1);
    const mount = `${await served(registry, { token, allow: 'actions' })}/${name}`;
    const form = await fetch(mount);
    expect([form.status, wordsOf(await form.text())]).toEqual([401, expect.stringContaining('Token')]);
    const entered = await send(`${mount}/token`, { token });
    const [cookie] = (entered.headers.get('set-cookie') as string).split(';');
    const headers = { cookie: cookie as string };
    const page = await textAt(`${mount}?map=sockets`, { headers });
    expect(page).toContain(`action="./${name}/find?map=sockets"`);
    for (const [, to] of page.matchAll(/<(?:link|script) .*?(?:href|src)="([^"]*)"/g)) {
      expect((await fetch(new URL(to as string, mount), { headers })).status).toBe(200);
    }
  },
);

describe('without a token', () => {
  /** The answer to a request that comes from elsewhere than a test may. */
  const answerTo = async (remoteAddress: string | undefined, options = {}) => {
    const written = {
      statusCode: 0,
      body: '',
      setHeader: () => {},
      end: (body = '') => {
        written.body = body;
      },
    };
    const handler = statusPage(gateway().registry, options);
    const request = { method: 'GET', url: '/', headers: { host: 'localhost' }, socket: { remoteAddress } };
    await handler(request, written);
    return written;
  };

  it('answers this machine and no other', async () => {
    expect((await answerTo('::1')).statusCode).toBe(200);
    for (const address of ['10.0.0.1', undefined]) {
      const { statusCode, body } = await answerTo(address);
      expect([statusCode, body]).toEqual([403, expect.stringContaining('only this machine is answered')]);
    }
  });

  it('answers others where somebody else decides', async () => {
    expect((await answerTo('10.0.0.1', { authorize: () => true })).statusCode).toBe(200);
    expect((await answerTo('10.0.0.1', { token })).statusCode).toBe(401);
  });

  it.each([
    ['another name for this machine', { host: 'evil.example' }],
    ['a proxy', { 'x-forwarded-for': '10.0.0.1' }],
    ['a proxy by the standard', { forwarded: 'for=10.0.0.1' }],
    ['another origin', { origin: 'http://evil.example' }],
    ['another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }],
  ])('refuses %s, also for data, style and forms', async (_, headers) => {
    const port = portOf(await served(gateway().registry, { allow: 'actions' }));
    for (const path of ['/', '/report.json', '/report.txt', '/page.css']) {
      const { status, body } = await ask(port, path, 'GET', headers as never);
      expect([status, body.includes('sockets')]).toEqual([403, false]);
    }
    expect((await ask(port, '/sweep', 'POST', headers as never)).status).toBe(403);
  });
});

describe('with a token', () => {
  it('shows nothing but a form, whose token becomes a cookie that opens all', async () => {
    const address = await served(gateway().registry, { token });
    const closed = await Promise.all(
      ['/', '/report.json', '/report.txt'].map((path) => fetch(`${address}${path}`)),
    );
    expect(closed.map(({ status }) => status)).toEqual([401, 401, 401]);
    for (const answer of closed) expect(await answer.text()).not.toContain('sockets');
    const entered = await send(`${address}/token`, { token });
    expect([entered.status, entered.headers.get('location')]).toEqual([303, './']);
    const [cookie] = (entered.headers.get('set-cookie') as string).split(';');
    const headers = { cookie: cookie as string };
    expect(await textAt(address, { headers })).toContain('sockets');
    expect(await textAt(`${address}/report.txt`, { headers })).toContain('sockets');
    expect(entered.headers.get('set-cookie')).not.toContain('horse');
  });

  it('opens all to a program that sends it as a Bearer token, and nothing to a wrong one', async () => {
    const address = await served(gateway().registry, { token });
    const statusOf = async (path: string, authorization: string) =>
      (await fetch(`${address}${path}`, { headers: { authorization } })).status;
    for (const path of ['/', '/report.json', '/report.txt']) {
      expect(await statusOf(path, `Bearer ${token}`)).toBe(200);
      expect(await statusOf(path, `bearer  ${token}`)).toBe(200);
      for (const wrong of [
        'Bearer',
        'Bearer wrong horse battery',
        `Basic ${token}`,
        `Bearer ${token}x`,
        token,
      ])
        expect(await statusOf(path, wrong)).toBe(401);
    }
  });

  it('lets a program act with the Bearer token where its request names the origin of the page, and not else', async () => {
    const { registry, die } = gateway();
    await die('a');
    const address = `${await served(registry, { token, allow: 'actions' })}/redeliver`;
    const headers = { authorization: `Bearer ${token}` };
    const body = 'letter=all\r\n';
    const withoutOrigin = await fetch(address, { method: 'POST', body, headers });
    const foreign = await send(address, { letter: 'all' }, { ...headers, origin: 'http://evil.example' });
    expect([withoutOrigin.status, foreign.status]).toEqual([403, 403]);
    expect((await send(address, { letter: 'all' }, headers)).status).toBe(303);
  });

  it('opens the pages of two services on one host in one browser, which keeps a cookie for each', async () => {
    const jar = new Map<string, string>();
    const tokens = [token, 'another battery, as long'];
    const addresses = await Promise.all(tokens.map((of) => served(gateway().registry, { token: of })));
    for (const [index, address] of addresses.entries()) {
      const entered = await send(`${address}/token`, { token: tokens[index] as string });
      const [name = '', pass = ''] = (entered.headers.get('set-cookie') as string).split(/[=;]/);
      jar.set(name, pass);
    }
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
    const answers = await Promise.all(addresses.map((address) => fetch(address, { headers: { cookie } })));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });

  it('gives none for a wrong one, for none, and to a form of another site', async () => {
    const address = await served(gateway().registry, { token });
    for (const fields of [{ token: 'wrong horse battery' }, { token: '' }, { other: token }]) {
      const answer = await send(`${address}/token`, fields as never);
      expect([answer.status, answer.headers.get('set-cookie')]).toEqual([401, null]);
      expect(wordsOf(await answer.text())).toContain('That is not the token.');
    }
    const foreign = await send(`${address}/token`, { token }, { origin: 'http://evil.example' });
    expect([foreign.status, foreign.headers.get('set-cookie')]).toEqual([403, null]);
  });

  it('stays at the address of the page, however many wrong ones come before the right one', async () => {
    let address = `${await served(gateway().registry, { token })}/mounted`;
    let form = await fetch(address);
    for (const [given, status] of [
      ['wrong horse battery', 401],
      ['another wrong one', 401],
      [token, 303],
    ] as const) {
      const [, action] = /action="([^"]*)"/.exec(await form.text()) ?? [];
      address = new URL(action as string, address).href;
      expect(new URL(address).pathname).toBe('/mounted/');
      form = await send(address, { token: given });
      expect(form.status).toBe(status);
    }
    expect(new URL(form.headers.get('location') as string, address).href).toBe(address);
  });

  it.each([
    ['it came over TLS', { socket: { encrypted: true } }, true],
    ['it came over TLS to a proxy', { headers: { 'x-forwarded-proto': 'https' } }, true],
    [
      'it came over TLS to the first of two proxies',
      { headers: { 'x-forwarded-proto': 'https, http' } },
      true,
    ],
    ['it did not', {}, false],
    ['it did not to the first proxy', { headers: { 'x-forwarded-proto': 'http, https' } }, false],
  ])('becomes a cookie for TLS alone if %s', async (_, request, isSecure) => {
    const headers: Record<string, unknown> = {};
    const response = {
      statusCode: 0,
      setHeader: (name: string, value: unknown) => {
        headers[name] = value;
      },
      end: () => {},
    };
    const given = {
      host: 'gateway',
      origin: 'https://gateway',
      ...(request as { headers?: object }).headers,
    };
    const asked = { method: 'POST', url: '/token', body: `token=${token}`, ...request, headers: given };
    await statusPage(gateway().registry, { token })(asked, response);
    expect(headers['Set-Cookie']).toMatch(isSecure ? /; Secure$/ : /SameSite=Strict$/);
  });

  it('is no part of an address', async () => {
    const address = await served(gateway().registry, { token });
    expect((await fetch(`${address}/?token=${encodeURIComponent(token)}`)).status).toBe(401);
  });

  it('is what an action needs too', async () => {
    const { registry, die } = gateway();
    await die('a');
    const address = await served(registry, { token, allow: 'actions' });
    expect((await send(`${address}/redeliver`, { letter: 'all' })).status).toBe(401);
    const [cookie] = ((await send(`${address}/token`, { token })).headers.get('set-cookie') as string).split(
      ';',
    );
    expect((await send(`${address}/redeliver`, { letter: 'all' }, { cookie: cookie as string })).status).toBe(
      303,
    );
  });

  it('answers the next request of the connection on which a form was too long', async () => {
    const port = portOf(await served(gateway().registry, { token }));
    const socket = connect(port, '127.0.0.1');
    const body = 'x'.repeat(1_000_000);
    const host = `host: 127.0.0.1:${port}`;
    const origin = `origin: http://127.0.0.1:${port}`;
    socket.write(
      `POST /token HTTP/1.1\r\n${host}\r\n${origin}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    socket.write(`GET /page.css HTTP/1.1\r\n${host}\r\nconnection: close\r\n\r\n`);
    let answers = '';
    for await (const chunk of socket) answers += chunk;
    expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
  });

  it('ends the connection on which a form has no end', async () => {
    const port = portOf(await served(gateway().registry, { token }));
    const socket = connect(port, '127.0.0.1');
    const host = `host: 127.0.0.1:${port}`;
    const origin = `origin: http://127.0.0.1:${port}`;
    socket.write(`POST /token HTTP/1.1\r\n${host}\r\n${origin}\r\ncontent-length: 100000000000\r\n\r\n`);
    const chunk = Buffer.alloc(65_536);
    const write = () => {
      while (socket.bytesWritten < 100_000_000 && socket.write(chunk));
    };
    // It is cut off in the midst of a write.
    socket.on('error', () => {});
    socket.on('drain', write);
    socket.resume();
    write();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(socket.bytesWritten).toBeLessThan(100_000_000);
  });

  it('reads a form of 8 kB and no longer one', async () => {
    const address = await served(gateway().registry, { token });
    expect((await send(`${address}/token`, { token, more: 'x'.repeat(8_000) })).status).toBe(303);
    expect((await send(`${address}/token`, { token, more: 'x'.repeat(100_000) })).status).toBe(413);
    // A parser of the framework has read it.
    const response = { statusCode: 0, setHeader: () => {}, end: () => {} };
    const request = { method: 'POST', url: '/token', headers: { host: 'a', origin: 'http://a' } };
    const body = `token=${token}\nmore=${'x'.repeat(100_000)}`;
    await statusPage(gateway().registry, { token })({ ...request, body }, response);
    expect(response.statusCode).toBe(413);
  });
});

describe('authorize', () => {
  it.each([
    ['true', () => true, 200],
    ['a promise of true', async () => true, 200],
    ['false', () => false, 403],
    ['what is only truthy', () => 'yes' as never, 403],
    [
      'a throw',
      () => {
        throw new Error('no');
      },
      403,
    ],
    ['a rejection', () => Promise.reject(new Error('no')), 403],
  ])('says who may see the page: %s', async (_, authorize, status) => {
    const address = await served(gateway().registry, { authorize });
    expect((await fetch(address)).status).toBe(status);
    expect((await fetch(`${address}/report.json`)).status).toBe(status);
  });
});

describe('actions', () => {
  it('are not there and do nothing unless they are allowed', async () => {
    const { registry, die } = gateway();
    await die('a');
    const address = await served(registry);
    expect(await textAt(address)).not.toMatch(/Redeliver|Sweep now/);
    for (const what of ['sweep', 'redeliver'])
      expect((await send(`${address}/${what}`, { letter: 'all' })).status).toBe(403);
    expect(registry.deadLetters()).toHaveLength(1);
  });

  it('redeliver one dead letter, or all', async () => {
    const { registry, die, held, clock } = gateway();
    for (const key of ['a', 'b', 'c']) await die(key);
    held.isDown = false;
    const address = await served(registry, { allow: 'actions' });
    const [, handle] = (await textAt(address)).match(
      /name="letter" value="([^"]+)">Redeliver</,
    ) as RegExpMatchArray;
    const one = await send(`${address}/redeliver`, { letter: handle as string });
    expect(one.headers.get('location')).toBe('./?done=redelivered');
    await clock.advance(0);
    expect(registry.deadLetters().map(({ event }) => event.key)).toEqual(['b', 'c']);
    const again = await send(`${address}/redeliver`, { letter: handle as string });
    expect(again.headers.get('location')).toBe('./?done=not-redelivered');
    await send(`${address}/redeliver`, { letter: 'all' });
    await clock.advance(0);
    expect(registry.deadLetters()).toEqual([]);
  });

  it('sweep now', async () => {
    const { registry, clock, held } = gateway();
    registry.maps.sockets.set('a', 1);
    await clock.advance(3_600_000 - 1);
    held.isHeld = false;
    const address = await served(registry, { allow: 'actions' });
    await clock.advance(1);
    const swept = await send(`${address}/sweep`, { sweep: 'now' });
    expect(swept.headers.get('location')).toBe('./?done=swept');
    expect(registry.maps.sockets.size).toBe(0);
    expect(await textAt(`${address}/?done=swept`)).toContain('Swept.');
  });

  it('sweep now, and say that nothing is removed where a registry only observes', async () => {
    const registry = createRegistry({ maps: { runs: {} }, mode: 'observe', clock: createManualClock() });
    const address = await served(registry, { allow: 'actions' });
    const swept = await send(`${address}/sweep`, { sweep: 'now' });
    expect(swept.headers.get('location')).toBe('./?done=observed');
    expect(await textAt(`${address}/?done=observed`)).toContain('nothing was removed');
    registry.stop();
  });

  it('redeliver to the one recipient beside which the button is, the ending that it says', async () => {
    const clock = createManualClock();
    const told: string[] = [];
    let isDown = true;
    const to = (name: string) => (event: { id: string }) => {
      if (isDown) throw new Error('down');
      told.push(`${name} ${JSON.stringify(event.id)}`);
    };
    const registry = createRegistry({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        attempts: 1,
        id: (_: unknown, key: unknown) => String(key),
        deliver: { queue: to('queue'), log: to('log') },
      },
      clock,
    });
    const runs = registry.maps.runs as Map<unknown, unknown>;
    for (const key of ['\ud800', '\ud801']) {
      runs.set(key, 1);
      registry.end(key as never);
    }
    await clock.advance(0);
    isDown = false;
    const address = await served(registry, { allow: 'actions' });
    const page = await textAt(address);
    const handles = [...page.matchAll(/name="letter" value="([^"]+)">Redeliver</g)].map(
      ([, handle]) => handle,
    );
    expect(new Set(handles).size).toBe(4);
    const [first] = page.match(/to <bdi>(queue|log)<\/bdi>/) as RegExpMatchArray;
    await send(`${address}/redeliver`, { letter: handles[0] as string });
    await clock.advance(0);
    expect(told).toEqual([`${first.includes('queue') ? 'queue' : 'log'} "\\ud800"`]);
    expect(registry.deadLetters()).toHaveLength(3);
    registry.stop();
  });

  it('say so when there was not room for all that were to be redelivered', async () => {
    const clock = createManualClock();
    let isDown = true;
    const registry = createRegistry({
      maps: { runs: {} },
      ended: {
        map: 'runs',
        attempts: 1,
        maxPending: 1,
        deliver: () => {
          if (isDown) throw new Error('down');
          return new Promise<void>(() => {});
        },
      },
      clock,
    });
    for (const key of ['a', 'b']) {
      (registry.maps.runs as Map<unknown, unknown>).set(key, 1);
      registry.end(key as never);
      await clock.advance(0);
    }
    isDown = false;
    const address = await served(registry, { allow: 'actions' });
    const sent = await send(`${address}/redeliver`, { letter: 'all' });
    expect(sent.headers.get('location')).toBe('./?done=partly-redelivered');
    expect(await textAt(`${address}/?done=partly-redelivered`)).toContain('Some were given a new round');
    registry.stop();
  });

  it('leave the map open and the maps filtered', async () => {
    const { registry, die, held } = gateway();
    await die('a');
    held.isDown = false;
    const address = await served(registry, { allow: 'actions' });
    const page = await textAt(`${address}/?filter=run&map=runs&done=swept`);
    const actions = [...page.matchAll(/action="\.\/((?:sweep|redeliver)[^"]*)"/g)].map(
      ([, to]) => to as string,
    );
    expect(actions.map((to) => to.split('?')[0])).toEqual(['sweep', 'redeliver', 'redeliver']);
    const locations = await Promise.all(
      actions
        .slice(0, 2)
        .map((to) => send(`${address}/${to.replaceAll('&amp;', '&')}`, { letter: 'all' }))
        .map(async (sent) => (await sent).headers.get('location')),
    );
    expect(locations).toEqual([
      './?filter=run&map=runs&done=swept',
      './?filter=run&map=runs&done=redelivered',
    ]);
  });

  it('are not there any more when the registry is closed, and say so to a form that is sent all the same', async () => {
    const { registry, die } = gateway();
    await die('a');
    const address = await served(registry, { allow: 'actions' });
    await registry.close();
    expect(await textAt(address)).not.toMatch(/Redeliver|Sweep now/);
    for (const what of ['sweep', 'redeliver']) {
      const { headers } = await send(`${address}/${what}`, { letter: 'all' });
      expect(headers.get('location')).toBe('./?done=closed');
    }
    expect(await textAt(`${address}/?done=closed`)).toContain('nothing is swept or delivered any more');
  });

  it('need a form of our own origin', async () => {
    const { registry, die } = gateway();
    await die('a');
    const address = await served(registry, { allow: 'actions' });
    for (const origin of ['http://evil.example', 'null']) {
      expect((await send(`${address}/redeliver`, { letter: 'all' }, { origin })).status).toBe(403);
    }
    expect((await ask(portOf(address), '/redeliver', 'POST')).status).toBe(403);
    expect(registry.deadLetters()).toHaveLength(1);
  });
});

/** What moves the cursor of a terminal or reverses what follows; the pages have line breaks of their own. */
const unseen = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const hostile = {
  markup: '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>',
  reversed: 'abc\u202etxt.exe\u2066',
  terminal: '\u001b[2J\u009b31m\u0007\n\r',
  long: `<b>${'x'.repeat(1_000_000)}`,
};

/** A registry in which all that may be anybody's is this. */
async function hostileRegistry(text: string) {
  const clock = createManualClock();
  const name = text.slice(0, 100);
  const thrown = Object.assign(new Error(text), { name: text });
  const registry = createRegistry<Record<string, Map<string, string>>>({
    name,
    maps: {
      [name]: {
        dispose: () => {
          throw thrown;
        },
      },
    } as never,
    ended: {
      map: name,
      attempts: 1,
      id: (_: unknown, key: unknown) => String(key),
      deliver: {
        [name]: () => {
          throw thrown;
        },
      },
    } as never,
    clock,
  });
  const map = registry.maps[name] as unknown as Map<string, string>;
  map.set(text, text);
  map.set(`${text}2`, text);
  registry.end(`${text}2` as never, { reason: text.slice(0, 100) });
  await clock.advance(0);
  return { registry, search: `?map=${encodeURIComponent(name)}&filter=${encodeURIComponent(name)}` };
}

describe.each(Object.keys(hostile) as (keyof typeof hostile)[])(
  'hostile keys, names and errors: %s',
  (kind) => {
    it('are shown escaped and cut', async () => {
      const { registry, search } = await hostileRegistry(hostile[kind]);
      const address = await served(registry, { allow: 'actions' });
      for (const query of ['', search, `?map=${encodeURIComponent(hostile[kind].slice(0, 100))}`]) {
        const page = await textAt(`${address}/${query}`);
        expect(page.match(/<(script|style|img|b)\b[^>]*>/g)).toEqual(['<script src="./page.js">']);
        expect(page).not.toMatch(/ (style|on\w+)=(?!&)"/);
        expect(page).not.toMatch(unseen);
        expect(page.length).toBeLessThan(30_000);
      }
      const opened = wordsOf(
        await textAt(`${address}/?map=${encodeURIComponent(hostile[kind].slice(0, 100))}`),
      );
      expect(opened).toContain('Longest there');
      for (const file of ['report.json', 'report.txt']) {
        const text = await textAt(`${address}/${file}${search}`);
        expect(text).not.toMatch(unseen);
        expect(text.length).toBeLessThan(30_000);
      }
    });
  },
);

it('a query is read as it was written, also of a map that is called as a state or an order is', () => {
  for (const search of ['?map=any', '?map=worst', '?filter=any&map=x', '?state=leaking&sort=size&page=2', ''])
    expect(searchOf(readQuery(search))).toBe(search);
});

it('a filter is cut: it is in the address of each map', () => {
  expect(readQuery(`filter=${'x'.repeat(10_000)}`).filter).toHaveLength(128);
});

it('a query stays within the attribute that shows it', async () => {
  const filter = '" autofocus onfocus="alert(1)';
  const page = await textAt(`${await served(gateway().registry)}/?filter=${encodeURIComponent(filter)}`);
  expect(page).toContain('value="&quot; autofocus onfocus=&quot;alert(1)"');
});

describe('what is secret', () => {
  const everything = async (address: string) =>
    (
      await Promise.all(
        ['', 'report.json', 'report.txt'].map((file) => textAt(`${address}/${file}?map=runs`)),
      )
    ).join('\n');

  it('never shows a value', async () => {
    const { registry, die } = gateway();
    registry.maps.runs.set('there', { secret: 'a value' });
    await die('dead');
    expect(await everything(await served(registry))).not.toMatch(/a value|secret/);
  });

  it('shows keys, and with masked neither keys nor ids, reasons of your own nor messages', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { runs: { maxIdle: '1h' } },
      ended: {
        map: 'runs',
        attempts: 1,
        id: (_: unknown, key: unknown) => `id of ${key}`,
        deliver: ({ key }) => {
          // Whoever throws a text may name a key as well.
          if (key === 'key-0') throw `no ${key}`;
          throw Object.assign(new TypeError(`no ${key}`), { name: 'HTTP_404$' });
        },
      },
      clock,
    });
    registry.maps.runs.set('key-0', 1);
    registry.end('key-0', { reason: 'swap of key-0' });
    registry.maps.runs.set('key-1', 1);
    registry.end('key-1');
    registry.maps.runs.set('key-2', 1);
    await clock.advance(0);
    const shown = await everything(await served(registry));
    expect(shown).toMatch(/'key-2'[\s\S]*id of key-1/);
    expect(shown).toContain('swap of key-0; attempts-exhausted');
    const masked = await served(registry, { keys: 'masked' });
    const text = await everything(masked);
    expect(text).not.toContain('key-');
    expect(text).toContain('(masked)');
    expect(text).toContain('HTTP_404$');
    // A reason of our own may name a key; one that we know does not.
    expect(text).toContain('(masked); attempts-exhausted');
    expect(text).toContain('completed; attempts-exhausted');
    const found = await send(`${masked}/find?map=runs`, { key: 'key-2' });
    expect(found.headers.get('location')).toMatch(/entry=\d+-[\w-]+$/);
  });

  it('shows what deliveries, beforeSweep and policy functions fail with, and with masked only the names of the errors', async () => {
    const clock = createManualClock();
    const failing = (value: unknown): never => {
      throw new TypeError(`no ${value}`);
    };
    const registry = createRegistry({
      maps: {
        runs: { maxIdle: '1h' },
        rows: { ttl: '1m', beforeSweep: failing },
        unclear: { ttl: '1m', since: failing },
        guarded: { ttl: '1m', keepWhile: failing },
      },
      ended: { map: 'runs', deliver: { mail: ({ value }) => failing(value) } },
      clock,
    });
    registry.on('callback-failed', () => {});
    registry.maps.runs.set('r', 'key-1');
    registry.end('r');
    for (const map of ['rows', 'unclear', 'guarded'] as const) registry.maps[map].set('r', 'key-1');
    await clock.advance(1_200_000);
    const shown = await served(registry);
    const open = async (address: string) =>
      Promise.all(
        ['', '&map=rows', '&map=unclear', '&map=guarded'].flatMap((query) =>
          ['', 'report.txt', 'report.json'].map((of) => textAt(`${address}/${of}?${query}`)),
        ),
      );
    for (const text of await open(shown)) {
      expect(text).toMatch(/[1-9] pending \(last error: TypeError: no key-1\)|"error":"TypeError: no key-1"/);
      expect(text).toContain('Worth a look');
    }
    const masked = await open(await served(registry, { keys: 'masked' }));
    for (const text of masked) expect(text).not.toContain('key-1');
    expect(masked[1]).toContain('to mail: 0 delivered, 1 pending (last error: TypeError)');
    expect(masked[4]).toContain('last error in this map: TypeError;');
    expect(masked[7]).toContain('its since fails (TypeError)');
    expect(masked[10]).toContain('keepWhile (failing) fails (TypeError)');
    registry.stop();
  });

  it('shows no key of a leader with masked', async () => {
    const registry = createRegistry({
      maps: {
        sessions: { maxIdle: '1h' },
        runs: { follows: { map: 'sessions', key: ({ session }: { session: string }) => session } },
      },
      clock: createManualClock(),
    });
    registry.maps.sessions.set('key-1', 1);
    registry.maps.runs.set('r', { session: 'key-1' });
    expect(await everything(await served(registry))).toContain("in 'sessions' under 'key-1'");
    const text = await everything(await served(registry, { keys: 'masked' }));
    expect(text).toContain("in 'sessions' under (masked)");
    expect(text).not.toContain('key-1');
  });
});

describe('a journal that fails', () => {
  /** All that the page says while the journal does not take a record. */
  const everything = async (
    options: { keys?: 'masked' },
    fail = (volume: MemoryVolume) => {
      volume.beforeWrite = () => {
        throw new RangeError('there is a key-1 already');
      };
    },
  ) => {
    const volume = new MemoryVolume();
    const clock = createManualClock();
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: { persist: true } },
      persistTo: openNow(volume.open(), { maxWaitMs: 5_000 }),
      clock,
    });
    const address = await served(registry, options);
    fail(volume);
    registry.maps.runs.set('key-1', 1);
    await clock.advance(120_000);
    const told = await Promise.all(
      ['', 'report.json', 'report.txt'].map((file) => textAt(`${address}/${file}`)),
    );
    registry.stop();
    return told.join('\n');
  };

  it('is told of with its error, and with `masked` without the message, in the reasons too', async () => {
    expect(await everything({})).toMatch(/has taken nothing for 2m: RangeError: there is a key-1 already/);
    const masked = await everything({ keys: 'masked' });
    expect(masked).toMatch(/has taken nothing for 2m: RangeError</);
    expect(masked).toContain('The last attempt failed: RangeError');
    expect(masked).not.toContain('key-1');
  });

  it('is told of with `masked` by its figures as they are, whatever it throws', async () => {
    const masked = await everything({ keys: 'masked' }, (volume) => {
      volume.beforeWrite = () => {
        throw 2;
      };
    });
    expect(masked).toMatch(/has taken nothing for 2m: \(masked\)</);
  });

  it('is no longer of this process, and why, when it is lost; of which `masked` says the name of the error', async () => {
    const lose = (volume: MemoryVolume) => volume.takeAway();
    const shown = wordsOf(await everything({}, lose));
    expect(shown).toContain(
      "is no longer this process's, which writes and delivers nothing more: MapsweepError: the",
    );
    expect(shown).toContain("It is no longer this process's: nothing more is written.");
    const masked = wordsOf(await everything({ keys: 'masked' }, lose));
    expect(masked).toMatch(/which writes and delivers nothing more: MapsweepError\n/);
  });
});

describe('the options', () => {
  it.each([
    ['no registry', () => statusPage({} as never), /registry must be a registry/],
    [
      'a short token',
      () => statusPage(gateway().registry, { token: 'short' }),
      /token must be a string of 16 to/,
    ],
    [
      'a token beside authorize',
      () => statusPage(gateway().registry, { token, authorize: () => true }),
      /authorize/,
    ],
    [
      'a token of which there is no value, as of a variable that is not set',
      () => statusPage(gateway().registry, { token: process.env.MAPSWEEP_NOT_SET, allow: 'actions' }),
      /^token is undefined, .* or leave token out/,
    ],
    [
      'a function of which there is no value',
      () => statusPage(gateway().registry, { authorize: undefined }),
      /^authorize is undefined, .* or leave authorize out/,
    ],
    [
      'an empty token',
      () => statusPage(gateway().registry, { token: '' }),
      /token must be .* of 0 characters/,
    ],
    [
      'another permission',
      () => statusPage(gateway().registry, { allow: 'all' as never }),
      /allow must be 'actions'/,
    ],
    [
      'another way to show keys',
      () => statusPage(gateway().registry, { keys: 'no' as never }),
      /keys must be/,
    ],
    ['too many refreshes', () => statusPage(gateway().registry, { refresh: '10ms' }), /refresh must be/],
    [
      'a misspelt option',
      () => statusPage(gateway().registry, { tokn: token } as never),
      /Did you mean 'token'/,
    ],
  ])('are checked at once: %s', (_, call, message) => {
    expect(call).toThrow(message);
  });

  it('take one of token and authorize beside the other that has no value', async () => {
    for (const options of [
      { token, authorize: undefined },
      { token: undefined, authorize: () => false },
    ]) {
      const response = await fetch(await served(gateway().registry, options));
      expect(response.ok).toBe(false);
    }
  });

  it('say nothing of the token when it is too short', () => {
    expect(() => statusPage(gateway().registry, { token: 'hunter2' })).not.toThrow(/hunter2/);
  });
});
