import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SessionEntry, SessionStore } from './entry.ts';

/**
 * As it was: one file. Each save reads and parses it, clones it, sorts it when there are too many, and writes it whole, while
 * everybody waits (openclaw#72826). What is cut off is the oldest, were it in use or not (openclaw#56034), and its transcript stays
 * on the disk (openclaw#14434).
 */
export function openJsonStore(folder: string, { cap = 50 } = {}): SessionStore {
  const path = join(folder, 'sessions.json');
  const load = (): Record<string, SessionEntry> =>
    existsSync(path) ? structuredClone(JSON.parse(readFileSync(path, 'utf8'))) : {};
  return {
    save(key, entry) {
      const sessions = load();
      sessions[key] = entry;
      const newestFirst = Object.entries(sessions).sort(([, a], [, b]) => b.updatedAt - a.updatedAt);
      const kept = newestFirst.length > cap ? Object.fromEntries(newestFirst.slice(0, cap)) : sessions;
      writeFileSync(`${path}.tmp`, JSON.stringify(kept, null, 2));
      renameSync(`${path}.tmp`, path);
    },
    get: (key) => load()[key],
    get size() {
      return Object.keys(load()).length;
    },
    close: async () => {},
  };
}
