import { createRegistry, type Duration, type Lifetimes, type Policy } from 'mapsweep';

/** A policy as JSON can hold it: that of mapsweep without its functions, and with patterns of rules as strings. */
export type MapPolicy = Pick<
  Policy<unknown, unknown>,
  'ttl' | 'since' | 'maxIdle' | 'maxAge' | 'rules' | 'orphanAfter' | 'maxEntries' | 'unstamped' | 'mode'
> & { follows?: string };

/** One line of `maps`: a path, or a pattern in which `*` stands for anything but `/`; `false` leaves the map alone. */
export interface ListedMap {
  readonly match: string;
  readonly policy: MapPolicy | false;
}

/** The plugin's config, checked. */
export interface PluginConfig {
  readonly mode: 'sweep' | 'observe';
  readonly sweepEvery: Duration;
  readonly leakCycle: Duration | undefined;
  /** In the order in which they are looked at: the first that matches a path counts. */
  readonly maps: readonly ListedMap[];
  readonly scrapeToken: string | undefined;
}

const RUN_CONTEXTS = 'openclaw.agentEvents.state/runContextById';

/** The gateway's registry of agent events: a context a run, and a sequence counter a run that nothing ever deletes. */
export const DEFAULT_MAPS: readonly ListedMap[] = [
  { match: RUN_CONTEXTS, policy: { maxIdle: '30m' } },
  { match: 'openclaw.agentEvents.state/seqByRun', policy: { follows: RUN_CONTEXTS, orphanAfter: '30m' } },
];

const OPTIONS = ['mode', 'sweepEvery', 'leakCycle', 'defaults', 'maps', 'scrapeToken'];
const POLICY_OPTIONS = [
  'ttl',
  'since',
  'maxIdle',
  'maxAge',
  'rules',
  'follows',
  'orphanAfter',
  'maxEntries',
  'unstamped',
  'mode',
];
const LEAST_TOKEN = 16;

/**
 * Reads `plugins.entries.mapsweep.config`; nothing at all is a config too.
 *
 * @throws Error with a message for the operator: what is wrong, where, and what is allowed
 */
export function readConfig(input: unknown): PluginConfig {
  const options = readObject('config', input ?? {}, OPTIONS);
  const { defaults = true, maps: own = {}, scrapeToken } = options;
  if (typeof defaults !== 'boolean') throw wrong('defaults', 'true or false', defaults);
  const listed = readMaps(own);
  const config: PluginConfig = {
    // As they are: mapsweep checks these itself.
    mode: (options.mode ?? 'sweep') as PluginConfig['mode'],
    sweepEvery: (options.sweepEvery ?? '60s') as Duration,
    leakCycle: options.leakCycle as Duration | undefined,
    maps: inOrder([...listed, ...(defaults ? DEFAULT_MAPS : [])]),
    scrapeToken: readToken(scrapeToken),
  };
  tryOut(config);
  return config;
}

function readMaps(input: unknown): ListedMap[] {
  const maps = readObject('maps', input);
  return Object.entries(maps).map(([path, policy]) => {
    const option = `maps["${path}"]`;
    if (path === '') throw new Error('maps: a path is empty, such as in { "": … }');
    return { match: path, policy: policy === false ? false : readPolicy(option, policy) };
  });
}

function readPolicy(option: string, input: unknown): MapPolicy {
  if (input === null || typeof input !== 'object') throw wrong(option, 'a policy or false', input);
  const policy = readObject(option, input, POLICY_OPTIONS);
  return policy.rules === undefined
    ? policy
    : { ...policy, rules: readRules(`${option}.rules`, policy.rules) };
}

function readRules(option: string, input: unknown): NonNullable<MapPolicy['rules']> {
  if (!Array.isArray(input)) throw wrong(option, 'a list of rules', input);
  return input.map((item: unknown, index) => {
    const at = `${option}[${index}]`;
    const { match, ...lifetimes } = readObject(at, item, ['match', 'ttl', 'since', 'maxIdle', 'maxAge']);
    if (typeof match !== 'string') throw wrong(`${at}.match`, 'a regular expression as a string', match);
    try {
      return { ...(lifetimes as Lifetimes<unknown, unknown>), match: new RegExp(match, 'u') };
    } catch (error) {
      throw new Error(`${at}.match: ${(error as Error).message}`);
    }
  });
}

/** An empty token would be one that everybody has. */
function readToken(input: unknown): string | undefined {
  if (input === undefined) return undefined;
  if (typeof input === 'string' && input.length >= LEAST_TOKEN && !/\s/.test(input)) return input;
  // Never the token itself: this goes to a log.
  throw new Error(`scrapeToken: expected a string of at least ${LEAST_TOKEN} characters without spaces`);
}

/** Whole paths before patterns, so that an exception need not stand before its rule; the operator's before the defaults. */
function inOrder(maps: readonly ListedMap[]): ListedMap[] {
  const isPattern = ({ match }: ListedMap): boolean => match.includes('*');
  return [...maps.filter((map) => !isPattern(map)), ...maps.filter(isPattern)];
}

/** Lets mapsweep itself judge durations, numbers and circles, on maps that nobody uses. */
function tryOut({ mode, sweepEvery, leakCycle, maps }: PluginConfig): void {
  const policies: Record<string, MapPolicy> = {};
  // Backwards, since of two policies for one path the first counts.
  for (const { match, policy } of maps.toReversed()) policies[match] = policy === false ? {} : policy;
  for (const { policy } of maps) {
    if (policy !== false && typeof policy.follows === 'string') policies[policy.follows] ??= {};
  }
  try {
    createRegistry({ maps: policies, mode, sweepEvery, leakDetection: { cycle: leakCycle } }).stop();
  } catch (error) {
    // By the name that the option has here.
    throw new Error((error as Error).message.replace('leakDetection.cycle', 'leakCycle'), { cause: error });
  }
}

function readObject(option: string, input: unknown, allowed?: readonly string[]): Record<string, unknown> {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) {
    throw wrong(option, 'an object', input);
  }
  for (const name of Object.keys(input)) {
    if (allowed === undefined || allowed.includes(name)) continue;
    throw new Error(`${option}: there is no option '${name}'. There are: ${allowed.join(', ')}`);
  }
  return { ...input };
}

function wrong(option: string, allowed: string, received: unknown): Error {
  const shown = received === null ? 'null' : Array.isArray(received) ? 'a list' : typeof received;
  return new Error(`${option}: expected ${allowed}, received ${shown}`);
}
