import { MapsweepRangeError, MapsweepTypeError } from '../errors.js';
import type { HandlerRequest } from '../http/answer.js';
import { callback } from '../policy/checks.js';
import { type Duration, durationMs, timerRange } from '../policy/duration.js';
import { invalidType, readOneOf, readOptions } from '../policy/read-options.js';
import type { FormRequest } from './form.js';

/** What the page reads of a request; that of `node:http`, Express and Fastify have it. */
export interface PageRequest extends HandlerRequest, FormRequest {
  /** The connection. */
  readonly socket?:
    | {
        /** Who asks, as far as this end of the connection can see. */
        readonly remoteAddress?: string | undefined;
        /** There for TLS. */
        readonly encrypted?: unknown;
      }
    | undefined;
}

/** The options of `statusPage`. */
export interface StatusPageOptions {
  /**
   * What somebody has to type in before the page shows anything, 16 to 1,024 characters. A cookie that no script can
   * read and that no other site's request bears keeps it for as long as the browser runs. A program sends it as
   * `Authorization: Bearer <token>`. Not together with `authorize`.
   * Default: none, and then only this machine is answered: a peer on loopback, by a loopback name, with no header of a
   * proxy. A proxy on this machine need not tell that it is one: behind any, set this or `authorize`. Given as `undefined`
   * without `authorize`, as from a variable that is not set, it is an error.
   */
  token?: string;
  /**
   * Says who may see the page, and do what it allows: `true`, or a promise of it, and nothing else. Runs at every
   * request but that for the style and the script, before anything is looked at; what it throws is a refusal. Not
   * together with `token`. Default: as without a token. Given as `undefined` without `token` it is an error.
   */
  authorize?: (request: PageRequest) => boolean | Promise<boolean>;
  /**
   * `actions` has buttons that redeliver dead letters and sweep now, for whoever may see the page: without a `token` or
   * `authorize`, that is whatever comes from this machine. Default: nothing can be changed.
   */
  allow?: 'actions';
  /**
   * `masked` shows nothing of keys, nor of what may name them: ids, reasons of the owner's own, and messages of errors.
   * Names of maps, functions, recipients, watched sizes and errors are shown. Values are never shown. Default `shown`:
   * escaped and cut.
   */
  keys?: 'shown' | 'masked';
  /** How often an open page that is seen asks again, from 1 s on. Default `'5s'`. */
  refresh?: Duration;
}

/** The options with every default applied. */
export interface PageOptions {
  readonly token: string | undefined;
  readonly authorize: StatusPageOptions['authorize'];
  readonly mayAct: boolean;
  readonly isMasked: boolean;
  readonly refreshMs: number;
}

const tokenLength = { min: 16, max: 1_024 };
const defaultRefreshMs = 5_000;

/**
 * Checks the options of the page.
 *
 * @throws {MapsweepTypeError | MapsweepRangeError} an option that is unknown, of a wrong type or out of range
 */
export function readPageOptions(options: unknown): PageOptions {
  const read = readOptions('', options, {
    token: readToken,
    authorize: callback<NonNullable<StatusPageOptions['authorize']>>('(request) => boolean'),
    allow: (value, option) => readOneOf(value, option, ['actions']),
    keys: (value, option) => readOneOf(value, option, ['shown', 'masked']),
    refresh: (value, option) => durationMs(value, option, { ...timerRange, min: 1_000 }),
  });
  if (read.token === undefined && read.authorize === undefined) refuseUnset(options as object);
  if (read.token !== undefined && read.authorize !== undefined) {
    throw new MapsweepTypeError(
      'ERR_INVALID_OPTION',
      'authorize: expected to be left out beside token, received both',
    );
  }
  return {
    token: read.token,
    authorize: read.authorize,
    mayAct: read.allow === 'actions',
    isMasked: read.keys === 'masked',
    refreshMs: read.refresh ?? defaultRefreshMs,
  };
}

/** Elsewhere `undefined` is an option that was left out; here that would open the page to whoever was to be kept out. */
function refuseUnset(options: object): void {
  const unset = ['token', 'authorize'].find((name) => Object.hasOwn(options, name));
  if (unset === undefined) return;
  const message = `${unset} is undefined, as a variable of the environment is that is not set. Give it a value, or leave ${unset} out to have whatever comes from this machine answered`;
  throw new MapsweepTypeError('ERR_INVALID_OPTION', message);
}

/** The token is no part of a message: what is wrong with it is its length. */
function readToken(value: unknown, option: string): string {
  const { min, max } = tokenLength;
  const allowed = `a string of ${min} to ${max} characters without a line break`;
  if (typeof value !== 'string') throw invalidType(option, allowed, value);
  const hasBreak = /[\r\n]/.test(value);
  if (value.length < min || value.length > max || hasBreak) {
    const lines = hasBreak ? ', with a line break' : '';
    const message = `${option} must be ${allowed}; received one of ${value.length} characters${lines}`;
    throw new MapsweepRangeError('ERR_INVALID_OPTION', message);
  }
  return value;
}
