import { execFile } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import ts from 'typescript';
import { compilePackage } from '../compile-package.js';
import { type Block, root } from './blocks.js';
import { declaredIn, exportedBy, mentions } from './names.js';

/** The name that a document and its prelude have as files. */
const slugOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');

/** A block as a file of the project. */
export interface BlockFile {
  readonly block: Block;
  /** Without its extension, from the root of the project. */
  readonly path: string;
}

/** What came of a run. */
export interface Run {
  readonly status: unknown;
  /** What it wrote to stdout and stderr; where it ran is called `/app`. */
  readonly output: string;
}

const names = { nodenext: ts.ModuleKind.NodeNext, bundler: ts.ModuleKind.Preserve } as const;

/** How a user resolves modules. */
export type Resolution = keyof typeof names;

const preludes = join(root, 'test/documents/preludes');

/**
 * A project of a user: the package is installed in it as npm installs it, built and reached by its name, and each block is a file
 * of its own that imports of the prelude of its document what it presumes.
 */
export class Project {
  readonly folder = mkdtempSync(join(tmpdir(), 'mapsweep-documents-'));
  readonly files: readonly BlockFile[];
  readonly #programs = new Map<Resolution, ts.Program>();
  readonly #isRun: (block: Block) => boolean;
  /** By the folder of their document. */
  readonly #runs = new Map<string, Promise<Run[]>>();

  /** @param isRun which of the blocks are run; the others are only type-checked. Default: all */
  constructor(blocks: readonly Block[], isRun: (block: Block) => boolean = () => true) {
    this.#isRun = isRun;
    const modules = join(this.folder, 'node_modules');
    const installed = join(modules, 'mapsweep');
    mkdirSync(installed, { recursive: true });
    linkAll(join(root, 'node_modules'), modules);
    copyFileSync(join(root, 'package.json'), join(installed, 'package.json'));
    writeFileSync(join(this.folder, 'package.json'), '{ "type": "module" }');
    if (isBuilt()) {
      cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true });
    } else {
      compilePackage(join(installed, 'dist'));
    }
    mkdirSync(join(this.folder, 'preludes'));
    for (const file of readdirSync(preludes)) {
      copyFileSync(join(preludes, file), join(this.folder, 'preludes', file));
    }
    copyFileSync(join(root, 'test/documents/run-document.ts'), join(this.folder, 'run-document.ts'));
    this.files = blocks.map((block) => this.#write(block));
  }

  /** Type-checks all blocks and preludes, and returns what is wrong, a line each. */
  check(resolution: Resolution): string[] {
    const program = this.#program(resolution);
    const said = ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, start, messageText }) =>
          `${placeOf(file, start)} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      );
    return [...said, ...this.#anys(program)];
  }

  /** Makes JavaScript of everything, for `run`. */
  emit(): void {
    this.#program('nodenext').emit();
  }

  /** Runs a block: a test by vitest, anything else in a process that it shares with the other blocks of its document. */
  async run(file: BlockFile, environment: Readonly<Record<string, string>> = {}): Promise<Run> {
    const folder = join(this.folder, slugOf(file.block.document));
    if (isOfVitest(file.block)) {
      const vitest = join(this.folder, 'node_modules/vitest/vitest.mjs');
      const { status, stdout, stderr } = await run(
        [vitest, 'run', '--root', folder, basename(`${file.path}.ts`)],
        folder,
      );
      return { status, output: (stdout + stderr).replaceAll(`${folder}/`, '/app/') };
    }
    const files = this.files.filter(
      ({ block }) => block.document === file.block.document && !isOfVitest(block) && this.#isRun(block),
    );
    const runs = this.#runs.get(folder) ?? this.#runAll(files, folder, environment);
    this.#runs.set(folder, runs);
    return (await runs)[files.indexOf(file)] as Run;
  }

  /**
   * Runs a block as it stands, by tsx, in a new folder such as `npm init -y` makes, in which a file is CommonJS unless its name
   * says something else.
   */
  async runSaved({ text }: Block, name: string): Promise<Run> {
    const folder = mkdtempSync(join(this.folder, 'init-'));
    const manifest = { name: 'first', version: '1.0.0', main: 'index.js', type: 'commonjs' };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(folder, name), text);
    const tsx = join(this.folder, 'node_modules/tsx/dist/cli.mjs');
    const { status, stdout, stderr } = await run([tsx, name], folder);
    return { status, output: stdout + stderr };
  }

  /** Runs blocks of one document in one process, which ends by itself. */
  async #runAll(
    files: readonly BlockFile[],
    folder: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<Run[]> {
    const prelude = `${join(this.folder, 'preludes', slugOf((files[0] as BlockFile).block.document))}.js`;
    const blocks = files.flatMap(({ block, path }) => [`${join(this.folder, path)}.js`, block.heading]);
    const args = [join(this.folder, 'run-document.js'), existsSync(prelude) ? prelude : '', ...blocks];
    const { status, stdout, stderr } = await run(args, folder, environment);
    const [out, err] = [stdout, stderr].map((text) => text.split(/\0(ran|failed)\n/)) as [string[], string[]];
    return files.map((_, index) => {
      const said = `${out[2 * index] ?? ''}${err[2 * index] ?? ''}`;
      // The process has died before, or did not end after all of them.
      if (status !== 0) return { status, output: `${said}\n${err.at(-1)}` };
      return { status: out[2 * index + 1] === 'ran' ? 0 : 1, output: said };
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #write(block: Block): BlockFile {
    const folder = slugOf(block.document);
    mkdirSync(join(this.folder, folder), { recursive: true });
    // A block may say as what it is to be saved.
    const saved = /^\/\/ (\S+)\.ts$/m.exec(block.text)?.[1];
    const name = saved ?? `${slugOf(block.heading)}-${block.ordinal}${isOfVitest(block) ? '.test' : ''}`;
    const parsed = ts.createSourceFile('block.ts', block.text, ts.ScriptTarget.Latest, true);
    const declared = declaredIn(parsed);
    const presumed = [...this.#exportedFor(block)].filter(
      (exported) => !declared.has(exported) && mentions(parsed, exported),
    );
    const exported = [...declared].filter(([, isValue]) => isValue).map(([of]) => of);
    // At its end, so that its lines keep their numbers. Whoever looks at what came of it asks for its variables by their names.
    const last = [
      presumed.length === 0 ? '' : `import { ${presumed.join(', ')} } from '../preludes/${folder}.js';`,
      isOfVitest(block) ? 'export {};' : `export { ${exported.join(', ')} };`,
    ];
    writeFileSync(join(this.folder, folder, `${name}.ts`), [block.text, ...last].join('\n'));
    return { block, path: `${folder}/${name}` };
  }

  #exportedFor(block: Block): Set<string> {
    const path = join(preludes, `${slugOf(block.document)}.ts`);
    if (!existsSync(path)) return new Set();
    const parsed = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    return new Set(parsed.statements.flatMap(exportedBy));
  }

  #program(resolution: Resolution): ts.Program {
    const made = this.#programs.get(resolution) ?? this.#makeProgram(resolution);
    this.#programs.set(resolution, made);
    return made;
  }

  #makeProgram(resolution: Resolution): ts.Program {
    const module = names[resolution];
    const options: ts.CompilerOptions = {
      target: ts.ScriptTarget.ES2023,
      lib: ['lib.es2023.d.ts'],
      module,
      moduleResolution:
        resolution === 'bundler' ? ts.ModuleResolutionKind.Bundler : ts.ModuleResolutionKind.NodeNext,
      strict: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: true,
      sourceMap: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
      outDir: this.folder,
      rootDir: this.folder,
    };
    const own = readdirSync(join(this.folder, 'preludes'))
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(this.folder, 'preludes', file));
    const files = this.files.map(({ path }) => join(this.folder, `${path}.ts`));
    return ts.createProgram([...own, ...files, join(this.folder, 'run-document.ts')], options);
  }

  /** Where a block has something of the type `any`, or a map of which nothing is known; declared or inferred. */
  #anys(program: ts.Program): string[] {
    const checker = program.getTypeChecker();
    const found: string[] = [];
    for (const { path } of this.files) {
      const file = program.getSourceFile(join(this.folder, `${path}.ts`)) as ts.SourceFile;
      const look = (node: ts.Node): void => {
        // What is imported as a type alone is none here.
        if (ts.isImportDeclaration(node)) return;
        if (ts.isIdentifier(node) && node.text !== 'const') {
          const type = checker.getTypeAtLocation(node);
          const isAny = (type.flags & ts.TypeFlags.Any) !== 0;
          const said = isAny ? 'any' : checker.typeToString(type);
          if (isAny || untyped.has(said))
            found.push(`${placeOf(file, node.getStart())} '${node.text}' is ${said}`);
        }
        ts.forEachChild(node, look);
      };
      look(file);
    }
    return found;
  }
}

/** What is as good as any, where somebody is to see how the types come about. */
const untyped = new Set(['Map<unknown, unknown>', 'TrackedMap<unknown, unknown>']);

export const isOfVitest = ({ text }: Block): boolean => /from 'vitest'/.test(text);

/** Runs Node without the environment of the vitest that runs this test. */
function run(
  args: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ status: unknown; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1', ...environment };
  const options = { cwd, env, timeout: 60_000, killSignal: 'SIGKILL' as const };
  return new Promise((resolve) => {
    execFile(process.execPath, ['--enable-source-maps', ...args], options, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.code ?? error.signal), stdout, stderr });
    });
  });
}

/** Returns whether `dist` is what the sources say: `npm ci` has made it, and nothing was changed since. */
function isBuilt(): boolean {
  const made = statSync(join(root, 'dist/index.js'), { throwIfNoEntry: false });
  if (made === undefined) return false;
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .every((file) => statSync(join(root, 'src', file)).mtimeMs < made.mtimeMs);
}

function placeOf(file: ts.SourceFile | undefined, start = 0): string {
  if (file === undefined) return '';
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  return `${file.fileName.split('/').slice(-2).join('/')}:${line + 1}:${character + 1}`;
}

/** Links every package of one `node_modules` into another, but those that are there. */
function linkAll(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    if (name.startsWith('.') || name === 'mapsweep') continue;
    if (!name.startsWith('@')) {
      symlinkSync(join(from, name), join(to, name));
      continue;
    }
    mkdirSync(join(to, name), { recursive: true });
    for (const scoped of readdirSync(join(from, name)))
      symlinkSync(join(from, name, scoped), join(to, name, scoped));
  }
}
