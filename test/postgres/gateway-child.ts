/**
 * One gateway among several: a process with a registry whose journal is in PostgreSQL, which does what its parent says and
 * tells what it has told. What it delivers goes into a table too, so that nothing is forgotten that a killed one has said.
 */
import pg from 'pg';
import { createRegistry, type Registry } from '../../src/index.js';
import { postgresJournal } from '../../src/postgres.js';
import type { Begin, Command, Word } from './protocol.js';

type Maps = { runs: Map<string, { n: number }> };

const say = (word: Word): void => void process.send?.(word);

process.once('message', (begin: Begin) => {
  live(begin).catch((error: Error) => {
    say({
      kind: 'failed',
      code: String((error as { code?: unknown }).code),
      message: error.message,
      isFinal: true,
    });
    process.exit(1);
  });
});

async function live({
  connection,
  direct,
  instance,
  takeOverAfter,
  mode,
  map,
  isSilent,
  maxWait,
}: Begin): Promise<void> {
  const pool = new pg.Pool({ ...connection, connectionTimeoutMillis: 2_000 });
  const effects = new pg.Pool(direct);
  effects.on('error', () => {});
  const name = map ?? 'runs';
  const registry = createRegistry({
    maps: {
      [name]: { maxIdle: '1h', mode: mode ?? 'sweep', persist: { encode: (value: { n: number }) => value } },
    },
    ended: {
      map: name,
      ...(!isSilent && {
        deliver: async ({
          id,
          key,
          reason,
          value,
        }: {
          id: string;
          key: unknown;
          reason: string;
          value?: unknown;
        }) => {
          await effects.query('insert into told (id, key, reason, value, by) values ($1, $2, $3, $4, $5)', [
            id,
            key,
            reason,
            JSON.stringify(value),
            instance,
          ]);
        },
      }),
      minDelay: '50ms',
      maxDelay: '500ms',
    },
    persistTo: await postgresJournal(pool, { instance, takeOverAfter, maxWait }),
    restoreWindow: '1m',
  } as never) as unknown as Registry<Maps>;
  registry.on('journal-failed', ({ error, isFinal }) => {
    const { code, message } = error as { code: string; message: string };
    say({ kind: 'failed', code, message, isFinal });
  });
  const { runs } = { runs: (registry.maps as Record<string, Map<string, { n: number }>>)[name]! };
  const commands: Record<Command['do'], (keys: string[]) => unknown> = {
    set: (keys) => {
      for (const key of keys) runs.set(key, { n: 1 });
    },
    end: (keys) => keys.map((key) => registry.end(key)),
    flushed: () => registry.flushed(),
  };
  process.on('message', ({ id, do: name, keys }: Command) => {
    void (async () => commands[name](keys ?? []))().then(
      (result) => say({ kind: 'done', id, result }),
      (error: Error) => say({ kind: 'done', id, error: error.message }),
    );
  });
  say({ kind: 'ready' });
}
