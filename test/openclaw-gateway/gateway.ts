import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CACHE, type Installation, PROBE_PLUGIN } from './installation.ts';
import { ANSWER, type ModelServer } from './model-server.ts';
import type { Probed } from './probe-plugin/index.ts';

/** `plugins.entries` of the gateway's config. */
export type PluginEntries = Record<string, { enabled: boolean; config?: object }>;

/** One answered turn. */
export interface Turn {
  readonly status: number;
  readonly isAnswered: boolean;
  readonly durationMs: number;
}

/** Its name, the release, its model, the folders of its plugins, their entries, and whether its clock can be moved. */
type StartParameters = [
  name: string,
  installation: Installation,
  model: ModelServer,
  pluginPaths: readonly string[],
  entries: PluginEntries,
  options?: { readonly hasMovableClock?: boolean },
];

const TOKEN = 'a-token-for-this-test-alone';
const FENCE = fileURLToPath(new URL('./loopback-only.cjs', import.meta.url));
const CLOCK = fileURLToPath(new URL('./movable-clock.cjs', import.meta.url));
/** Said after a restart inside of the process, or after a reload of the plugins. */
const APPLIED = /\[gateway\] ready|hot reload applied/;
const STARTS_WITHIN_MS = 240_000;
const MOST_STARTS = 3;
const STOPS_WITHIN_MS = 60_000;
const LONGEST_MOVE_MS = 300_000;
const LONGEST_TURN_MS = 240_000;

/** A gateway in a process and a home folder of its own. */
export class Gateway {
  readonly #process: ChildProcess;
  readonly #installation: Installation;
  readonly #home: string;
  readonly #url: string;
  #output = '';
  #complaints = '';

  private constructor(process: ChildProcess, installation: Installation, home: string, url: string) {
    this.#process = process;
    this.#installation = installation;
    this.#home = home;
    this.#url = url;
    process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#complaints += text;
    });
  }

  /** Starts one, and waits until it and its plugins answer. */
  static async start(...how: StartParameters): Promise<Gateway> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await Gateway.#startOnce(...how);
      } catch (error) {
        // 2026.9 gives up where a part of its own does not start within 5 s, as on a machine that is busy with other things.
        if (attempt === MOST_STARTS) throw error;
      }
    }
  }

  static async #startOnce(
    ...[name, installation, model, pluginPaths, entries, { hasMovableClock = false } = {}]: StartParameters
  ): Promise<Gateway> {
    const home = path.join(CACHE, 'homes', name);
    await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 1_000 });
    await mkdir(path.join(home, '.openclaw'), { recursive: true });
    const port = await freePort();
    const config = {
      gateway: {
        mode: 'local',
        bind: 'loopback',
        auth: { mode: 'token', token: TOKEN },
        http: { endpoints: { chatCompletions: { enabled: true } } },
        // Of what it does not offer by HTTP unless it is told to.
        tools: { allow: ['sessions_spawn'] },
      },
      update: { checkOnStart: false },
      models: { providers: { office: provider(model) } },
      agents: { defaults: { model: { primary: 'office/clerk' } } },
      plugins: {
        load: { paths: [...pluginPaths, PROBE_PLUGIN] },
        // The bridge to other agents asks npm for them at its start.
        entries: { probe: { enabled: true }, acpx: { enabled: false }, ...entries },
      },
    };
    await writeFile(path.join(home, '.openclaw/openclaw.json'), JSON.stringify(config, undefined, 2));
    const child = spawn(
      installation.nodeBinary,
      [installation.script, 'gateway', 'run', '--port', String(port)],
      {
        cwd: home,
        env: environment(installation, home, hasMovableClock ? [FENCE, CLOCK] : [FENCE]),
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const gateway = new Gateway(child, installation, home, `http://127.0.0.1:${port}`);
    try {
      await gateway.untilReady();
    } catch (error) {
      await gateway.stop();
      throw error;
    }
    return gateway;
  }

  /** The pid of its process. */
  get pid(): number {
    return this.#process.pid as number;
  }

  /** Waits until the plugins' routes answer. */
  async untilReady(): Promise<void> {
    await until('the gateway answers', STARTS_WITHIN_MS, async () => {
      if (this.#process.exitCode !== null) throw new Error(`the gateway has exited:\n${this.#output}`);
      const response = await this.get('/probe').catch(() => undefined);
      return response?.ok && response.headers.get('content-type') === 'application/json' ? true : undefined;
    });
  }

  /** A request with the gateway's own token, or another one, or (`null`) none. */
  get(route: string, token: string | null = TOKEN, timeoutMs = 30_000): Promise<Response> {
    const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
    headers.Connection = 'close';
    return fetch(this.#url + route, { headers, signal: AbortSignal.timeout(timeoutMs) });
  }

  async probe(): Promise<Probed> {
    return (await this.get('/probe')).json() as Promise<Probed>;
  }

  /** Emits an event of a run from a plugin; `false` where the release lets no plugin do so. */
  async emit(runId: string): Promise<boolean> {
    const response = await this.get(`/probe/emit?${new URLSearchParams({ run: runId })}`);
    return ((await response.json()) as { emitted: boolean }).emitted;
  }

  /** Calls one of the gateway's tools, as an agent would, and answers what the tool said. */
  async tool(tool: string, args: object): Promise<Record<string, unknown>> {
    const response = await this.#post('/tools/invoke', { tool, args, sessionKey: 'main' }, LONGEST_TURN_MS);
    const body = (await response.json()) as { ok: boolean; result?: { details?: Record<string, unknown> } };
    if (!body.ok || body.result === undefined)
      throw new Error(`the tool ${tool} failed: ${JSON.stringify(body)}`);
    return body.result.details ?? {};
  }

  /**
   * Moves the gateway's clock on, from timer to timer. It waits for what is under way and for what the timers begin, unless
   * it is told to go on meanwhile.
   */
  async moveClock(
    milliseconds: number,
    { atWork = false }: { readonly atWork?: boolean } = {},
  ): Promise<void> {
    // Bit by bit: on a busy machine an hour takes longer than a request may.
    for (let left = milliseconds; left > 0; left -= LONGEST_MOVE_MS) {
      const ms = String(Math.min(left, LONGEST_MOVE_MS));
      const asked = new URLSearchParams({ ms, 'at-work': String(atWork) });
      const response = await this.get(`/probe/move-clock?${asked}`, TOKEN, LONGEST_TURN_MS);
      const said = await response.text();
      if (!response.ok) throw new Error(`the clock does not move: ${said}`);
    }
  }

  /** Runs a command of the release's own command line against this gateway, and answers what it prints. */
  async command(...parameters: string[]): Promise<string> {
    const { port } = new URL(this.#url);
    const { nodeBinary, script } = this.#installation;
    const address = ['--url', `ws://127.0.0.1:${port}`, '--token', TOKEN];
    const { stdout } = await promisify(execFile)(nodeBinary, [script, ...parameters, ...address], {
      cwd: this.#home,
      env: environment(this.#installation, this.#home, [FENCE]),
      timeout: STARTS_WITHIN_MS,
    });
    return stdout;
  }

  /** A whole agent turn through the chat completions endpoint. */
  async turn(message: string, user: string): Promise<Turn> {
    const startedAt = performance.now();
    const response = await this.#chat(message, user, LONGEST_TURN_MS);
    const body = await response.text();
    const isAnswered = body.includes(ANSWER);
    return { status: response.status, isAnswered, durationMs: performance.now() - startedAt };
  }

  /** A turn whose client goes away. */
  async abortedTurn(message: string, afterMs: number): Promise<void> {
    const going = this.#chat(`${message}: answer for 20 seconds`, 'an-impatient-user', afterMs);
    await going.catch(() => undefined);
  }

  /** Many turns, so many at once, by so many users in turn, or by whom a function says of each number. */
  async turns(
    count: number,
    { atOnce, users }: { readonly atOnce: number; readonly users: number | ((number: number) => string) },
  ): Promise<Turn[]> {
    const userOf = typeof users === 'function' ? users : (number: number) => `user-${number % users}`;
    const turns: Turn[] = [];
    let begun = 0;
    const worker = async (): Promise<void> => {
      while (begun < count) {
        begun += 1;
        const number = begun;
        turns.push(await this.turn(`Ticket ${number}`, userOf(number)));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return turns;
  }

  #chat(message: string, user: string, timeoutMs: number): Promise<Response> {
    const body = { model: 'openclaw', user, messages: [{ role: 'user', content: message }] };
    return this.#post('/v1/chat/completions', body, timeoutMs);
  }

  #post(route: string, body: object, timeoutMs: number): Promise<Response> {
    return fetch(this.#url + route, {
      method: 'POST',
      // A kept connection may be closed by a gateway that was too busy to say so before it is used again.
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        'Content-Type': 'application/json',
        Connection: 'close',
      },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
  }

  /** Changes `plugins.entries`, as an operator edits the file, and waits until the gateway has applied that. */
  async configurePlugins(entries: PluginEntries): Promise<void> {
    const timesApplied = (): number => this.log.filter((line) => APPLIED.test(line)).length;
    const before = timesApplied();
    const file = path.join(this.#home, '.openclaw/openclaw.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as { plugins: { entries: PluginEntries } };
    Object.assign(config.plugins.entries, entries);
    await writeFile(file, JSON.stringify(config, undefined, 2));
    await until('the gateway applies its new config', STARTS_WITHIN_MS, async () =>
      timesApplied() > before ? true : undefined,
    );
    await this.untilReady();
  }

  /** The log so far, line by line. */
  get log(): readonly string[] {
    return this.#output.split('\n');
  }

  /** Warnings and errors, which the gateway writes to stderr, with what differs from run to run taken out. */
  get complaints(): ReadonlySet<string> {
    return new Set(this.#complaints.split('\n').map(normalised));
  }

  /** Ends its process. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.kill('SIGTERM');
    const overdue = setTimeout(() => this.#process.kill('SIGKILL'), STOPS_WITHIN_MS);
    await exited;
    clearTimeout(overdue);
  }
}

/** Asks until there is an answer. */
export async function until<Answer>(
  what: string,
  withinMs: number,
  ask: () => Promise<Answer | undefined>,
): Promise<Answer> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > giveUpAt) throw new Error(`waited ${withinMs / 1_000} s until ${what}, in vain`);
    await pause(500);
  }
}

/** None of the environment of the tests: a gateway behaves differently under a test runner. */
function environment(
  { nodeBinary }: Installation,
  home: string,
  required: readonly string[],
): NodeJS.ProcessEnv {
  return {
    PATH: `${path.dirname(nodeBinary)}${path.delimiter}${process.env.PATH ?? ''}`,
    HOME: home,
    TMPDIR: home,
    NODE_OPTIONS: required.map((file) => `--require=${JSON.stringify(file)}`).join(' '),
    npm_config_offline: 'true',
    OPENCLAW_SKIP_CHANNELS: '1',
    OPENCLAW_DISABLE_BONJOUR: '1',
    // One process, which restarts inside of itself where a change of its config needs that.
    OPENCLAW_NO_RESPAWN: '1',
  };
}

function provider({ baseUrl }: ModelServer): object {
  const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  const clerk = { id: 'clerk', name: 'clerk', contextWindow: 128_000, maxTokens: 4_096, cost };
  return {
    baseUrl,
    apiKey: 'none',
    api: 'openai-completions',
    models: [{ ...clerk, reasoning: false, input: ['text'] }],
  };
}

function normalised(text: string): string {
  return text
    .replaceAll(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, '<id>')
    .replaceAll(/\/[^\s"',)]+/g, '<path>')
    .replaceAll(/\d+(\.\d+)?/g, '<number>')
    .slice(0, 300);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
