import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Compiles the package into a folder, by the compiler that builds it for users.
 *
 * @throws where the sources do not compile
 */
export function compilePackage(folder: string): void {
  const compiler = join(root, 'node_modules/typescript/lib/tsc.js');
  const parameters = [compiler, '-p', join(root, 'tsconfig.json'), '--outDir', folder];
  const { status, stdout } = spawnSync(process.execPath, parameters, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the package does not compile:\n${stdout}`);
}
