import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { install, nodeOf, type Outcome, run } from '../installations.ts';

/** An empty folder into which the package was installed, and what else it says. */
export class Project {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Installs. The name is that of the folder, and one for all of these tests. */
  static async of(name: string, beside: Record<string, string> = {}): Promise<Project> {
    const tarball = inject('tarball');
    const folder = join(dirname(tarball), name);
    await install(folder, { ...beside, mapsweep: `file:${tarball}` });
    return new Project(folder);
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text);
  }

  /** Runs a module there, and resolves with what it printed; or with its error. */
  async outputOf(source: string, node: string = process.execPath): Promise<string> {
    this.write('program.mjs', source);
    return (await this.run(node, ['program.mjs'])).output.trim();
  }

  run(command: string, args: readonly string[]): Promise<Outcome> {
    return run(this.folder, command, args);
  }

  node(version: string, args: readonly string[]): Promise<Outcome> {
    return this.run(nodeOf(version), args);
  }
}
