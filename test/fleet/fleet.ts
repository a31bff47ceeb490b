import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisServer } from '../bullmq/redis.js';
import { compileParts } from '../crash/compile.js';
import { CuttableProxy } from '../postgres/proxy.js';
import { PostgresServer } from '../postgres/server.js';
import { Ledger } from './ledger.js';
import type { BeginConsumer, BeginGateway, GatewayCommand, GatewayWord } from './protocol.js';

/** One gateway, and the network between it and PostgreSQL. */
export interface Member {
  readonly instance: string;
  readonly proxy: CuttableProxy;
  readonly child: ChildProcess;
}

export const takeOverAfterMs = 2_000;
const runsASecond = 30;
const queue = 'endings';

/** Three gateways, a consumer, one PostgreSQL, one Redis. */
export class Fleet {
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  readonly ledger: Ledger;
  readonly members: Member[] = [];
  /** What gateways have said of their journals, by code. */
  readonly failures: Record<string, number> = {};
  /** The last that each code said. */
  readonly messages: Record<string, string> = {};
  readonly deadLetters: string[] = [];
  /** Instances that have died for good. */
  readonly dead: string[] = [];
  readonly #folder: string;
  readonly #programs: { readonly gateway: string; readonly consumer: string };
  readonly #children = new Set<ChildProcess>();
  readonly #proxies: CuttableProxy[] = [];
  #instances = 0;
  #lives = 0;

  private constructor(postgres: PostgresServer, redis: RedisServer) {
    this.postgres = postgres;
    this.redis = redis;
    this.ledger = new Ledger(postgres.options);
    this.#folder = mkdtempSync(join(tmpdir(), 'mapsweep-fleet-'));
    const gateway = compileParts(this.#folder, ['src', 'test/fleet'], 'test/fleet/gateway-child.js');
    this.#programs = { gateway, consumer: gateway.replace('gateway-child', 'consumer-child') };
  }

  /** Starts all of it, and lets it go. */
  static async start(): Promise<Fleet> {
    const fleet = new Fleet(await PostgresServer.start(), await RedisServer.start());
    try {
      for (let left = 3; left > 0; left -= 1) fleet.members.push(await fleet.#newMember());
      await fleet.ledger.open();
      const consumer = fleet.#fork(fleet.#programs.consumer);
      const { options: connection } = fleet.postgres;
      consumer.send({ connection, redisPort: fleet.redis.port, queue } satisfies BeginConsumer);
      await once(consumer, 'message');
      for (const { child } of fleet.members) child.send('go' satisfies GatewayCommand);
      return fleet;
    } catch (error) {
      await fleet.dispose();
      throw error;
    }
  }

  /** Kills one, and starts it again. */
  async restart(member: Member): Promise<void> {
    await kill(member.child);
    const again = { ...member, child: await this.#gateway(member) };
    again.child.send('go' satisfies GatewayCommand);
    this.members[this.members.indexOf(member)] = again;
  }

  /** Kills one for good; another one, of another name, takes its place. */
  async replace(member: Member): Promise<void> {
    await kill(member.child);
    this.dead.push(member.instance);
    const other = await this.#newMember();
    other.child.send('go' satisfies GatewayCommand);
    this.members[this.members.indexOf(member)] = other;
  }

  /** No new runs any more; those that are there end. */
  windDown(): void {
    for (const { child } of this.members) child.send('wind down' satisfies GatewayCommand);
  }

  async dispose(): Promise<void> {
    for (const child of this.#children) await kill(child);
    for (const proxy of this.#proxies) proxy.close();
    await this.ledger.close();
    await this.redis.dispose();
    this.postgres.dispose();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #newMember(): Promise<Member> {
    this.#instances += 1;
    const instance = `gateway-${this.#instances}`;
    const proxy = await CuttableProxy.to(this.postgres.options.port);
    this.#proxies.push(proxy);
    return { instance, proxy, child: await this.#gateway({ instance, proxy }) };
  }

  /** Starts a process, again if it could not begin: its lock may still be held, or the database be away. */
  async #gateway({ instance, proxy }: Omit<Member, 'child'>): Promise<ChildProcess> {
    for (let left = 20; left > 0; left -= 1) {
      const child = this.#fork(this.#programs.gateway);
      this.#lives += 1;
      const ready = new Promise<boolean>((resolve) => {
        child.on('message', (word: GatewayWord) => {
          if (word.kind === 'ready') resolve(true);
          else if (word.kind === 'failed') {
            this.failures[word.code] = (this.failures[word.code] ?? 0) + 1;
            this.messages[word.code] = word.message;
          } else this.deadLetters.push(`${word.recipient}: ${word.cause}`);
        });
        child.once('exit', () => resolve(false));
      });
      child.send({
        connection: { ...this.postgres.options, port: proxy.port },
        redisPort: this.redis.port,
        queue,
        instance,
        takeOverAfterMs,
        decodes: this.#lives % 2 === 0,
        runsASecond,
      } satisfies BeginGateway);
      if (await ready) return child;
      await sleep(250);
    }
    throw new Error(`${instance} could not be started: ${JSON.stringify(this.messages)}`);
  }

  #fork(program: string): ChildProcess {
    const child = fork(program, { execArgv: [], stdio: 'inherit' });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    // A word to one that has just died.
    child.on('error', () => {});
    return child;
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
