import { types } from 'node:util';
import { shownError, shownKey, shownText } from '../events/shown.js';

/** How keys are shown, and what else may hold one. */
export interface KeyWords {
  /** A key. */
  key(key: unknown): string;
  /** The id of an ending, which the owner may have made of its key. */
  id(id: string): string;
  /** A reason of the owner's own for the end of a run. */
  reason(reason: string): string;
  /** What was thrown: its message may name a key. */
  error(error: unknown): string;
}

/** Keys are shown on one line, escaped and cut. */
export const shownKeys: KeyWords = {
  key: shownKey,
  id: (id) => shownText(id, 64),
  reason: (reason) => shownText(reason, 64),
  error: shownError,
};

/** Of a key nothing is shown, nor of what may name it. */
export const maskedKeys: KeyWords = {
  key: () => '(masked)',
  id: () => '(masked)',
  reason: () => '(masked)',
  error: (error) =>
    types.isNativeError(error) ? (/^[\w$]{1,64}(?=:|$)/.exec(shownError(error))?.[0] ?? 'Error') : '(masked)',
};

/**
 * Returns the keys that somebody may mean who has typed this, the likeliest first: what is shown like it, quotes and all,
 * and the text itself.
 */
export function keysTyped(typed: string): unknown[] {
  const keys: unknown[] = [];
  if (typed !== '' && String(Number(typed)) === typed) keys.push(Number(typed));
  if (typed === 'true' || typed === 'false') keys.push(typed === 'true');
  const [, inner] = /^'(.*)'$/s.exec(typed) ?? [];
  const quoted = inner === undefined ? typed : `"${inner.replaceAll('"', '\\"')}"`;
  if (quoted.startsWith('"')) {
    try {
      keys.push(JSON.parse(quoted));
    } catch {
      // It only looks as if it had been copied from here.
    }
  }
  return [...keys, typed];
}
