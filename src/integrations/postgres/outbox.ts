import type { Deliver, EndedEvent } from '../../events/ended-event.js';
import { callback } from '../../policy/checks.js';
import { readOptions } from '../../policy/read-options.js';
import { yieldToEventLoop } from '../../time/clock.js';
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

/** So many characters go into one statement, or one ending: the driver makes it in one turn of the event loop. */
const mostCharacters = 256 * 1_024;

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
 * Those of one turn of the event loop go out in one statement, or in more if there are many or long ones, one after another. The
 * table is made at the first delivery if it is missing.
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

/**
 * Writes what is handed over in one turn in one statement, and what comes meanwhile in the next: so no more than one call for a
 * connection waits in the pool, and no more than one statement is made in a turn.
 */
class Outbox {
  readonly #database: Database;
  readonly #schema: string;
  #waiting: Waiting[] = [];
  #isWriting = false;
  /** Makes a text one that the database has the characters of; `undefined` until it was asked. */
  #storable: ((text: string) => string) | undefined;

  constructor(database: Database, schema: string) {
    this.#database = database;
    this.#schema = schema;
  }

  write(id: string, text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, text, resolve, reject });
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    do {
      await yieldToEventLoop();
      const some = this.#take();
      try {
        this.#storable ??= await this.#prepare();
        await this.#writeSome(some, this.#storable);
      } catch (error) {
        // For those that came meanwhile it would take as long again, and their attempts would be over.
        for (const { reject } of [...some, ...this.#waiting.splice(0)]) reject(error);
      }
    } while (this.#waiting.length > 0);
    this.#isWriting = false;
  }

  /** What goes into the next statement: one at least. */
  #take(): Waiting[] {
    let count = 0;
    let characters = 0;
    for (const { text } of this.#waiting) {
      characters += text.length;
      if (count > 0 && (count === mostAtOnce || characters > mostCharacters)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** What JSON leaves as it is, all of UTF-8 carries: it has escaped NUL and halves of a pair. To escape the rest takes long. */
  async #prepare(): Promise<(text: string) => string> {
    await prepareSchema(this.#database, this.#schema);
    const [row] = await this.#database.query(
      `select current_setting('server_encoding') = 'UTF8' and current_setting('client_encoding') = 'UTF8' as has_all`,
    );
    return row?.has_all === true ? (text) => text : inAscii;
  }

  /** @throws MapsweepError unless each of them is written, or refused by PostgreSQL */
  async #writeSome(some: readonly Waiting[], storable: (text: string) => string): Promise<void> {
    try {
      await this.#database.query(
        `insert into ${tableIn(this.#schema, 'outbox')} (id, event)
         select id, event::json from unnest($1::text[], $2::text[]) with ordinality as given (id, event, place)
         order by place on conflict do nothing`,
        [some.map(({ id }) => columnOf(id)), some.map(({ text }) => storable(text))],
      );
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // One that PostgreSQL refuses must not keep the others from being written.
      if (some.length > 1) for (const one of some) await this.#writeSome([one], storable);
      else for (const { reject } of some) reject(error);
      return;
    }
    for (const { resolve } of some) resolve();
  }
}

/** An id as the column holds it, whatever PostgreSQL's texts and their encoding lack. Two ids are never the same. */
const columnOf = (id: string): string => {
  const isPlain = !id.startsWith('"') && !id.includes('\0') && inAscii(id) === id;
  return isPlain ? id : inAscii(JSON.stringify(id));
};
