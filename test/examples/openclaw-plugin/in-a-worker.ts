/*
 * The plugin in a main thread and in a worker of it, in a process of its own: each thread has a `globalThis`, and with it maps,
 * of its own. Prints what both have seen.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { Service } from '../../../examples/openclaw-plugin/gateway-api.ts';
import { createPlugin } from '../../../examples/openclaw-plugin/index.ts';
import { loadPlugin } from './load-plugin.ts';

const seqByRun = new Map([[isMainThread ? 'run-of-main' : 'run-of-worker', 1]]);
Reflect.set(globalThis, Symbol.for('openclaw.agentEvents.state'), { seqByRun });

let tracked = 0;
const logger = {
  info: (message: string) => {
    tracked = Number(/tracks (\d+) map/.exec(message)?.[1] ?? tracked);
  },
  warn: () => {},
  error: () => {},
};

const load = (): Service => loadPlugin(createPlugin(), logger);

const traces = () => Object.getOwnPropertyNames(seqByRun);

if (isMainThread) {
  await load().start({ logger });
  // Of a worker nobody but itself can say that it is to understand TypeScript.
  const register = "const { register } = await import('tsx/esm/api'); register();";
  const code = `(async () => { ${register} await import(${JSON.stringify(import.meta.url)}); })()`;
  const worker = new Worker(code, { eval: true });
  const [seen] = await once(worker, 'message');
  const [exitCode] = await once(worker, 'exit');
  const main = { tracked, entries: seqByRun.size, isTracked: traces().length > 0 };
  console.log(JSON.stringify({ worker: seen, main, exitCode }));
} else {
  let starts = 0;
  for (; starts < 120; starts += 1) {
    const service = load();
    await service.start({ logger });
    await service.stop();
  }
  const seen = { starts, tracked, traces: traces() };
  // The last one is never stopped, as where a thread just ends.
  await load().start({ logger });
  parentPort?.postMessage(seen);
}
