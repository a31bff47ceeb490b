import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import type { Registry, RegistryReport } from 'mapsweep';
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
  const auth = scrapeToken === undefined ? 'gateway' : 'plugin';
  const route = (path: string, answer: Answer): Route => ({
    path,
    auth,
    match: 'exact',
    handler: async (request, response) => {
      const now = shown();
      if (scrapeToken !== undefined && !isBearer(request, scrapeToken)) {
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
    route('/mapsweep/metrics', ({ register }, request, response) =>
      metricsHandler(register)(request, response),
    ),
    route('/mapsweep/report', sendReport),
  ];
}

type Answer = (shown: Shown, request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

function sendReport({ registry }: Shown, { method }: IncomingMessage, response: ServerResponse): void {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    refuse(response, 405, 'Method not allowed');
    return;
  }
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  const body = JSON.stringify(plainReport(registry.report()));
  response.end(method === 'HEAD' ? undefined : body);
}

function refuse(response: ServerResponse, statusCode: number, why: string): void {
  response.statusCode = statusCode;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(`${why}\n`);
}

/** Compares digests: equal in length, so that the time taken tells neither the token's length nor its beginning. */
function isBearer({ headers }: IncomingMessage, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(token));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A report as JSON can carry it: a key may be any object, with secrets and circles in it, so it is named only. */
function plainReport(report: RegistryReport): object {
  return {
    ...report,
    maps: report.maps.map((map) => ({
      ...map,
      oldest: map.oldest.map((entry) => ({ ...entry, key: named(entry.key) })),
    })),
  };
}

function named(key: unknown): unknown {
  if (typeof key === 'string' || typeof key === 'number' || typeof key === 'boolean') return key;
  return inspect(key, { depth: -1, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 80 });
}
