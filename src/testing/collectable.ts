import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MapsweepError, MapsweepTypeError } from '../errors.js';
import { describe } from '../events/shown.js';
import { yieldToEventLoop } from '../time/clock.js';

/** A full collection, then a turn of the event loop; what survives this many of both is held by something. */
const collections = 10;

/**
 * Whether the value behind a WeakRef gets collected: proof that nothing holds it any more. Asks the garbage collector,
 * so let it be the last word on a few values, not the way to count.
 *
 * The value must not stand in a variable that is still in use: make the WeakRef in a function of its own.
 *
 * @throws MapsweepTypeError if it is no WeakRef
 * @throws MapsweepError `ERR_NO_GC` if this runtime cannot be made to collect: nothing is proved then
 */
export async function isCollectable(reference: WeakRef<WeakKey>): Promise<boolean> {
  return collected(derefOf('isCollectable', reference));
}

/** As {@link isCollectable}, for a WeakRef that was read. */
export async function collected(deref: () => unknown): Promise<boolean> {
  const collect = collector();
  if (collect === undefined) {
    throw new MapsweepError(
      'ERR_NO_GC',
      'this runtime cannot be made to collect garbage, so nothing can be proved: run it with --expose-gc',
    );
  }
  for (let round = 0; round < collections; round += 1) {
    // A WeakRef that was looked at holds its value until the job is over.
    await yieldToEventLoop();
    collect();
    if (deref() === undefined) return true;
  }
  return false;
}

/** Reads a WeakRef, of any realm. */
export function derefOf(check: string, value: unknown): () => unknown {
  if (Object.prototype.toString.call(value) === '[object WeakRef]') {
    const reference = value as WeakRef<WeakKey>;
    return () => WeakRef.prototype.deref.call(reference);
  }
  throw new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    `${check} takes a WeakRef, since whoever is handed the value itself holds it; received ${describe(value)}. ` +
      'Write new WeakRef(value)',
  );
}

/** What collects garbage now: the global of `--expose-gc`, or the same by a flag that is set late. */
function collector(): (() => void) | undefined {
  const { gc } = globalThis as { gc?: () => void };
  if (typeof gc === 'function') return () => gc();
  try {
    setFlagsFromString('--expose-gc');
    const late: unknown = runInNewContext('typeof gc === "function" ? gc : undefined');
    return typeof late === 'function' ? () => late() : undefined;
  } catch {
    return undefined;
  } finally {
    hideAgain();
  }
}

function hideAgain(): void {
  try {
    setFlagsFromString('--no-expose-gc');
  } catch {
    // A runtime without V8's flags.
  }
}
