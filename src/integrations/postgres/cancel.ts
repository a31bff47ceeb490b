import { connect } from 'node:net';

/** Stands in such a request where others have the version of the protocol. */
const cancelCode = 80_877_102;

/** What is known of a connection that the driver itself has made. */
interface Known {
  readonly host?: unknown;
  readonly port?: number;
  readonly processID?: unknown;
  readonly secretKey?: unknown;
}

/**
 * Has PostgreSQL cancel what a connection waits for, as its protocol provides: in a connection of its own, without a
 * password and without TLS, to which a pooler listens too. Does nothing for a connection that is not known to the driver
 * in the usual way, and tells nothing: the statement says itself that it was cancelled.
 *
 * @param patienceMs for how long it is tried
 */
export function cancel(client: object, patienceMs: number): void {
  const { host, port, processID, secretKey } = client as Known;
  if (typeof host !== 'string' || typeof processID !== 'number' || typeof secretKey !== 'number') return;
  const request = Buffer.alloc(16);
  for (const [index, word] of [request.length, cancelCode, processID, secretKey].entries())
    request.writeInt32BE(word | 0, 4 * index);
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port ?? 5432, host);
  socket.on('error', () => {});
  socket.setTimeout(patienceMs, () => socket.destroy());
  // It is PostgreSQL that closes it, once that is done: a pooler forgets the request of somebody who has left.
  socket.write(request);
  socket.resume();
}
