import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileParts } from '../crash/compile.js';
import type { Begin, Command, Word } from './protocol.js';
import type { PostgresServer } from './server.js';

/** A gateway in a process of its own. */
export class Gateway {
  readonly failures: Extract<Word, { kind: 'failed' }>[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (word: Extract<Word, { kind: 'done' }>) => void>();
  #ready: () => void = () => {};
  #lastId = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (word: Word) => {
      if (word.kind === 'ready') this.#ready();
      else if (word.kind === 'failed') this.failures.push(word);
      else this.#waiting.get(word.id)?.(word);
    });
  }

  /** Starts one, and waits until its registry is there. Rejects if it does not come to that. */
  static async start(program: string, begin: Begin): Promise<Gateway> {
    const gateway = new Gateway(fork(program, { execArgv: [], stdio: 'inherit' }));
    const ready = new Promise<void>((resolve) => {
      gateway.#ready = resolve;
    });
    gateway.#child.send(begin);
    const exit = once(gateway.#child, 'exit').then(() => {
      throw new Error(gateway.failures.at(-1)?.message ?? 'the gateway has ended');
    });
    exit.catch(() => {});
    await Promise.race([ready, exit]);
    return gateway;
  }

  async #do(what: Command['do'], keys?: string[]): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<Extract<Word, { kind: 'done' }>>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, do: what, keys } satisfies Command);
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(error);
    return result;
  }

  set = (...keys: string[]): Promise<unknown> => this.#do('set', keys);
  end = (...keys: string[]): Promise<unknown> => this.#do('end', keys);
  flushed = (): Promise<unknown> => this.#do('flushed');
  /** The same, however often it is refused before. */
  flushedAtLast = (): Promise<unknown> =>
    eventually(
      () =>
        this.flushed().then(
          () => true,
          () => undefined,
        ),
      'a flush that came through',
    );

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}

/** What some gateways have told. */
export interface Told {
  readonly id: string;
  readonly key: string;
  readonly reason: string;
  readonly by: string;
}

/** Gateways on one PostgreSQL, and what they have told altogether. */
export class Fleet {
  readonly #server: PostgresServer;
  readonly #folder = mkdtempSync(join(tmpdir(), 'mapsweep-fleet-'));
  readonly #program: string;
  readonly #gateways: Gateway[] = [];

  constructor(server: PostgresServer) {
    this.#server = server;
    this.#program = compileParts(this.#folder, ['src', 'test/postgres'], 'test/postgres/gateway-child.js');
  }

  async start(instance: string, options: Partial<Begin> = {}): Promise<Gateway> {
    const { options: connection } = this.#server;
    const gateway = await Gateway.start(this.#program, {
      connection,
      direct: connection,
      instance,
      takeOverAfter: 1_000,
      ...options,
    });
    this.#gateways.push(gateway);
    return gateway;
  }

  /** What was told, in its order. */
  get told(): Told[] {
    return JSON.parse(
      this.#server.sql("select coalesce(json_agg(t order by position), '[]') from told t"),
    ) as Told[];
  }

  /** Waits until so much was told. */
  async heard(count: number): Promise<Told[]> {
    return eventually(() => {
      const { told } = this;
      return told.length >= count ? told : undefined;
    }, `${count} endings`);
  }

  /** Forgets all instances and all that was told, between two tests. */
  async reset(): Promise<void> {
    for (const gateway of this.#gateways.splice(0)) {
      gateway.signal('SIGCONT');
      await gateway.kill();
    }
    this.#server.sql(`
      drop schema if exists mapsweep cascade; drop table if exists told;
      create table told (position bigint generated always as identity, id text, key text, reason text, value text, by text)`);
  }

  async dispose(): Promise<void> {
    for (const gateway of this.#gateways) await gateway.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Asks until there is an answer, for half a minute at most. */
export async function eventually<T>(
  ask: () => T | undefined | Promise<T | undefined>,
  what: string,
): Promise<T> {
  for (let left = 600; left > 0; left -= 1) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(50);
  }
  throw new Error(`there were never ${what}`);
}
