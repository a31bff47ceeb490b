import type { AuditedRemoval, RemovalAudit } from '../events/audit.js';
import type { CallbackFailures } from '../events/callback-failures.js';
import type { EndedEvent } from '../events/ended-event.js';
import type { EventBus, RemovedEvent } from '../events/event-bus.js';
import type { KeptBy, RemovalReason } from '../events/reasons.js';
import type { CompiledPolicy } from '../policy/policy.js';
import type { Unsettled } from './unsettled.js';

/** A value that has left its map, and whom that has yet to be told. */
interface LeftValue {
  readonly map: string;
  readonly key: unknown;
  readonly value: unknown;
  readonly reason: RemovalReason;
  readonly dispose: CompiledPolicy<unknown, unknown>['dispose'];
  /** The event of an entry that the library removed. */
  readonly removed: RemovedEvent | undefined;
}

/** Tells a `beforeSweep` that runs to stop, and with it whoever listens to its signal. */
export type Abort = () => void;

/** What one removal has to tell: the entry itself first, then its companions, then the end of the run. */
export interface Removal {
  readonly left: LeftValue[];
  /** The calls of `beforeSweep` that run for entries which have left; `undefined`: none. */
  aborts: Abort[] | undefined;
  ended: EndedEvent | undefined;
  /** Why companions leave with it. */
  readonly ofCompanions: 'companion' | 'closed';
  /** The lifetime by which the library removed the entry, or the cap: `maxEntries`, `maxPerOwner` or `shed`; else empty. */
  readonly rule: string;
  /** What kept the entry until its `maxAge`, by which it leaves; `undefined` if nothing did. */
  readonly keptBy: KeptBy | undefined;
  /** The entry had outstayed what its owner does, and so have its companions. */
  readonly isByCeiling: boolean;
  /** What the audit is told of, in the order in which they left; `undefined` without one. */
  audited: AuditedRemoval[] | undefined;
}

/** Whom to tell. */
interface Told {
  readonly bus: EventBus;
  readonly failures: CallbackFailures;
  readonly audit: RemovalAudit | undefined;
  /** Gets what `dispose` and `replaced` answer. */
  readonly unsettled: Unsettled;
}

/** Returns a removal of which nothing is known yet. */
export const newRemoval = (
  rule = '',
  ofCompanions: Removal['ofCompanions'] = 'companion',
  keptBy?: KeptBy,
): Removal => ({
  left: [],
  aborts: undefined,
  ended: undefined,
  ofCompanions,
  rule,
  keptBy,
  isByCeiling: rule !== '' && ceilings.test(rule),
  audited: undefined,
});

/** What removes entries that nobody else has removed. A TTL is none. */
const ceilings = /(^|\.)(maxIdle|maxAge|orphanAfter|maxEntries|maxPerOwner|shed)$/;

/**
 * Tells of a removal, after all state has changed: the audit, each `beforeSweep` that runs, each `dispose`, then `ended`, then
 * `swept` and `evicted`. Whatever the callbacks do or throw, all of them are called.
 */
export function announce(removal: Removal, told: Told): void {
  const { bus, audit } = told;
  if (removal.audited !== undefined) for (const audited of removal.audited) audit?.removed(audited);
  if (removal.aborts !== undefined) for (const abort of removal.aborts) abort();
  for (const value of removal.left) callDispose(value, told);
  if (removal.ended !== undefined) bus.emit('ended', removal.ended);
  for (const { removed, reason } of removal.left) {
    if (removed !== undefined) bus.emit(reason === 'evicted' ? 'evicted' : 'swept', removed);
  }
}

/** Calls `dispose` for one value that left. What it throws, now or in a rejection, is told and goes no further. */
export function callDispose(
  { map, key, value, reason, dispose }: Omit<LeftValue, 'removed'>,
  { failures, unsettled }: Pick<Told, 'failures' | 'unsettled'>,
): void {
  if (dispose === undefined) return;
  try {
    const result: unknown = dispose(value, key, reason);
    // No function is made for the usual answer: this is called for each entry of a sweep.
    if (result === undefined) return;
    unsettled.add(result, (error) => failures.report(map, 'dispose', key, error));
  } catch (error) {
    failures.report(map, 'dispose', key, error);
  }
}

/** A value was overwritten, and its entry stays: calls `replaced`. */
export function callReplaced(
  {
    name,
    policy: { replaced },
  }: { readonly name: string; readonly policy: CompiledPolicy<unknown, unknown> },
  key: unknown,
  value: unknown,
  replacement: unknown,
  { failures, unsettled }: Pick<Told, 'failures' | 'unsettled'>,
): void {
  if (replaced === undefined) return;
  const failed = (error: unknown): void => failures.report(name, 'replaced', key, error);
  try {
    unsettled.add(replaced(value, key, replacement), failed);
  } catch (error) {
    failed(error);
  }
}
