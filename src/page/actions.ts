import type { Registry } from '../registry/registry.js';
import type { Form } from './form.js';
import { findEntry } from './opened-map.js';
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
  if (what === 'redeliver')
    return { done: redeliver(registry, viewer, form) ? 'redelivered' : 'not-redelivered' };
  await registry.sweep();
  return { done: 'swept' };
}

function find({ parts }: Viewer, map: string | undefined, typed: string): Partial<PageQuery> {
  const tracker = map === undefined ? undefined : parts.engine.trackers.get(map);
  const entry = tracker && findEntry(tracker, typed);
  return { entry, done: entry === undefined ? 'absent' : undefined };
}

function redeliver(registry: Registry, { parts, handleOf }: Viewer, form: Form): boolean {
  const letter = form.get('letter');
  if (letter === 'all') return registry.redeliver() > 0;
  for (const { notifier } of parts.deliveries?.recipients ?? []) {
    for (const { letter: dead } of notifier.letters()) {
      if (handleOf(dead.id) === letter) return registry.redeliver(dead.id);
    }
  }
  return false;
}
