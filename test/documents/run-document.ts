/**
 * Runs the blocks of one document, one after another: `run-document.js <prelude or ''> <block> <heading> <block> <heading> …`. Each has
 * a folder of its own, and its ports are any that are free, since those of the documents may be somebody's. What a prelude has to
 * ask of a block it asks afterwards; then its servers are closed. After the last one the process has to end by itself.
 */
import { mkdtempSync } from 'node:fs';
import { Server } from 'node:net';
import { inspect } from 'node:util';

/** What a prelude may have beside names. */
interface Prelude {
  /** What is asked of a block when it has run, by its heading. */
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

function closeServers(): void {
  for (const server of servers) {
    server.close();
    (server as Server & { closeAllConnections?(): void }).closeAllConnections?.();
  }
  servers.clear();
}

const [prelude = '', ...blocks] = process.argv.slice(2);
const presumed: Prelude = prelude === '' ? {} : ((await import(prelude)) as Prelude);
const root = process.cwd();
for (let index = 0; index < blocks.length; index += 2) {
  const [block = '', heading = ''] = blocks.slice(index, index + 2);
  process.chdir(mkdtempSync(`${root}/run-`));
  let isFine = true;
  try {
    const names = (await import(block)) as Readonly<Record<string, unknown>>;
    await presumed.afterwards?.[heading]?.(names);
  } catch (error) {
    isFine = false;
    process.stderr.write(inspect(error));
  }
  closeServers();
  process.exitCode = undefined;
  // What is said of a process by way of a warning comes a turn later, and what a logger writes when its file system call is over.
  do await new Promise(setImmediate);
  while (process.getActiveResourcesInfo().includes('FSReqCallback'));
  // To both, so that whoever reads them knows what is of which block.
  for (const stream of [process.stdout, process.stderr]) stream.write(`\0${isFine ? 'ran' : 'failed'}\n`);
}
await presumed.end?.();
