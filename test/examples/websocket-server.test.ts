import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, it as test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { startWebSocketServer } from '../../examples/websocket-server/server.ts';
import { eventually, itIn, startExample } from './world.ts';

vi.setConfig({ testTimeout: 30_000 });

interface Heard {
  type: string;
  id?: string;
  text?: string;
}

/** The server of the example, on a clock that the test moves, and clients of its. */
const it = itIn(makeWorld);

async function makeWorld() {
  const clock = createManualClock();
  const server = await startWebSocketServer({ clock });
  const { maps } = server.registry;
  const clients: WebSocket[] = [];
  const connect = async () => {
    const socket = new WebSocket(server.url);
    clients.push(socket);
    const heard: Heard[] = [];
    socket.on('message', (data) => heard.push(JSON.parse(String(data)) as Heard));
    await eventually(() => expect(heard).toHaveLength(1));
    const [{ id }] = heard as [Required<Heard>];
    const say = (message: object) => socket.send(JSON.stringify(message));
    const join = async (room: string) => {
      say({ type: 'join', room });
      await eventually(() => expect(maps.members.has(`${room} ${id}`)).toBe(true));
    };
    const hear = (type: string) =>
      eventually(() => {
        const message = heard.find((of) => of.type === type);
        expect(message).toBeDefined();
        return message!;
      });
    return { id, socket, heard, say, join, hear };
  };
  return {
    ...server,
    ...maps,
    clock,
    connect,
    /** How many listeners the rooms have. */
    listeners: async () => {
      await server.registry.sweep();
      return server.registry.report().watched[0]!.size;
    },
    gone: (id: string) => eventually(() => expect(maps.sockets.has(id)).toBe(false)),
    end: async () => {
      for (const client of clients) client.terminate();
      await server.close();
    },
  };
}

/** Bits that the protocol keeps for later. */
const noFrame = Buffer.from([0xff, 0x00]);

/** A client that does by hand what `ws` would not. */
async function openBySocket(url: string) {
  const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return { socket, status: String(answer) };
}

it('forgets member and listener of a socket that vanishes, and of that alone', async ({ world }) => {
  const { connect, gone, members, listeners } = world;
  const [ann, bob] = [await connect(), await connect()];
  for (const client of [ann, bob]) for (const room of ['a', 'b']) await client.join(room);
  ann.socket.terminate();
  await gone(ann.id);
  expect([...members.values()].map(({ socketId }) => socketId)).toEqual([bob.id, bob.id]);
  expect(await listeners()).toBe(2);
  bob.say({ type: 'say', room: 'a', text: 'hello' });
  expect(await bob.hear('said')).toMatchObject({ text: 'hello' });
});

it('terminates a socket of which nothing is heard, though it is asked and spoken to, and none that is alive', async ({
  world,
}) => {
  const { clock, connect, sockets, members, say, ask } = world;
  const [hangs, lives] = [await connect(), await connect()];
  await hangs.join('a');
  hangs.socket.pause();
  for (let second = 0; second < 100; second += 20) {
    const { heardAt } = sockets.get(lives.id)!;
    await clock.advance(20_000);
    lives.say({ type: 'alive' });
    await eventually(() => expect(sockets.get(lives.id)!.heardAt).toBeGreaterThan(heardAt));
    say('a', 'is anybody there?');
    ask(hangs.id, 'are you there?').catch(() => {});
  }
  expect([...sockets.keys()]).toEqual([lives.id]);
  expect(members.size).toBe(0);
  const closed = once(hangs.socket, 'close');
  hangs.socket.resume();
  await closed;
  await expect(ask(hangs.id, 'and now?')).rejects.toThrow('the socket is gone');
});

it('resolves a question with the answer of whoever was asked, and rejects none that is answered', async ({
  world,
}) => {
  const { clock, connect, ask, pending } = world;
  const [ann, bob] = [await connect(), await connect()];
  const answer = ask(ann.id, 'how much?');
  const { id } = await ann.hear('question');
  bob.say({ type: 'answer', id, answer: 'nothing' });
  bob.say({ type: 'join', room: 'a' });
  await bob.join('a');
  ann.say({ type: 'answer', id, answer: 42 });
  expect(await answer).toBe(42);
  expect(pending.size).toBe(0);
  await clock.advance(10_000);
  expect(await answer).toBe(42);
});

it('rejects a question after 7.5 s and up to a second, and at once where the socket goes', async ({
  world,
}) => {
  const { clock, connect, gone, ask } = world;
  const [ann, bob] = [await connect(), await connect()];
  const outcome = vi.fn();
  ask(ann.id, 'are you there?').catch(({ message }: Error) => outcome(message));
  await clock.advance(7_499);
  expect(outcome).not.toHaveBeenCalled();
  await clock.advance(1_001);
  expect(outcome).toHaveBeenCalledExactlyOnceWith('no answer');
  ann.say({ type: 'answer', id: (await ann.hear('question')).id, answer: 'too late' });

  const other = ask(bob.id, 'and you?').catch(({ message }: Error) => message);
  bob.socket.terminate();
  await gone(bob.id);
  expect(await other).toBe('the socket is gone');
  expect(outcome).toHaveBeenCalledTimes(1);
});

it('cuts off a client that reads nothing of what it is sent, and the others hear all', async ({ world }) => {
  const { connect, gone, say } = world;
  const [slow, quick] = [await connect(), await connect()];
  for (const client of [slow, quick]) await client.join('a');
  slow.socket.pause();
  const text = 'x'.repeat(256 * 1024);
  let said = 0;
  await eventually(() => {
    say('a', text);
    said += 1;
    expect(world.sockets.has(slow.id)).toBe(false);
  });
  await gone(slow.id);
  await eventually(() => expect(quick.heard.filter(({ type }) => type === 'said')).toHaveLength(said));
});

it('refuses the 101st socket of an address, and takes one when another has gone', async ({ world }) => {
  const { url, connect, gone, sockets } = world;
  const all = await Promise.all(Array.from({ length: 100 }, connect));
  const [code] = (await once(new WebSocket(url), 'close')) as [number];
  expect(code).toBe(1013);
  expect(sockets.size).toBe(100);
  all[0]!.socket.close();
  await gone(all[0]!.id);
  await connect();
});

it('lets one socket into 50 rooms, says so to it, and hears the others while it hammers', async ({
  world,
}) => {
  const { connect, gone, members, listeners } = world;
  const [hammers, other] = [await connect(), await connect()];
  await other.join('a');
  for (let room = 0; room < 20_000; room += 1) hammers.say({ type: 'join', room: `room-${room}` });
  other.say({ type: 'say', room: 'a', text: 'hello' });
  expect(await other.hear('said')).toMatchObject({ text: 'hello' });
  expect(await hammers.hear('refused')).toEqual({
    type: 'refused',
    room: 'room-50',
    why: 'you are in as many rooms as you may be',
  });
  await eventually(() =>
    expect(hammers.heard.filter(({ type }) => type === 'refused')).toHaveLength(20_000 - 50),
  );
  expect([members.size, await listeners()]).toEqual([51, 51]);
  hammers.say({ type: 'leave', room: 'room-0' });
  await hammers.join('room-50');
  hammers.socket.close();
  await gone(hammers.id);
  expect([members.size, await listeners()]).toEqual([1, 1]);
});

it('cuts off a client that hammers and reads no answer', async ({ world }) => {
  const { connect, gone, members } = world;
  const client = await connect();
  client.socket.pause();
  const room = 'x'.repeat(32 * 1024);
  await eventually(() => {
    for (let message = 0; message < 100; message += 1) client.say({ type: 'join', room: room + message });
    expect(world.sockets.has(client.id)).toBe(false);
  });
  await gone(client.id);
  expect(members.size).toBe(0);
});

it('closes a socket that sends what is no message, or one that is too long, and none beside it', async ({
  world,
}) => {
  const { connect, gone, sockets } = world;
  const lives = await connect();
  for (const [text, code] of [
    ['null', 1007],
    ['{', 1007],
    ['{"type":"join"}', 1007],
    ['x'.repeat(100_000), 1009],
  ] as const) {
    const client = await connect();
    client.socket.send(text);
    expect(await once(client.socket, 'close')).toEqual([code, expect.anything()]);
    await gone(client.id);
  }
  const { socket } = await openBySocket(world.url);
  socket.write(noFrame);
  await once(socket, 'close');
  await eventually(() => expect([...sockets.keys()]).toEqual([lives.id]));
});

it('has no room by which one hears of the rooms of others', async ({ world }) => {
  const { connect } = world;
  const [spy, ann] = [await connect(), await connect()];
  for (const room of ['newListener', 'removeListener', 'error']) await spy.join(room);
  await ann.join('secret');
  ann.say({ type: 'leave', room: 'secret' });
  ann.say({ type: 'say', room: 'error', text: 'hello' });
  await spy.hear('said');
  expect(spy.heard.slice(1)).toEqual([{ type: 'said', room: 'error', text: 'hello' }]);
});

it('has a client that comes back hear all once, though its old socket hangs, which then leaves alone', async ({
  world,
}) => {
  const { clock, connect, sockets, members, listeners, ask, say } = world;
  const old = await connect();
  for (const room of ['a', 'b']) await old.join(room);
  const outcome = ask(old.id, 'how much?').catch(({ message }: Error) => message);
  // No FIN of it comes.
  old.socket.pause();
  await clock.advance(60_000);
  expect(await outcome).toBe('no answer');
  const back = await connect();
  for (const room of ['a', 'b']) await back.join(room);
  await clock.advance(40_000);
  expect([...sockets.keys()]).toEqual([back.id]);
  expect([members.size, await listeners()]).toEqual([2, 2]);
  say('a', 'hello');
  const answer = ask(back.id, 'how much?');
  back.say({ type: 'answer', id: (await back.hear('question')).id, answer: 42 });
  expect(await answer).toBe(42);
  expect(back.heard.filter(({ type }) => type === 'said')).toHaveLength(1);
});

it('outlives a client that it refuses, and that sends what is no frame', async ({ world }) => {
  const { url, connect, sockets } = world;
  await Promise.all(Array.from({ length: 100 }, connect));
  const uncaught = vi.fn();
  process.once('uncaughtException', uncaught);
  const { socket, status } = await openBySocket(url);
  expect(status).toMatch(/^HTTP\/1\.1 101 /);
  socket.write(noFrame);
  await once(socket, 'close');
  process.off('uncaughtException', uncaught);
  expect(uncaught).not.toHaveBeenCalled();
  expect(sockets.size).toBe(100);
});

it('leaves nothing of clients that join, ask and reconnect, nor by a net', async ({ world }) => {
  const { registry, connect, gone, ask } = world;
  const scenario = async (run: number) => {
    const client = await connect();
    await client.join('everybody');
    await client.join(`room-${run}`);
    const answer = ask(client.id, 'are you there?').catch(() => {});
    if (run % 3 === 0) client.socket.close();
    else if (run % 3 === 1) client.socket.terminate();
    else client.socket.send('this is no JSON');
    await answer;
    await gone(client.id);
  };
  await expect(scenario).toReturnToBaseline({ registry, times: 30, warmup: 3, nets: 'fail' });
});

it('leaves nothing of clients that hang', async ({ world }) => {
  const { registry, connect, clock, gone, ask } = world;
  const scenario = async () => {
    const client = await connect();
    await client.join('everybody');
    client.socket.pause();
    ask(client.id, 'are you there?').catch(() => {});
    await clock.advance(100_000);
    await gone(client.id);
  };
  await expect(scenario).toReturnToBaseline({ registry, times: 10, warmup: 2 });
});

test('is a program that serves, and ends by itself at SIGTERM, its sockets closed', async () => {
  const { child, exited, url } = await startExample('websocket-server/main.ts');
  const client = new WebSocket(url);
  const [welcome] = (await once(client, 'message')) as [Buffer];
  expect(JSON.parse(String(welcome))).toMatchObject({ type: 'welcome' });
  client.send(JSON.stringify({ type: 'join', room: 'a' }));
  client.send(JSON.stringify({ type: 'say', room: 'a', text: 'hello' }));
  const [said] = (await once(client, 'message')) as [Buffer];
  expect(JSON.parse(String(said))).toEqual({ type: 'said', room: 'a', text: 'hello' });
  const closed = once(client, 'close');
  child.kill('SIGTERM');
  await closed;
  expect(await exited).toEqual([0, null]);
});
