import type { Deliver, EndedEvent } from '../../events/ended-event.js';
import { callback } from '../../policy/checks.js';
import { readOptions } from '../../policy/read-options.js';
import { realSetImmediate } from '../../time/real-timers.js';
import { messageText, type ValueForMessage } from '../ending-message.js';
import { Database, type PostgresPool } from './database.js';
import { inAscii } from './in-ascii.js';
import { defaultSchema, prepareSchema, readSchema, tableIn } from './layout.js';
import { isRefusal } from './refusal.js';

/** How endings get into an outbox. */
export interface OutboxOptions<K = unknown, V = unknown> {
  /** The schema of the table `outbox`, made if it is missing. Default `'mapsweep'`. */
  schema?: string;
  /** Makes of a value what is to travel with its ending. Default: no value travels. */
  value?: ValueForMessage<K, V>;
}

/** So many endings go into one statement. */
const mostAtOnce = 500;

interface Waiting {
  readonly id: string;
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes a `deliver` that writes endings into the table `outbox`, for a consumer that calls `drainOutbox`. The id of an
 * ending is the table's primary key, so an ending that is delivered twice is there once: set `idempotent: true`.
 *
 * Those of one turn of the event loop go out in one statement. The table is made at the first delivery if it is missing.
 */
export function toOutbox<K = unknown, V = unknown>(
  pool: PostgresPool,
  options: OutboxOptions<K, V> = {},
): Deliver<K, V> {
  const { schema = defaultSchema, value } = readOptions('', options, {
    schema: readSchema,
    value: callback<ValueForMessage<K, V>>('of a value and its key'),
  });
  const outbox = new Outbox(new Database(pool, 'toOutbox', 'ERR_OUTBOX_IO'), schema);
  return (event: EndedEvent<K, V>) => outbox.write(event.id, messageText(event, value, 'value'));
}

/** Writes what is handed over in one turn in one statement. */
class Outbox {
  readonly #database: Database;
  readonly #schema: string;
  #waiting: Waiting[] = [];
  #isPrepared = false;

  constructor(database: Database, schema: string) {
    this.#database = database;
    this.#schema = schema;
  }

  write(id: string, text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) realSetImmediate(() => void this.#writeAll());
      this.#waiting.push({ id, text, resolve, reject });
    });
  }

  async #writeAll(): Promise<void> {
    const all = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < all.length; from += mostAtOnce)
      await this.#writeSome(all.slice(from, from + mostAtOnce));
  }

  async #writeSome(some: readonly Waiting[]): Promise<void> {
    try {
      if (!this.#isPrepared) await prepareSchema(this.#database, this.#schema);
      this.#isPrepared = true;
      await this.#insert(some);
    } catch (error) {
      // One that PostgreSQL refuses must not keep the others from being written.
      if (some.length > 1 && isRefusal(error)) for (const one of some) await this.#writeSome([one]);
      else for (const { reject } of some) reject(error);
      return;
    }
    for (const { resolve } of some) resolve();
  }

  async #insert(some: readonly Waiting[]): Promise<void> {
    await this.#database.query(
      `insert into ${tableIn(this.#schema, 'outbox')} (id, event)
       select id, event::json from unnest($1::text[], $2::text[]) with ordinality as given (id, event, place)
       order by place on conflict do nothing`,
      [some.map(({ id }) => columnOf(id)), some.map(({ text }) => inAscii(text))],
    );
  }
}

/** An id as the column holds it, whatever PostgreSQL's texts and their encoding lack. Two ids are never the same. */
const columnOf = (id: string): string => {
  const isPlain = !id.startsWith('"') && !id.includes('\0') && inAscii(id) === id;
  return isPlain ? id : inAscii(JSON.stringify(id));
};
