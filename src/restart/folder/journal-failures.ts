import { MapsweepError } from '../../errors.js';
import { codeOf } from './system-calls.js';

/**
 * Something that the system refused: a full disk, a folder that cannot be written to.
 *
 * @param advice what to do, behind the system's own code
 */
export const systemFailure = (what: string, cause: unknown, advice = ''): MapsweepError =>
  cause instanceof MapsweepError
    ? cause
    : new MapsweepError('ERR_JOURNAL_IO', `persistTo: ${what}: ${codeOf(cause) ?? String(cause)}${advice}`, {
        cause,
      });
