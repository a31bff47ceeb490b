import type { IncomingMessage, ServerResponse } from 'node:http';
import v8 from 'node:v8';
import vm from 'node:vm';

/** What the probe answers. */
export interface Probed {
  readonly pid: number;
  /** Bytes, after a garbage collection. */
  readonly heapUsed: number;
  readonly rss: number;
  /** Time on a processor since its start. */
  readonly cpuMs: number;
  /** Sizes of Maps and Sets below `globalThis[Symbol.for('openclaw.…')]`, by path. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Own properties on any of them, as a wrapper leaves: `path.name`. A Map has none. */
  readonly traces: readonly string[];
  /** Runs whose events did not count 1, 2, 3 …: their counter was lost while they were active. */
  readonly brokenRuns: readonly string[];
  readonly events: number;
  /** The number of the last event of each run. */
  readonly lastSeqs: Readonly<Record<string, number>>;
  /** Runs that have a context, wherever the release keeps it. */
  readonly contexts: readonly string[];
  /** What the gateway's clock reads, epoch ms. */
  readonly now: number;
}

/** What `movable-clock.cjs` leaves for the probe. */
type MoveClock = (milliseconds: number, isBusy: () => boolean, longestStepMs?: number) => Promise<void>;

interface AgentEvent {
  readonly runId: string;
  readonly seq: number;
}

interface Api {
  readonly registrationMode: string;
  /** Not in every release. */
  readonly agent?: { readonly events?: { emitAgentEvent?(event: object): { readonly emitted: boolean } } };
  readonly runtime: { readonly events: { onAgentEvent(listener: (event: AgentEvent) => void): () => void } };
  registerHttpRoute(route: object): void;
  registerService(service: object): void;
}

v8.setFlagsFromString('--expose-gc');
const collectGarbage = vm.runInNewContext('gc') as () => void;

const lastSeqs = new Map<string, number>();
const brokenRuns = new Set<string>();
let events = 0;

const CONTEXTS = new Set([
  'openclaw.agentEvents.state/runContextById',
  'openclaw.agentRunRegistry.state/contexts',
]);
/** Short enough for a model that says a word every 40 ms not to be taken for a silent one. */
const STEP_AT_WORK_MS = 5_000;

export default {
  id: 'probe',
  name: 'probe',
  description: "Tells the test what is in the gateway's process.",
  register(api: Api): void {
    if (api.registrationMode !== 'full') return;
    let unsubscribe = (): void => {};
    api.registerService({
      id: 'probe',
      start: () => {
        unsubscribe = api.runtime.events.onAgentEvent(({ runId, seq }) => {
          events += 1;
          if (seq !== (lastSeqs.get(runId) ?? 0) + 1) brokenRuns.add(runId);
          lastSeqs.set(runId, seq);
        });
      },
      stop: () => unsubscribe(),
    });
    api.registerHttpRoute({
      path: '/probe',
      auth: 'gateway',
      match: 'exact',
      handler: (_request: IncomingMessage, response: ServerResponse) => {
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(probe()));
        return true;
      },
    });
    api.registerHttpRoute({
      path: '/probe/emit',
      auth: 'gateway',
      match: 'exact',
      handler: (request: IncomingMessage, response: ServerResponse) => {
        const runId = new URL(request.url ?? '', 'http://localhost').searchParams.get('run');
        const event = { runId, stream: 'probe.noted', data: { noted: true } };
        const { emitted } = api.agent?.events?.emitAgentEvent?.(event) ?? { emitted: false };
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ emitted }));
        return true;
      },
    });
    api.registerHttpRoute({
      path: '/probe/move-clock',
      auth: 'gateway',
      match: 'exact',
      handler: async (request: IncomingMessage, response: ServerResponse) => {
        const asked = new URL(request.url ?? '', 'http://localhost').searchParams;
        const moveClock = Reflect.get(globalThis, Symbol.for('movable-clock')) as MoveClock;
        const isAtWorkToo = asked.get('at-work') === 'true';
        await moveClock(
          Number(asked.get('ms')),
          isAtWorkToo ? () => false : isAtWork,
          isAtWorkToo ? STEP_AT_WORK_MS : undefined,
        );
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ now: Date.now() }));
        return true;
      },
    });
  },
};

/** A task that runs for longer is waited for no more. */
const LONGEST_TASK_MS = 120_000;

/**
 * Whether anything is queued or runs in any lane, through which all of the gateway's runs go, or is being set up to: a job of
 * the scheduler is a task before it is in a lane, and is given a minute for that.
 */
function isAtWork(): boolean {
  return hasWorkInLanes() || hasTaskUnderWay();
}

function hasTaskUnderWay(): boolean {
  const state = Reflect.get(globalThis, Symbol.for('openclaw.taskRegistry.state')) as
    | { tasks?: ReadonlyMap<string, { status: string; createdAt: number }> }
    | undefined;
  const now = Date.now();
  for (const { status, createdAt } of state?.tasks?.values() ?? []) {
    if ((status === 'queued' || status === 'running') && now - createdAt < LONGEST_TASK_MS) return true;
  }
  return false;
}

function hasWorkInLanes(): boolean {
  const state = Reflect.get(globalThis, Symbol.for('openclaw.commandQueueState')) as
    | { lanes?: ReadonlyMap<string, { queue: unknown[]; activeTaskIds: ReadonlySet<unknown> }> }
    | undefined;
  for (const { queue, activeTaskIds } of state?.lanes?.values() ?? []) {
    if (queue.length + activeTaskIds.size > 0) return true;
  }
  return false;
}

function probe(): Probed {
  collectGarbage();
  const { heapUsed, rss } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const sizes: Record<string, number> = {};
  const traces: string[] = [];
  const contexts: string[] = [];
  const visit = (path: string, value: unknown, depth: number): void => {
    if (value instanceof Map || value instanceof Set) {
      sizes[path] = value.size;
      if (CONTEXTS.has(path)) contexts.push(...(value as ReadonlyMap<string, unknown>).keys());
      traces.push(...Object.getOwnPropertyNames(value).map((name) => `${path}.${name}`));
    } else if (typeof value === 'object' && value !== null && depth < 4) {
      for (const [name, { value: below }] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
        visit(`${path}/${name}`, below, depth + 1);
      }
    }
  };
  for (const symbol of Object.getOwnPropertySymbols(globalThis)) {
    if (!symbol.description?.startsWith('openclaw.')) continue;
    visit(symbol.description, Object.getOwnPropertyDescriptor(globalThis, symbol)?.value, 0);
  }
  return {
    pid: process.pid,
    heapUsed,
    rss,
    cpuMs: (user + system) / 1_000,
    sizes,
    traces,
    brokenRuns: [...brokenRuns],
    events,
    lastSeqs: Object.fromEntries(lastSeqs),
    contexts,
    now: Date.now(),
  };
}
