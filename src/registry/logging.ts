import { enderOf, RemovalAudit } from '../events/audit.js';
import { type Logger, LogLines, logLevels } from '../events/log-lines.js';
import { plainKey, shownError, shownText } from '../events/shown.js';
import { invalidType, type Reader } from '../policy/read-options.js';
import type { Engine } from '../sweeping/engine.js';

/** Reads the option `logger`. */
export const readLogger: Reader<Logger> = (value, option) => {
  const isLogger =
    typeof value === 'object' &&
    value !== null &&
    logLevels.every((level) => typeof (value as Partial<Logger>)[level] === 'function');
  if (!isLogger) {
    throw invalidType(option, "an object with the methods info, warn and error, such as pino's", value);
  }
  return value as Logger;
};

/**
 * Writes from now on what happens in a registry to the owner's logger: what somebody should know, at most ten lines a second of each
 * kind; with `audit`, each removal, ending, delivery and dead letter besides, of which none is left out. Keys, texts and names
 * are escaped and cut, and values are in no line.
 *
 * @param endedMap the map of `ended`
 */
export function startLogging(
  engine: Engine,
  { logger, audit, endedMap }: { logger: Logger; audit: boolean; endedMap: string | undefined },
): LogLines {
  const lines = new LogLines(logger, engine.name ?? '', engine.timeline.clock, engine.failures);
  logEvents(engine, lines, audit);
  if (audit) logAudit(engine, lines, endedMap ?? '');
  return lines;
}

function logEvents(engine: Engine, lines: LogLines, audit: boolean): void {
  const { bus } = engine;
  bus.on('sweep-finished', ({ skipped, swept, examined, durationMs, maps }) => {
    lines.tellLeftOut();
    if (skipped === 'late-tick') {
      const fields = { event: 'sweep-skipped', reason: skipped };
      lines.writeLimited('warn', fields, 'a tick came more than an interval late, and nothing was swept');
    } else if (swept > 0) {
      const byMap = Object.entries(maps).flatMap(([map, of]) =>
        of.swept > 0 ? [[shownText(map), of.swept]] : [],
      );
      const fields = { event: 'swept', swept, examined, durationMs, maps: Object.fromEntries(byMap) };
      lines.writeLimited('info', fields, `swept ${swept} of ${examined} entries looked at`);
    }
  });
  bus.on('callback-failed', ({ map, callback, key, error }) => {
    // To write about a logger that fails, to that logger, would never end.
    if (callback === 'logger') return;
    // The line of `delivery-failed` says it. A failure that tells no key has no such event.
    if (callback === 'deliver' && key !== undefined) return;
    const event = 'callback-failed';
    const fields = { event, map: shownText(map), callback, key: plainKey(key), error: shownError(error) };
    lines.writeLimited('warn', fields, `${callback} failed: ${fields.error}`, `${event} ${callback}`);
  });
  bus.on('delivery-failed', ({ event, recipient, attempt, willRetry, error }) => {
    const fields = {
      event: 'delivery-failed',
      recipient: shownText(recipient),
      key: plainKey(event.key),
      id: shownText(event.id),
      attempt,
      willRetry,
      error: shownError(error),
    };
    lines.writeLimited('warn', fields, `attempt ${attempt} failed: ${fields.error}`);
  });
  bus.on('dead-letter', ({ letter, dropped }) => {
    const { recipient, event, cause, attempts, ambiguous, error } = letter;
    const fields = {
      event: dropped ? 'dead-letter-dropped' : 'dead-letter',
      recipient: shownText(recipient),
      key: plainKey(event.key),
      id: shownText(event.id),
      cause,
      attempts,
      ambiguous,
      ...(error !== undefined && { error: shownError(error) }),
    };
    const message = dropped ? 'a dead letter was dropped' : `an ending was given up: ${cause}`;
    // Part of the audit, where there is one.
    if (audit) lines.write('error', fields, message);
    else lines.writeLimited('error', fields, message);
  });
  bus.on('leak-suspected', ({ map, suspected, reason, perHour, size, oldestKeys }) => {
    const fields = { map: shownText(map), reason, perHour, size, oldestKeys: oldestKeys.map(plainKey) };
    if (suspected) lines.writeLimited('warn', { event: 'leak-suspected', ...fields }, `${fields.map} leaks`);
    else lines.writeLimited('info', { event: 'leak-over', ...fields }, `${fields.map} leaks no more`);
  });
  bus.on('clock-jumped', ({ byMs }) => {
    lines.writeLimited('warn', { event: 'clock-jumped', byMs }, `the wall clock jumped by ${byMs} ms`);
  });
  bus.on('memory-pressure', ({ kind, level, ratio, usedBytes, limitBytes, shedding, report }) => {
    const fields = {
      event: 'memory-pressure',
      kind,
      pressure: level,
      ratio,
      usedBytes,
      limitBytes,
      shedding: shedding.map(({ map, entries }) => ({ map: shownText(map), entries })),
      ...(report !== undefined && { report: shownText(report) }),
    };
    const what = kind === 'heap' ? 'the heap' : 'the resident set';
    lines.writeLimited('warn', fields, `${what} is at ${Math.round(ratio * 100)} % of its limit`);
  });
  bus.on('journal-failed', ({ journal, error, isFinal }) => {
    const fields = { journal: shownText(journal), isFinal, error: shownError(error) };
    const message = `the journal cannot be written: ${fields.error}`;
    lines.writeLimited('error', { event: 'journal-failed', ...fields }, message);
  });
}

function logAudit(engine: Engine, lines: LogLines, endedMap: string): void {
  const map = shownText(endedMap);
  engine.audit = new RemovalAudit(lines);
  engine.bus.on('ended', (event) => {
    const { id, key, reason, registeredAt, endedAt } = event;
    const shownReason = shownText(reason);
    const fields = {
      event: 'ended',
      map,
      key: plainKey(key),
      id: shownText(id),
      reason: shownReason,
      by: enderOf(event),
      ageMs: Math.max(0, endedAt - registeredAt),
    };
    lines.write('info', fields, `a run of ${map} has ended: ${shownReason}`);
  });
  engine.measurements.add({
    delivered: (durationMs, event, recipient) => {
      const fields = {
        event: 'delivered',
        map,
        key: plainKey(event.key),
        id: shownText(event.id),
        reason: shownText(event.reason),
        recipient: shownText(recipient),
        durationMs,
        ageMs: Math.max(0, engine.timeline.clock.now() - event.endedAt),
      };
      lines.write('info', fields, `the end of a run of ${map} was delivered`);
    },
  });
}
