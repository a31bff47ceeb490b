import { invalidType, isObjectOfOptions } from '../policy/read-options.js';
import { readRegExp, testFromStart } from './patterns.js';

/** One pattern of {@link policyFor}. */
export interface PathPolicy<Policy> {
  /** A RegExp, whose `lastIndex` is ignored, or a whole path in which `*` stands for anything but `/`. */
  readonly match: RegExp | string;
  /** What applies there. */
  readonly policy: Policy;
}

/**
 * The policy of the first pattern that matches a path, or `undefined`: for collections that `discover` found and whose
 * names are not known beforehand. `'openclaw.*.state/seqByRun'` is that property of any such singleton.
 *
 * A pattern that is a string takes time that grows with its length times that of the path at most. How long a RegExp
 * takes is up to whoever wrote it: names of properties can be long, and may come from outside.
 *
 * @throws {MapsweepTypeError} `ERR_INVALID_OPTION`: a path that is no string, patterns that are no array, or a `match` that is
 *   neither a string nor a RegExp, unless a pattern before it matched
 */
export function policyFor<Policy>(
  path: string,
  patterns: ReadonlyArray<PathPolicy<Policy>>,
): Policy | undefined {
  if (typeof path !== 'string') throw invalidType('path', 'a string', path);
  if (!Array.isArray(patterns)) throw invalidType('patterns', 'an array of { match, policy }', patterns);
  return patterns.find((pattern: unknown, index) => {
    const option = `patterns[${index}]`;
    if (!isObjectOfOptions(pattern)) throw invalidType(option, '{ match, policy }', pattern);
    return matches(path, pattern.match, `${option}.match`);
  })?.policy;
}

function matches(path: string, match: unknown, option: string): boolean {
  if (typeof match !== 'string') return testFromStart(readRegExp(match, option), path);
  // No `*` reaches past a `/`, so that each part of the one has to match the same part of the other.
  const parts = path.split('/');
  const patterns = match.split('/');
  return parts.length === patterns.length && parts.every((part, index) => isLike(part, patterns[index]!));
}

/**
 * Whether a text is like a pattern in which `*` stands for anything. No RegExp: `.*a.*a.*a` tries every way to share the
 * text out among its stars, while to take each literal where it first occurs leaves the most for those that follow.
 */
function isLike(text: string, pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const literal of rest) {
    const at = text.indexOf(literal, from);
    if (at < 0) return false;
    from = at + literal.length;
  }
  return text.length - last.length >= from && text.endsWith(last);
}
