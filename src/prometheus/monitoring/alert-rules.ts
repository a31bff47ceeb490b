import { yaml } from './yaml.js';

/** What rules and dashboard are made for. */
export interface MonitoringOptions {
  /** The prefix of the metrics, as `registerMetrics` has it. */
  readonly prefix: string;
  /** The longest `sweepEvery` of the registries, ms. */
  readonly sweepEveryMs: number;
}

/** A rule of Prometheus, and what to do when it fires. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: 'info' | 'warning' | 'critical' };
  readonly annotations: {
    readonly summary: string;
    /** What it means. */
    readonly description: string;
    /** What to look at, and what to do. */
    readonly runbook: string;
  };
}

const registry = '{{ $labels.registry }} of {{ $labels.instance }}';
const map = `{{ $labels.map }} (registry ${registry})`;
const minutes = (ms: number): string => `${Math.ceil(ms / 60_000)}m`;

/** What the functions of a policy are called in `callback_errors_total`, as a regular expression of Prometheus. */
const policyFunctions = [
  'since',
  'expiresAt',
  'activeAt',
  'keepWhile',
  'match',
  'unstamped',
  'follows[.]key',
  'owner',
  'weigh',
  'dispose',
  'replaced',
  'id',
  'settled',
  'persist[.]encode',
];

/** So long after the last sweep the sweeper counts as stalled. */
export const stalledAfterMs = (sweepEveryMs: number): number => Math.max(600_000, 3 * sweepEveryMs);

/** Returns the rules, the most urgent first. */
export function alertRules({ prefix, sweepEveryMs }: MonitoringOptions): AlertRule[] {
  const stalledMs = stalledAfterMs(sweepEveryMs);
  // Each sweep asks lifetimes again, and one may be late.
  const policyWindowMs = Math.max(900_000, 3 * sweepEveryMs);
  return [
    {
      alert: 'MapsweepProcessSilent',
      // A blocked loop takes the metrics with it, so that no rule about them can fire.
      expr: `up == 0 and on (job, instance) last_over_time(${prefix}info[1d])`,
      for: '5m',
      labels: { severity: 'critical' },
      annotations: {
        summary: '{{ $labels.instance }} does not answer',
        description:
          'It served metrics of mapsweep within the last day, and for 5 minutes no scrape of it has succeeded: its event loop is blocked, it is gone, or it refuses the scrape.',
        runbook:
          'The lastError of the target in Prometheus tells them apart: a 401 or 404 is a token, a path or an option that is wrong, and the process is well. Is it there otherwise, and does it use a whole CPU? Then its loop is blocked: take a stack or a CPU profile before you restart it. If it is gone, look for "heap out of memory" in its log. A target that is gone for good has to leave the configuration of Prometheus.',
      },
    },
    {
      alert: 'MapsweepSweeperStalled',
      // The series has to be there now: one that ended before the first sweep would look stalled for as long as the window.
      expr: `changes(${prefix}last_sweep_timestamp_seconds[${minutes(stalledMs)}]) == 0 and ${prefix}last_sweep_timestamp_seconds`,
      for: minutes(Math.max(300_000, 2 * sweepEveryMs)),
      labels: { severity: 'critical' },
      annotations: {
        summary: `The maps of ${registry} are not swept any more`,
        description: `No sweep has gone through for ${minutes(stalledMs)}, so nothing that is due leaves.`,
        runbook:
          'registry.health() says why: somebody has called stop(), a timer was lost, or every pass is held up by a callback. Call sweep() by hand if it was stopped; else restart the process.',
      },
    },
    {
      alert: 'MapsweepDeadLetters',
      // The gauge, not the increase of a counter: it goes on for as long as they wait.
      expr: `${prefix}dead_letters > 0`,
      labels: { severity: 'critical' },
      annotations: {
        summary: `${registry} has given up on {{ $value | humanize }} endings for {{ $labels.recipient }}`,
        description:
          'They will not be delivered by themselves any more: somebody waits for a run that is over.',
        runbook:
          'The page and registry.deadLetters() say what each one failed with, registry.health() what the last one did, and of a process that is gone mapsweep journal. Mend the recipient, then call registry.redeliver(); one marked ambiguous may have been heard.',
      },
    },
    {
      alert: 'MapsweepEndingsDropped',
      expr: `increase(${prefix}ended_deliveries_total{outcome="dropped"}[1h]) > 0`,
      labels: { severity: 'critical' },
      annotations: {
        summary: `${registry} has forgotten {{ $value | humanize }} endings that {{ $labels.recipient }} never heard of`,
        description:
          'There were more dead letters than maxDeadLetters, or they were older than deadLetterTtl: nothing of ours can tell of them any more.',
        runbook:
          'Whoever waits for these runs has to be told by other means: the event dead-letter with dropped, and with audit the log, name them. Mend the recipient and call registry.redeliver() before more are dropped, or raise ended.maxDeadLetters.',
      },
    },
    {
      alert: 'MapsweepJournalFails',
      // Not the counter of errors: a disk that hangs is one of them, however long it does.
      expr: `${prefix}journal_waiting_seconds > 300`,
      for: '5m',
      labels: { severity: 'critical' },
      annotations: {
        summary: `The journal of ${registry} has taken nothing for {{ $value | humanizeDuration }}`,
        description:
          'A kill or a crash now loses what has happened since: endings may be told again, or never.',
        runbook:
          'registry.health() has the error of the disk, or none if it hangs. Make room or mend the mount; what is unwritten is caught up with by itself. Do not restart the process before.',
      },
    },
    {
      alert: 'MapsweepJournalLost',
      expr: `${prefix}journal_lost == 1`,
      labels: { severity: 'critical' },
      annotations: {
        summary: `The journal of ${registry} is lost`,
        description:
          'It was removed, or another process owns it by now: this process writes nothing more, and delivers no ending.',
        runbook:
          'The error ERR_JOURNAL_LOST of the event journal-failed says which of the two. Find out who removed the folder or took it over, then restart this process: nothing else gives it a journal again.',
      },
    },
    {
      alert: 'MapsweepRestoreFails',
      // Not the counter of errors, which has its full value at the first scrape; and restoreWindow, 10 minutes, is all the time there is.
      expr: `${prefix}awaited_entries{reason!="not-set"} > 0`,
      for: '1m',
      labels: { severity: 'critical' },
      annotations: {
        summary: `{{ $value }} entries of ${map} are about to be dropped: {{ $labels.reason }}`,
        description:
          'An earlier version kept them, and since the restart they cannot come back: persist.decode throws for them (decode-fails), or no map has this name (no-map). When restoreWindow is over, 10 minutes after the start, they are gone.',
        runbook:
          'registry.health() has the error and the time that is left. Go back to the version before while that lasts: then they come back. A map that was renamed can be called as before, or have one of the old name with persist beside it; one that was meant to go needs nothing.',
      },
    },
    {
      alert: 'MapsweepEndingsWait',
      // A recipient that is restarted is back before; it is tried for a day, and then there are dead letters.
      expr: `${prefix}ended_oldest_pending_seconds > 900`,
      for: '5m',
      labels: { severity: 'warning' },
      annotations: {
        summary: `An ending of ${registry} has waited for {{ $value | humanizeDuration }}`,
        description:
          'It is tried again and again, and fails or hangs: somebody waits for a run that is over. After giveUpAfter it becomes a dead letter.',
        runbook:
          'registry.health() says for whom they wait, and with what the oldest failed last. Mend the recipient: they are delivered by themselves then.',
      },
    },
    {
      alert: 'MapsweepRegistryLeaks',
      // The verdict has taken hours and is steady; the minutes are for a process that is about to end anyway.
      expr: `${prefix}leak_suspected == 1`,
      for: '10m',
      labels: { severity: 'warning' },
      annotations: {
        summary: `The map ${map} leaks`,
        description:
          'What has survived its youth there never leaves, or nothing has left in 12 hours of growth.',
        runbook:
          'registry.report() says which of the two, at what rate, names its oldest entries and why they are still there, and with captureSites where they are registered. Find the path that forgets to delete, or give the map a lifetime.',
      },
    },
    {
      alert: 'MapsweepRegistryGrows',
      // A map that reaches its bound within a day, or grows without a known one, which is 1e9 or more. There is no series for any other.
      expr: `${prefix}hours_to_limit < 24 or +Inf * (${prefix}hours_to_limit >= 1000000000)`,
      for: '1h',
      labels: { severity: 'info' },
      annotations: {
        summary: `The map ${map} grows, and what is old does not leave it`,
        description: 'Its limit is reached in {{ $value | humanize }} hours (+Inf: no limit is known).',
        runbook:
          'If that is meant, say expectedMax in its policy. If not, find out what should remove its entries: registry.report() names the oldest.',
      },
    },
    {
      alert: 'MapsweepTicksSkipped',
      expr: `increase(${prefix}sweeps_skipped_total[15m]) > 0`,
      labels: { severity: 'warning' },
      annotations: {
        summary: `The event loop of ${registry} was blocked for longer than an interval`,
        description:
          'A tick of the sweeper came more than one interval late, so that nothing was removed by it. Everything else in the process was as late.',
        runbook:
          'Compare with nodejs_eventloop_lag_seconds and the pauses of the garbage collector; look for synchronous work of that length, or a process that was stopped or whose machine slept.',
      },
    },
    {
      alert: 'MapsweepLimitExceeded',
      expr: `${prefix}entries > ${prefix}entry_limit`,
      for: '15m',
      labels: { severity: 'warning' },
      annotations: {
        summary: `The map ${map} holds {{ $value }} entries, more than its maxEntries`,
        description: 'What is guarded is not evicted, so that the map goes on growing beyond its limit.',
        runbook:
          'registry.explain() of its oldest keys says who holds them: keepWhile never lets go, beforeSweep fails, or delete refuses. Mend that, or set a maxAge.',
      },
    },
    {
      alert: 'MapsweepGuardHoldsTooMuch',
      expr: `${prefix}guarded_entries > 100 and ${prefix}guarded_entries > 0.5 * ${prefix}entries`,
      for: '30m',
      labels: { severity: 'warning' },
      annotations: {
        summary: `The guard of ${map} holds {{ $value }} entries that are due`,
        description: 'Most of the map is there only because keepWhile says so.',
        runbook:
          'Find out why the guard never says no: registry.report() names the oldest entries. maxAge is the ceiling over it.',
      },
    },
    {
      alert: 'MapsweepHoldsKeepTooMuch',
      // What is held and not due is in use, for however long.
      expr: `${prefix}held_entries > 100 and ${prefix}held_entries > 0.5 * ${prefix}entries and ${prefix}overdue_entries > 0.5 * ${prefix}entries`,
      for: '30m',
      labels: { severity: 'warning' },
      annotations: {
        summary: `{{ $value }} entries of ${map} are held, and most of it is due`,
        description:
          'Whoever has taken a hold of an entry keeps it until that is released, or its maxAge is over.',
        runbook:
          'registry.report() has the oldest holds, and with captureSites where they were taken: the path from there that forgets to release.',
      },
    },
    {
      alert: 'MapsweepPolicyFails',
      // What has an alert of its own, deliver, beforeSweep and persist.decode, is not among them, nor what is no function of a policy.
      expr: `increase(${prefix}callback_errors_total{callback=~"${policyFunctions.join('|')}"}[${minutes(policyWindowMs)}]) > 0`,
      for: minutes(policyWindowMs),
      labels: { severity: 'warning' },
      annotations: {
        summary: `{{ $labels.callback }} of ${map} fails again and again`,
        description:
          'What it decides does not happen for the entries for which it fails: they stay, have no leader, count for no owner, are not cleaned up after, or are not kept for the next life.',
        runbook:
          'registry.health() has the error of a lifetime, a guard or follows.key, and registry.explain() that of an entry; of the others the event callback-failed has it. An instant in seconds instead of milliseconds is one; mend the function of the policy.',
      },
    },
    {
      alert: 'MapsweepBeforeSweepFails',
      // Not those that wait, of which a busy map always has some, nor the failures, of which one is mended by the next attempt.
      expr: `${prefix}before_sweep_failing_entries > 0`,
      for: '30m',
      labels: { severity: 'warning' },
      annotations: {
        summary: `{{ $value }} entries of ${map} wait for their beforeSweep, which fails again and again`,
        description: 'They are due and stay until it succeeds, or until their maxAge.',
        runbook:
          'registry.health() and registry.explain() of an entry have what it fails with. Mend what it calls; it is tried again by itself, by the first sweep after an hour at most.',
      },
    },
    {
      alert: 'MapsweepTombstonesEvictedEarly',
      expr: `increase(${prefix}tombstones_evicted_total[1h]) > 0`,
      labels: { severity: 'warning' },
      annotations: {
        summary: `${registry} forgets which runs have ended`,
        description:
          'More runs end within the ttl of tombstones than their max allows, so that a late second end of a run counts as unknown instead of duplicate.',
        runbook: 'Raise ended.tombstones.max, or lower its ttl.',
      },
    },
  ];
}

/** Writes the rules as a file of Prometheus. */
export function alertsFile(options: MonitoringOptions): string {
  const groups = [
    { name: `${options.prefix}alerts`.replace(/__+/g, '_'), rules: alertRules(options) as never },
  ];
  return `# What to be told about the maps of a service. Made by: npx mapsweep prometheus alerts${yaml({ groups })}\n`;
}
