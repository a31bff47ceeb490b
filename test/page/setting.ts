import { createServer } from 'node:http';
import { createRegistry, type Registry } from 'mapsweep';
import { type StatusPageOptions, statusPage } from 'mapsweep/page';
import { createManualClock } from 'mapsweep/testing';
import { internalsOf, type RegistryInternals } from '../../src/registry/internals.ts';
import { listening } from '../http/serving.ts';

/** A registry that has something of everything: a leader and its companion, a guard, endings that die, a failure. */
export function gateway() {
  const clock = createManualClock();
  const held = { isHeld: true, isDown: true };
  const registry = createRegistry({
    maps: {
      runs: {
        ttl: '5m',
        since: (run: { endedAt?: number; secret?: string }) => run.endedAt,
        maxIdle: '24h',
        maxEntries: 1_000,
      },
      contexts: { follows: 'runs' },
      sockets: { maxIdle: '1h', keepWhile: () => held.isHeld },
      'per/user?': {},
    },
    ended: {
      map: 'runs',
      attempts: 1,
      deliver: () => {
        if (held.isDown) throw new Error('the queue is down <b>');
      },
    },
    captureSites: 1,
    clock,
  });
  /** Ends a run whose word does not arrive. */
  const die = async (key: string) => {
    registry.maps.runs.set(key, { secret: 'a value' });
    registry.end(key, { reason: 'completed' });
    await clock.advance(0);
  };
  return { clock, held, registry, die };
}

/** A registry in which one map has grown for so many hours, and another has not. */
export async function leaking(hours: number, name = 'runs') {
  const clock = createManualClock();
  const registry = createRegistry<Record<string, Map<string, number>>>({
    maps: { [name]: {}, quiet: {} } as never,
    clock,
  });
  const grow = async (count: number) => {
    const map = registry.maps[name] as unknown as Map<string, number>;
    for (let minute = 0; minute < count * 60; minute += 1) {
      for (let run = 0; run < 5; run += 1) map.set(`run-${map.size}`, run);
      await clock.advance(60_000);
    }
  };
  await grow(hours);
  return { clock, registry, grow };
}

/** A registry of which one map, `tokens`, has another figure in each column. */
export async function distinct() {
  const clock = createManualClock();
  const registry = createRegistry<Record<string, Map<string, number>>>({
    maps: {
      sessions: {},
      tokens: {
        follows: 'sessions',
        ttl: '1h',
        keepWhile: (value: number) => value === 1,
        beforeSweep: (value: number) => (value === 2 ? new Promise(() => {}) : undefined),
        weigh: () => 1_000,
      },
    } as never,
    clock,
  });
  const { sessions, tokens } = registry.maps as unknown as Record<'sessions' | 'tokens', Map<string, number>>;
  const add = (count: number, value: number, hasLeader = true) => {
    for (let index = 0; index < count; index += 1) {
      const key = `${value}-${index}`;
      if (hasLeader) sessions.set(key, 0);
      tokens.set(key, value);
    }
  };
  // Three are guarded and four wait.
  add(3, 1);
  add(4, 2);
  await clock.advance(2 * 3_600_000);
  add(2, 3);
  add(6, 4, false);
  for (const key of ['3-0', '3-1']) registry.hold('tokens', key);
  await clock.advance(60_000);
  return registry;
}

/** Serves the page of a registry, and returns its address without a slash at its end. */
export async function served(registry: unknown, options?: StatusPageOptions): Promise<string> {
  const port = await listening(createServer(statusPage(registry as Registry, options)));
  return `http://127.0.0.1:${port}`;
}

export const textAt = async (address: string, init?: RequestInit): Promise<string> =>
  (await fetch(address, init)).text();

/** The page as data. */
// biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is what the tests look at.
export const dataAt = async (address: string): Promise<any> => (await fetch(address)).json();

/** Sends a form as a page of ours would, and does not follow where it leads. */
export function send(
  address: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Response> {
  const body = Object.entries(fields)
    .map(([name, value]) => `${name}=${value}\r\n`)
    .join('');
  const origin = new URL(address).origin;
  return fetch(address, {
    method: 'POST',
    redirect: 'manual',
    body,
    headers: { origin, 'content-type': 'text/plain', ...headers },
  });
}

/** What is between the tags of a page, with the entities read. */
export const wordsOf = (page: string): string =>
  page
    .replace(/<[^>]*>/g, '')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');

export const partsOf = (registry: unknown): RegistryInternals => internalsOf(registry) as RegistryInternals;
