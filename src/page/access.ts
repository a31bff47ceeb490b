import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/*
 * Who may see the page, and who may do something on it. Nothing here reads or writes anything: it is given what a
 * request says of itself.
 */

/** What a request says of where it comes from. */
export interface Origin {
  /** The address of the peer; `undefined` of a Unix socket and of a connection that is closed. */
  readonly remoteAddress: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** Returns why a request does not come from this machine, as far as it can tell; `undefined` if it does. */
export function whyNotLocal({ remoteAddress, headers }: Origin): string | undefined {
  if (remoteAddress === undefined) return 'the peer has no address, as on a Unix socket';
  if (!isLoopbackAddress(remoteAddress)) return 'the peer is not on this machine';
  const forwarded = Object.keys(headers).find(isForwarding);
  if (forwarded !== undefined) return `the request was forwarded: it bears ${forwarded}`;
  // Another name may be that of a site which has it point to this machine.
  if (!isLoopbackHost(hostIn(headers))) return 'the host of the request is no loopback name';
  return undefined;
}

const isLoopbackAddress = (address: string): boolean =>
  /^(::ffff:)?127(\.\d{1,3}){3}$/i.test(address) || address === '::1';

const isForwarding = (header: string): boolean => /^(forwarded|via|x-real-ip|x-forwarded-.*)$/i.test(header);

const isLoopbackHost = (host: string | undefined): boolean =>
  host !== undefined && /^((.+\.)?localhost|127(\.\d{1,3}){3}|\[::1\])\.?(:\d{1,5})?$/i.test(host);

/**
 * Returns why a request was made by another site; `undefined` if that does not show.
 *
 * @param mustShow whether it has to say that it was made by a page of ours, as browsers do when they send a form
 */
export function whyForeign({ headers }: Origin, mustShow: boolean): string | undefined {
  const { origin } = headers;
  if (origin === undefined) {
    if (mustShow) return 'the request does not say its origin';
  } else if (hostOf(origin) === undefined || hostOf(origin) !== hostIn(headers)?.toLowerCase()) {
    return `${madeElsewhere}, or a proxy between does not pass on the header Host`;
  }
  const site = headers['sec-fetch-site'];
  const isOurs = site === undefined || site === 'same-origin' || site === 'none';
  // A link from elsewhere may lead here: whoever follows it sees the page, and the other site does not.
  const isFollowed =
    !mustShow && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return isOurs || isFollowed ? undefined : madeElsewhere;
}

const madeElsewhere = 'the request was made by another site';

/** Whom a request asked for; HTTP/2 has a name of its own for it. */
const hostIn = (headers: IncomingHttpHeaders): string | undefined =>
  headers.host ?? (headers[':authority'] as string | undefined);

/** The host of an origin, as the header Host has it: a proxy may have changed the scheme, never what was asked for. */
const hostOf = (origin: string): string | undefined =>
  /^https?:\/\/([^/@]+)$/i.exec(origin)?.[1]?.toLowerCase();

/** Returns whether two texts are the same, in a time that says nothing of where they differ. */
export function isSameSecret(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Returns what the cookie holds: made of the token, so that it outlives a restart, and not the token itself. */
export const passOf = (token: string): string => keyed(token, 'mapsweep status page');

/**
 * Returns the name of the cookie in which a browser that was given the token shows it again: another one for each token,
 * since cookies know no ports, and of two services on one host the one would take the place of the other's.
 */
export const cookieNameOf = (token: string): string =>
  `mapsweep-${keyed(token, 'mapsweep cookie name').slice(0, 8)}`;

const keyed = (token: string, purpose: string): string =>
  createHmac('sha256', token).update(purpose).digest('base64url');

/** Returns whether a request bears the pass of a token in its cookie. */
export function bearsPass({ headers }: Origin, token: string): boolean {
  const pass = passOf(token);
  const start = `${cookieNameOf(token)}=`;
  const cookies = (headers.cookie ?? '').split(';').map((cookie) => cookie.trim());
  return cookies.some((cookie) => cookie.startsWith(start) && isSameSecret(cookie.slice(start.length), pass));
}

/** Returns whether a request bears the token itself in its header Authorization, as a program sends it. */
export function bearsToken({ headers }: Origin, token: string): boolean {
  const [, given] = /^Bearer +(.+)$/i.exec(headers.authorization ?? '') ?? [];
  return given !== undefined && isSameSecret(given, token);
}

/**
 * Returns the cookie for a token, for the folder of the page and as long as the browser runs.
 *
 * @param isEncrypted whether it came over TLS, and is to travel over nothing else
 */
export const cookieFor = (token: string, isEncrypted: boolean): string =>
  `${cookieNameOf(token)}=${passOf(token)}; HttpOnly; SameSite=Strict${isEncrypted ? '; Secure' : ''}`;
