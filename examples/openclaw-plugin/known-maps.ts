import type { Duration } from 'mapsweep';
import { type JsonPolicy, type PolicyFromJson, policyFromJson } from 'mapsweep/discover';
import type { ListedMap, WorkElsewhere } from './config.ts';

const RUN_CONTEXTS = 'openclaw.agentEvents.state/runContextById';
const RUN_REGISTRY = 'openclaw.agentRunRegistry.state/contexts';
const COUNTERS = 'openclaw.agentEvents.state/seqByRun';
const LANES = 'openclaw.commandQueueState/lanes';
const WORK_OF_A_LANE = ['queue.length', 'activeTaskIds.size', 'draining'];

/** Bounded by the gateway itself: a number for the leak verdict, and nothing to sweep. */
const boundedTo = (expectedMax: number): JsonPolicy => ({ mode: 'observe', expectedMax });

/** Kept by the gateway for so long after its end, and then pruned by it: how long to wait before growth is a leak. */
const keptFor = (ttl: Duration): JsonPolicy => ({ mode: 'observe', ttl });

/**
 * What is known of the gateway's maps, by year and month of its releases, read in the published packages: of 2026.4 those of
 * 2026.4.8 and 2026.4.29, of 2026.9 those of 2026.9.1 and 2026.9.6. Where a release does not have a path, or has it elsewhere,
 * its line says nothing; a map whose leader is not there is observed.
 */
const KNOWN_RELEASES: ReadonlyMap<string, readonly ListedMap[]> = new Map([
  [
    '2026.4',
    [
      // One context a run. In 2026.4.29 a context records its own activity, and is swept by the gateway too. One of a run that
      // waits in the lane of its session is silent for as long as that takes.
      {
        match: RUN_CONTEXTS,
        policy: { maxIdle: '30m', activeAt: 'lastActiveAt' },
        workIn: { map: LANES, property: 'sessionKey', prefix: 'session:', work: WORK_OF_A_LANE },
      },
      // One counter a run, which 2026.4.8 never deletes.
      { match: COUNTERS, policy: { follows: RUN_CONTEXTS, orphanAfter: '30m' } },
      // One lane a session, for ever. The others have a concurrency of their own, which a lane made anew would not have.
      {
        match: LANES,
        policy: {
          rules: [{ match: '^(session|auth-probe):', maxIdle: '30m' }],
          keepWhile: WORK_OF_A_LANE,
        },
        fields: ['queue', 'activeTaskIds', 'draining'],
      },
    ],
  ],
  [
    '2026.9',
    [
      // Swept by the gateway, which knows who claims a context; nothing outside of it does.
      { match: RUN_REGISTRY, policy: { mode: 'observe' } },
      // Deleted with its context. That of a run without one stays, which the gateway's own 30 min never reach.
      { match: COUNTERS, policy: { follows: RUN_REGISTRY, orphanAfter: '30m' } },
      // 10 minutes each, at most.
      { match: 'openclaw.agentJobState/jobs', policy: boundedTo(5_000) },
      { match: 'openclaw.pluginHostRuntimeState/closedRunIds', policy: boundedTo(512) },
      { match: 'openclaw.pluginHostRuntimeState/terminalEventCleanupExpiredRunIds', policy: boundedTo(512) },
      { match: 'openclaw.embeddedSessionPromptStates', policy: boundedTo(64) },
      // The history of tasks and its indexes: a task stays for a week after its end.
      { match: 'openclaw.taskRegistry.state/tasks', policy: keptFor('8d') },
      { match: 'openclaw.taskRegistry.state/taskIdsBy*', policy: keptFor('8d') },
    ],
  ],
]);

/** The list for a release, such as `2026.4.8` or `2026.9.6-beta.1`; `undefined` where nothing is known of it. */
export function knownMapsOf(release: string | undefined): readonly ListedMap[] | undefined {
  const [, month] = /^v?(\d{4}\.\d{1,2})\.\d/.exec(release ?? '') ?? [];
  return month === undefined ? undefined : KNOWN_RELEASES.get(month);
}

/** What the log says where nothing is known of a release. */
export function unknownRelease(release: string | undefined): string {
  const which = release === undefined ? 'which release of OpenClaw this is' : `OpenClaw ${release}`;
  const known = [...KNOWN_RELEASES.keys()].join(' and ');
  return `the built-in list does not know ${which}, only ${known}: what your config does not list is observed, and nothing is swept by a guess`;
}

/**
 * A policy for values that have these properties: one without them has another shape than the list knows, so that what a guard
 * reads of it says nothing, and it stays.
 */
export function forValuesWith(fields: readonly string[], policy: PolicyFromJson): PolicyFromJson {
  const { keepWhile = () => false } = policy;
  const guard: typeof keepWhile = (value, key) => {
    const missing = fields.find((field) => !Object.hasOwn(Object(value), field));
    if (missing !== undefined)
      throw new Error(`a value without '${missing}' has another shape than is known`);
    return keepWhile(value, key);
  };
  return { ...policy, keepWhile: Object.defineProperty(guard, 'name', { value: keepWhile.name }) };
}

/**
 * A policy that keeps an entry for as long as there is work for it in another map.
 *
 * @param find gives that map, asked each time; `undefined` where it is not there, and then there is no work
 */
export function keptForWork(
  { map, property, prefix, work }: WorkElsewhere,
  policy: PolicyFromJson,
  find: (path: string) => object | undefined,
): PolicyFromJson {
  const { keepWhile = () => false } = policy;
  const { keepWhile: isWork = () => false } = policyFromJson({ keepWhile: work });
  const guard: typeof keepWhile = (value, key) => {
    const name = Object.getOwnPropertyDescriptor(Object(value), property)?.value;
    const there = find(map);
    if (typeof name === 'string' && there instanceof Map) {
      const elsewhere = prefix + name;
      if (there.has(elsewhere) && isWork(there.get(elsewhere), elsewhere)) return true;
    }
    return keepWhile(value, key);
  };
  return { ...policy, keepWhile: Object.defineProperty(guard, 'name', { value: `work in ${map}` }) };
}
