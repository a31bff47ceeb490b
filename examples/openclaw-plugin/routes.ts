import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from 'mapsweep';
import { statusPage } from 'mapsweep/page';
import { metricsHandler } from 'mapsweep/prometheus';
import type { Registry as MetricsRegister } from 'prom-client';
import type { Route } from './gateway-api.ts';

/** What the routes show. */
export interface Shown {
  readonly registry: Registry;
  readonly register: MetricsRegister;
}

/**
 * The routes of the plugin. Without a token of their own the gateway authenticates each request by its own rules, whatever
 * they are; with one, this token alone opens them, so that Prometheus need not hold the key to the whole gateway.
 *
 * @param shown gives what to show, or why there is nothing
 */
export function routesOf(shown: () => Shown | string, scrapeToken: string | undefined): Route[] {
  const isOpen = (request: IncomingMessage): boolean =>
    scrapeToken === undefined || isBearer(request, scrapeToken);
  const route = (path: string, match: Route['match'], answer: Answer): Route => ({
    path,
    auth: scrapeToken === undefined ? 'gateway' : 'plugin',
    match,
    handler: async (request, response) => {
      const now = shown();
      // A browser bears no token: the page itself asks for it.
      if (match === 'exact' && !isOpen(request)) {
        response.setHeader('WWW-Authenticate', 'Bearer');
        refuse(response, 401, 'Unauthorized');
      } else if (typeof now === 'string') {
        refuse(response, 503, `mapsweep: ${now}`);
      } else {
        await answer(now, request, response);
      }
      return true;
    },
  });
  return [
    route('/mapsweep/metrics', 'exact', ({ register }, request, response) =>
      metricsHandler(register)(request, response),
    ),
    route('/mapsweep/report', 'exact', sendReport),
    route('/mapsweep/page', 'prefix', pageOf(isOpen, scrapeToken)),
  ];
}

type Answer = (shown: Shown, request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** The page, for whoever is let in by the gateway, bears the token, or types it in. */
function pageOf(isOpen: (request: IncomingMessage) => boolean, token: string | undefined): Answer {
  const pages = new WeakMap<Registry, { open: Page; asking: Page }>();
  return ({ registry }, request, response) => {
    let page = pages.get(registry);
    if (page === undefined) {
      const open = statusPage(registry, { authorize: () => true });
      page = { open, asking: token === undefined ? open : statusPage(registry, { token }) };
      pages.set(registry, page);
    }
    return (isOpen(request) ? page.open : page.asking)(request, response);
  };
}

type Page = ReturnType<typeof statusPage>;

function sendReport({ registry }: Shown, { method }: IncomingMessage, response: ServerResponse): void {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    refuse(response, 405, 'Method not allowed');
    return;
  }
  const body = inAscii(JSON.stringify(registry.report()));
  setHeaders(response, 'application/json; charset=utf-8');
  response.end(method === 'HEAD' ? undefined : body);
}

function refuse(response: ServerResponse, statusCode: number, why: string): void {
  response.statusCode = statusCode;
  setHeaders(response, 'text/plain; charset=utf-8');
  response.end(`${why}\n`);
}

/** Nothing of what is answered here is to be kept, or to be taken for a page. */
function setHeaders(response: ServerResponse, type: string): void {
  response.setHeader('Content-Type', type);
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
}

/** JSON without what would move the cursor of a terminal, or reverse a line: names of maps come from the gateway. */
function inAscii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Compares digests: equal in length, so that the time taken tells neither the token's length nor its beginning. */
function isBearer({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(token));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
