import { invalidRange, invalidType, type Reader } from '../policy/read-options.js';

/** Reads the prefix of the names of metrics. */
export const readPrefix: Reader<string> = (value, option) => {
  const allowed = "letters, digits, '_' and ':', without a digit first";
  if (typeof value !== 'string') throw invalidType(option, `a string of ${allowed}`, value);
  if (!/^([a-z_:][a-z\d_:]*)?$/i.test(value)) throw invalidRange(option, allowed, value);
  return value;
};
