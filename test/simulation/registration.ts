import type { LeftEntry } from './legacy.js';
import type { Item, MapPlan } from './scenario.js';

/** What the wall clock has differed by from the time of the simulated world. */
export interface WallTime {
  readonly wallOffset: number;
  readonly wallOffsets: readonly number[];
}

/** A `beforeSweep` that was started for a registration. */
export interface HookRun {
  readonly signal: AbortSignal;
  readonly startedAt: number;
  /** The entry was touched, replaced or removed since: its answer must not count, and its signal must be aborted. */
  isOutdated: boolean;
}

/** One life of a key in a map, as the model knows it. All instants are those of the simulated world, ms. */
export class Registration {
  /** Another one for each of a process. */
  readonly number: number;
  readonly plan: MapPlan;
  readonly key: string;
  value: Item;
  registeredAt: number;
  lastActiveAt: number;
  /** The last activity of its companions. */
  borrowedAt = Number.NEGATIVE_INFINITY;
  isThere = true;
  isClaimed = false;
  /** Its stamps come from an earlier life. */
  isRestored = false;
  /** The owner was asked which run it is. */
  isIdentified = false;
  /** What it is of an earlier process. */
  cameFrom: LeftEntry | undefined;
  /** Another registration has its run, or had it. */
  isDuplicate = false;
  /** Facts: when it was registered, its end was claimed, and it left. */
  readonly bornBy: number;
  claimedBy: number | undefined;
  /** A fact: it was taken for another's run, and is that run itself from here on. */
  unclaimedBy: number | undefined;
  leftBy: number | undefined;
  /** Its last activity that was written down, if there is a journal. */
  toldActiveAt: number;
  /** The same, as far as it is certain. */
  certainActiveAt: number;
  /** The journal may lack it: one of its values could not be encoded. */
  isSpoilt = false;
  /** Values that the journal may have for it, by serial. */
  readonly serials = new Set<number>();
  /** A companion came back with stamps of an earlier life: among the longest idle it stands by when that was. */
  isOfThen = false;
  /** A companion whose own `delete` refused when its leader left. */
  isLeaving = false;
  /** Known from the first snapshot or event that shows it. */
  id: string | undefined;
  generation: number | undefined;
  hook: HookRun | undefined;
  /** Holds of it that are not released. */
  holds = 0;
  /** A `beforeSweep` was started for it. */
  wasTried = false;
  /** A `beforeSweep` succeeded and nothing happened to the entry since it began. */
  isApproved = false;
  /** Since when nothing but a sweep is missing for it to leave. */
  removableSince: number | undefined;
  /** How long callbacks had taken by then, ms. */
  spentBefore = 0;
  /** The number of the owner's act that last concerned it. */
  disturbedIn: number;

  constructor(plan: MapPlan, key: string, value: Item, now: number, act: number, fact: number) {
    this.number = fact;
    this.bornBy = fact;
    this.toldActiveAt = now;
    this.certainActiveAt = now;
    this.plan = plan;
    this.key = key;
    this.value = value;
    this.registeredAt = now;
    this.lastActiveAt = now;
    this.disturbedIn = act;
  }

  /** The last activity that counts. */
  get activeAt(): number {
    return Math.max(this.lastActiveAt, this.borrowedAt);
  }

  get asksFunctions(): boolean {
    const { plan } = this;
    return plan.hasExpiresAt || (plan.since === 'endedAt' && plan.ttlMs < Number.POSITIVE_INFINITY);
  }

  /**
   * The instant from which on it is due, as the contract puts it: the earliest and the latest that it may be. They differ
   * where the wall clock has jumped, since nobody can say by which clock a value's end was written down.
   */
  deadline(isOrphan: boolean, { wallOffset, wallOffsets }: WallTime): readonly [number, number] {
    const { plan, registeredAt, activeAt, value } = this;
    const never = Number.POSITIVE_INFINITY;
    const ceiling = registeredAt + plan.maxAgeMs;
    if (value.failsPolicies && this.asksFunctions) return [ceiling, ceiling];
    const byOffset = (offset: number): number => {
      const starts = { registeredAt, lastActiveAt: activeAt, endedAt: (value.endedAt ?? never) - offset };
      return Math.min(
        ceiling,
        starts[plan.since] + plan.ttlMs,
        activeAt + plan.maxIdleMs,
        plan.hasExpiresAt ? (value.expiresAt ?? never) - wallOffset : never,
        isOrphan ? activeAt + plan.orphanAfterMs : never,
      );
    };
    return [byOffset(Math.max(...wallOffsets)), byOffset(Math.min(...wallOffsets))];
  }

  /** Whether a hold of its own, or its own guard, keeps it when it is due at `now`. A guard that fails holds. */
  isHeld(now: number): boolean {
    const { plan, value } = this;
    if (now >= this.registeredAt + plan.maxAgeMs) return false;
    return this.holds > 0 || (plan.hasGuard && (value.isGuarded || value.failsPolicies));
  }
}
