/** One life of a gateway that is going to be killed, as a child process, seen from the parent. */
import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Progress } from './client.ts';
import type { EntryCounts } from './figures.ts';

/** What a life is told when it begins. */
export interface LifeSetup {
  /** 1 is the first. */
  life: number;
  seed: number;
  tickets: number;
  /** Where its files are. */
  folder: string;
  /** The gateway clock when it starts, since the start of the batch. */
  startsAtMs: number;
  /** The first request that has not been answered. */
  from: number;
  /** From here on, by the gateway clock, each request waits for a nod of the parent. Default: none does. */
  watchFromMs?: number;
}

/** What a life comes to when it reaches the end of the batch. */
export interface LifeResult {
  entries: EntryCounts;
}

/**
 * What a life sends. `step`: everything before `progress.sent` has been answered, and it goes on to that time now;
 * `request`: one has been read, and waits for a nod.
 */
export type LifeMessage =
  | { type: 'step'; progress: Progress }
  | { type: 'request' }
  | { type: 'result'; result: LifeResult };

/** The files of all lives. */
export const filesIn = (folder: string) => ({
  /** Written by mapsweep. */
  journal: join(folder, 'journal'),
  /** Written by the gateway. */
  store: join(folder, 'runs.jsonl'),
  /** Written by the context engine, and flushed line by line. */
  deliveries: join(folder, 'deliveries.jsonl'),
});

/** A life, from the start of its process to its end or kill. */
export interface LifeProcess {
  /** Lets it begin: before that it has loaded its code and nothing else. */
  begin(setup: LifeSetup): void;
  /** Ends with the process, after everything that it managed to send. */
  messages: AsyncIterable<LifeMessage>;
  /** Lets it handle the request that has waited longest. */
  nod(): void;
  /** `kill -9`. */
  kill(): void;
  /** Resolves when the process is gone, with what it ended by. */
  gone: Promise<string>;
  stop(): void;
}

/** Starts the process of a life. Its stderr is this process's own. */
export function startLife(): LifeProcess {
  const child = fork(fileURLToPath(new URL('life.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const send = (message: LifeSetup | 'nod') => {
    if (child.connected) child.send(message);
  };
  const events = on(child, 'message', { close: ['disconnect'] });
  return {
    messages: firstOf(events) as AsyncIterable<LifeMessage>,
    begin: (setup) => send(setup),
    nod: () => send('nod'),
    kill: () => child.kill('SIGKILL'),
    gone: once(child, 'exit').then(([status, signal]) => String(signal ?? `exit status ${status}`)),
    stop: () => child.kill(),
  };
}

async function* firstOf(events: AsyncIterable<unknown[]>): AsyncGenerator<unknown> {
  for await (const [event] of events) yield event;
}
