import type { Registry } from '../registry/registry.js';
import { take } from '../stamps/take.js';
import { mostLetters } from './endings.js';
import type { Form } from './form.js';
import { findEntry, findMap } from './opened-map.js';
import type { PageQuery } from './query.js';
import type { Viewer } from './view.js';

/** What a form was sent for. */
export interface Wish {
  readonly what: string;
  /** The map of the address that it was sent to. */
  readonly map: string | undefined;
  readonly form: Form;
}

/** Does what a form was sent for. Returns what is to be shown otherwise then. */
export async function act(
  registry: Registry,
  viewer: Viewer,
  { what, map, form }: Wish,
): Promise<Partial<PageQuery>> {
  if (what === 'find') return find(viewer, map, form.get('key') ?? '');
  if (viewer.parts.isClosed) return { done: 'closed' };
  if (what === 'redeliver') return { done: redeliver(registry, viewer, form.get('letter')) };
  const { skipped } = await registry.sweep();
  if (skipped !== undefined) return { done: 'not-swept' };
  return { done: viewer.parts.engine.observing ? 'observed' : 'swept' };
}

function find({ parts }: Viewer, map: string | undefined, typed: string): Partial<PageQuery> {
  const tracker = findMap(parts, map);
  const entry = tracker && findEntry(tracker, typed);
  return { entry, done: entry === undefined ? 'absent' : undefined };
}

/** Returns what has come of it, as the page says it. */
function redeliver(registry: Registry, { parts, handleOf }: Viewer, chosen: string | undefined): string {
  const { deliveries } = parts;
  if (chosen === 'all') {
    const known = deliveries?.deadLetterCount ?? 0;
    const count = registry.redeliver();
    if (count > 0) return count < known ? 'partly-redelivered' : 'redelivered';
  }
  // What is shown stays among the oldest: only what is older leaves before it.
  for (const { notifier } of deliveries?.recipients ?? []) {
    for (const { letter } of take(notifier.letters(), mostLetters)) {
      if (handleOf(letter) === chosen && notifier.redeliver(letter.id)) return 'redelivered';
    }
  }
  return 'not-redelivered';
}
