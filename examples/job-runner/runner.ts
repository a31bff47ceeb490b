import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, createRegistry, type Deliver } from 'mapsweep';

export interface Job {
  command: readonly string[];
  /** When it was known to be over, epoch ms. */
  endedAt?: number;
  /** Its process, if it is one of this life. */
  child?: ChildProcess;
}

export interface RunnerOptions {
  /** Where the journal is, and what jobs say of themselves. */
  folder: string;
  /** Is told of the end of every job, exactly once: again only after a kill, with the same id. */
  deliver: Deliver<string, Job>;
  /** A job that takes longer hangs, and is killed. */
  maxAge?: '1h' | '10m' | '2s';
  /** How many jobs are remembered. Those that run are never forgotten. */
  maxEntries?: number;
  sweepEvery?: '60s' | '1s' | '100ms';
  clock?: Clock;
}

/** A job says by itself who it is and how it ended, so that a runner which was dead meanwhile knows of it too. */
const script = 'echo $$ >"$0.pid"; "$@"; echo $? >"$0.exit"';

export function startRunner(options: RunnerOptions) {
  const { folder, deliver, maxAge = '1h', maxEntries = 10_000, sweepEvery, clock } = options;
  const now = () => clock?.now() ?? Date.now();
  const said = join(folder, 'jobs');
  mkdirSync(said, { recursive: true });

  const registry = createRegistry<{ jobs: Map<string, Job> }>({
    maps: {
      jobs: {
        ttl: '5m',
        // The time for which a job can be looked up begins at its end, and one that runs has no other limit than its age.
        since: (job) => job.endedAt,
        maxAge,
        maxEntries,
        keepWhile: (job) => job.endedAt === undefined,
        dispose: (job, id) => {
          killGroup(job.child?.pid ?? processOf(id));
          forget(id);
        },
        persist: {
          encode: ({ command, endedAt }) => ({ command, endedAt }),
          decode: (json) => json as Job,
        },
      },
    },
    ended: { map: 'jobs', id: (_job, id) => id, idempotent: true, deliver },
    persistTo: join(folder, 'journal'),
    sweepEvery,
    clock,
  });
  const { jobs } = registry.maps;

  /** The number that a job has written down; `undefined` if it has not, or is in the midst of it. */
  function numberOf(id: string, what: 'pid' | 'exit'): number | undefined {
    try {
      const text = readFileSync(join(said, `${id}.${what}`), 'utf8');
      return text.endsWith('\n') ? Number(text) : undefined;
    } catch {
      return undefined;
    }
  }

  /** What a job has said of itself is of no use any more. */
  function forget(id: string): void {
    for (const what of ['pid', 'exit']) rmSync(join(said, `${id}.${what}`), { force: true });
  }

  /** The process of a job, by what it has written down, and no other that has been given its number meanwhile. */
  function processOf(id: string): number | undefined {
    const pid = numberOf(id, 'pid');
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(join(said, id)) ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /** Says how a job ended. One that was swept or cancelled before has been told of: this is a duplicate then. */
  function settle(id: string): void {
    const code = numberOf(id, 'exit');
    const reason = code === undefined ? 'lost' : code === 0 ? 'completed' : 'failed';
    const job = jobs.get(id);
    if (job === undefined) forget(id);
    else if (job.endedAt === undefined) jobs.set(id, { command: job.command, endedAt: now() });
    registry.end(id, { reason, detail: { code } });
  }

  /** Jobs of an earlier life: no event tells of their end. */
  const inherited = new Set(jobs.keys());
  const lookAtInherited = (): void => {
    for (const id of inherited) {
      if (processOf(id) !== undefined) continue;
      inherited.delete(id);
      settle(id);
    }
    if (inherited.size === 0) clearInterval(looking);
  };
  const looking = setInterval(lookAtInherited, 100).unref();

  return {
    registry,
    /** The process of a job that runs. */
    processOf,
    /** Starts a job, and returns its id. */
    async run(...command: string[]): Promise<string> {
      const id = randomUUID();
      const job: Job = { command };
      jobs.set(id, job);
      // Whoever is told of the id may rely on it.
      await registry.flushed();
      // Cancelled meanwhile, and told so.
      if (!jobs.has(id)) return id;
      const child = spawn('sh', ['-c', script, join(said, id), ...command], {
        // A group of its own, which lives on when the runner dies.
        detached: true,
        stdio: 'ignore',
      });
      // By it the job is known before it has written anything down; no later life has use for it.
      job.child = child;
      // The runner may end before it.
      child.unref();
      child.once('exit', () => {
        // What it has left behind, above all if only the shell around the job was killed.
        killGroup(child.pid);
        settle(id);
      });
      child.once('error', () => settle(id));
      return id;
    },
    cancel(id: string): boolean {
      registry.end(id, { reason: 'cancelled' });
      return jobs.delete(id);
    },
    /** Jobs run on: the next runner takes them over. */
    async close(): Promise<void> {
      clearInterval(looking);
      await registry.close();
    },
  };
}

/** Kills a job with all that it has started: they are a group by its number. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left of it.
  }
}
