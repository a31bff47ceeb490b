import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../postgres/server.js';

/** A Redis of a test's own, below a temporary folder. `redis-server` is in the Debian package of that name. */
export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'mapsweep-redis-'));
  readonly #settings: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, settings: readonly string[]) {
    this.port = port;
    this.#settings = settings;
  }

  static async start(settings: readonly string[] = []): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), settings);
    await server.up();
    return server;
  }

  /** Starts it, with what it has written down. */
  async up(): Promise<void> {
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder];
    const child = spawn(
      'redis-server',
      [...args, '--appendonly', 'yes', '--appendfsync', 'always', '--save', '', ...this.#settings],
      { stdio: 'ignore' },
    );
    this.#process = child;
    const failed = once(child, 'error').then(([cause]) => {
      throw new Error(
        'redis-server could not be run. Install it: apt-get update && apt-get install -y redis-server',
        {
          cause,
        },
      );
    });
    await Promise.race([failed, this.#answers()]);
  }

  /** Ends it as a crash does. */
  async down(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  /** Has it hang: its connections stay, and nobody answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** Has it go on after `freeze`, with all that was sent meanwhile. */
  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async dispose(): Promise<void> {
    await this.down();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    for (;;) {
      const socket = connect(this.port, '127.0.0.1');
      const isThere = await new Promise<boolean>((resolve) => {
        socket.on('connect', () => socket.write('PING\r\n'));
        socket.on('data', (answer) => resolve(answer.toString().startsWith('+PONG')));
        socket.on('error', () => resolve(false));
      });
      socket.destroy();
      if (isThere) return;
      await sleep(20);
    }
  }
}
