import pg from 'pg';
import type { ConnectionOptions } from '../postgres/server.js';

/** What has come of all runs. */
export interface Verdict {
  /** Runs whose registration was ever committed. */
  readonly registered: number;
  /** Rows of effect, one for each ending that the outbox has handed out. */
  readonly effects: number;
  /** Jobs that were worked off. */
  readonly jobs: number;
  /** Keys of registered runs without an effect, and without a job: some of them. */
  readonly lost: readonly string[];
  readonly lostJobs: readonly string[];
  /** Keys with more than one effect, or more than one job: some of them. */
  readonly twice: readonly string[];
  readonly twiceJobs: readonly string[];
  /** Effects by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Effects of runs whose registration was never committed: told after `maxWait` by one that died before it was back. */
  readonly unregistered: number;
  /** How often a job was worked on once more, since Redis had not heard the end of it. */
  readonly jobsAgain: number;
}

/**
 * The books of the proof, in the database itself: a trigger writes down the key of each registration, and of each
 * run that ended before its registration was written, in the transaction that commits it: nobody has to be believed.
 */
export class Ledger {
  readonly #pool: pg.Pool;

  constructor(connection: ConnectionOptions) {
    // The user has the name of the journal's schema, which would come first.
    this.#pool = new pg.Pool({ ...connection, max: 3, options: '-c search_path=public' });
    this.#pool.on('error', () => {});
  }

  /** To be called when the tables of the journal are there, and nothing is in them yet. */
  async open(): Promise<void> {
    await this.#pool.query(`
      create table registered (key text primary key);
      create table effects (id text, key text not null, reason text);
      create table job_effects (
        job text, made_at bigint, id text, key text not null, reason text, times integer not null default 1,
        primary key (job, made_at));
      create function write_down() returns trigger language plpgsql as $$
      begin
        insert into public.registered
          select distinct record->>2 from jsonb_array_elements(convert_from(new.body, 'utf8')::jsonb) as record
          where record->>0 in ('set', 'end') on conflict do nothing;
        return null;
      end $$;
      create trigger write_down after insert on mapsweep.records for each row execute function write_down()`);
  }

  /** What is there now. Rejects while the database is away. */
  async verdict(): Promise<Verdict> {
    const [counts] = await this.#ask(`select
      (select count(*) from registered) as registered, (select count(*) from effects) as effects,
      (select count(*) from job_effects) as jobs, (select coalesce(sum(times - 1), 0) from job_effects) as jobs_again,
      (select count(*) from effects where key not in (select key from registered)) as unregistered`);
    const reasons = await this.#ask(
      'select reason, count(*) as count from effects group by reason order by reason',
    );
    const lost = (table: string) =>
      this.#keys(`select key from registered where key not in (select key from ${table}) limit 20`);
    const twice = (table: string) =>
      this.#keys(`select key from ${table} group by key having count(*) > 1 limit 20`);
    return {
      registered: Number(counts?.registered),
      effects: Number(counts?.effects),
      jobs: Number(counts?.jobs),
      jobsAgain: Number(counts?.jobs_again),
      unregistered: Number(counts?.unregistered),
      reasons: Object.fromEntries(reasons.map(({ reason, count }) => [reason, Number(count)])),
      lost: await lost('effects'),
      lostJobs: await lost('job_effects'),
      twice: await twice('effects'),
      twiceJobs: await twice('job_effects'),
    };
  }

  /** The epoch of an instance, which is raised by each takeover; `'settled'` when nothing is owed any more. */
  async epoch(instance: string): Promise<string> {
    const [row] = await this.#ask(
      'select epoch, settled_at is not null as settled from mapsweep.instances where instance = $1',
      [instance],
    );
    return row?.settled === true ? 'settled' : String(row?.epoch);
  }

  /** Ends the connection that holds the lock of an instance, and no other one. Returns whether there was one. */
  async cutLock(instance: string): Promise<boolean> {
    const found = await this.#ask(
      `select pg_terminate_backend(pid) from pg_locks
       where locktype = 'advisory' and objsubid = 1 and granted
         and (classid::bigint << 32) | objid::bigint = (select lock from mapsweep.instances where instance = $1)`,
      [instance],
    );
    return found.length > 0;
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  async #ask(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#pool.query(text, values)).rows;
  }

  async #keys(text: string): Promise<string[]> {
    return (await this.#ask(text)).map(({ key }) => String(key));
  }
}
