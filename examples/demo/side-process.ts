/**
 * One side of the comparison as a child process, seen from the parent: started, watched, waited for.
 *
 * A process of its own for each side, one after the other, so that neither pollutes the other's heap or event loop.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Progress } from './client.ts';
import type { Figures } from './figures.ts';

/** What a side is told when it is started. */
export interface SideSetup {
  side: 'plain' | 'mapsweep';
  seed: number;
  tickets: number;
  /** Test only: the registry is stopped at once, so that nothing is ever swept. */
  noSweep: boolean;
}

/** What a side sends over IPC. */
export type SideMessage = { type: 'progress'; progress: Progress } | { type: 'result'; figures: Figures };

/** A side at work. */
export interface SideProcess {
  /** Rejects if the child ends without a result. */
  result: Promise<Figures>;
  /** Resolves when the child is gone. */
  gone: Promise<void>;
  stop(): void;
}

/** Starts a side. Its stderr is this process's own. */
export function startSide(setup: SideSetup, onProgress: (progress: Progress) => void): SideProcess {
  const child = fork(fileURLToPath(new URL('side.ts', import.meta.url)), [JSON.stringify(setup)], {
    execArgv: ['--expose-gc', '--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const result = new Promise<Figures>((resolve, reject) => {
    child.on('message', (message: SideMessage) => {
      if (message.type === 'progress') onProgress(message.progress);
      else resolve(message.figures);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      reject(
        new Error(`the ${setup.side} side ended before it had a result (${signal ?? `exit status ${code}`})`),
      );
    });
  });
  return { result, gone, stop: () => child.kill() };
}
