/** Packs the package once for all of these tests, and has the versions of Node that it says it runs on. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { installNode, nodes, pack } from '../installations.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The tarball; beside it is room for the folders of a test. */
    tarball: string;
  }
}

export default async function packed({ provide }: TestProject): Promise<() => void> {
  // Not below the root, where packages would be found that are not installed there.
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'mapsweep-package-'));
  provide('tarball', await pack(folder));
  for (const version of nodes) await installNode(version);
  return () => rmSync(folder, { recursive: true, force: true });
}
