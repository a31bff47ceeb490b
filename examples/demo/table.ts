/** How the output is set: colours, tables of two figures, folded words. All of it fits into 80 columns. */

const WIDTH = 78;
const INDENT = '  ';
const COLUMN_WIDTH = 15;
const LABEL_WIDTH = WIDTH - INDENT.length - 2 * COLUMN_WIDTH;

/** Marks text for a terminal. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  strong(text: string): string;
  faint(text: string): string;
}

/** Colours and weights, or plain text. */
export function createPaint(colours: boolean): Paint {
  const style = (on: number, off: number) => (text: string) =>
    colours ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return { good: style(32, 39), bad: style(31, 39), strong: style(1, 22), faint: style(2, 22) };
}

/** A figure, and how it is marked. */
export interface Cell {
  text: string;
  mark?: (text: string) => string;
}

export type Row = readonly [label: string, first: Cell | string, second: Cell | string];

/** A table: a head, and the rows of each section below a line. */
export function renderTable(head: Row, sections: readonly (readonly Row[])[], paint: Paint): string {
  const cellOf = (cell: Cell | string) => {
    const { text, mark = (plain: string) => plain } = typeof cell === 'string' ? { text: cell } : cell;
    return mark(text.padStart(COLUMN_WIDTH));
  };
  const lineOf = ([label, first, second]: Row) => label.padEnd(LABEL_WIDTH) + cellOf(first) + cellOf(second);
  const rule = paint.faint('─'.repeat(WIDTH - INDENT.length));
  const lines = [
    paint.strong(lineOf(head)),
    ...sections.flatMap((rows) => [rule, ...rows.map(lineOf)]),
    rule,
  ];
  return lines.map((line) => INDENT + line).join('\n');
}

/** Paragraphs of words, folded and set in. */
export const paragraphs = (...texts: string[]): string => texts.map(folded).join('\n');

/** Breaks a text at its spaces. */
function folded(text: string): string {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > WIDTH - INDENT.length) {
    const space = rest.lastIndexOf(' ', WIDTH - INDENT.length);
    if (space <= 0) break;
    lines.push(rest.slice(0, space));
    rest = rest.slice(space + 1);
  }
  return [...lines, rest].map((line) => INDENT + line).join('\n');
}
