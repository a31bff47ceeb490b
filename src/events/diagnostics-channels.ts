import { type Channel, channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import type { Deliver, EndedEvent } from './ended-event.js';
import type { SweepReport } from './sweep-report.js';

/*
 * What a process-wide observer may see of all registries, without any API of ours: tracing agents and OpenTelemetry
 * subscribe to the channels of `node:diagnostics_channel` by name. Nothing is made or published while nobody subscribes.
 *
 * A message is the owner's own objects, values included: it stays in the process, and a subscriber decides what leaves it.
 */

/** The message of `tracing:mapsweep:sweep:*`, one object for all of a sweep. */
export interface SweepMessage {
  /** The `name` of the registry; `undefined` for a map that is swept by its own `sweep()`. */
  readonly registry: string | undefined;
  /** What it did; `undefined` until `asyncStart`. */
  result?: SweepReport;
}

/** The message of `tracing:mapsweep:delivery:*`, one object for all of an attempt to deliver. */
export interface DeliveryMessage {
  /** The `name` of the registry. */
  readonly registry: string | undefined;
  /** The map of `ended`. */
  readonly map: string;
  /** Who is told: `default`, or the name that `ended.deliver` has for it. */
  readonly recipient: string;
  /** What it is told: the object that `deliver` gets. */
  readonly event: EndedEvent;
  /** Counts from 1 in each round of attempts. */
  readonly attempt: number;
  /** What `deliver` threw or rejected with, or why the library waits no more for it; `undefined` if it succeeded. */
  error?: unknown;
}

/** The message of `mapsweep:ended`. */
export interface EndedMessage {
  /** The `name` of the registry. */
  readonly registry: string;
  /** The map of `ended`. */
  readonly map: string;
  /** What ended: the object that the handlers of `ended` get. */
  readonly event: EndedEvent;
}

const sweepChannel = tracingChannel('mapsweep:sweep') as TracingChannel<unknown, SweepMessage>;
const deliveryChannel = tracingChannel('mapsweep:delivery') as TracingChannel<unknown, DeliveryMessage>;
const endedChannel = channel('mapsweep:ended') as Channel<unknown, EndedMessage>;

/** Publishes that a run has ended. */
export function publishEnded(registry: string, map: string, event: EndedEvent): void {
  if (endedChannel.hasSubscribers) endedChannel.publish({ registry, map, event });
}

/** Runs a sweep, which never rejects, as an operation of `mapsweep:sweep`. */
export function traceSweep(
  registry: string | undefined,
  sweep: () => Promise<SweepReport>,
): Promise<SweepReport> {
  return sweepChannel.hasSubscribers ? sweepChannel.tracePromise(sweep, { registry }) : sweep();
}

/**
 * Returns a `deliver` whose every attempt is an operation of `mapsweep:delivery`. It is over when `deliver` has settled or
 * the signal of the attempt is aborted, whichever is first: one that hangs leaves no open span.
 */
export function tracedDeliver(
  deliver: Deliver<unknown, unknown>,
  told: Pick<DeliveryMessage, 'registry' | 'map' | 'recipient'>,
): Deliver<unknown, unknown> {
  return (event, context) => {
    if (!deliveryChannel.hasSubscribers) return deliver(event, context);
    const { attempt, signal } = context;
    let delivery: Promise<void> | undefined;
    const operation = deliveryChannel.tracePromise(
      () => {
        delivery = (async () => void (await deliver(event, context)))();
        return Promise.race([delivery, abortionOf(signal)]);
      },
      { ...told, event, attempt },
    );
    // What comes of it is told when that is over, and is what came of `deliver`, however late.
    const outcome = (): Promise<void> | undefined => delivery;
    return operation.then(outcome, outcome);
  };
}

const abortionOf = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
