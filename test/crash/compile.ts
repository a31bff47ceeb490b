import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
};

/** Compiles the library and the service that is killed into a folder, and returns the path of the service. */
export const compileChild = (folder: string): string =>
  compileParts(folder, ['src', 'test/crash'], 'test/crash/child.js');

/**
 * Compiles folders of this repository into another one, and returns the path of a program there: a process that had to
 * compile them itself would spend most of its time with that.
 */
export function compileParts(folder: string, parts: readonly string[], program: string): string {
  for (const part of parts) {
    for (const file of readdirSync(join(root, part), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const source = readFileSync(join(root, part, file), 'utf8');
      const path = join(folder, part, file.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, ts.transpileModule(source, { compilerOptions }).outputText);
    }
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, program);
}
