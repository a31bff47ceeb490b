import { parseArgs } from 'node:util';

import failingSeeds from './failing-seeds.json' with { type: 'json' };
import { library } from './library.js';
import { mutants, runMutants, seedsPerMutant } from './mutation.js';
import { firstSeedWithOwners } from './scenario.js';
import { type Outcome, Simulation } from './simulation.js';
import { Watchdog } from './watchdog.js';

/** Seeds that every run goes through. */
const fixedSeeds = 2_000;
/** And so many with `maxPerOwner`. */
const fixedSeedsWithOwners = 400;
/** Every so many seeds, one is run again: it has to give the same trace. */
const repeatEvery = 20;

const usage = `npm run test:simulation                      2,400 fixed seeds and those that failed once
npm run test:simulation -- --minutes 10      then goes on with fresh seeds
npm run test:simulation -- --seed 42         one seed, with everything that happens
npm run test:simulation -- --mutants         how soon the seeds catch each planted bug`;

// What the simulator makes fail on purpose is no news.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (!(warning as { code?: string }).code?.startsWith('MAPSWEEP_')) console.error(warning);
});

const watchdog = new Watchdog();
const totals = { passed: 0, failed: 0, events: 0, kills: 0, deliveries: 0 };

async function runSeed(seed: number, isRepeated: boolean): Promise<void> {
  watchdog.begins(`seed ${seed}`);
  const outcome = await new Simulation(library, seed).run();
  const findings = [...outcome.findings];
  if (isRepeated && findings.length === 0) {
    const again = await new Simulation(library, seed).run();
    if (again.hash !== outcome.hash) findings.push(`determinism: ${outcome.hash}, and then ${again.hash}`);
  }
  totals.events += outcome.events;
  totals.kills += outcome.kills;
  totals.deliveries += outcome.deliveries;
  if (findings.length === 0) totals.passed += 1;
  else {
    totals.failed += 1;
    if (totals.failed <= 10) tellFailure(outcome, findings);
  }
}

function tellFailure({ seed, tail }: Outcome, findings: readonly string[]): void {
  console.log(`seed ${seed} failed:`);
  for (const finding of findings) console.log(`  ${finding}`);
  console.log(`  the last of what happened (all of it: npm run test:simulation -- --seed ${seed}):`);
  for (const line of tail.slice(-25)) console.log(`    ${line}`);
}

async function runSeeds(minutes: number): Promise<void> {
  const startedAt = performance.now();
  // Those that failed once. A change of the simulator makes other runs of them, which are worth no less.
  for (const { seed } of failingSeeds as readonly { seed: number }[]) await runSeed(seed, true);
  for (let seed = 1; seed <= fixedSeeds; seed += 1) await runSeed(seed, seed % repeatEvery === 0);
  for (let seed = 1; seed <= fixedSeedsWithOwners; seed += 1)
    await runSeed(firstSeedWithOwners + seed, seed % repeatEvery === 0);
  // Fresh ones, every second of which has owners: other than the fixed, and others each time.
  for (let seed = Date.now(); performance.now() - startedAt < minutes * 60_000; seed += 1) {
    await runSeed(seed, seed % repeatEvery === 0);
    await runSeed(firstSeedWithOwners + seed, false);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const figures = [
    `${totals.events.toLocaleString('en')} events`,
    `${totals.kills.toLocaleString('en')} kills`,
    `${totals.deliveries.toLocaleString('en')} deliveries`,
    `${seconds.toFixed(1)} s`,
  ];
  console.log(figures.join(', '));
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  if (totals.failed > 0) process.exitCode = 1;
}

async function runOne(seed: number): Promise<void> {
  const { findings, hash, events } = await new Simulation(library, seed, (line) => console.log(line)).run();
  for (const finding of findings) console.log(`FOUND ${finding}`);
  console.log(
    `seed ${seed}: ${events} events, trace ${hash}, ${findings.length === 0 ? 'passed' : 'failed'}`,
  );
  if (findings.length > 0) process.exitCode = 1;
}

async function runPlanted(names: readonly string[]): Promise<void> {
  const chosen = mutants.filter(
    ({ name }) => names.length === 0 || names.some((part) => name.includes(part)),
  );
  const width = Math.max(...chosen.map(({ name }) => name.length));
  console.log(`${'planted bug'.padEnd(width)}  caught by seed  finding`);
  const results = await runMutants(chosen, watchdog, ({ name, caughtBy, finding }) => {
    console.log(`${name.padEnd(width)}  ${String(caughtBy ?? 'MISSED').padStart(14)}  ${finding}`);
  });
  const missed = results.filter(({ caughtBy }) => caughtBy === undefined).length;
  console.log(`${results.length - missed} of ${results.length} caught within ${seedsPerMutant} seeds each`);
  if (missed > 0 || results.length === 0) process.exitCode = 1;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '0' },
    mutants: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(usage);
else if (values.seed !== undefined) await runOne(Number(values.seed));
else if (values.mutants) await runPlanted(positionals);
else await runSeeds(Number(values.minutes));
