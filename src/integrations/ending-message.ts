import { MapsweepTypeError } from '../errors.js';
import type { EndedEvent } from '../events/ended-event.js';
import { describe, shownError } from '../events/shown.js';
import { keyText } from '../restart/records.js';

/** An ending as it travels to another process: plain JSON. Instants are epoch ms. */
export interface EndingMessage {
  /** The idempotency key: the same at each delivery of one ending. */
  readonly id: string;
  /** Left out if it is no string, number, boolean or `null`: then only the process itself can tell what it was. */
  readonly key?: unknown;
  /** 0 for a run that was taken over from a process that has died. */
  readonly generation: number;
  /** `completed`, `swept`, `evicted`, `deleted`, `lost`, or what the owner gave to `end()`. */
  readonly reason: string;
  /** When its key was first set. */
  readonly registeredAt: number;
  /** When it was last set or touched, or a hold of it released. */
  readonly lastActiveAt: number;
  /** When it was claimed. */
  readonly endedAt: number;
  /** What the owner gave to `end()`, as JSON carries it. */
  readonly detail?: unknown;
  /** What the option `value` made of the value; left out without it. */
  readonly value?: unknown;
}

/** Makes of a value what is to travel with its ending: anything that JSON carries. */
export type ValueForMessage<K, V> = (value: V | undefined, key: K) => unknown;

let hasWarned = false;

/** The JSON text of an ending. @throws what `value` throws; MapsweepTypeError if JSON cannot carry what it has answered */
export function messageText<K, V>(
  event: EndedEvent<K, V>,
  value: ValueForMessage<K, V> | undefined,
  option: string,
): string {
  const { id, key, generation, reason, registeredAt, lastActiveAt, endedAt, detail } = event;
  let text = JSON.stringify({ id, generation, reason, registeredAt, lastActiveAt, endedAt }).slice(0, -1);
  const shownKey = keyText(key);
  if (shownKey !== undefined) text += `,"key":${shownKey}`;
  const shownDetail = detailText(detail);
  if (shownDetail !== undefined) text += `,"detail":${shownDetail}`;
  if (value !== undefined) text += `,"value":${valueText(value(event.value, key), option)}`;
  return `${text}}`;
}

/** The end of a run is told, whatever became of its detail. */
function detailText(detail: unknown): string | undefined {
  if (detail === undefined) return undefined;
  try {
    return JSON.stringify(detail) as string | undefined;
  } catch (error) {
    if (!hasWarned)
      process.emitWarning(
        `JSON cannot carry the detail of an ending, which is left out: ${shownError(error)}`,
        {
          code: 'MAPSWEEP_DETAIL_LEFT_OUT',
        },
      );
    hasWarned = true;
    return undefined;
  }
}

function valueText(value: unknown, option: string): string {
  if (value === undefined) return 'null';
  const text = JSON.stringify(value) as string | undefined;
  if (text !== undefined) return text;
  throw new MapsweepTypeError(
    'ERR_INVALID_ANSWER',
    `${option} must answer what JSON can carry, got ${describe(value)}`,
  );
}
