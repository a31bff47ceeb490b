import type { EndedEvent } from './ended-event.js';
import type { LogLines } from './log-lines.js';
import { plainKey, shownText } from './shown.js';

/** An entry that has left its map, as a line of the audit has it. */
export interface AuditedRemoval {
  readonly map: string;
  readonly key: unknown;
  /** Why: `deleted`, `swept` and so on. */
  readonly reason: string;
  /** The lifetime or cap by which the library removed it, or its leader's entry; empty if the owner did, or the registry was closed. */
  readonly rule: string;
  /** The map it follows. */
  readonly leader: string | undefined;
  /** How long it had been there, ms. */
  readonly ageMs: number;
}

/** Who it was, by the library's reasons for which an entry leaves or a run ends; any other reason is the owner's. */
const causers: Readonly<Record<string, string>> = {
  swept: 'sweeper',
  evicted: 'cap',
  companion: 'leader',
  lost: 'restart',
  closed: 'close',
};

/** Those that the owner has ended for what is a reason of the library's too. */
const endedByOwner = new WeakSet<EndedEvent>();

/** Notes that a run was ended by its owner, for whatever reason. To be called before anybody is told. */
export function noteOwnersEnd(event: EndedEvent): void {
  if (Object.hasOwn(causers, event.reason)) endedByOwner.add(event);
}

/** Returns who has ended a run: one of those who remove entries, or `restart`. */
export const enderOf = (event: EndedEvent): string =>
  endedByOwner.has(event) ? 'owner' : causerOf(event.reason);

/** Returns who has removed an entry for this reason: `owner`, `sweeper`, `cap`, `leader` or `close`. */
const causerOf = (reason: string): string =>
  Object.hasOwn(causers, reason) ? (causers[reason] as string) : 'owner';

/** Writes a line for each entry that leaves, none left out. */
export class RemovalAudit {
  readonly #lines: LogLines;

  constructor(lines: LogLines) {
    this.#lines = lines;
  }

  /** Called after state has changed, and before the owner's callbacks. */
  removed({ map, key, reason, rule, leader, ageMs }: AuditedRemoval): void {
    const by = causerOf(reason);
    const fields = {
      event: 'removed',
      map: shownText(map),
      key: plainKey(key),
      reason,
      by,
      ageMs: Math.round(ageMs),
      ...(rule !== '' && { rule }),
      ...(by === 'leader' && leader !== undefined && { leader: shownText(leader) }),
    };
    this.#lines.write('info', fields, `${reason} from ${fields.map}`);
  }
}
