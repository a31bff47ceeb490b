import { existsSync, lstatSync, mkdirSync, readlinkSync, realpathSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { MapsweepTypeError } from '../../errors.js';
import { systemFailure } from './journal-failures.js';
import { codeOf } from './system-calls.js';

/** As many links in a row as Linux follows. */
const maxLinks = 40;

/**
 * Makes the folder if it is missing, for its owner alone (mode 0700), and returns its path without symbolic links, so
 * that one folder has one name. The folder around it has to be there: a volume that is not mounted is not made up.
 *
 * @throws MapsweepTypeError `ERR_INVALID_OPTION` if the path is something else than a folder
 * @throws MapsweepError `ERR_JOURNAL_IO`
 */
export function prepareFolder(path: string): string {
  try {
    return makeFolder(resolve(path), maxLinks);
  } catch (cause) {
    if (cause instanceof MapsweepTypeError) throw cause;
    const parent = dirname(resolve(path));
    const advice = existsSync(parent)
      ? ''
      : `. Make '${parent}' first, or mount it: no more than the last folder of the path is made`;
    throw systemFailure(`cannot make or open the folder '${path}'`, cause, advice);
  }
}

function makeFolder(path: string, linksLeft: number): string {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    const found = lstatSync(path);
    // A link to a folder that is not there yet: it is made where the link points.
    if (found.isSymbolicLink() && linksLeft > 0)
      return makeFolder(resolve(realpathSync(dirname(path)), readlinkSync(path)), linksLeft - 1);
    if (!found.isDirectory()) throw notAFolder(path, found);
  }
  return realpathSync(path);
}

function notAFolder(path: string, found: Stats): MapsweepTypeError {
  const shown = JSON.stringify(path);
  return new MapsweepTypeError(
    'ERR_INVALID_OPTION',
    found.isFile()
      ? `persistTo: ${shown} is a file, and has to be a folder. If it is a snapshot of mapsweep 0.1, give persistTo ` +
          `another path and call registry.restore(JSON.parse(readFileSync(${shown}, 'utf8'))) once`
      : `persistTo: ${shown} is neither a folder nor a link to one`,
  );
}
