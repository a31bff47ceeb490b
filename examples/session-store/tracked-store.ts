import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, createRegistry, openJournal } from 'mapsweep';
import type { SessionEntry, SessionStore } from './entry.ts';

export interface TrackedStoreOptions {
  /** For how long the session of a cron run is kept; `false`: until there are too many. */
  cronRetention?: '24h' | '7d' | false;
  maxEntries?: number;
  /** Removes a transcript. Default: from the disk. */
  removeTranscript?: (path: string) => Promise<void>;
  clock?: Clock;
}

/** A tracked Map with a journal: a save is a `set`, and writes what has changed. */
export async function openTrackedStore(folder: string, options: TrackedStoreOptions = {}) {
  const { cronRetention = '24h', maxEntries = 5_000, clock } = options;
  const { removeTranscript = (path) => rm(path, { force: true }) } = options;
  const registry = createRegistry<{ sessions: Map<string, SessionEntry> }>({
    maps: {
      sessions: {
        maxIdle: '30d',
        rules: [{ match: /^cron:[^:]+:run:/, ttl: cronRetention }],
        // What is due goes first, then what was idle longest, and nothing that a turn holds.
        maxEntries,
        persist: { encode: (entry) => entry, decode: (json) => json as SessionEntry },
        // An entry leaves after its transcript: what fails is tried again, and nothing is left on the disk.
        beforeSweep: {
          batch: 100,
          run: async (entries: [string, SessionEntry][]) => {
            const removed = await Promise.allSettled(
              entries.map(([, { transcript }]) => removeTranscript(transcript)),
            );
            return entries.flatMap(([key], index) => (removed[index]!.status === 'rejected' ? [key] : []));
          },
        },
        // A network disk takes its time, and nobody waits for this.
        beforeSweepTimeout: '10m',
      },
    },
    // Read in slices, however large it is.
    persistTo: await openJournal(join(folder, 'journal')),
    sweepEvery: '1h',
    clock,
  });
  const { sessions } = registry.maps;
  const store: SessionStore = {
    save: (key, entry) => void sessions.set(key, entry),
    get: (key) => sessions.get(key),
    get size() {
      return sessions.size;
    },
    close: async () => void (await registry.close()),
  };
  return Object.assign(store, {
    registry,
    /** Keeps a session while a turn of it runs, however long, however many others come. */
    during: <T>(key: string, turn: Promise<T>) => registry.hold('sessions', key).until(turn),
  });
}
