import { randomUUID } from 'node:crypto';
import { isTerminal, type TaskStore } from '@modelcontextprotocol/sdk/experimental/tasks';
import type { Result, Task } from '@modelcontextprotocol/sdk/types.js';
import type { Registry } from 'mapsweep';

/** A task of the protocol, work that outlives the request which began it. */
export interface KeptTask {
  user: string;
  /** `undefined` for a client of the protocol without sessions. */
  sessionId: string | undefined;
  task: Task;
  expiresAt: number;
  abort: AbortController;
  result?: Result;
}

/**
 * What the SDK asks for the tasks of a user, whatever his session is. The SDK's own store has no bound, and no policy: tasks
 * are in the tracked Map `tasks` instead.
 */
export function taskStoreOf(
  user: string,
  registry: Registry<{ tasks: Map<string, KeptTask> }>,
  now: () => number,
): TaskStore {
  const { tasks } = registry.maps;

  function find(id: string): KeptTask | undefined {
    const kept = tasks.get(id);
    // What is over is over, though no sweep has come yet.
    return kept?.user === user && !registry.isDue('tasks', id) ? kept : undefined;
  }

  function settle(id: string, task: Partial<Task>, result?: Result): void {
    const kept = find(id);
    if (kept === undefined || isTerminal(kept.task.status))
      throw new Error(`There is no task ${id} that runs.`);
    const lastUpdatedAt = new Date(now()).toISOString();
    tasks.set(id, { ...kept, task: { ...kept.task, ...task, lastUpdatedAt }, result });
    if (task.status === 'cancelled') kept.abort.abort('the task was cancelled');
  }

  return {
    async createTask({ ttl }, _requestId, _request, sessionId) {
      if (!registry.hasRoom('tasks', user)) throw new Error('You have as many tasks as you may have.');
      const taskId = randomUUID();
      const createdAt = new Date(now()).toISOString();
      // None lives without end, whatever it was asked for.
      const ttlMs = Math.min(ttl ?? 600_000, 3_600_000);
      const times = { ttl: ttlMs, createdAt, lastUpdatedAt: createdAt, pollInterval: 1_000 };
      const task: Task = { taskId, status: 'working', ...times };
      tasks.set(taskId, { user, sessionId, task, expiresAt: now() + ttlMs, abort: new AbortController() });
      return task;
    },
    getTask: async (id) => find(id)?.task ?? null,
    updateTaskStatus: async (id, status, statusMessage) => settle(id, { status, statusMessage }),
    storeTaskResult: async (id, status, result) => settle(id, { status }, result),
    async getTaskResult(id) {
      const result = find(id)?.result;
      if (result === undefined) throw new Error(`There is no result of ${id}.`);
      return result;
    },
    listTasks: async () => ({ tasks: [...tasks.keys()].flatMap((id) => find(id)?.task ?? []) }),
  };
}
