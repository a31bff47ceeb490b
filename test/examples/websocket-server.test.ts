import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { createManualClock } from 'mapsweep/testing';
import 'mapsweep/vitest';
import { expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { startWebSocketServer } from '../../examples/websocket-server/server.ts';
import { eventually, itIn } from './world.ts';

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
        const message = heard.findLast((of) => of.type === type);
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
  const { connect, gone, members, rooms } = world;
  const [ann, bob] = [await connect(), await connect()];
  for (const client of [ann, bob]) for (const room of ['a', 'b']) await client.join(room);
  ann.socket.terminate();
  await gone(ann.id);
  expect([...members.values()].map(({ socketId }) => socketId)).toEqual([bob.id, bob.id]);
  expect(rooms.listenerCount('a')).toBe(1);
  bob.say({ type: 'say', room: 'a', text: 'hello' });
  expect(await bob.hear('said')).toMatchObject({ text: 'hello' });
});

it('terminates a socket of which nothing is heard, though it is asked and spoken to, and none that is alive', async ({
  world,
}) => {
  const { clock, connect, sockets, members, rooms, ask } = world;
  const [hangs, lives] = [await connect(), await connect()];
  await hangs.join('a');
  hangs.socket.pause();
  for (let second = 0; second < 100; second += 20) {
    const { heardAt } = sockets.get(lives.id)!;
    await clock.advance(20_000);
    lives.say({ type: 'alive' });
    await eventually(() => expect(sockets.get(lives.id)!.heardAt).toBeGreaterThan(heardAt));
    rooms.emit('a', 'is anybody there?');
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
  const { connect, gone, rooms } = world;
  const [slow, quick] = [await connect(), await connect()];
  for (const client of [slow, quick]) await client.join('a');
  slow.socket.pause();
  const text = 'x'.repeat(256 * 1024);
  let said = 0;
  await eventually(() => {
    rooms.emit('a', text);
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
