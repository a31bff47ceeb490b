import { createRegistry, type Duration } from 'mapsweep';
import { type JsonPolicy, type PolicyFromJson, policyFromJson } from 'mapsweep/discover';

/** One line of `maps`: a path, or a pattern in which `*` stands for anything but `/`; `false` leaves the map alone. */
export interface ListedMap {
  readonly match: string;
  readonly policy: JsonPolicy | false;
  /** In a built-in list, what values have there: those without it are left alone. */
  readonly fields?: readonly string[];
  /** In a built-in list, where the work of an entry is queued: it is kept while there is any. */
  readonly workIn?: WorkElsewhere;
}

/** Work that another map holds, by a key that a value names. */
export interface WorkElsewhere {
  /** The path of the map. */
  readonly map: string;
  /** The property of a value that names a key there, and what stands before it in that key. */
  readonly property: string;
  readonly prefix: string;
  /** Property paths there: any that leads to something is work. */
  readonly work: readonly string[];
}

/** The plugin's config, checked. */
export interface PluginConfig {
  readonly mode: 'sweep' | 'observe';
  readonly sweepEvery: Duration;
  readonly leakCycle: Duration | undefined;
  /** In the order in which they are looked at: the first that matches a path counts. */
  readonly maps: readonly ListedMap[];
  /** Those of them that the operator lists. */
  readonly own: readonly ListedMap[];
  /** Whether the built-in list is wanted. */
  readonly defaults: boolean;
  readonly scrapeToken: string | undefined;
}

const OPTIONS = ['mode', 'sweepEvery', 'leakCycle', 'defaults', 'maps', 'scrapeToken'];
const LEAST_TOKEN = 16;
const LONGEST_TOKEN = 1_024;

/**
 * Reads `plugins.entries.mapsweep.config`; nothing at all is a config too.
 *
 * @param builtIn the list for the release of the gateway, which stands behind what the operator lists
 * @throws Error with a message for the operator: what is wrong, where, and what is allowed
 */
export function readConfig(input: unknown, builtIn: readonly ListedMap[] = []): PluginConfig {
  const options = readObject('config', input ?? {}, OPTIONS);
  const { defaults = true, maps: own = {}, scrapeToken } = options;
  if (typeof defaults !== 'boolean') throw wrong('defaults', 'true or false', defaults);
  const listed = readMaps(own);
  const config: PluginConfig = {
    // As they are: mapsweep checks these itself.
    mode: (options.mode ?? 'sweep') as PluginConfig['mode'],
    sweepEvery: (options.sweepEvery ?? '60s') as Duration,
    leakCycle: options.leakCycle as Duration | undefined,
    maps: inOrder([...listed, ...(defaults ? builtIn : [])]),
    own: listed,
    defaults,
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

function readPolicy(option: string, input: unknown): JsonPolicy {
  if (input === null || typeof input !== 'object') throw wrong(option, 'a policy or false', input);
  policyFromJson(input, option);
  return input;
}

/** An empty token would be one that everybody has. */
function readToken(input: unknown): string | undefined {
  if (input === undefined) return undefined;
  if (typeof input === 'string' && isLongEnough(input) && !/\s/.test(input)) return input;
  // Never the token itself: this goes to a log.
  throw new Error(
    `scrapeToken: expected a string of at least ${LEAST_TOKEN} characters, and at most ${LONGEST_TOKEN}, without spaces`,
  );
}

const isLongEnough = ({ length }: string): boolean => length >= LEAST_TOKEN && length <= LONGEST_TOKEN;

/** Whole paths before patterns, so that an exception need not stand before its rule; the operator's before the defaults. */
function inOrder(maps: readonly ListedMap[]): ListedMap[] {
  const isPattern = ({ match }: ListedMap): boolean => match.includes('*');
  return [...maps.filter((map) => !isPattern(map)), ...maps.filter(isPattern)];
}

/** Lets mapsweep itself judge durations, numbers and circles, on maps that nobody uses. */
function tryOut({ mode, sweepEvery, leakCycle, maps }: PluginConfig): void {
  const policies: Record<string, PolicyFromJson> = {};
  // Backwards, since of two policies for one path the first counts.
  for (const { match, policy } of maps.toReversed())
    policies[match] = policyFromJson(policy || {}, `maps["${match}"]`);
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
