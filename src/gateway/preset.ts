import { type EndedPolicy, endedOptionNames, readDeliver } from '../endings/ended-policy.js';
import { MapsweepTypeError } from '../errors.js';
import type { Deliver } from '../events/ended-event.js';
import { readClock } from '../maps/standalone.js';
import { assertNotTracked } from '../maps/tracked-mark.js';
import { checkAdoptable } from '../policy/adoptable.js';
import { compilePolicy, policyOptionNames } from '../policy/compile-policy.js';
import {
  invalidType,
  isObjectOfOptions,
  optionPath,
  type Reader,
  readOptions,
  readProperty,
  suggestion,
} from '../policy/read-options.js';
import { registryOptionNames } from '../registry/compile-options.js';
import { partsOf } from '../registry/internals.js';
import type { PolicyOf } from '../registry/policy-types.js';
import { createRegistry, type Registry } from '../registry/registry.js';
import type { RegistryOptions } from '../registry/registry-options.js';
import { systemClock } from '../time/clock.js';
import {
  gatewayPolicies,
  isCleanedUp,
  type PendingLifecycleErrorFields,
  type RunContextFields,
  type SubagentRunFields,
} from './gateway-policies.js';

/** The four maps of the gateway, by the gateway's own record types. */
export interface GatewayMaps<Run, Context, PendingError> {
  /** The runs, by their id. */
  subagentRuns: Map<string, Run>;
  /** What a run at work has at hand, by its id. */
  runContextById: Map<string, Context>;
  /** The sequence counters of the events of runs. */
  seqByRun: Map<string, number>;
  /** Errors that end their run unless it is tried again in time. */
  pendingLifecycleErrors: Map<string, PendingError>;
}

/** The registry of a gateway. */
export type GatewayRegistry<Run, Context, PendingError> = Registry<{
  [Name in keyof GatewayMaps<Run, Context, PendingError>]: GatewayMaps<Run, Context, PendingError>[Name];
}>;

/** The options of `createGatewayRegistry`. */
export interface GatewayOptions<Run, Context, PendingError>
  // biome-ignore lint/complexity/noBannedTypes: the maps play no part in the options that are taken over
  extends Omit<RegistryOptions<{}>, 'maps' | 'ended'> {
  /** The gateway's live maps, to be tracked in place. A map that is left out is made anew. */
  adopt?: Partial<GatewayMaps<Run, Context, PendingError>>;
  /** Tells the context engine that a run has ended: the `deliver` of `subagentRuns`. Default: only the bus is told. */
  onSubagentEnded?: Deliver<string, Run>;
  /** Merged into the preset's policy of each map; what is given here replaces that option there. */
  overrides?: {
    [Name in keyof GatewayMaps<Run, Context, PendingError>]?: Omit<
      PolicyOf<GatewayMaps<Run, Context, PendingError>[Name]>,
      'adopt'
    >;
  };
  /** How endings are delivered and remembered. */
  ended?: Omit<EndedPolicy<string, Run>, 'map' | 'deliver'>;
}

const mapNames = ['subagentRuns', 'runContextById', 'seqByRun', 'pendingLifecycleErrors'] as const;

/**
 * Makes the registry of an agent gateway's four maps. A completed run stays 5 minutes after its clean-up, one that is to be
 * kept for a day, one whose clean-up never completes an hour after its end, one that never ended until it has been idle for a
 * day; contexts and pending errors leave with their run, and sequence counters with its context. Where runs and counters are
 * adopted and contexts are not, counters leave with the run itself, and follow no context in the registry's own map. What has
 * none of that leaves after 30 idle minutes. The id of a run is its key.
 *
 * | record | 2026.4 | 2026.9 |
 * | --- | --- | --- |
 * | run: its end | `endedAt` | `execution.endedAt` |
 * | run: its archiving | `archiveAtMs`, unset for `spawnMode: 'session'` and `cleanup: 'keep'` | the same |
 * | run: its clean-up | `cleanupCompletedAt` | the same |
 * | run: an end that nobody could be told | | `delivery: { status: 'suspended', suspendedAt }` |
 * | run: in a Map | a plain one | a subclass with indexes, whose `delete` runs; a `delete` that was not stored is rolled back by `set` |
 * | context | no instant in 2026.4.8, `lastActiveAt` in 2026.4.29 | `lastActiveAt`, in a map of another module |
 * | pending error | `timer`, `endedAt` | the same, with time-outs besides |
 *
 * @throws MapsweepTypeError or MapsweepRangeError if an option is wrong; nothing has been made or adopted then
 */
export function createGatewayRegistry<
  Run extends object = SubagentRunFields,
  Context extends object = RunContextFields,
  PendingError extends object = PendingLifecycleErrorFields,
>(options: GatewayOptions<Run, Context, PendingError> = {}): GatewayRegistry<Run, Context, PendingError> {
  const { adopt, overrides, onSubagentEnded, ended, clock, ...shared } = readOptions(
    '',
    options,
    gatewaySchema(),
  );
  const time = clock ?? systemClock;
  const live = namedMaps('adopt', adopt, liveMap);
  // Contexts that are the gateway's alone are not seen: there its runs say whose its counters are.
  const runsOnly =
    live.seqByRun !== undefined && live.subagentRuns !== undefined && live.runContextById === undefined;
  const presets: { [Name in MapName]: object } = gatewayPolicies(
    time,
    runsOnly ? 'subagentRuns' : 'runContextById',
    // The registry follows the wall clock. It asks no policy before it is made.
    (instant, ms) => {
      const { timeline } = partsOf(registry).engine;
      return timeline.toEpochAhead(timeline.instantRead(instant, timeline.now()) + ms);
    },
  );
  const overriding = namedMaps('overrides', overrides, (path, given, name) => {
    const policy = { ...presets[name], ...override(path, given) };
    // Only for the error, which should name what the caller wrote.
    compilePolicy(path, policy);
    return policy;
  });
  const maps = Object.fromEntries(
    mapNames.map((name) => {
      const adopted = live[name] === undefined ? {} : { adopt: live[name] };
      return [name, { ...(overriding[name] ?? presets[name]), ...adopted }];
    }),
  );
  const endings = {
    settled: isCleanedUp,
    // A host that rolls a delete back sets the run anew, and it is that run still.
    id: (_: unknown, runId: string) => runId,
    ...ended,
    map: 'subagentRuns',
    deliver: onSubagentEnded,
  };
  const registry: GatewayRegistry<Run, Context, PendingError> = createRegistry({
    ...shared,
    clock: time,
    maps,
    ended: endings,
  } as never) as never;
  return registry;
}

function gatewaySchema() {
  return {
    adopt: asGiven,
    overrides: asGiven,
    onSubagentEnded: readDeliver,
    // Which map's endings are told, and to whom, is the preset's to say.
    ended: (value: unknown, option: string) =>
      readOptions(option, value, allBut(['map', 'deliver'], endedOptionNames)),
    clock: readClock,
    ...allBut(['maps', 'ended', 'clock'], registryOptionNames),
  };
}

/** Takes options of the registry as they are: their values are checked with those of the registry itself. */
function allBut(own: readonly string[], names: readonly string[]): Record<string, Reader<unknown>> {
  return Object.fromEntries(names.filter((name) => !own.includes(name)).map((name) => [name, asGiven]));
}

const asGiven: Reader<unknown> = (value) => value;

type MapName = (typeof mapNames)[number];

/** Reads an object by map name; a name that is none of the four is an error with a suggestion. */
function namedMaps<T>(
  option: string,
  value: unknown,
  read: (path: string, given: unknown, name: MapName) => T,
): { [Name in MapName]?: T } {
  if (value === undefined) return {};
  if (!isObjectOfOptions(value)) throw invalidType(option, 'an object by map name', value);
  const named: { [Name in MapName]?: T } = Object.create(null);
  for (const name of Object.keys(value)) {
    const path = optionPath(option, name);
    const known = mapNames.find((mapName) => mapName === name);
    if (known === undefined) {
      const hint = suggestion(name, mapNames);
      const message = `${path}: the gateway has no map of this name. ${hint}`.trim();
      throw new MapsweepTypeError('ERR_UNKNOWN_MAP', message);
    }
    const given = readProperty(value, name, path);
    if (given !== undefined) named[known] = read(path, given, known);
  }
  return named;
}

function liveMap(path: string, given: unknown): unknown {
  const target = checkAdoptable(path, given);
  assertNotTracked(path, target);
  return target;
}

/** Returns what of an override counts: an option that is `undefined` is one that is not there. */
function override(path: string, given: unknown): object {
  if (!isObjectOfOptions(given)) throw invalidType(path, 'an object of options', given);
  if (Object.hasOwn(given, 'adopt')) {
    const message = `${optionPath(path, 'adopt')}: give the live map as an option of its own, adopt: { … }`;
    throw new MapsweepTypeError('ERR_INVALID_OPTION', message);
  }
  const counting: Record<string, unknown> = Object.create(null);
  for (const name of Object.keys(given)) {
    const value = readProperty(given, name, optionPath(path, name));
    if (value !== undefined || !policyOptionNames.includes(name)) counting[name] = value;
  }
  return counting;
}
