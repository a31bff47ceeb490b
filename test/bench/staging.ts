/**
 * A folder with what the children run: the package, built by the compiler that builds it for users, and this benchmark,
 * as plain JavaScript. A copy, because the sources may change while it runs; and no loader that translates as it goes
 * has a part in what is measured.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { compilePackage } from '../compile-package.js';
import { comparedPackage } from './contenders.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const own = fileURLToPath(new URL('.', import.meta.url));

/** Where the children start, and how to take it away again. */
export interface Staging {
  readonly child: string;
  remove(): void;
}

/**
 * Stages the sources, or the built package of a folder, and perhaps another one beside it.
 *
 * @throws where the sources do not compile
 */
export function stage(packageFolder: string | undefined, comparedFolder: string | undefined): Staging {
  const folder = join(root, '.cache', 'bench', `stage-${process.pid}`);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  remove();
  try {
    mkdirSync(join(folder, 'bench'), { recursive: true });
    // Its own package, so that `mapsweep` is what lies in its node_modules and not the repository around it.
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    const target = join(folder, 'node_modules', 'mapsweep');
    if (packageFolder === undefined) {
      cpSync(join(root, 'package.json'), join(target, 'package.json'));
      compilePackage(join(target, 'dist'));
    } else copyPackage(packageFolder, target);
    if (comparedFolder !== undefined)
      copyPackage(comparedFolder, join(folder, 'node_modules', comparedPackage));
    for (const file of readdirSync(own).filter((name) => name.endsWith('.ts'))) {
      writeFileSync(join(folder, 'bench', file.replace(/\.ts$/, '.js')), translated(join(own, file)));
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { child: join(folder, 'bench', 'child.js'), remove };
}

function copyPackage(from: string, to: string): void {
  for (const part of ['package.json', 'dist']) cpSync(join(from, part), join(to, part), { recursive: true });
}

function translated(path: string): string {
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      verbatimModuleSyntax: true,
    },
    fileName: path,
  });
  return outputText;
}
