import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { scratchFolder } from './folder-medium.js';

/** Makes a file or folder one that nobody can change, root included. */
export function setImmutable(path: string, isImmutable: boolean): void {
  const { status, stderr } = spawnSync('chattr', [isImmutable ? '+i' : '-i', path], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`chattr: ${stderr}`);
}

/** Returns whether this process may do so, and the file system can. Tests that need it are skipped otherwise. */
export const canFreeze = ((): boolean => {
  const path = scratchFolder();
  try {
    setImmutable(path, true);
    setImmutable(path, false);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
})();
