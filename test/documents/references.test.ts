import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runPrometheusCommand } from '../../src/prometheus/monitoring/prometheus-command.js';
import { runJournalCommand } from '../../src/restart/folder/journal-command.js';
import { allDocuments, blocksOf, root, textOf } from './blocks.js';

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

/** What GitHub makes of a heading, as far as our headings go. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const anchorsOf = (document: string): string[] =>
  [...textOf(document).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading as string));

describe.each(allDocuments)('%s', (document) => {
  const text = textOf(document);

  it('links to what is there', () => {
    const links = [...text.matchAll(/\]\(([^)]+)\)|src="([^"]+)"/g)].map(
      ([, link, source]) => link ?? source ?? '',
    );
    const dead = links
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? document : join(dirname(document), path);
        if (!existsSync(join(root, target))) return true;
        if (anchor === undefined) return false;
        return statSync(join(root, target)).isDirectory() || !anchorsOf(target).includes(anchor);
      });
    expect(dead).toEqual([]);
  });

  it('runs examples that are there', () => {
    const named = [...text.matchAll(/npx tsx (examples\/[\w/-]+\.ts)/g)].map(([, file]) => file as string);
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  it('names scripts that package.json has', () => {
    const named = [...text.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, script]) => script as string);
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});

describe('a command of a document', () => {
  const lines = allDocuments.flatMap((document) =>
    blocksOf(document)
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) =>
        text
          .trimEnd()
          .replaceAll('\\\n', ' ')
          .split(/\n| && /)
          .map((line) => [document, line] as const),
      ),
  );

  it.each(lines)('is one that npm or we have: %s', (_document, line) => {
    expect(line).toMatch(
      /^(npx (mapsweep|tsx|vitest run)|npm (ci|test|run|install)|prometheus|promtool|cd) ?/,
    );
    const files = line.match(/\b(examples|test|src)\/[\w./-]+/g) ?? [];
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  const commands = allDocuments.flatMap((document) =>
    [...textOf(document).matchAll(/npx mapsweep ([^`>\n]+)/g)].map(([, command]) =>
      (command as string).trim(),
    ),
  );

  it.each(commands)('is one that the program has: mapsweep %s', (command) => {
    const [name = '', ...args] = command.replaceAll(/<\w+>/g, 'folder').split(' ');
    // There is no such folder here, which is said at once and of nothing but a proper command.
    expect(['journal', 'prometheus']).toContain(name);
    const { status, error } = name === 'prometheus' ? runPrometheusCommand(args) : runJournalCommand(args);
    expect(name === 'journal' ? error : status).toEqual(
      name === 'journal' ? expect.stringMatching(/^Cannot read/) : 0,
    );
  });
});

describe('README.md', () => {
  it('has fewer than 300 lines', () => {
    expect(textOf('README.md').trimEnd().split('\n').length).toBeLessThan(300);
  });

  it('has the two commands that CI runs, each alone on a line', () => {
    const lines = textOf('README.md').split('\n');
    expect(lines).toContain('npm ci && npm run demo');
    expect(lines).toContain('npm ci && npm test');
  });
});

describe('CONTRIBUTING.md', () => {
  it('has every kind of test that package.json has', () => {
    const kinds = Object.keys(scripts).filter((script) => script.startsWith('test:'));
    expect(kinds.filter((script) => !textOf('CONTRIBUTING.md').includes(`npm run ${script}`))).toEqual([]);
  });
});

describe('examples/README.md', () => {
  it('lists every example once, by numbers', () => {
    const folders = readdirSync(join(root, 'examples'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    const listed = [...textOf('examples/README.md').matchAll(/^(\d+)\. \[([\w-]+)\]\(\2\):/gm)];
    expect(listed.map(([, , name]) => name as string).sort()).toEqual(folders.sort());
    expect(listed.map(([, number]) => Number(number))).toEqual(folders.map((_, index) => index + 1));
  });
});
