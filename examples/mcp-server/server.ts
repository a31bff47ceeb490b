import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import type { Request, Response } from 'express';
import { type Clock, createRegistry } from 'mapsweep';
import { z } from 'zod';

interface Session {
  user: string;
  server: McpServer;
  transport: StreamableHTTPServerTransport;
}

/** Work that outlives the request which began it. */
interface Task {
  user: string;
  /** `undefined` for a client of the protocol without sessions. */
  sessionId: string | undefined;
  expiresAt: number;
  abort: AbortController;
}

/** A result that waits to be fetched, by whoever has its handle and is its user. */
interface Result {
  user: string;
  expiresAt: number;
  text: string;
}

export interface McpServerOptions {
  /** What the tools do: whatever takes long. */
  research: (topic: string, signal: AbortSignal) => Promise<string>;
  port?: number;
  clock?: Clock;
}

/** A streamable-HTTP MCP server, with sessions for the clients that have them, and without for the others. */
export async function startMcpServer({ research, port = 0, clock }: McpServerOptions) {
  const now = () => clock?.now() ?? Date.now();
  const registry = createRegistry({
    maps: {
      sessions: {
        maxIdle: '30m',
        // Also for a stream that stays open, whose client may be long gone behind a proxy.
        maxAge: '24h',
        maxEntries: 1_000,
        maxPerOwner: { owner: (session: Session) => session.user, max: 3 },
        // Ends its streams, and the tool calls that are under way.
        dispose: (session: Session) => session.server.close(),
      },
      tasks: {
        // They have ids of their own, and go with their session. One that has none lives as long as it said.
        follows: { map: 'sessions', key: (task: Task) => task.sessionId },
        expiresAt: (task: Task) => task.expiresAt,
        sweepEvery: '5s',
        maxPerOwner: { owner: (task: Task) => task.user, max: 5 },
        dispose: (task: Task, _id: string, reason: string) => task.abort.abort(`the task was ${reason}`),
      },
      // Fetched from another session, or from none: they follow nobody.
      results: {
        expiresAt: (result: Result) => result.expiresAt,
        maxPerOwner: { owner: (result: Result) => result.user, max: 50 },
      },
    },
    sweepEvery: '10s',
    clock,
  });
  const { sessions, tasks, results } = registry.maps;

  function startTask(user: string, sessionId: string | undefined, topic: string, ttlMs: number): string {
    const handle = randomUUID();
    const abort = new AbortController();
    const expiresAt = now() + ttlMs;
    tasks.set(handle, { user, sessionId, expiresAt, abort });
    const work = research(topic, abort.signal).then(
      (text) => {
        // A task that has left meanwhile has no result.
        if (tasks.delete(handle)) results.set(handle, { user, expiresAt, text });
      },
      () => void tasks.delete(handle),
    );
    // A session is in use as long as something is done for it, be its client silent meanwhile.
    if (sessionId !== undefined) registry.hold('sessions', sessionId).until(work);
    return handle;
  }

  function makeServer(user: string): McpServer {
    const server = new McpServer({ name: 'research', version: '1.0.0' });
    const text = (said: string, isError = false) => ({
      content: [{ type: 'text' as const, text: said }],
      isError,
    });
    server.registerTool('research', { inputSchema: { topic: z.string() } }, async ({ topic }, { signal }) =>
      text(await research(topic, signal)),
    );
    server.registerTool(
      'start_research',
      { inputSchema: { topic: z.string(), ttlMs: z.number().min(1_000).max(3_600_000) } },
      ({ topic, ttlMs }, { sessionId }) =>
        registry.hasRoom('tasks', user)
          ? text(startTask(user, sessionId, topic, ttlMs))
          : text('Five tasks are running: wait for one of them.', true),
    );
    server.registerTool('fetch_result', { inputSchema: { handle: z.string() } }, ({ handle }) => {
      if (tasks.get(handle)?.user === user) return text('Not yet.');
      const result = results.get(handle);
      // What is over is over, though no sweep has come yet.
      if (result?.user !== user || registry.isDue('results', handle)) return text('There is none.', true);
      return text(result.text);
    });
    return server;
  }

  async function openSession(user: string, request: Request, response: Response): Promise<void> {
    if (!registry.hasRoom('sessions', user)) {
      response.setHeader('Retry-After', '60');
      return refuse(response, 503, 'You have as many sessions as you may have.');
    }
    // Registered before anything is awaited: of many that come at once, no more than there is room for are let in.
    const id = randomUUID();
    const server = makeServer(user);
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => id });
    sessions.set(id, { user, server, transport });
    registry.hold('sessions', id).until(finished(response));
    // A DELETE of the client closes the transport.
    server.server.onclose = () => sessions.delete(id);
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
    // It was no proper request, and has been answered so.
    if (transport.sessionId === undefined) sessions.delete(id);
  }

  /** The protocol without sessions: a server for this one request. */
  async function answerAlone(user: string, request: Request, response: Response): Promise<void> {
    const server = makeServer(user);
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await server.connect(transport);
    try {
      await transport.handleRequest(request, response, request.body);
      await finished(response);
    } finally {
      await server.close();
    }
  }

  const app = createMcpExpressApp();
  app.all('/mcp', async (request, response) => {
    // Your authentication goes here.
    const user = request.get('x-user') ?? 'anonymous';
    const id = request.get('mcp-session-id');
    if (id === undefined) {
      if (isInitializeRequest(request.body)) return openSession(user, request, response);
      if (request.method === 'POST') return answerAlone(user, request, response).catch(() => {});
      return refuse(response, 400, 'There is no session without its id.');
    }
    const session = sessions.get(id);
    if (session?.user !== user || registry.isDue('sessions', id)) {
      return refuse(response, 404, 'Session not found');
    }
    // For as long as the request takes, and a stream is open. `finished` also settles for a client that has left
    // already, of which no event would tell any more.
    registry.hold('sessions', id).until(finished(response));
    await session.transport.handleRequest(request, response, request.body);
  });

  const http = app.listen(port, '127.0.0.1');
  await once(http, 'listening');
  return {
    registry,
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`),
    async close(): Promise<void> {
      http.close();
      await registry.close({ dispose: true });
      http.closeAllConnections();
    },
  };
}

function refuse(response: Response, status: number, message: string): void {
  response.status(status).json({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null });
}
