/** What the blocks of the README presume, and what they are asked when they have run. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import express from 'express';
import { createRegistry, type EndedEvent, type Registry, type RemovalReason } from 'mapsweep';
import type { Pool } from 'pg';

export { createRegistry, finished, type RemovalReason };

export interface Session {
  user: string;
}

/** As far as the recipe goes, that of the MCP SDK. */
export interface Transport {
  handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void>;
  close(): void;
}

export interface Pending {
  resolve(answer: string): void;
  reject(error: Error): void;
}

export interface Job {
  finishedAt?: number;
  isAnnounced: boolean;
}

export interface Visits {
  count: number;
  until: number;
}

export interface Thumbnail {
  session: string;
}

export const app = express();
export const server: HttpServer = createServer();
const disposed: unknown[] = [];
export const registry: Registry = createRegistry({
  maps: {
    sessions: { maxIdle: '30m', dispose: (_value: unknown, key: unknown) => void disposed.push(key) },
    listeners: {},
  },
});
export const connectionString = process.env.DATABASE_URL ?? '';
export const leaving = new AbortController();

const deleted: string[] = [];
export const deleteRows = async (ids: string[]): Promise<void> => void deleted.push(...ids);
const announced: string[] = [];
export const announce = async ({ id, reason }: EndedEvent<string, Job>): Promise<void> =>
  void announced.push(`${id} ${reason}`);

/** Serves `app` while something is asked of it. */
async function whileServed(ask: (url: string) => Promise<void>): Promise<void> {
  const served = app.listen(0, '127.0.0.1');
  await once(served, 'listening');
  await ask(`http://127.0.0.1:${(served.address() as AddressInfo).port}`);
  served.close();
}

/** The maps of a recipe, by the name that it gives its registry. */
const mapsOf = ({ registry: made }: Readonly<Record<string, unknown>>) =>
  (made as Registry).maps as Readonly<Record<string, Map<unknown, unknown>>>;

export const afterwards: Readonly<
  Record<string, (names: Readonly<Record<string, unknown>>) => Promise<void>>
> = {
  Prometheus: () =>
    whileServed(async (url) => {
      const scraped = await (await fetch(`${url}/metrics`)).text();
      assert.match(scraped, /^mapsweep_entries\{map="sessions",registry="default"\} 0$/m);
    }),

  'MCP transports, with holds': async (names) => {
    const made = names.registry as Registry;
    let finish = (): void => {};
    const transport: Transport = {
      handleRequest: async (_request, response) => {
        response.flushHeaders();
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        response.end('done');
      },
      close: () => {},
    };
    mapsOf(names).transports?.set('a', transport);
    const isHeld = () => made.report().maps[0]?.held;
    await whileServed(async (url) => {
      const unknown = await fetch(`${url}/mcp`, { headers: { 'mcp-session-id': 'b' } });
      assert.equal(unknown.status, 404);
      const answer = await fetch(`${url}/mcp`, { headers: { 'mcp-session-id': 'a' } });
      assert.equal(isHeld(), 1);
      finish();
      assert.equal(await answer.text(), 'done');
      while (isHeld() !== 0) await new Promise(setImmediate);
    });
  },

  'Pending requests that are rejected': async (names) => {
    const ask = names.ask as (id: string) => Promise<string>;
    const answer = names.answer as (id: string, text: string) => unknown;
    const { pending } = mapsOf(names);
    const answered = ask('a');
    // Of a promise that is resolved a rejection would not show.
    const rejected: Error[] = [];
    Object.assign(pending?.get('a') as Pending, { reject: (error: Error) => void rejected.push(error) });
    answer('a', 'yes');
    answer('a', 'no');
    assert.equal(await answered, 'yes');
    assert.deepEqual([rejected, pending?.size], [[], 0]);
    const refused = assert.rejects(ask('b'), { message: 'b: no answer, closed' });
    await (names.registry as Registry).close({ dispose: true });
    await refused;
  },

  'Across a restart': async (names) => {
    const first = names.registry as Registry;
    first.detach();
    const next = createRegistry({
      maps: {
        sessions: { persist: { encode: (session: Session) => session, decode: (json) => json as Session } },
      },
      persistTo: './journal',
    });
    assert.deepEqual(next.maps.sessions.get('a'), { user: 'ann' });
    await next.close();
  },

  'Jobs with their own table': async (names) => {
    const made = names.registry as Registry;
    mapsOf(names).jobs?.set('job-1', { finishedAt: Date.now() - 3_700_000, isAnnounced: false });
    mapsOf(names).jobs?.set('job-2', { isAnnounced: false });
    await made.sweep();
    while (announced.length === 0) await new Promise(setImmediate);
    assert.deepEqual([deleted, announced], [['job-1'], ['job-1 swept']]);
    await made.close();
  },

  'A rate limiter': async (names) => {
    const isTooMuch = names.isTooMuch as (address: string) => boolean;
    const answers = Array.from({ length: 101 }, () => isTooMuch('10.0.0.1'));
    assert.equal(answers.indexOf(true), 100);
    assert.equal(isTooMuch('10.0.0.2'), false);
    mapsOf(names).visits?.set('10.0.0.1', { count: 101, until: Date.now() - 1_000 });
    assert.equal(isTooMuch('10.0.0.1'), false);
  },

  'Caches as companions, cron keys by pattern': async (names) => {
    const { sessions, avatars, thumbnails } = mapsOf(names);
    sessions?.set('agent:main:1', {}).set('cron:daily:run:1', {});
    avatars?.set('cron:daily:run:1', {});
    thumbnails?.set('t', { session: 'cron:daily:run:1' }).set('u', { session: 'agent:main:1' });
    const made = names.registry as Registry;
    assert.match(made.explain('sessions', 'agent:main:1').why, /^its rule has no lifetime|no lifetime/);
    assert.equal(made.explain('sessions', 'cron:daily:run:1').rule, 'rules[0].maxIdle');
    sessions?.delete('cron:daily:run:1');
    assert.deepEqual([avatars?.size, [...(thumbnails?.keys() ?? [])]], [0, ['u']]);
  },

  Shutdown: async () => {
    mapsOf({ registry }).sessions?.set('live', {});
    process.kill(process.pid, 'SIGTERM');
    while (process.exitCode === undefined) await new Promise(setImmediate);
    assert.equal(process.exitCode, 0);
    assert.deepEqual(disposed, ['live']);
  },

  'Several processes': async (names) => {
    const made = names.registry as Registry;
    const pool = names.pool as Pool;
    await pool.query('create table runs (id text, over boolean)');
    await pool.query("insert into runs values ('run-7', false)");
    mapsOf(names).runs?.set('run-7', {});
    made.end('run-7');
    await made.close();
    const isOver = async (): Promise<boolean> => (await pool.query('select over from runs')).rows[0].over;
    while (!(await isOver())) await new Promise((resolve) => setTimeout(resolve, 20));
    leaving.abort();
    await names.draining;
    await pool.end();
  },
};
