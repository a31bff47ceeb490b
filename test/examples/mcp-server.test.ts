import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, vi } from 'vitest';
import { startMcpServer } from '../../examples/mcp-server/server.ts';
import { eventually, itIn } from './world.ts';

vi.setConfig({ testTimeout: 30_000 });

const minutes = 60_000;

interface Research {
  topic: string;
  signal: AbortSignal;
  answer: (text: string) => void;
}

/** The server of the example, on a clock that the test moves, and whose tools answer when the test says so. */
const it = itIn(makeWorld);

async function makeWorld() {
  const clock = createManualClock();
  const asked: Research[] = [];
  const research = (topic: string, signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      if (topic === 'at once') return resolve('done');
      asked.push({ topic, signal, answer: resolve });
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
    const leave = async () => {
      await transport.terminateSession();
      await client.close();
    };
    return { id: transport.sessionId!, call, leave, vanish: () => client.close() };
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
async function callAlone(url: URL, name: string, args: object): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'x-user': 'ann',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
  });
  const [, data] = /data: (.*)/.exec(await response.text())!;
  return JSON.parse(data!).result.content[0].text;
}

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
    await client.call('start_research', { topic: 'a task', ttlMs: 60_000 });
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
  await client.call('start_research', { topic: 'long', ttlMs: 3_600_000 });
  await client.vanish();
  await clock.advance(50 * minutes);
  expect(registry.maps.sessions.size).toBe(1);
  expect(asked[0]!.signal.aborted).toBe(false);

  registry.maps.sessions.delete(client.id);
  expect(asked[0]!.signal.aborted).toBe(true);
  expect(registry.maps.tasks.size).toBe(0);
  await streams(0);
});

it('aborts a task at its own ttlMs, its session living on', async ({ world }) => {
  const { registry, clock, asked, connect } = world;
  const client = await connect();
  const handle = await client.call('start_research', { topic: 'long', ttlMs: 60_000 });
  expect(await client.call('fetch_result', { handle })).toBe('Not yet.');
  await clock.advance(65_000);
  expect(asked[0]!.signal.reason).toBe('the task was swept');
  expect(await client.call('fetch_result', { handle })).toBe('There is none.');
  expect(registry.maps.sessions.size).toBe(1);
});

it('keeps a result for its ttlMs without any session, for its user alone', async ({ world }) => {
  const { registry, clock, asked, connect, url } = world;
  const handle = await callAlone(url, 'start_research', { topic: 'long', ttlMs: 600_000 });
  asked[0]!.answer('42');
  await eventually(async () => expect(await callAlone(url, 'fetch_result', { handle })).toBe('42'));
  expect(await (await connect('bob')).call('fetch_result', { handle })).toBe('There is none.');
  await clock.advance(599_000);
  expect(await callAlone(url, 'fetch_result', { handle })).toBe('42');
  await clock.advance(1_000);
  expect(await callAlone(url, 'fetch_result', { handle })).toBe('There is none.');
  await clock.advance(10_000);
  expect(registry.maps.results.size).toBe(0);
});

it('starts no sixth task of a user', async ({ world }) => {
  const { connect } = world;
  const client = await connect();
  const start = () => client.call('start_research', { topic: 'long', ttlMs: 60_000 });
  for (let task = 0; task < 5; task += 1) await start();
  expect(await start()).toBe('Five tasks are running: wait for one of them.');
});
