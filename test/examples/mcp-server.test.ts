import { once } from 'node:events';
import net from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { CallToolResultSchema, CreateTaskResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, it as test, vi } from 'vitest';
import { startMcpServer } from '../../examples/mcp-server/server.ts';
import { eventually, itIn, startExample } from './world.ts';

vi.setConfig({ testTimeout: 30_000 });

const minutes = 60_000;

interface Research {
  topic: string;
  signal: AbortSignal;
  answer: (text: string) => void;
  fail: (message: string) => void;
}

/** The server of the example, on a clock that the test moves, and whose tools answer when the test says so. */
const it = itIn(makeWorld);

async function makeWorld() {
  const clock = createManualClock();
  const asked: Research[] = [];
  const research = (topic: string, signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      if (topic === 'at once') return resolve('done');
      asked.push({ topic, signal, answer: resolve, fail: (message) => reject(new Error(message)) });
      signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
  const server = await startMcpServer({ research, clock });
  const { registry, url } = server;
  const clients: StreamableHTTPClientTransport[] = [];

  const connect = async (user = 'ann', sessionId?: string) => {
    const requestInit = { headers: { 'x-user': user } };
    const reconnectionOptions = {
      maxRetries: 0,
      initialReconnectionDelay: 1,
      maxReconnectionDelay: 1,
      reconnectionDelayGrowFactor: 1,
    };
    const transport = new StreamableHTTPClientTransport(url, { requestInit, reconnectionOptions, sessionId });
    const client = new Client({ name: 'test', version: '1.0.0' });
    // A stream that ends is told as an error.
    client.onerror = () => {};
    await client.connect(transport);
    clients.push(transport);
    const call = async (name: string, args: Record<string, unknown>): Promise<string> => {
      const { content } = await client.callTool({ name, arguments: args });
      return (content as [{ text: string }])[0].text;
    };
    const { tasks } = client.experimental;
    const startTask = async (ttl: number, topic = 'a task'): Promise<string> => {
      const params = { name: 'long_research', arguments: { topic } };
      const request = { method: 'tools/call' as const, params };
      const { task } = await client.request(request, CreateTaskResultSchema, { task: { ttl } });
      return task.taskId;
    };
    const statusOf = async (taskId: string): Promise<string> => (await tasks.getTask(taskId)).status;
    const resultOf = async (taskId: string): Promise<string> => {
      const { content } = await tasks.getTaskResult(taskId, CallToolResultSchema);
      return (content[0] as { text: string }).text;
    };
    const leave = async () => {
      await transport.terminateSession();
      await client.close();
    };
    return {
      id: transport.sessionId!,
      tasks,
      call,
      startTask,
      statusOf,
      resultOf,
      leave,
      vanish: () => client.close(),
    };
  };

  const held = (map: string) => registry.report().maps.find(({ name }) => name === map)!.held;
  return {
    ...server,
    clock,
    asked,
    connect,
    held,
    /** The stream of each client is open; the server hears of it a little later than the client. */
    streams: (count: number) => eventually(() => expect(held('sessions')).toBe(count)),
    end: async () => {
      await Promise.all(clients.map((transport) => transport.close()));
      await server.close();
    },
  };
}

const initialize = (url: URL, user: string, more: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'x-user': user,
      ...more,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
    }),
  });

/** A POST as a client of the protocol without sessions makes it. */
async function askAlone(
  url: URL,
  method: string,
  params: object,
  init: { user?: string; signal?: AbortSignal } = {},
) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'x-user': init.user ?? 'ann',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: init.signal,
  });
  const text = await response.text();
  const [, data = text] = /data: (.*)/.exec(text) ?? [];
  const { result, error } = JSON.parse(data) as {
    result?: { task?: { taskId: string }; status?: string; content?: [{ text: string }] };
    error?: { message: string };
  };
  return {
    status: response.status,
    text: result?.content?.[0].text,
    task: result?.task,
    state: result?.status,
    error,
  };
}

const callAlone = (url: URL, topic: string, init?: { user?: string; signal?: AbortSignal }) =>
  askAlone(url, 'tools/call', { name: 'research', arguments: { topic } }, init);

const startAlone = (url: URL, ttl: number, init?: { user?: string }) =>
  askAlone(url, 'tools/call', { name: 'long_research', arguments: { topic: 'long' }, task: { ttl } }, init);

it('keeps a session whose stream is open for hours, and sweeps it when its client has vanished', async ({
  world,
}) => {
  const { registry, clock, connect, streams } = world;
  const client = await connect();
  await streams(1);
  await clock.advance(180 * minutes);
  expect(await client.call('research', { topic: 'at once' })).toBe('done');

  await client.vanish();
  await streams(0);
  await clock.advance(29 * minutes);
  expect(registry.maps.sessions.size).toBe(1);
  await clock.advance(2 * minutes);
  expect(registry.maps.sessions.size).toBe(0);
});

it('ends at its maxAge a session whose stream hangs, and with it the stream', async ({ world }) => {
  const { registry, clock, connect, streams } = world;
  await connect();
  await streams(1);
  await clock.advance(25 * 60 * minutes);
  expect(registry.maps.sessions.size).toBe(0);
  await streams(0);
});

it('leaves nothing when clients say goodbye, nor by a net', async ({ world }) => {
  const { registry, connect, streams } = world;
  const scenario = async () => {
    const client = await connect();
    await client.call('research', { topic: 'at once' });
    await client.leave();
    await streams(0);
  };
  await expect(scenario).toReturnToBaseline({ registry, times: 10, warmup: 2, nets: 'fail' });
});

it('leaves nothing when clients vanish in the midst of a call, with a task under way', async ({ world }) => {
  const { registry, asked, connect, streams } = world;
  const scenario = async (run: number) => {
    const client = await connect(`user-${run}`);
    await client.startTask(60_000);
    const answer = client.call('research', { topic: 'a call' }).catch(() => {});
    await eventually(() => expect(asked).toHaveLength(2));
    await client.vanish();
    await answer;
    for (const { answer } of asked.splice(0)) answer('too late');
    await streams(0);
  };
  await expect(scenario).toReturnToBaseline({ registry, times: 10, warmup: 2 });
});

it('refuses a user a fourth session with 503, evicts nobody, and lets others in', async ({ world }) => {
  const { registry, connect, url } = world;
  const clients = [await connect('ann'), await connect('ann'), await connect('ann')];
  await expect(connect('ann')).rejects.toThrow(/as many sessions as you may have/);
  const { status, headers } = await initialize(url, 'ann');
  expect([status, headers.get('Retry-After')]).toEqual([503, '60']);
  await connect('bob');
  for (const client of clients) expect(await client.call('research', { topic: 'at once' })).toBe('done');
  expect(registry.maps.sessions.size).toBe(4);

  await clients[0]!.leave();
  await connect('ann');
});

it('lets in 3 of 50 clients of a user that come at once, and keeps nothing of a request that is none', async ({
  world,
}) => {
  const { registry, connect, streams, url } = world;
  const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => connect('ann')));
  const clients = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  expect(clients).toHaveLength(3);
  for (const client of clients) expect(await client.call('research', { topic: 'at once' })).toBe('done');
  for (const client of clients) await client.leave();

  // It accepts no event stream.
  expect((await initialize(url, 'bob', { Accept: 'application/json' })).status).toBe(406);
  await streams(0);
  expect(registry.maps.sessions.size).toBe(0);
});

it('finds its session again when a client reconnects', async ({ world }) => {
  const { registry, clock, connect, streams } = world;
  const client = await connect('ann');
  await client.vanish();
  await streams(0);
  await clock.advance(20 * minutes);
  const again = await connect('ann', client.id);
  expect(await again.call('research', { topic: 'at once' })).toBe('done');
  await streams(0);
  await clock.advance(20 * minutes);
  expect([...registry.maps.sessions.keys()]).toEqual([client.id]);
});

it('answers 404 to the session of somebody else, and to one that is over though no sweep has come', async ({
  world,
}) => {
  const { registry, clock, connect, streams, url } = world;
  const { id, vanish } = await connect('ann');
  const statusFor = async (user: string) => {
    const response = await fetch(url, {
      headers: { Accept: 'application/json', 'mcp-session-id': id, 'x-user': user },
    });
    await response.text();
    return response.status;
  };
  expect(await statusFor('bob')).toBe(404);
  await vanish();
  await streams(0);
  // The SDK has the word: only event streams are got.
  expect(await statusFor('ann')).toBe(406);
  await streams(0);
  registry.stop();
  await clock.advance(30 * minutes);
  expect(registry.maps.sessions.has(id)).toBe(true);
  expect(await statusFor('ann')).toBe(404);
});

it('keeps a session whose client is silent while its task runs, and aborts the task with it', async ({
  world,
}) => {
  const { registry, clock, asked, connect, streams } = world;
  const client = await connect();
  await client.startTask(3_600_000);
  await client.vanish();
  await clock.advance(50 * minutes);
  expect(registry.maps.sessions.size).toBe(1);
  expect(asked[0]!.signal.aborted).toBe(false);

  registry.maps.sessions.delete(client.id);
  expect(asked[0]!.signal.aborted).toBe(true);
  expect(registry.maps.tasks.size).toBe(0);
  await streams(0);
});

it('runs a task as a client of the SDK follows it, to its result', async ({ world }) => {
  const { asked, connect } = world;
  const client = await connect();
  const said: string[] = [];
  for await (const message of client.tasks.callToolStream(
    { name: 'long_research', arguments: { topic: 'long' } },
    CallToolResultSchema,
    { task: { ttl: 60_000 } },
  )) {
    said.push(message.type);
    if (message.type === 'taskCreated')
      expect(message.task).toMatchObject({ status: 'working', ttl: 60_000 });
    if (message.type === 'taskStatus') asked[0]!.answer('42');
    if (message.type === 'result') expect(message.result.content).toEqual([{ type: 'text', text: '42' }]);
  }
  expect([said[0], said.at(-1)]).toEqual(['taskCreated', 'result']);
});

it('aborts a task at its own ttl, its session living on, and one that is cancelled', async ({ world }) => {
  const { registry, clock, asked, connect } = world;
  const client = await connect();
  const [swept, cancelled] = [await client.startTask(60_000), await client.startTask(3_600_000)];
  await client.tasks.cancelTask(cancelled);
  expect(asked[1]!.signal.reason).toBe('the task was cancelled');
  expect(await client.statusOf(swept)).toBe('working');
  await clock.advance(65_000);
  expect(asked[0]!.signal.reason).toBe('the task was swept');
  await expect(client.statusOf(swept)).rejects.toThrow('Task not found');
  expect(await client.statusOf(cancelled)).toBe('cancelled');
  expect(registry.maps.sessions.size).toBe(1);
});

it('keeps no task for longer than an hour, whatever it is asked for', async ({ world }) => {
  const { registry, clock, connect } = world;
  await (await connect()).startTask(1e12);
  await clock.advance(61 * minutes);
  expect(registry.maps.tasks.size).toBe(0);
});

it('says of a task that has failed what went wrong', async ({ world }) => {
  const { asked, connect } = world;
  const client = await connect();
  const id = await client.startTask(60_000);
  asked[0]!.fail('the library is closed');
  await eventually(async () => expect(await client.statusOf(id)).toBe('failed'));
  expect(await client.resultOf(id)).toBe('Error: the library is closed');
});

it('keeps a result for its ttl, its session gone or none, for its user alone, to the millisecond', async ({
  world,
}) => {
  const { registry, clock, asked, connect, url } = world;
  const alone = (await startAlone(url, 3_600_000)).task!.taskId;
  await clock.advance(45 * minutes);
  const client = await connect();
  const inSession = await client.startTask(15 * minutes);
  for (const { answer } of asked) answer('42');
  await eventually(async () => expect(await client.statusOf(inSession)).toBe('completed'));
  expect((await client.tasks.listTasks()).tasks).toHaveLength(2);
  await client.leave();
  expect(registry.maps.sessions.size).toBe(0);

  const bob = await connect('bob');
  registry.stop();
  await clock.advance(15 * minutes - 1);
  for (const taskId of [alone, inSession]) {
    expect((await askAlone(url, 'tasks/result', { taskId })).text).toBe('42');
    await expect(bob.statusOf(taskId)).rejects.toThrow('Task not found');
  }
  expect((await bob.tasks.listTasks()).tasks).toEqual([]);
  await clock.advance(1);
  for (const taskId of [alone, inSession]) {
    expect((await askAlone(url, 'tasks/get', { taskId })).error!.message).toMatch('Task not found');
  }
  await registry.sweep();
  expect(registry.maps.tasks.size).toBe(0);
});

it('starts no 21st task of a user, and no 5,001st of all, and says so', async ({ world }) => {
  const { registry, asked, connect, url } = world;
  const refusal = { status: 503, error: { message: 'You have as many tasks as you may have.' } };
  for (let task = 0; task < 20; task += 1) await startAlone(url, 60_000);
  expect(await startAlone(url, 60_000)).toMatchObject(refusal);
  await expect((await connect('ann')).startTask(60_000)).rejects.toThrow(refusal.error.message);
  const [[, kept]] = [...registry.maps.tasks] as [
    [string, NonNullable<ReturnType<typeof registry.maps.tasks.get>>],
  ];
  for (let user = 0; registry.maps.tasks.size < 5_000; user += 1) {
    registry.maps.tasks.set(`made up ${user}`, {
      ...kept,
      user: `user-${user}`,
      abort: new AbortController(),
    });
  }
  expect(await startAlone(url, 60_000, { user: 'one more' })).toMatchObject(refusal);
  expect(asked).toHaveLength(20);
});

it('leaves nothing of clients without sessions, nor by a net: of each request its server is closed', async ({
  world,
}) => {
  const { registry, asked, url } = world;
  const closed = vi.spyOn(McpServer.prototype, 'close');
  const scenario = async () => {
    closed.mockClear();
    expect((await callAlone(url, 'at once')).text).toBe('done');
    const vanishing = new AbortController();
    const vanished = callAlone(url, 'long', vanishing).catch(() => {});
    await eventually(() => expect(asked).toHaveLength(1));
    vanishing.abort();
    await vanished;
    // Of a client that is gone the call is given up.
    const { signal } = asked.pop()!;
    await eventually(() => expect(signal.aborted).toBe(true));
    await eventually(() => expect(registry.maps.alone.size).toBe(0));
    expect(closed).toHaveBeenCalledTimes(2);
  };
  await expect(scenario).toReturnToBaseline({ registry, times: 10, warmup: 2, nets: 'fail' });
  closed.mockRestore();
});

it('answers 10 requests of a user without a session at a time, refuses the rest with 503, and nobody else', async ({
  world,
}) => {
  const { asked, url } = world;
  const all = Array.from({ length: 10 }, () => callAlone(url, 'long'));
  await eventually(() => expect(asked).toHaveLength(10));
  expect((await callAlone(url, 'at once')).status).toBe(503);
  expect((await callAlone(url, 'at once', { user: 'bob' })).text).toBe('done');
  for (const { answer } of asked) answer('42');
  for (const { text } of await Promise.all(all)) expect(text).toBe('42');
  expect((await callAlone(url, 'at once')).text).toBe('done');
});

it('cuts off clients that stop to read in the midst of an answer, at the maxAge of what they have', async ({
  world,
}) => {
  const { registry, clock, asked, connect, url } = world;
  const { id } = await connect('ann');
  /** What a kernel does not hold for a client. */
  const size = 64 * 1024 * 1024;
  const hang = async (sessionId?: string) => {
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { name: 'research', arguments: { topic: 'large' } },
    });
    const socket = net.connect(Number(url.port), '127.0.0.1').on('error', () => {});
    socket.write(
      [
        `POST ${url.pathname} HTTP/1.1`,
        'Host: 127.0.0.1',
        'x-user: ann',
        'Content-Type: application/json',
        'Accept: application/json, text/event-stream',
        `Content-Length: ${body.length}`,
        ...(sessionId === undefined ? [] : [`mcp-session-id: ${sessionId}`]),
        '',
        body,
      ].join('\r\n'),
    );
    await eventually(() => expect(asked).toHaveLength(1));
    asked.pop()!.answer('x'.repeat(size));
    await once(socket, 'data');
    return socket.pause();
  };
  const [inSession, alone] = [await hang(id), await hang()];
  await clock.advance(59 * minutes);
  expect([registry.maps.sessions.size, registry.maps.alone.size]).toEqual([1, 1]);
  expect((await callAlone(url, 'at once')).text).toBe('done');
  await clock.advance(minutes);
  expect([registry.maps.sessions.size, registry.maps.alone.size]).toEqual([1, 0]);
  await clock.advance(23 * 60 * minutes);
  expect(registry.maps.sessions.size).toBe(0);
  for (const socket of [inSession, alone]) {
    const closed = once(socket, 'close');
    socket.resume();
    await closed;
    expect(socket.bytesRead).toBeLessThan(size);
  }
});

test('is a program that serves, and ends by itself at SIGTERM, in the midst of a call', async () => {
  const { child, exited, url } = await startExample('mcp-server/main.ts');
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const client = new Client({ name: 'test', version: '1.0.0' });
  client.onerror = () => {};
  await client.connect(transport);
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(['research', 'long_research']);
  const params = { name: 'long_research', arguments: { topic: 'tea' } };
  const { task } = await client.request({ method: 'tools/call', params }, CreateTaskResultSchema, {
    task: {},
  });
  expect((await client.experimental.tasks.getTask(task.taskId)).status).toBe('working');
  const call = client.callTool({ name: 'research', arguments: { topic: 'tea' } }).catch(() => 'cut off');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  await client.close();
  expect(await call).toBe('cut off');
});
