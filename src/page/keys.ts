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

const words = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['undefined', undefined],
]);

/** An escape of a text that is shown, as JSON has it, which knows none by code point. */
const jsonEscape = (given: string, codePoint: string | undefined): string =>
  codePoint === undefined
    ? given
    : JSON.stringify(String.fromCodePoint(Number.parseInt(codePoint, 16))).slice(1, -1);

/**
 * Returns the keys that somebody may mean who has typed this, the likeliest first: what is shown like it, quotes and all,
 * and the text itself.
 */
export function keysTyped(typed: string): unknown[] {
  const keys: unknown[] = [];
  if (typed !== '' && String(Number(typed)) === typed) keys.push(Number(typed));
  if (words.has(typed)) keys.push(words.get(typed));
  if (/^-?\d+n$/.test(typed)) keys.push(BigInt(typed.slice(0, -1)));
  const [, inner] = /^'(.*)'$/s.exec(typed) ?? [];
  const quoted = inner === undefined ? typed : `"${inner.replaceAll('"', '\\"')}"`;
  if (quoted.startsWith('"')) {
    try {
      keys.push(JSON.parse(quoted.replace(/\\(?:u\{([\da-f]+)\}|.)/gs, jsonEscape)));
    } catch {
      // It only looks as if it had been copied from here.
    }
  }
  return [...keys, typed];
}
