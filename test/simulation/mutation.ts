import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { deliveryMutants } from './mutants/deliveries.js';
import { endingMutants } from './mutants/endings.js';
import { holdMutants } from './mutants/holds.js';
import { journalMutants } from './mutants/journal.js';
import type { Mutant } from './mutants/mutant.js';
import { ownerMutants } from './mutants/owners.js';
import { restartMutants } from './mutants/restarts.js';
import { sweepingMutants } from './mutants/sweeping.js';
import type { Library } from './process.js';
import { Simulation } from './simulation.js';
import type { Watchdog } from './watchdog.js';

/** Every planted bug. */
export const mutants: readonly Mutant[] = [
  ...endingMutants,
  ...deliveryMutants,
  ...sweepingMutants,
  ...holdMutants,
  ...ownerMutants,
  ...restartMutants,
  ...journalMutants,
];

/** A mutant that is not caught by so many seeds counts as missed. */
export const seedsPerMutant = 200;

/** What became of a planted bug. */
export interface MutantResult {
  readonly name: string;
  /** The first seed that caught it; `undefined` where none did. */
  readonly caughtBy: number | undefined;
  /** What that seed found. */
  readonly finding: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Plants each bug in a copy of the library and runs seeds until one catches it. The working tree is not touched.
 *
 * @throws Error where a mutant does not fit the source any more, or the seeds find something without one
 */
export async function runMutants(
  chosen: readonly Mutant[],
  watchdog: Watchdog,
  told: (result: MutantResult) => void = () => {},
): Promise<MutantResult[]> {
  for (const mutant of chosen) await patched(join(root, 'src'), mutant);
  const directory = await mkdtemp(join(tmpdir(), 'mapsweep-mutants-'));
  try {
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }\n');
    const results: MutantResult[] = [];
    for (const [index, mutant] of chosen.entries()) {
      const copy = join(directory, `mutant-${index}`);
      await cp(join(root, 'src'), copy, { recursive: true });
      await writeFile(join(copy, mutant.file), await patched(copy, mutant));
      const library = await load(copy);
      const result = { name: mutant.name, ...(await hunt(mutant, library, watchdog)) };
      results.push(result);
      told(result);
    }
    const caughtBy = new Set(results.map((result) => result.caughtBy ?? 1));
    await checkControl(join(directory, 'control'), caughtBy, watchdog);
    return results;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Without a bug in it a copy has to pass the seeds that caught one: else they would catch anything. */
async function checkControl(copy: string, seeds: Iterable<number>, watchdog: Watchdog): Promise<void> {
  await cp(join(root, 'src'), copy, { recursive: true });
  const library = await load(copy);
  for (const seed of seeds) {
    watchdog.begins(`seed ${seed} without a planted bug`);
    const { findings } = await new Simulation(library, seed).run();
    if (findings.length > 0) throw new Error(`without a planted bug, seed ${seed} finds ${findings[0]}`);
  }
}

async function load(copy: string): Promise<Library> {
  const part = (path: string): Promise<Library> => import(pathToFileURL(join(copy, path)).href);
  const { createRegistry } = await part('registry/registry.ts');
  const { openNow } = await part('restart/open-journal.ts');
  return { createRegistry, openNow };
}

function* seedsFor({ rareSeed, firstSeed = 1 }: Mutant): Generator<number> {
  if (rareSeed !== undefined) yield rareSeed;
  for (let seed = 0; seed < seedsPerMutant; seed += 1) yield firstSeed + seed;
}

async function hunt(
  mutant: Mutant,
  library: Library,
  watchdog: Watchdog,
): Promise<Omit<MutantResult, 'name'>> {
  for (const seed of seedsFor(mutant)) {
    watchdog.begins(`seed ${seed} with the planted bug '${mutant.name}'`);
    const { findings } = await new Simulation(library, seed).run();
    if (findings.length > 0) return { caughtBy: seed, finding: findings[0]?.split('\n')[0] ?? '' };
  }
  return { caughtBy: undefined, finding: '' };
}

/** The file with the bug in it, of the library in a folder. */
export async function patched(source: string, { name, file, find, replace }: Mutant): Promise<string> {
  const text = await readFile(join(source, file), 'utf8');
  const times = text.split(find).length - 1;
  if (times !== 1) {
    throw new Error(
      `the mutant '${name}' does not fit: its place is ${times} times in src/${file}, not once`,
    );
  }
  return text.replace(find, () => replace);
}
