import type { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import {
  type Context,
  context,
  type Meter,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { DeliveryMessage, EndedMessage, SweepMessage } from 'mapsweep';

/** The reasons that a metric may have as a label; a text of the owner's counts as `other`. */
const reasons = new Set(['completed', 'swept', 'evicted', 'deleted', 'lost']);

/**
 * Makes spans and metrics of what all registries of this process do, from now on. Nothing in it is a key or a value of
 * a map; the id of a run is one of its span's attributes.
 *
 * @param storage what the context manager keeps the active context in; without it the spans that `deliver` opens are no
 *   children of its attempt
 * @returns ends it; idempotent
 */
export function observeMapsweep(
  tracer: Tracer,
  meter: Meter,
  storage?: AsyncLocalStorage<Context>,
): () => void {
  const seconds = meter.createHistogram('mapsweep.sweep.duration', { unit: 's' });
  const swept = meter.createCounter('mapsweep.swept');
  const skipped = meter.createCounter('mapsweep.sweeps.skipped');
  const ended = meter.createCounter('mapsweep.ended');
  const attempts = meter.createCounter('mapsweep.delivery.attempts');
  // An operation is known by its message, which is one object from its start to its end.
  const spans = new WeakMap<object, Span>();

  const beginSweep = (message: SweepMessage): Span =>
    tracer.startSpan('mapsweep sweep', { attributes: { 'mapsweep.registry': message.registry } });
  const beginAttempt = ({ registry, map, recipient, event, attempt }: DeliveryMessage): Span =>
    tracer.startSpan(`mapsweep deliver ${recipient}`, {
      kind: SpanKind.PRODUCER,
      attributes: {
        'mapsweep.registry': registry,
        'mapsweep.map': map,
        'mapsweep.run.id': event.id,
        'mapsweep.attempt': attempt,
      },
    });

  const sweepEnded = (message: SweepMessage): void => {
    const { registry, result: report } = message;
    if (report === undefined) return;
    const { examined, skipped: why, maps } = report;
    spans.get(message)?.setAttributes({ 'mapsweep.examined': examined, 'mapsweep.swept': report.swept });
    spans.get(message)?.end();
    if (why !== undefined) {
      skipped.add(1, { registry, why });
      return;
    }
    seconds.record(report.durationMs / 1_000, { registry });
    for (const [map, { swept: count }] of Object.entries(maps)) swept.add(count, { registry, map });
  };
  const attemptFailed = (message: DeliveryMessage): void => {
    const error =
      message.error instanceof Error ? message.error : new Error('deliver threw what is no error');
    spans.get(message)?.recordException(error);
    spans.get(message)?.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  };
  const attemptEnded = (message: DeliveryMessage): void => {
    const { registry, recipient } = message;
    // A recipient may reject with nothing at all, so it is not the error that says whether there was one.
    const outcome = 'error' in message ? 'failed' : 'delivered';
    attempts.add(1, { registry, recipient, outcome });
    spans.get(message)?.end();
  };
  const runEnded = ({ registry, event: { reason } }: EndedMessage): void =>
    ended.add(1, { registry, reason: reasons.has(reason) ? reason : 'other' });

  const undo = [
    spansOf<SweepMessage>('mapsweep:sweep', { asyncEnd: sweepEnded }, beginSweep, spans, storage),
    spansOf<DeliveryMessage>(
      'mapsweep:delivery',
      { error: attemptFailed, asyncEnd: attemptEnded },
      beginAttempt,
      spans,
      storage,
    ),
  ];
  const onEnded = (message: unknown): void => runEnded(message as EndedMessage);
  subscribe('mapsweep:ended', onEnded);
  undo.push(() => unsubscribe('mapsweep:ended', onEnded));
  return () => {
    for (const step of undo.splice(0)) step();
  };
}

interface Handlers<Message> {
  readonly error?: (message: Message) => void;
  readonly asyncEnd: (message: Message) => void;
}

/** Opens a span at the start of each operation of a channel, active as long as it runs, and hands its end to `handlers`. */
function spansOf<Message extends object>(
  name: string,
  { error = () => {}, asyncEnd }: Handlers<Message>,
  open: (message: Message) => Span,
  spans: WeakMap<object, Span>,
  storage: AsyncLocalStorage<Context> | undefined,
): () => void {
  const channel = tracingChannel<Context, Message>(name);
  const ignore = (): void => {};
  const begin = (message: Message): Context => {
    const span = open(message);
    spans.set(message, span);
    return trace.setSpan(context.active(), span);
  };
  const start = storage === undefined ? (message: Message) => void begin(message) : ignore;
  const handlers = { start, end: ignore, asyncStart: ignore, asyncEnd, error };
  if (storage !== undefined) channel.start.bindStore(storage, begin);
  channel.subscribe(handlers);
  return () => {
    channel.unsubscribe(handlers);
    if (storage !== undefined) channel.start.unbindStore(storage);
  };
}
