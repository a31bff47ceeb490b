import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Clock, createRegistry } from 'mapsweep';
import { type WebSocket, WebSocketServer } from 'ws';

interface Socket {
  socket: WebSocket;
  address: string;
  heardAt: number;
}

/** That a socket is in a room. */
interface Member {
  socketId: string;
  room: string;
  listener: (text: string) => void;
}

/** What the server has asked a client, and waits for. */
interface Pending {
  socketId: string;
  resolve: (answer: unknown) => void;
  reject: (error: Error) => void;
}

/** Of a client that reads so slowly that this much waits for it, nobody should be the prisoner. */
const mostBuffered = 1024 * 1024;

function tell(socket: WebSocket, message: object): void {
  if (socket.bufferedAmount > mostBuffered) socket.terminate();
  else socket.send(JSON.stringify(message));
}

/** The emitter has events of its own, such as `newListener`, which is no room. */
const eventOf = (room: string): string => `room ${room}`;

type Message =
  | { type: 'join' | 'leave'; room: string }
  | { type: 'say'; room: string; text: string }
  | { type: 'answer'; id: string; answer: unknown }
  | { type: 'alive' };

/** A server of rooms. A client says that it is alive now and then; the server may ask it something. */
export async function startWebSocketServer({ port = 0, clock }: { port?: number; clock?: Clock } = {}) {
  const now = () => clock?.now() ?? Date.now();
  const rooms = new EventEmitter().setMaxListeners(0);
  const registry = createRegistry({
    maps: {
      sockets: {
        // Nothing was heard of it: the other end is gone, though no FIN has come. By what the socket itself records, and no
        // `maxIdle`, since that a room or a question is about it is activity too, and no sign of life.
        ttl: '90s',
        since: (socket: Socket) => socket.heardAt,
        maxPerOwner: { owner: (socket: Socket) => socket.address, max: 100 },
        // Of a peer that is gone `close()` would wait for an answer.
        dispose: ({ socket }: Socket) => socket.terminate(),
      },
      members: {
        follows: { map: 'sockets', key: (member: Member) => member.socketId },
        // Of whoever joins without end.
        maxPerOwner: { owner: (member: Member) => member.socketId, max: 50 },
        // One listener a member, and it goes with it.
        dispose: ({ room, listener }: Member) => void rooms.off(eventOf(room), listener),
      },
      pending: {
        follows: { map: 'sockets', key: (request: Pending) => request.socketId },
        ttl: '7.5s',
        sweepEvery: '1s',
        // Whoever has the answer deletes the request himself, and then there is nothing to reject.
        dispose: ({ reject }: Pending, _id: string, reason: string) => {
          if (reason !== 'deleted')
            reject(new Error(reason === 'swept' ? 'no answer' : 'the socket is gone'));
        },
      },
    },
    sweepEvery: '10s',
    clock,
  });
  const { sockets, members, pending } = registry.maps;
  // What is no Map of the registry's is watched: in the report, the leak verdict, and leak tests.
  registry.watch('room-listeners', () =>
    rooms.eventNames().reduce((count, room) => count + rooms.listenerCount(room), 0),
  );

  const say = (room: string, text: string): boolean => rooms.emit(eventOf(room), text);

  function join(socketId: string, socket: WebSocket, room: string): void {
    if (typeof room !== 'string') throw new TypeError('a room has a name');
    const key = `${room} ${socketId}`;
    if (members.has(key)) return;
    if (!registry.hasRoom('members', socketId)) {
      tell(socket, { type: 'refused', room, why: 'you are in as many rooms as you may be' });
      return;
    }
    const listener = (text: string): void => tell(socket, { type: 'said', room, text });
    rooms.on(eventOf(room), listener);
    members.set(key, { socketId, room, listener });
  }

  function hear(socketId: string, socket: WebSocket, message: Message): void {
    if (message.type === 'join') join(socketId, socket, message.room);
    if (message.type === 'leave') members.delete(`${message.room} ${socketId}`);
    if (message.type === 'say') say(message.room, message.text);
    if (message.type === 'answer') {
      const request = pending.get(message.id);
      // An answer counts if it is of whoever was asked, and comes in time.
      if (request?.socketId === socketId && pending.delete(message.id)) request.resolve(message.answer);
    }
  }

  /** Asks a client, and rejects if it has not answered within 7.5 s (and up to a second), or is gone. */
  function ask(socketId: string, question: string): Promise<unknown> {
    const client = sockets.get(socketId);
    if (client === undefined) return Promise.reject(new Error('the socket is gone'));
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      pending.set(id, { socketId, resolve, reject });
      tell(client.socket, { type: 'question', id, question });
    });
  }

  const server = new WebSocketServer({ port, host: '127.0.0.1', maxPayload: 64 * 1024 });
  server.on('connection', (socket, request) => {
    // Before anything else: also one that is refused may still send what is no frame, and who hears no 'error' dies of it.
    socket.on('error', () => socket.terminate());
    const address = request.socket.remoteAddress ?? '';
    if (!registry.hasRoom('sockets', address)) return socket.close(1013, 'too many sockets');
    const id = randomUUID();
    const client: Socket = { socket, address, heardAt: now() };
    sockets.set(id, client);
    // One that is closed is deleted here, and one that is removed is terminated: whichever comes first.
    socket.on('close', () => sockets.delete(id));
    socket.on('message', (data) => {
      client.heardAt = now();
      try {
        hear(id, socket, JSON.parse(String(data)) as Message);
      } catch {
        socket.close(1007, 'no message of this protocol');
      }
    });
    tell(socket, { type: 'welcome', id });
  });
  await once(server, 'listening');

  return {
    registry,
    say,
    ask,
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close(): Promise<void> {
      server.close();
      // Sockets are terminated, and what waits for an answer is rejected.
      await registry.close({ dispose: true });
    },
  };
}
