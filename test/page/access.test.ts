import { describe, expect, it } from 'vitest';
import {
  bearsPass,
  cookieFor,
  cookieNameOf,
  isSameSecret,
  passOf,
  whyForeign,
  whyNotLocal,
} from '../../src/page/access.ts';

const local = (headers: Record<string, string> = {}, remoteAddress: string | undefined = '127.0.0.1') => ({
  remoteAddress,
  headers: { host: 'localhost:9464', ...headers },
});

describe('whyNotLocal', () => {
  it.each(['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1'])(
    'takes a peer at %s',
    (address) => {
      expect(whyNotLocal(local({}, address))).toBeUndefined();
    },
  );

  it.each(['10.0.0.1', '128.0.0.1', '::2', 'fe80::1', '::ffff:10.0.0.1', '1127.0.0.1', '127.0.0.1.evil', ''])(
    'refuses a peer at %j',
    (address) => {
      expect(whyNotLocal(local({}, address))).toMatch(/peer/);
    },
  );

  it('refuses a peer without an address, as on a Unix socket', () => {
    expect(whyNotLocal({ remoteAddress: undefined, headers: { host: 'localhost' } })).toMatch(/Unix socket/);
  });

  it.each([
    'localhost',
    'localhost:80',
    'LOCALHOST:80',
    'app.localhost',
    '127.0.0.1:9464',
    '[::1]',
    '[::1]:9464',
  ])('takes the host %s', (host) => {
    expect(whyNotLocal(local({ host }))).toBeUndefined();
  });

  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evillocalhost',
    '10.0.0.1',
    '',
    '[::2]',
  ])('refuses the host %j, which may point to this machine', (host) => {
    expect(whyNotLocal(local({ host }))).toMatch(/host/);
  });

  it('refuses a request without a host, and reads that of HTTP/2', () => {
    expect(whyNotLocal({ remoteAddress: '::1', headers: {} })).toMatch(/host/);
    expect(whyNotLocal({ remoteAddress: '::1', headers: { ':authority': 'localhost' } })).toBeUndefined();
  });

  it.each(['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-anything', 'x-real-ip', 'via'])(
    'refuses what a proxy has forwarded: %s',
    (header) => {
      expect(whyNotLocal(local({ [header]: '' }))).toContain(header);
    },
  );
});

describe('whyForeign', () => {
  const own = { host: 'Gateway:9464' };

  it.each([
    ['of the same host', { ...own, origin: 'http://gateway:9464' }, true],
    ['of the same host behind TLS', { ...own, origin: 'https://gateway:9464' }, true],
    [
      'that a browser calls our own',
      { ...own, origin: 'http://gateway:9464', 'sec-fetch-site': 'same-origin' },
      true,
    ],
    ['that does not say where it is from, and only looks', own, false],
    ['that was typed in', { ...own, 'sec-fetch-site': 'none' }, false],
    [
      'that follows a link from elsewhere',
      { ...own, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      false,
    ],
  ])('takes a request %s', (_, headers, mustShow) => {
    expect(whyForeign({ remoteAddress: undefined, headers }, mustShow)).toBeUndefined();
  });

  it.each([
    ['that does not say where it is from, and acts', own, true],
    ['of another host', { ...own, origin: 'http://evil.example' }, false],
    ['of another port', { ...own, origin: 'http://gateway:9465' }, true],
    ['with ours in the name of another', { ...own, origin: 'http://gateway:9464.evil.example' }, true],
    ['with ours as the user of another', { ...own, origin: 'http://gateway:9464@evil.example' }, true],
    ['of no origin', { ...own, origin: 'null' }, true],
    ['with an origin and without a host', { origin: 'http://gateway:9464' }, false],
    [
      'that a browser calls cross-site',
      { ...own, origin: 'http://gateway:9464', 'sec-fetch-site': 'cross-site' },
      true,
    ],
    [
      'that another site loads as a picture',
      { ...own, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
      false,
    ],
    [
      'that another site frames',
      { ...own, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      false,
    ],
    [
      'with which another site navigates to an action',
      { ...own, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      true,
    ],
  ])('refuses a request %s', (_, headers, mustShow) => {
    expect(whyForeign({ remoteAddress: undefined, headers }, mustShow)).toMatch(/origin|another site/);
  });
});

it('a refusal of another origin hints at a proxy that has changed the host', () => {
  const headers = { host: '127.0.0.1:9465', origin: 'https://ops.example' };
  expect(whyForeign({ remoteAddress: undefined, headers }, true)).toMatch(/another site, or a proxy .*Host/);
});

describe('the pass', () => {
  const token = 'correct horse battery';
  const name = cookieNameOf(token);
  const bearing = (cookie: string) => ({ remoteAddress: undefined, headers: { cookie } });

  it('is made of the token, and is not the token', () => {
    expect(passOf(token)).not.toContain('horse');
    expect(passOf(token)).not.toBe(passOf(`${token} `));
    expect(bearsPass(bearing(`other=1; ${name}=${passOf(token)}`), token)).toBe(true);
  });

  it.each([
    `${name}=${token}`,
    `${name}=`,
    '',
    `mapsweep=${passOf(token)}`,
    `${name}x=${passOf(token)}`,
    `${name}=${passOf('another token, as long')}`,
  ])('is not borne by the cookie %s', (cookie) => {
    expect(bearsPass(bearing(cookie), token)).toBe(false);
  });

  it('is for no script, for no other site, and over TLS for nothing else', () => {
    expect(cookieFor(token, false)).toMatch(/^mapsweep-[\w-]{8}=[\w-]+; HttpOnly; SameSite=Strict$/);
    expect(cookieFor(token, true)).toMatch(/; Secure$/);
  });

  it('has a cookie for each token, since two services on one host share them, and its name tells no token', () => {
    const names = [token, `${token}.`, 'another token, as long'].map(cookieNameOf);
    expect(new Set(names).size).toBe(3);
    for (const of of names) expect(of).not.toMatch(/correct|horse|another/);
    expect(passOf(token)).not.toContain(name.slice('mapsweep-'.length));
  });

  it('is compared whatever the lengths are', () => {
    expect(isSameSecret('a', 'a')).toBe(true);
    for (const [one, other] of [
      ['a', 'ab'],
      ['ab', 'a'],
      ['', 'a'],
      ['a', ''],
      ['a', 'A'],
    ] as const)
      expect(isSameSecret(one, other)).toBe(false);
  });
});
