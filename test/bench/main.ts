/**
 * `npm run bench`: mapsweep beside a plain Map and what one would pick instead.
 *
 * Every measurement has a process of its own, because code that has seen two kinds of collection is compiled for both.
 * The rounds go through all contenders in turn, so that a machine that is busy for a while is busy for all of them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { dirname } from 'node:path';
import { kindOf } from './contenders.js';
import { judgeGoals } from './goals.js';
import type { Job, Scenario } from './job.js';
import type { Figures } from './operations.js';
import { type BenchOptions, help, parseOptions } from './options.js';
import { Results } from './results.js';
import { type Staging, stage } from './staging.js';
import { renderResults } from './table.js';

/** A child that takes longer hangs. */
const longestMs = 10 * 60_000;
const oldSpaceMb = 6_144;

let child: ChildProcess | undefined;

process.exitCode = await main();

async function main(): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${help}`);
    return 2;
  }
  if (options.isHelp) {
    process.stdout.write(help);
    return 0;
  }
  const staging = stage(options.package, options.compare);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      child?.kill();
      staging.remove();
      process.exit(code);
    });
  }
  try {
    await bench(options, staging);
    return 0;
  } finally {
    staging.remove();
  }
}

async function bench(options: BenchOptions, staging: Staging): Promise<void> {
  const conditions = await describeConditions(options);
  const results = new Results();
  // A short run is not warm, and says nothing of speed.
  const judged = () => (options.isShort ? [] : judgeGoals(results));
  let ran = conditions;
  const jobs = planJobs(options);
  const total = jobs.length * options.rounds;
  for (let round = 0; round < options.rounds; round += 1) {
    for (const [index, job] of jobs.entries()) {
      const done = round * jobs.length + index + 1;
      report(`${done}/${total}  round ${round + 1}  ${job.scenario}  ${job.size || ''}  ${job.contender}`);
      const figures = await runChild(options.node, staging.child, job);
      const { scenario, contender, size } = job;
      results.measurements.push({ round, scenario, contender, size, figures });
    }
    // After every round: a run that is cut short has not been for nothing.
    ran = { ...conditions, rounds: round + 1, loadAfter: loadavg()[0] as number };
    write(options.json, { ran, goals: judged(), measurements: results.measurements });
    // Whoever went first in this round goes last in the next.
    rotate(jobs);
  }
  report('');
  const tables = renderResults(results, judged(), options.contenders);
  process.stdout.write(`${renderConditions(ran)}\n\n${tables}\n`);
}

function write(file: string, content: unknown): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(content, undefined, 1));
}

/** The jobs of a round: contenders side by side within a scenario and a size. */
function planJobs({ scenarios, contenders, sizes, isShort }: BenchOptions): Job[] {
  const jobs: Job[] = [];
  for (const scenario of scenarios) {
    const isOurs = scenario === 'endings' || scenario === 'scrape';
    for (const size of sizesOf(scenario, sizes)) {
      for (const contender of contenders) {
        const { only } = kindOf(contender);
        if (only !== undefined && !only.includes(scenario)) continue;
        if (isOurs && !contender.startsWith('tracked')) continue;
        if (scenario === 'life' && ['asking', 'map-timeouts', 'cacheable'].includes(contender)) continue;
        if (scenario === 'journal' && contender !== 'tracked' && contender !== 'journaled') continue;
        if (scenario === 'gateway' && !contender.startsWith('tracked') && contender !== 'map-least') continue;
        if (scenario === 'batch' && (contender === 'asking' || contender.endsWith('-compared'))) continue;
        jobs.push({ scenario, contender, size, isShort });
      }
    }
  }
  return jobs;
}

function sizesOf(scenario: Scenario, sizes: readonly number[]): readonly number[] {
  const largest = Math.max(...sizes);
  if (scenario === 'batch') return [0];
  if (scenario === 'endings') return [largest];
  // A million runs in three maps are more than one wants to wait for.
  if (scenario === 'gateway') return [Math.min(largest, 100_000)];
  return sizes;
}

function rotate(jobs: Job[]): void {
  const groups = new Map<string, Job[]>();
  for (const job of jobs) {
    const name = `${job.scenario} ${job.size}`;
    groups.set(name, [...(groups.get(name) ?? []), job]);
  }
  jobs.length = 0;
  for (const [first, ...rest] of groups.values()) jobs.push(...rest, first as Job);
}

function runChild(node: string, script: string, job: Job): Promise<Figures> {
  const parameters = ['--expose-gc', `--max-old-space-size=${oldSpaceMb}`, script, JSON.stringify(job)];
  return new Promise((resolve, reject) => {
    const running = spawn(node, parameters, { stdio: ['ignore', 'pipe', 'inherit'], timeout: longestMs });
    child = running;
    let output = '';
    running.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    running.once('error', reject);
    running.once('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(output) as Figures);
      else reject(new Error(`${JSON.stringify(job)} ended with ${signal ?? code}`));
    });
  });
}

/** How it was run. */
interface Conditions {
  readonly node: string;
  readonly cores: number;
  readonly processor: string;
  readonly rounds: number;
  /** Of the last minute before, and after. */
  readonly loadBefore: number;
  readonly loadAfter?: number;
}

async function describeConditions({ node, rounds }: BenchOptions): Promise<Conditions> {
  const version = await new Promise<string>((resolve, reject) => {
    const asked = spawn(node, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] });
    asked.once('error', reject);
    asked.stdout.setEncoding('utf8').once('data', resolve);
  });
  return {
    node: version.trim(),
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    rounds,
    loadBefore: loadavg()[0] as number,
  };
}

function renderConditions({ node, cores, processor, rounds, loadBefore, loadAfter }: Conditions): string {
  const load = `load average ${loadBefore.toFixed(2)} at the start, ${loadAfter?.toFixed(2)} at the end`;
  return `Node ${node}, ${cores} cores (${processor}), ${load}. Medians of ${rounds} rounds.`;
}

function report(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
