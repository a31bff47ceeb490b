/** A text that is markup already: made by {@link html}, of nothing but its own text and what was escaped. */
export class Markup {
  readonly text: string;

  /** Use {@link html}. */
  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** What a template takes: markup as it is, lists one after the other, nothing for `undefined` and `false`, else text. */
export type Part = Markup | string | number | undefined | false | readonly Part[];

/** Makes markup of a template. Whatever is put into it is escaped, for a text and for an attribute in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  const pieces = parts.map((part, index) => `${markupOf(part)}${strings[index + 1]}`);
  return new Markup(`${strings[0]}${pieces.join('')}`);
}

function markupOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(markupOf).join('');
  return String(part).replace(/[&<>"']/g, (character) => entities[character] as string);
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
