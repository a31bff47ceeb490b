import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const mount = (...args: string[]): void => void execFileSync('mount', args, { stdio: 'pipe' });
const unmount = (path: string): void => void spawnSync('umount', ['-l', path]);

/** Returns whether this process may mount file systems. Tests that need one are skipped where it may not. */
export const canMount = ((): boolean => {
  const path = mkdtempSync(join(tmpdir(), 'mapsweep-mount-'));
  try {
    mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path);
    unmount(path);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
})();

/** A disk in memory of a fixed size. */
export function mountSmallDisk(path: string, size: string): { grow(size: string): void; unmount(): void } {
  mount('-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path);
  return { grow: (larger) => mount('-o', `remount,size=${larger}`, path), unmount: () => unmount(path) };
}

/** Mounts a folder over itself, read-only for everybody, root too. */
export function mountReadOnly(path: string): { unmount(): void } {
  mount('--bind', path, path);
  mount('-o', 'remount,bind,ro', path);
  return { unmount: () => unmount(path) };
}

/** A file system of 8 MB in a file on a disk of 1 MB: what is written is taken, and cannot be flushed. */
export function mountDiskOnFullDisk(scratch: string): { path: string; grow(): void; unmount(): void } {
  const below = join(scratch, 'below');
  const path = join(scratch, 'disk');
  mkdirSync(below);
  mkdirSync(path);
  const disk = mountSmallDisk(below, '1m');
  try {
    const image = join(below, 'image');
    writeFileSync(image, '');
    truncateSync(image, 8 << 20);
    execFileSync('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', image], { stdio: 'pipe' });
    mount('-o', 'loop', image, path);
  } catch (error) {
    disk.unmount();
    throw error;
  }
  return {
    path,
    grow: () => disk.grow('32m'),
    unmount: () => {
      unmount(path);
      disk.unmount();
    },
  };
}

/** Returns whether this process may mount a file as a disk. */
export const canLoop = ((): boolean => {
  if (!canMount) return false;
  const scratch = mkdtempSync(join(tmpdir(), 'mapsweep-mount-'));
  try {
    mountDiskOnFullDisk(scratch).unmount();
    return true;
  } catch {
    return false;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
})();
