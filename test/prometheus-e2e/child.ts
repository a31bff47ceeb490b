import { type ChildProcess, spawn } from 'node:child_process';

/** A process that a test has started, with all that it has said. */
export interface Child {
  readonly output: () => string;
  /** The first match in what it says; an error where it ends, or says nothing of the kind for 30 seconds. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  /** Asks it to end, by its pid, and waits until it has; after 10 seconds it has no choice. */
  end(): Promise<void>;
}

const patienceMs = 30_000;

/** Starts a process. */
export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Child {
  const child: ChildProcess = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  let isGone = false;
  const waiting = new Set<() => void>();
  const changed = () => {
    for (const look of [...waiting]) look();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      changed();
    });
  }
  // Where the test process itself is stopped, nobody else would end it.
  const endWithParent = () => child.kill('SIGKILL');
  process.once('exit', endWithParent);
  const gone = new Promise<void>((resolve) => {
    const ended = (how: string) => {
      text += `\n${command} ended: ${how}\n`;
      isGone = true;
      process.off('exit', endWithParent);
      changed();
      resolve();
    };
    child.once('error', (error) => ended(String(error)));
    child.once('exit', (code, signal) => ended(String(signal ?? code)));
  });
  return {
    output: () => text,
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => settle(() => reject(complaint())), patienceMs);
        const complaint = () => new Error(`${command} did not say ${pattern}, but:\n${text}`);
        const settle = (how: () => void) => {
          clearTimeout(timer);
          waiting.delete(look);
          how();
        };
        const look = () => {
          const match = pattern.exec(text);
          if (match !== null) settle(() => resolve(match));
          else if (isGone) settle(() => reject(complaint()));
        };
        waiting.add(look);
        look();
      }),
    async end() {
      if (isGone) return;
      child.kill('SIGTERM');
      const killing = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(killing);
    },
  };
}
