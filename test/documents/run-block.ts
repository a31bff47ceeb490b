/**
 * Runs one block in a process of its own: `run-block.js <block> <prelude or ''> <heading>`. Ports are any that are free, since
 * those of the documents may be somebody's. What a prelude has to ask of a block it asks afterwards; then servers are closed, and
 * the process has to end by itself.
 */
import { Server } from 'node:net';

/** What a prelude may have beside names: what is asked of a block when it has run, by its heading. */
interface Prelude {
  readonly afterwards?: Readonly<Record<string, (names: Readonly<Record<string, unknown>>) => unknown>>;
  /** Ends what the prelude itself has begun. */
  readonly end?: () => unknown;
}

const servers = new Set<Server>();
const { listen } = Server.prototype;
Server.prototype.listen = function (this: Server, ...parameters: unknown[]) {
  servers.add(this);
  const anyPort = parameters.map((parameter) => (typeof parameter === 'number' ? 0 : parameter));
  return Reflect.apply(listen, this, anyPort) as Server;
} as typeof listen;

const [, , block = '', prelude = '', heading = ''] = process.argv;
const presumed: Prelude = prelude === '' ? {} : ((await import(prelude)) as Prelude);
const names = (await import(block)) as Readonly<Record<string, unknown>>;
await presumed.afterwards?.[heading]?.(names);
await presumed.end?.();
for (const server of servers) {
  server.close();
  (server as Server & { closeAllConnections?(): void }).closeAllConnections?.();
}
