import type { RegistrySnapshot } from '../../src/restart/snapshot-format.js';
import type { Simulation } from './simulation.js';

/** A new process takes the place of one that is gone, with what is on the disk. */
export async function restart(simulation: Simulation, graceful?: RegistrySnapshot): Promise<void> {
  const { random, time } = simulation;
  time.now += random.pick([0, 50, 1_500, 9_000]);
  const state = graceful === undefined ? random.pick(['new', 'new', 'old', 'torn'] as const) : 'new';
  const disk = simulation.disk.afterCrash(state, random);
  const whole = graceful ?? disk.whole;
  simulation.start();
  simulation.log(`restart, disk ${state}${whole === undefined ? ', empty' : ''}`);
  const isFilledFirst = random.chance(0.3);
  await simulation.event(() => {
    if (isFilledFirst) simulation.owner.fillAgain();
    if (disk.damaged !== undefined) refuseDamaged(simulation, disk.damaged);
    const { model, registry, isDead } = simulation.process;
    if (whole !== undefined && !isDead) {
      model.restore(whole);
      registry.restore(structuredClone(whole));
      model.endings.openWindow();
      if (random.chance(0.2)) restoreAgain(simulation, whole);
    }
    if (!isFilledFirst) simulation.owner.fillAgain();
  });
}

/** A snapshot that is damaged changes nothing. */
function refuseDamaged(simulation: Simulation, damaged: unknown): void {
  const { registry } = simulation.process;
  const before = JSON.stringify(registry.snapshot());
  let code: unknown = 'nothing';
  try {
    registry.restore(damaged as RegistrySnapshot);
  } catch (error) {
    code = (error as { code?: unknown }).code;
  }
  simulation.findings.check(
    code === 'ERR_INVALID_SNAPSHOT',
    14,
    () => `a damaged snapshot gave ${String(code)}`,
  );
  const after = JSON.stringify(registry.snapshot());
  simulation.findings.check(after === before, 14, () => 'a damaged snapshot changed something');
}

/** A second restore of the same snapshot changes nothing. */
function restoreAgain(simulation: Simulation, whole: RegistrySnapshot): void {
  const { registry, model } = simulation.process;
  const before = JSON.stringify(registry.snapshot());
  registry.restore(whole);
  const after = JSON.stringify(registry.snapshot());
  simulation.findings.check(after === before, 14, () => 'a second restore changed something');
  model.endings.openWindow();
}
