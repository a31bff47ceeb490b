import type { CallbackFailedEvent } from './event-bus.js';
import { shownError, shownText } from './shown.js';

/** More kinds of failures than this are not told apart: names of registries have no end. */
const mostKinds = 1_000;

// Of this process, since a warning is one of the process: by registry and callback.
const warned = new Set<string>();

/**
 * Warns of a failed callback that nobody listens for: once in a process for each registry and callback, since what goes wrong
 * for one entry does so for many.
 */
export function warnOfUnheard(
  registry: string | undefined,
  { map, callback, error }: CallbackFailedEvent,
): void {
  const kind = `${registry ?? ''}\n${callback}`;
  if (warned.has(kind) || warned.size >= mostKinds) return;
  warned.add(kind);
  const of = map === '' ? '' : ` of ${shownText(map)}`;
  process.emitWarning(
    `mapsweep: ${callback}${of} failed: ${shownError(error)}. Nobody listens for callback-failed, so what else of this kind ` +
      'fails is only counted: registry.report() has how often',
    { code: 'MAPSWEEP_CALLBACK_FAILED' },
  );
}
