import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import { isTerminal } from '@modelcontextprotocol/sdk/experimental/tasks';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { type CallToolResult, isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import type { Request, Response } from 'express';
import { type Clock, createRegistry } from 'mapsweep';
import { z } from 'zod';
import { type KeptTask, taskStoreOf } from './tasks.ts';

interface Session {
  user: string;
  server: McpServer;
  transport: StreamableHTTPServerTransport;
  /** What is being answered: requests, and streams. */
  responses: Set<Response>;
}

/** A request of the protocol without sessions, which has a server for itself. */
interface Alone {
  user: string;
  server: McpServer;
  response: Response;
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
        // Ends the tool calls that are under way, and its streams; those of a client that hangs would not end by themselves.
        dispose: ({ server, responses }: Session, _id: string, reason: string) => {
          if (reason !== 'deleted') for (const response of responses) response.destroy();
          return server.close();
        },
      },
      alone: {
        maxAge: '1h',
        maxEntries: 1_000,
        maxPerOwner: { owner: (request: Alone) => request.user, max: 10 },
        dispose: ({ server, response }: Alone, _id: string, reason: string) => {
          if (reason !== 'deleted') response.destroy();
          return server.close();
        },
      },
      tasks: {
        // They have ids of their own, and go with their session while they run. A result follows nobody: it is fetched from
        // another session, or from none.
        follows: {
          map: 'sessions',
          key: ({ task, sessionId }: KeptTask) => (isTerminal(task.status) ? undefined : sessionId),
        },
        expiresAt: (task: KeptTask) => task.expiresAt,
        sweepEvery: '5s',
        maxEntries: 5_000,
        maxPerOwner: { owner: (task: KeptTask) => task.user, max: 20 },
        dispose: (task: KeptTask, _id: string, reason: string) => task.abort.abort(`the task was ${reason}`),
      },
    },
    sweepEvery: '10s',
    clock,
  });
  const { sessions, alone, tasks } = registry.maps;

  function makeServer(user: string): McpServer {
    const server = new McpServer(
      { name: 'research', version: '1.0.0' },
      {
        capabilities: { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
        taskStore: taskStoreOf(user, registry, now),
      },
    );
    const text = (said: string, isError = false) => ({
      content: [{ type: 'text' as const, text: said }],
      isError,
    });
    const inputSchema = { topic: z.string() };
    server.registerTool('research', { inputSchema }, async ({ topic }, { signal }) =>
      text(await research(topic, signal)),
    );
    server.experimental.tasks.registerToolTask(
      'long_research',
      { inputSchema },
      {
        async createTask({ topic }, { taskStore, taskRequestedTtl, sessionId }) {
          const task = await taskStore.createTask({ ttl: taskRequestedTtl });
          const { taskId } = task;
          const { signal } = tasks.get(taskId)!.abort;
          const work = research(topic, signal)
            .then(
              (said) => taskStore.storeTaskResult(taskId, 'completed', text(said)),
              (error) => taskStore.storeTaskResult(taskId, 'failed', text(String(error), true)),
            )
            // It was cancelled or has left, or nobody is connected any more who could be notified.
            .catch(() => {});
          // A session is in use as long as something is done for it, be its client silent meanwhile.
          if (sessionId !== undefined) registry.hold('sessions', sessionId).until(work);
          return { task };
        },
        getTask: (_args, { taskId, taskStore }) => taskStore.getTask(taskId),
        getTaskResult: (_args, { taskId, taskStore }) =>
          taskStore.getTaskResult(taskId) as Promise<CallToolResult>,
      },
    );
    return server;
  }

  /** A session is in use for as long as a request takes, and a stream is open. */
  function answerIn(id: string, { responses }: Session, response: Response): void {
    responses.add(response);
    // It also settles for a client that has left already, of which no event would tell any more.
    const done = finished(response).finally(() => responses.delete(response));
    registry.hold('sessions', id).until(done);
  }

  async function openSession(user: string, request: Request, response: Response): Promise<void> {
    if (!registry.hasRoom('sessions', user)) {
      return refuse(response, 503, 'You have as many sessions as you may have.');
    }
    // Registered before anything is awaited: of many that come at once, no more than there is room for are let in.
    const id = randomUUID();
    const server = makeServer(user);
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => id });
    const session: Session = { user, server, transport, responses: new Set() };
    sessions.set(id, session);
    answerIn(id, session, response);
    // A DELETE of the client closes the transport.
    server.server.onclose = () => sessions.delete(id);
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
    // It was no proper request, and has been answered so.
    if (transport.sessionId === undefined) sessions.delete(id);
  }

  /** The protocol without sessions: a server for this one request. */
  async function answerAlone(user: string, request: Request, response: Response): Promise<void> {
    if (!registry.hasRoom('alone', user)) return refuse(response, 503, 'You ask too much at a time.');
    const id = randomUUID();
    const server = makeServer(user);
    alone.set(id, { user, server, response });
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    try {
      await server.connect(transport);
      await transport.handleRequest(request, response, request.body);
      await finished(response);
    } finally {
      alone.delete(id);
    }
  }

  const app = createMcpExpressApp();
  app.all('/mcp', async (request, response) => {
    // Your authentication goes here.
    const user = request.get('x-user') ?? 'anonymous';
    // Before the SDK creates it, which has no words for that.
    if (request.body?.params?.task !== undefined && !registry.hasRoom('tasks', user)) {
      return refuse(response, 503, 'You have as many tasks as you may have.');
    }
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
    answerIn(id, session, response);
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
  if (status === 503) response.setHeader('Retry-After', '60');
  response.status(status).json({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null });
}
