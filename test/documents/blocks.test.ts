import { afterAll, describe, expect, it } from 'vitest';
import { type Block, nameOf, runsAlone, textOf, typedBlocks } from './blocks.js';
import { isOfVitest, Project } from './project.js';

const madeUp = (heading: string, text: string): Block => ({
  document: 'made-up',
  heading,
  ordinal: 1,
  language: 'ts',
  text,
  line: 1,
  output: undefined,
});

/** Blocks that a reader should not be given. */
const bad = [
  madeUp('implicit', 'const twice = (value) => value * 2;\n'),
  madeUp('silent', "const { name } = JSON.parse('{}');\n"),
  madeUp(
    'untyped',
    "import { createRegistry } from 'mapsweep';\ncreateRegistry({ maps: { runs: {} } }).maps.runs.clear();\n",
  ),
  madeUp(
    'wrong',
    "import { createRegistry } from 'mapsweep';\ncreateRegistry({ maps: { runs: { ttll: 1 } } });\n",
  ),
];

const isRun = (block: Block): boolean => runsAlone(block) && !bad.includes(block);
const project = new Project([...typedBlocks('all'), ...bad], isRun);
project.emit();
afterAll(() => project.remove());

describe('a block of TypeScript', () => {
  it.each(['nodenext', 'bundler'] as const)(
    'type-checks under %s, and nothing in it is any',
    { timeout: 120_000 },
    (resolution) => {
      const found = project.check(resolution);
      const isMadeUp = (line: string): boolean => line.startsWith('made-up/');
      expect(found.filter((line) => !isMadeUp(line))).toEqual([]);
      const first = (name: string) => found.find((line) => line.startsWith(`made-up/${name}`));
      expect(first('implicit')).toMatch("Parameter 'value' implicitly has an 'any' type");
      expect(first('silent')).toMatch("'name' is any");
      expect(first('untyped')).toMatch("'runs' is TrackedMap<unknown, unknown>");
      expect(first('wrong')).toMatch("'ttll' does not exist");
    },
  );

  it('that is the first one of README.md runs by the name that the README gives it, in a folder as npm init -y makes it', async () => {
    const [first] = typedBlocks('all').filter(({ document }) => document === 'README.md') as [Block];
    const before = textOf('README.md').split('\n').slice(0, first.line).join('\n');
    const { status, output } = await project.runSaved(first, /`([\w.]+\.m?ts)`/.exec(before)?.[1] as string);
    expect(output).toMatch(printedBy(first));
    expect(status).toBe(0);
  });

  const files = project.files.filter(({ block }) => isRun(block));
  it.each(files.map((file) => [nameOf(file.block), file] as const))(
    'of %s runs and prints what stands below it',
    { timeout: 120_000 },
    async (_name, file) => {
      const { status, output } = await project.run(file);
      expect(output).toMatch(printedBy(file.block));
      expect(status, output).toBe(isLeak(file.block) ? 1 : 0);
    },
  );
});

/** A leak test that the document shows failing. */
const isLeak = (block: Block): boolean => isOfVitest(block) && block.output !== undefined;

/** What a block prints: `…` stands for whatever there is, and so many milliseconds for any, or for seconds. */
function printedBy(block: Block): RegExp {
  if (block.output === undefined) return isOfVitest(block) ? /Tests {2}\d+ passed/ : /^/;
  const text = block.output.trimEnd().replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = text.replaceAll('…', '[^]*').replace(/\b\d+ms\b/g, '\\d+m?s');
  return new RegExp(isOfVitest(block) ? pattern : `^${pattern}\n$`);
}
