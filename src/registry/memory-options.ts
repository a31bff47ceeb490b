import { resolve } from 'node:path';
import { MapsweepRangeError } from '../errors.js';
import { text } from '../policy/checks.js';
import { invalidType, numeric, optionPath, type Reader, readOptions } from '../policy/read-options.js';

/** What to do before the memory is full. */
export interface MemoryOptions {
  /**
   * The share of the memory at which somebody should know: an event `memory-pressure` and, with `reportTo`, a report.
   * Above 0, at most 1. Default 0.8, or `shedAt` if that is less.
   */
  warnAt?: number;
  /** The share at which maps with `shed: true` evict up to a tenth. From `warnAt` to 1. Default 0.9, or `warnAt` if that is more. */
  shedAt?: number;
  /**
   * The folder that reports are written to, made at once if it is missing; files have to be allowed there. The newest five are
   * kept. Default: none is written.
   */
  reportTo?: string;
}

/** The options with every default applied. */
export interface CompiledMemory {
  readonly warnAt: number;
  readonly shedAt: number;
  readonly reportTo: string | undefined;
}

const readShare = numeric('a number above 0, and at most 1', (value) => value > 0 && value <= 1);

const readFolder: Reader<string> = (value, option) => {
  const path = text(value, option);
  if (path === '' || path.includes('\0')) throw invalidType(option, 'the path of a folder', value);
  return resolve(path);
};

const schema = { warnAt: readShare, shedAt: readShare, reportTo: readFolder };

/** Reads the option `memory`. */
export const readMemory: Reader<CompiledMemory> = (value, option) => {
  const given = readOptions(option, value, schema);
  const { warnAt = Math.min(0.8, given.shedAt ?? 1), reportTo } = given;
  const { shedAt = Math.max(0.9, warnAt) } = given;
  if (shedAt < warnAt) {
    const message = `${optionPath(option, 'shedAt')} must be at least warnAt, ${warnAt}; received ${shedAt}`;
    throw new MapsweepRangeError('ERR_INVALID_OPTION', message);
  }
  return { warnAt, shedAt, reportTo };
};
