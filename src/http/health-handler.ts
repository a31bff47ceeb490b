import type { RegistryMaps } from '../maps/collection-types.js';
import { readOneOf, readOptions } from '../policy/read-options.js';
import { isSweeperSilent } from '../registry/health.js';
import { partsOf, type RegistryInternals } from '../registry/internals.js';
import type { Registry } from '../registry/registry.js';
import { realSetTimeout } from '../time/real-timers.js';
import { type Answer, type Handler, handlerOf, plainText } from './answer.js';

const views = ['live', 'ready', 'detail'] as const;
type View = (typeof views)[number];

/** The options of `healthHandler`. */
export interface HealthHandlerOptions {
  /**
   * What is answered. Default: by the last part of the path, `/live`, `/ready`, and `detail` for any other; in any case, and
   * also if the handler is mounted there.
   *
   * - `live`: 503 if the process should be restarted: the sweeper stands still. Nothing else that goes wrong here is mended by
   *   a restart, and a leak, dead letters or a full disk least of all
   * - `ready`: 503 if the registry is `failing`: the sweeper or the journal stands still
   * - `detail`: the same, with what is wrong, as JSON: `{ "status": "warning", "reasons": ["the map 'runs' leaks"] }`. It
   *   names maps, and the folder of the journal
   */
  show?: View;
}

/**
 * A handler that says how a registry is doing: `createServer(handler)` of `node:http`, `app.use('/health', handler)` of
 * Express, `fastify.get('/health/*', handler)`.
 *
 * What `live` and `ready` answer is one word, `ok`, `warning` or `failing`; a warning is 200. Methods other than GET
 * and HEAD are answered with 405. No answer is to be stored, and HEAD has none of the body.
 *
 * @throws MapsweepTypeError if an argument is wrong
 */
export function healthHandler<M extends RegistryMaps>(
  registry: Registry<M>,
  options: HealthHandlerOptions = {},
): Handler {
  const parts = partsOf(registry);
  const { show } = readOptions('', options, { show: (value, option) => readOneOf(value, option, views) });
  return handlerOf(async ({ url, originalUrl }) => {
    await untilTicked(parts);
    return answers[show ?? viewOf(url) ?? viewOf(originalUrl) ?? 'detail'](
      registry as Pick<Registry, 'health'>,
      parts,
    );
  });
}

const answers: Record<View, (registry: Pick<Registry, 'health'>, parts: RegistryInternals) => Answer> = {
  live: (_, parts) => word(isSweeperSilent(parts) ? 'failing' : 'ok'),
  ready: (registry) => word(registry.health().status),
  detail: (registry) => {
    const { status, reasons } = registry.health();
    const headers = { 'Content-Type': 'application/json; charset=utf-8' };
    return { statusCode: statusCodeOf(status), headers, body: `${JSON.stringify({ status, reasons })}\n` };
  },
};

const statusCodeOf = (status: string): number => (status === 'failing' ? 503 : 200);

const word = (status: string): Answer => ({
  statusCode: statusCodeOf(status),
  headers: plainText,
  body: `${status}\n`,
});

/** The view that the last part of a path names. */
function viewOf(url = ''): View | undefined {
  const [path = ''] = url.split('?');
  const last = path.split('/').findLast((part) => part !== '');
  return views.find((view) => view === last?.toLowerCase());
}

/** A loop that was blocked may come to the request before it comes to the tick that is late: that gets its turn first. */
async function untilTicked(parts: RegistryInternals): Promise<void> {
  // In real time, also in a test whose timers stand still: the request that waits for it is a real one.
  if (isSweeperSilent(parts)) await new Promise((resolve) => realSetTimeout(resolve, 0));
}
