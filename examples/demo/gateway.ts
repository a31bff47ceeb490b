/**
 * The gateway: an HTTP server that keeps track of agent runs in four Maps, the way the real one did, with what it
 * forgot. Both sides of the demo run this very code; they differ in the `Registries` they hand it.
 *
 * | request | what it means |
 * | --- | --- |
 * | `POST /runs` | a subagent run is registered |
 * | `POST /runs/:id/events` | the run says something; `type: 'start'` brings its prompt |
 * | `POST /runs/:id/error` | it failed, and may be retried within 15 s |
 * | `POST /runs/:id/restart` | it goes on under a new id |
 * | `POST /runs/:id/end` | it ended |
 * | `POST /runs/:id/cleanup` | what follows an end is done: its result is delivered, the run is complete |
 *
 * 204: done. 404: no such run; events are counted all the same, as the real one did. Neither has a body.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Clock } from 'mapsweep';

/** The gateway waits this long for a retry before an error ends the run. */
const RETRY_GRACE_MS = 15_000;
/** One-shot runs are archived this long after they completed. */
const ARCHIVE_AFTER_MS = 5 * 60_000;
const MAX_BODY_BYTES = 1024 * 1024;
const NO_BODY = { 'content-length': 0 };

/** A subagent run. `session` runs stay open for follow-ups and have no `archiveAtMs`; `run` is one-shot. */
export interface RunRecord {
  readonly runId: string;
  readonly mode: 'session' | 'run';
  readonly createdAt: number;
  outcome?: 'ok' | 'aborted' | 'error';
  /** The answer, kept to be shown. */
  result?: string;
  endedAt?: number;
  cleanupCompletedAt?: number;
  archiveAtMs?: number;
}

/** What a run at work needs at hand. */
export interface RunContext {
  readonly prompt: string;
  lastActiveAt: number;
}

/** An error that ends its run when nobody retries in time. */
export interface PendingError {
  readonly timer: unknown;
  readonly endedAt: number;
}

/** The gateway's state, and the moments that somebody besides the Maps has to know of. */
export interface Registries {
  readonly subagentRuns: Map<string, RunRecord>;
  readonly runContextById: Map<string, RunContext>;
  readonly seqByRun: Map<string, number>;
  readonly pendingLifecycleErrors: Map<string, PendingError>;
  /** The run is complete: the context engine is to be told. Its record is still there. */
  ended(runId: string, reason: 'completed' | 'aborted' | 'error'): void;
  /** `to` has been registered in the place of `from`, which is about to be deleted. */
  restarted(from: string, to: string): void;
  /** The run has been registered or has ended: whoever keeps runs on disk writes it down. */
  changed?(run: RunRecord): void;
}

export const MAP_NAMES = ['subagentRuns', 'runContextById', 'seqByRun', 'pendingLifecycleErrors'] as const;
export type MapName = (typeof MAP_NAMES)[number];

type Fields = Readonly<Record<string, unknown>>;

/** What a gateway can be given besides. */
export interface GatewayExtras {
  /** Each request waits for it, when it has been read. Default: none does. */
  admit?: () => Promise<void>;
}

/** Makes the server; the caller listens. Time-outs come from `clock`. */
export function createGateway(registries: Registries, clock: Clock, { admit }: GatewayExtras = {}): Server {
  const handle = createHandlers(registries, clock);

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const [, resource, id, verb] = (request.url ?? '').split('/').map(decodeURIComponent);
    if (request.method !== 'POST' || resource !== 'runs') {
      response.writeHead(404, NO_BODY).end();
      return;
    }
    const fields = await readFields(request);
    const handler = id === undefined ? handle.spawn : isVerb(verb) ? handle[verb] : undefined;
    const runId = id ?? text(fields, 'runId');
    if (handler === undefined || runId === '') {
      response.writeHead(400, NO_BODY).end();
      return;
    }
    if (admit !== undefined) await admit();
    if (handler(runId, fields)) response.writeHead(204).end();
    else response.writeHead(404, NO_BODY).end();
  };

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const badRequest =
        error instanceof SyntaxError || error instanceof URIError || error instanceof RangeError;
      if (!response.headersSent) response.writeHead(badRequest ? 400 : 500);
      response.end(`${String(error)}\n`);
    });
  });
  // The client's sockets may be idle for long; the server is not to hang up on them.
  server.keepAliveTimeout = 120_000;
  return server;
}

const VERBS = ['events', 'error', 'restart', 'end', 'cleanup'] as const;
const isVerb = (verb: string | undefined): verb is (typeof VERBS)[number] =>
  VERBS.some((known) => known === verb);

/** One handler a request. Each answers whether the gateway knew the run. */
function createHandlers(registries: Registries, clock: Clock) {
  const { subagentRuns, runContextById, seqByRun, pendingLifecycleErrors } = registries;

  const complete = (run: RunRecord) => {
    run.cleanupCompletedAt = clock.now();
    if (run.mode === 'run') run.archiveAtMs = clock.now() + ARCHIVE_AFTER_MS;
    registries.ended(
      run.runId,
      run.outcome === undefined || run.outcome === 'ok' ? 'completed' : run.outcome,
    );
  };

  const clearPendingError = (runId: string) => {
    const pending = pendingLifecycleErrors.get(runId);
    if (pending === undefined) return;
    clock.clearTimeout(pending.timer);
    pendingLifecycleErrors.delete(runId);
  };

  return {
    spawn(runId: string, fields: Fields): boolean {
      const mode = fields.mode === 'run' ? 'run' : 'session';
      const run: RunRecord = { runId, mode, createdAt: clock.now() };
      subagentRuns.set(runId, run);
      registries.changed?.(run);
      return true;
    },

    events(runId: string, fields: Fields): boolean {
      if (fields.type === 'start') {
        clearPendingError(runId);
        runContextById.set(runId, { prompt: text(fields, 'prompt'), lastActiveAt: clock.now() });
      }
      // Also for a run that is long gone: a late event brings its counter back, and nobody takes it away again.
      seqByRun.set(runId, (seqByRun.get(runId) ?? 0) + 1);
      const context = runContextById.get(runId);
      if (context !== undefined) context.lastActiveAt = clock.now();
      return context !== undefined || subagentRuns.has(runId);
    },

    error(runId: string): boolean {
      const endedAt = clock.now();
      clearPendingError(runId);
      const timer = clock.setTimeout(() => {
        pendingLifecycleErrors.delete(runId);
        const run = subagentRuns.get(runId);
        if (run === undefined || run.endedAt !== undefined) return;
        run.endedAt = endedAt;
        run.outcome = 'error';
        registries.changed?.(run);
        complete(run);
      }, RETRY_GRACE_MS);
      pendingLifecycleErrors.set(runId, { timer, endedAt });
      return subagentRuns.has(runId);
    },

    restart(runId: string, fields: Fields): boolean {
      const to = text(fields, 'to');
      const run = subagentRuns.get(runId);
      if (run === undefined || to === '') return false;
      // The timer is cancelled; the entry that holds it, and the context of the old id, are forgotten.
      const pending = pendingLifecycleErrors.get(runId);
      if (pending !== undefined) clock.clearTimeout(pending.timer);
      subagentRuns.set(to, { runId: to, mode: run.mode, createdAt: clock.now() });
      registries.restarted(runId, to);
      subagentRuns.delete(runId);
      return true;
    },

    end(runId: string, fields: Fields): boolean {
      const run = subagentRuns.get(runId);
      if (run === undefined) return false;
      run.endedAt = clock.now();
      run.outcome = fields.outcome === 'aborted' ? 'aborted' : 'ok';
      run.result = text(fields, 'result');
      registries.changed?.(run);
      clearPendingError(runId);
      // The happy path, and the only one that clears the context. Nobody thinks of `seqByRun`.
      if (run.outcome === 'ok') runContextById.delete(runId);
      return true;
    },

    cleanup(runId: string): boolean {
      const run = subagentRuns.get(runId);
      if (run === undefined) return false;
      complete(run);
      return true;
    },
  };
}

async function readFields(request: IncomingMessage): Promise<Fields> {
  const content = await contentOf(request);
  if (content === '') return {};
  const body: unknown = JSON.parse(content);
  if (typeof body !== 'object' || body === null) throw new SyntaxError('a body is a JSON object');
  return body as Fields;
}

/** By its events: twenty thousand async iterators are a tenth of the demo's time. */
function contentOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else reject(new RangeError(`a body may have ${MAX_BODY_BYTES} bytes`));
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('error', reject);
  });
}

const text = (fields: Fields, name: string): string => {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
};
