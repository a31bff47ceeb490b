import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';

/** What says which release a gateway is. */
export interface ReleaseSource {
  readonly runtime?: { readonly version?: unknown };
}

/**
 * The release of the gateway: what its plugin API says, else the `package.json` of the program that runs; `undefined` where
 * neither tells.
 *
 * @param script the program that runs
 */
export function releaseOf({ runtime }: ReleaseSource, script = process.argv[1]): string | undefined {
  const told = runtime?.version;
  if (typeof told === 'string' && told !== '') return told;
  return script === undefined ? undefined : releaseOfPackage(script);
}

/** The version of the package `openclaw` that a script belongs to. */
function releaseOfPackage(script: string): string | undefined {
  try {
    // A command is a link to the script of its package.
    for (let folder = path.dirname(realpathSync(script)); ; folder = path.dirname(folder)) {
      const { name, version } = readManifest(folder);
      if (name === 'openclaw' && typeof version === 'string') return version;
      if (path.dirname(folder) === folder) return undefined;
    }
  } catch {
    return undefined;
  }
}

function readManifest(folder: string): { readonly name?: unknown; readonly version?: unknown } {
  try {
    const manifest: unknown = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return typeof manifest === 'object' && manifest !== null ? manifest : {};
  } catch {
    return {};
  }
}
