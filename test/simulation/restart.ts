import type { Past } from '../../src/restart/past.js';
import { pastOf, type RegistrySnapshot } from '../../src/restart/snapshot.js';
import { checkLeft } from './crash-checks.js';
import { damagedRecords } from './disk.js';
import { type Legacy, legacyOf } from './legacy.js';
import type { SimulatedProcess, Simulation } from './simulation.js';

/** How a process ended. */
export interface End {
  /** It exited in its own time, and left this. */
  readonly snapshot?: RegistrySnapshot;
}

/** A new process takes the place of one that is gone, with what is on the disk. */
export async function restart(simulation: Simulation, end: End = {}): Promise<void> {
  simulation.audit.ends(simulation.hasJournal);
  const { random, time, scenario } = simulation;
  const gone = simulation.process;
  time.now += random.pick([0, 50, 1_500, 9_000]);
  if (random.chance(0.2)) time.boots += 1;
  if (random.chance(0.1)) time.jumpWall(random.pick([-1, 1]) * random.pick([700, 5_000]));
  if (scenario.keeps === 'journal') await restartFromJournal(simulation, gone);
  else await restartFromSnapshot(simulation, end.snapshot);
}

async function restartFromJournal(simulation: Simulation, gone: SimulatedProcess): Promise<void> {
  const { volume, random, findings } = simulation;
  volume.crash();
  simulation.log(`restart, ${volume.appended} records so far`);
  if (volume.records.length > 0 && random.chance(0.05)) refuseDamagedJournal(simulation);
  const isEmpty = volume.past.isEmpty;
  const left = examine(simulation, volume.past, gone);
  const legacy = isEmpty ? undefined : left;
  await simulation.event(() => {
    simulation.start(legacy);
    simulation.owner.fillAgain();
  });
  findings.check(volume.isOwned, 'journal', () => 'the registry does not have the journal');
}

/** Reads what is left, and compares it with what the process that is gone has seen. */
function examine(simulation: Simulation, past: Past, gone: SimulatedProcess): Legacy {
  const { time, findings, scenario } = simulation;
  const clocks = simulation.clocks();
  const presentAt = past.timeline.presentAt(clocks);
  const worldAt = (instant: number): number => time.now - (presentAt - instant);
  const errorMs = past.isEmpty ? 0 : checkClocks(simulation, past, presentAt);
  if (!gone.wasRobbed) {
    const { model, journal, errorMs: errorBefore } = gone;
    // One that has written nothing has left the instants of the process before, which were others to it already.
    const addedMs = journal?.hasWritten ? errorMs : errorMs - errorBefore;
    checkLeft({ model, past, worldAt, now: time.now, findings }, addedMs, scenario.sweepEveryMs);
    if (journal?.hasWritten) checkWindow(simulation, past, gone);
  }
  simulation.errorMs = errorMs;
  past.end(clocks);
  const legacy = legacyOf(past, worldAt, time.now);
  simulation.volume.forgetPast();
  return legacy;
}

/**
 * Between two lives of one boot the kernel's clock counts, else the wall clock, less the jumps that were seen, and never
 * below 0. Returns by how much everything looks younger than it is.
 */
function checkClocks({ time, findings, volume }: Simulation, past: Past, presentAt: number): number {
  const { startedAt, wall, bootId, jumpedMs } = volume.lastLife;
  const realMs = time.now - startedAt;
  const countedMs = presentAt - past.timeline.origin;
  const isSameBoot = bootId !== '' && bootId === `boot ${time.boots}`;
  const rightMs = isSameBoot ? realMs : time.wall() - wall - jumpedMs;
  // A process has lived as long as it was heard of, whatever the wall clock says.
  const isRight = countedMs === rightMs || (countedMs > rightMs && countedMs <= realMs);
  findings.check(
    isRight,
    14,
    () => `${countedMs} ms are counted since the last start, and it were ${rightMs}`,
  );
  return realMs - countedMs;
}

/** What has been awaited has been so for as long as the process knew, less what it had not written yet. */
function checkWindow(simulation: Simulation, past: Past, gone: SimulatedProcess): void {
  const { scenario, findings, volume } = simulation;
  const { model, diedAt, isStopped } = gone;
  const { windowMs } = volume.lastLife;
  findings.check(
    windowMs <= model.awaited.mostMs,
    14,
    () => 'the window of a process was longer than its life',
  );
  const since = diedAt - 4 * scenario.sweepEveryMs;
  const isSteady = !isStopped && !gone.isOdd && model.punctualSince < since && volume.soundSince < since;
  const isAwaiting = [...model.awaited.all()].some((left) => !model.awaited.mayBeClosed(left));
  if (!isSteady || !isAwaiting || past.isEmpty || scenario.slowestCallbackMs > 0) return;
  const leastMs = model.awaited.leastMs - 2 * scenario.sweepEveryMs - 30;
  findings.check(
    windowMs >= Math.min(leastMs, scenario.restoreWindowMs),
    14,
    () => `the window was open for ${model.awaited.leastMs} ms, and the journal says ${windowMs}`,
  );
}

/** A journal that is damaged is given back as it is. */
function refuseDamagedJournal(simulation: Simulation): void {
  const { volume, random, findings } = simulation;
  const records = damagedRecords(volume.records, random);
  let code: unknown = 'nothing';
  try {
    simulation.library.openNow(volume.open(records), { maxWaitMs: 1 });
  } catch (error) {
    code = (error as { code?: unknown }).code;
  }
  const isRefused = code === 'ERR_JOURNAL_DAMAGED' || code === 'ERR_JOURNAL_VERSION';
  findings.check(isRefused, 14, () => `a damaged journal gave ${String(code)}`);
  findings.check(!volume.isOwned, 14, () => 'a damaged journal was not given back');
}

async function restartFromSnapshot(
  simulation: Simulation,
  graceful: RegistrySnapshot | undefined,
): Promise<void> {
  const { random, time } = simulation;
  const state = graceful === undefined ? random.pick(['new', 'new', 'old', 'torn'] as const) : 'new';
  const disk = simulation.disk.afterCrash(state, random);
  const whole = graceful ?? disk.whole;
  simulation.start();
  simulation.log(`restart, disk ${state}${whole === undefined ? ', empty' : ''}`);
  const isFilledFirst = random.chance(0.3);
  await simulation.event(() => {
    if (isFilledFirst) simulation.owner.fillAgain();
    if (disk.damaged !== undefined) refuseDamaged(simulation, disk.damaged);
    const { registry, isDead } = simulation.process;
    if (whole !== undefined && !isDead) {
      const past = pastOf(whole);
      const clocks = simulation.clocks();
      const presentAt = past.timeline.presentAt(clocks);
      past.end(clocks);
      const legacy = legacyOf(past, (instant) => time.now - (presentAt - instant), time.now);
      simulation.inherit(legacy, () => registry.restore(structuredClone(whole)));
      if (random.chance(0.2)) restoreAgain(simulation, whole);
    }
    if (!isFilledFirst) simulation.owner.fillAgain();
  });
}

/** A snapshot that is damaged changes nothing. */
function refuseDamaged(simulation: Simulation, damaged: unknown): void {
  const { registry } = simulation.process;
  const before = JSON.stringify(registry.snapshot());
  const code = codeOf(() => registry.restore(damaged as RegistrySnapshot));
  simulation.findings.check(
    code === 'ERR_INVALID_SNAPSHOT',
    14,
    () => `a damaged snapshot gave ${String(code)}`,
  );
  const after = JSON.stringify(registry.snapshot());
  simulation.findings.check(after === before, 14, () => 'a damaged snapshot changed something');
}

/** A second restore of the same snapshot changes nothing, and another snapshot is refused. */
function restoreAgain(simulation: Simulation, whole: RegistrySnapshot): void {
  const { registry } = simulation.process;
  const before = JSON.stringify(registry.snapshot());
  registry.restore(whole);
  const other = { ...whole, records: [...whole.records, ['window', 1]] };
  const code = codeOf(() => registry.restore(other));
  simulation.findings.check(
    code === 'ERR_INVALID_SNAPSHOT',
    14,
    () => `another snapshot gave ${String(code)}`,
  );
  const after = JSON.stringify(registry.snapshot());
  simulation.findings.check(after === before, 14, () => 'a second restore changed something');
}

function codeOf(act: () => void): unknown {
  try {
    act();
    return 'nothing';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}
