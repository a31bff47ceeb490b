import { span } from '../diagnosis/explain.js';
import { shownKey, shownName } from '../events/shown.js';
import type { CompiledLifetimes, CompiledPolicy } from '../policy/policy.js';

/** Says in sentences how the entries of a map live and leave. */
export function policyInWords(policy: CompiledPolicy<unknown, unknown>): string[] {
  const { own, rules, follows, orphanAfterMs, maxEntries, expectedMax, beforeSweep, persist } = policy;
  const words = lifetimesInWords(own);
  for (const [index, { lifetimes }] of rules.entries()) {
    const instead = lifetimesInWords(lifetimes);
    words.push(`rules[${index}], for keys that match, instead: ${instead.join('; ') || 'stays'}`);
  }
  if (follows !== undefined) {
    const orphans = Number.isFinite(orphanAfterMs)
      ? `, without one when idle for ${span(orphanAfterMs)}`
      : '';
    words.push(`leaves with its leader in ${shownKey(follows)}${orphans}`);
  }
  if (words.length === 0) words.push('no lifetime: an entry stays until its owner deletes it');
  if (policy.activeAt !== undefined) {
    words.push(said('what its value records counts as activity', 'activeAt', policy.activeAt));
  }
  if (policy.keepWhile !== undefined) {
    const name = shownName(policy.keepWhile, 'keepWhile');
    words.push(name === undefined ? 'held while keepWhile says so' : `held while ${name} (keepWhile)`);
  }
  if (policy.weigh !== undefined) words.push(said('weighed by its value', 'weigh', policy.weigh));
  if (Number.isFinite(maxEntries)) words.push(`at most ${maxEntries} entries: more are evicted (maxEntries)`);
  if (Number.isFinite(expectedMax))
    words.push(`bounded by its owner to ${expectedMax} entries (expectedMax)`);
  if (beforeSweep !== undefined)
    words.push(`beforeSweep has to succeed first, in ${span(policy.beforeSweepTimeoutMs)} at most`);
  if (persist !== undefined) words.push('survives a restart (persist)');
  return words;
}

function lifetimesInWords({
  ttlMs,
  since,
  expiresAt,
  maxIdleMs,
  maxAgeMs,
}: CompiledLifetimes<unknown, unknown>) {
  const words: string[] = [];
  if (Number.isFinite(ttlMs)) words.push(`due ${span(ttlMs)} after ${beginnings(since)} (ttl)`);
  if (expiresAt !== undefined) {
    words.push(said('due when the clock reads what its value says', 'expiresAt', expiresAt));
  }
  if (Number.isFinite(maxIdleMs)) words.push(`due when idle for ${span(maxIdleMs)} (maxIdle)`);
  if (Number.isFinite(maxAgeMs)) words.push(`due at an age of ${span(maxAgeMs)}, whatever holds it (maxAge)`);
  return words;
}

function beginnings(since: CompiledLifetimes<unknown, unknown>['since']): string {
  if (typeof since === 'function') return said('what its value says', 'since', since);
  return since === 'registeredAt' ? 'its registration' : 'its last activity';
}

/** What a function says, with its own name if that tells more than the option. */
function said(what: string, option: string, by: object): string {
  const name = shownName(by, option);
  return name === undefined ? `${what} (${option})` : `${what}: ${name} (${option})`;
}
