/**
 * The gateway's own store of its runs, as a gateway has one: what a new process loads again.
 *
 * Two orders in it keep an ending from being lost or told under two ids. The id of an ending is written down before the
 * first attempt to tell it, and a later life uses the same one. A run is written down as complete only when its ending
 * has been heard, since "complete" is what tells mapsweep that there is nothing left to announce.
 */
import { writeFileSync } from 'node:fs';
import { DurableLines, readLines } from './durable-lines.ts';
import type { RunRecord } from './gateway.ts';

type Line = { run: RunRecord; insteadOf?: string } | { endingOf: string; id: string } | { removed: string };

/** What a store holds. */
export interface StoredRuns {
  /** As they were written last, in order of registration; answers are not kept. */
  readonly runs: Map<string, RunRecord>;
  /** The ids under which endings were told, or were about to be. */
  readonly endings: Map<string, string>;
  /** Runs that went on under another id: from, to. */
  readonly restarts: ReadonlyMap<string, string>;
}

/** Reads a store from disk. */
export function readStore(path: string): StoredRuns {
  const runs = new Map<string, RunRecord>();
  const endings = new Map<string, string>();
  const restarts = new Map<string, string>();
  for (const line of readLines<Line>(path)) {
    if ('endingOf' in line) endings.set(line.endingOf, line.id);
    else if ('removed' in line) runs.delete(line.removed);
    else {
      runs.set(line.run.runId, line.run);
      if (line.insteadOf === undefined) continue;
      runs.delete(line.insteadOf);
      restarts.set(line.insteadOf, line.run.runId);
    }
  }
  return { runs, endings, restarts };
}

/** Takes runs out of a store, as a bad disk does: nothing tells that they were there. */
export function loseRuns(path: string, runIds: ReadonlySet<string>): void {
  const isOf = (line: Line) =>
    'endingOf' in line ? line.endingOf : 'removed' in line ? line.removed : line.run.runId;
  const left = readLines<Line>(path).filter((line) => !runIds.has(isOf(line)));
  writeFileSync(path, left.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** The store of a gateway at work. */
export class RunStore {
  /** What the lives before have left. */
  readonly loaded: StoredRuns;
  readonly #lines: DurableLines<Line>;

  constructor(path: string) {
    this.#lines = new DurableLines(path);
    this.loaded = readStore(path);
  }

  /** Writes a run down as it is now. */
  save(run: RunRecord): void {
    this.#lines.append({ run: withoutAnswer(run) });
  }

  /** Writes down in one step that a run has taken the place of another. */
  restart(from: string, to: RunRecord): void {
    this.#lines.append({ run: withoutAnswer(to), insteadOf: from });
  }

  /** Writes down that a run has left the gateway. */
  remove(runId: string): void {
    this.#lines.append({ removed: runId });
  }

  /** Writes down the id of an ending before it is told; answers the one under which an earlier life told it. */
  nameEnding(runId: string, id: string): string {
    const known = this.loaded.endings.get(runId);
    if (known === undefined) this.#lines.append({ endingOf: runId, id });
    return known ?? id;
  }
}

const withoutAnswer = ({ result: _, ...run }: RunRecord): RunRecord => run;
