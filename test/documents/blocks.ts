import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The documents that a user reads, as paths from the root. */
export const userDocuments: readonly string[] = [
  'README.md',
  ...readdirSync(join(root, 'src/guide'))
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) => `src/guide/${file}`),
  'examples/openclaw-plugin/README.md',
];

/** The same, the pages of the examples, and those for whoever works on the package. */
export const allDocuments: readonly string[] = [
  ...userDocuments,
  ...readdirSync(join(root, 'examples'))
    .map((example) => `examples/${example}/README.md`)
    .filter((page) => existsSync(join(root, page)) && !userDocuments.includes(page)),
  'CONTRIBUTING.md',
  'src/README.md',
  'examples/README.md',
  'test/bench/README.md',
];

/** A fenced block of a document. */
export interface Block {
  /** The path of its document, from the root. */
  readonly document: string;
  /** The heading that it stands under. */
  readonly heading: string;
  /** Counts the blocks of this heading from 1. */
  readonly ordinal: number;
  /** What stands behind the fence, such as `ts`. */
  readonly language: string;
  readonly text: string;
  /** Where its text begins in the document, from 1. */
  readonly line: number;
  /** What it prints: of a block of TypeScript, the `text` block that follows it under the same heading. */
  readonly output: string | undefined;
}

/** Reads a document of the repository. */
export const textOf = (document: string): string => readFileSync(join(root, document), 'utf8');

/** Finds the fenced blocks of a document. */
export function blocksOf(document: string, text = textOf(document)): Block[] {
  const blocks: { -readonly [Name in keyof Block]: Block[Name] }[] = [];
  const lines = text.split('\n');
  let heading = '';
  let ordinal = 0;
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] as string;
    const head = /^#+ (.*)$/.exec(line);
    if (head !== null) {
      heading = head[1] as string;
      ordinal = 0;
    }
    const fence = /^```(\S+)$/.exec(line);
    if (fence === null) continue;
    const end = lines.indexOf('```', index + 1);
    if (end === -1) throw new Error(`${document}:${index + 1}: a block without an end`);
    ordinal += 1;
    const language = fence[1] as string;
    const body = `${lines.slice(index + 1, end).join('\n')}\n`;
    const previous = blocks.at(-1);
    if (language === 'text' && previous?.language === 'ts' && previous.heading === heading)
      previous.output = body;
    blocks.push({ document, heading, ordinal, language, text: body, line: index + 2, output: undefined });
    index = end;
  }
  return blocks;
}

/** What a block is called in the names of tests and files. */
export const nameOf = ({ document, heading, ordinal }: Block): string =>
  `${document}, ${heading}${ordinal === 1 ? '' : ` (${ordinal})`}`;

/** What has to be there for a block to run: such blocks are run by the tests that have it. */
export type Server = 'postgres' | 'redis' | undefined;

const serverOf = ({ text }: Block): Server =>
  /from '(pg|mapsweep\/postgres)'/.test(text)
    ? 'postgres'
    : /from 'mapsweep\/bullmq'/.test(text)
      ? 'redis'
      : undefined;

/** The blocks of TypeScript in the documents of users that need such a server; `all` of them. */
export const typedBlocks = (server: Server | 'all'): Block[] =>
  userDocuments
    .flatMap((document) => blocksOf(document))
    .filter((block) => block.language === 'ts' && (server === 'all' || serverOf(block) === server));

/** Returns whether a block can be run as it stands, with nothing else there. */
export const runsAlone = (block: Block): boolean => serverOf(block) === undefined;
