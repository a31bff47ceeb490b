const LONGEST_LINE = 4_000;

/**
 * A message as one printable line of a log. Paths are made of names that the gateway gives to properties, which may be
 * those of sessions and users: one with a line break in it would forge a line of its own, or move the cursor.
 */
export function oneLine(message: string): string {
  return cut(message, LONGEST_LINE).replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** The beginning of a text that is too long. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`;
}
