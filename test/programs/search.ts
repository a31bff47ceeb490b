import fc from 'fast-check';
import { type Arm, type Config, type Program, programs, type Step } from './program.js';
import { World } from './world.js';

/** What a program is run in; answers what it found. */
async function findingsOf(program: Program): Promise<string[]> {
  const world = new World(program);
  await world.run();
  return world.findings;
}

/** Returns the program of a seed. */
function programOf(seed: number, steps: number): Program {
  const [program] = fc.sample(programs(steps), { seed, numRuns: 1 });
  return program as Program;
}

/** Runs the programs of as many seeds, and describes the first that fails, made short; `undefined` if all hold. */
export async function firstFailure(options: {
  readonly seed: number;
  readonly count: number;
  readonly steps: number;
}): Promise<string | undefined> {
  for (let seed = options.seed; seed < options.seed + options.count; seed += 1) {
    const program = programOf(seed, options.steps);
    const findings = await findingsOf(program);
    if (findings.length === 0) continue;
    const short = await shortened(program, kindOf(findings[0] as string));
    return `seed ${seed}: ${findings[0]}\nmade short: ${(await findingsOf(short)).join('\n')}\n${shown(short)}`;
  }
  return undefined;
}

/** What a finding says, whatever map, key and number it says it of. */
const kindOf = (finding: string): string =>
  finding.replace(/^[^:]*: |__proto__|\b(runs|constructor|toString|extra|a|b|NaN|\d+)\b|\d+/g, '');

/** Leaves out of a program whatever it fails without. */
async function shortened(program: Program, kind: string): Promise<Program> {
  const fails = async (candidate: Program): Promise<boolean> =>
    (await findingsOf(candidate)).some((finding) => kindOf(finding) === kind);
  let best = program;
  for (let isShorter = true; isShorter; ) {
    isShorter = false;
    for (let length = Math.max(1, best.steps.length >> 1); length >= 1; length >>= 1) {
      for (let at = best.steps.length - length; at >= 0; at -= length) {
        const candidate = { ...best, steps: [...best.steps.slice(0, at), ...best.steps.slice(at + length)] };
        if (await fails(candidate)) {
          best = candidate;
          isShorter = true;
        }
      }
    }
    for (const candidate of simpler(best)) {
      const changed = candidate(best);
      if (changed === undefined || !(await fails(changed))) continue;
      best = changed;
      isShorter = true;
    }
  }
  return best;
}

/** A program for a person: options that are as plain as can be are left out. */
function shown({ config, before, steps }: Program): string {
  const { maps, ...rest } = config;
  const lines = Object.entries(maps).map(([name, options]) => {
    const told = Object.entries(options).filter(([option, value]) => value !== plainest[option]);
    return `  ${name}: ${JSON.stringify(Object.fromEntries(told))}`;
  });
  const acts = [...before.map((arm) => ({ before: arm })), ...steps].map(
    (step) => `  ${JSON.stringify(step)}`,
  );
  return [JSON.stringify(rest), ...lines, ...acts].join('\n');
}

type Change = (program: Program) => Program | undefined;

const plainest: Readonly<Record<string, unknown>> = {
  kind: 'tracked',
  ttl: undefined,
  since: 'registeredAt',
  expiresAt: false,
  maxIdle: undefined,
  maxAge: undefined,
  activeAt: false,
  keepWhile: false,
  rule: 'none',
  maxEntries: undefined,
  beforeSweep: false,
  dispose: 'none',
  weigh: false,
  unstamped: 'now',
  persist: false,
  observe: false,
  follows: false,
  orphanAfter: undefined,
  initial: 0,
};

/** The ways in which a program may be made simpler, each to be tried on what the ones before have left. */
function simpler({ config, before, steps }: Program): Change[] {
  const changes: Change[] = [];
  for (const index of before.keys()) {
    changes.push((program) => ({
      ...program,
      before: program.before.filter((_, at) => at !== index - (before.length - program.before.length)),
    }));
  }
  for (const map of Object.keys(config.maps) as (keyof Config['maps'])[]) {
    for (const [option, plain] of Object.entries(plainest)) {
      changes.push(({ config: now, ...rest }) => {
        const of: Readonly<Record<string, unknown>> = { ...now.maps[map] };
        if (of[option] === plain) return undefined;
        const maps = { ...now.maps, [map]: { ...of, [option]: plain } } as Config['maps'];
        return { ...rest, config: { ...now, maps } };
      });
    }
  }
  const fewest: Partial<Config> = {
    ended: false,
    ids: false,
    settled: false,
    recipients: 0,
    options: 'plain',
  };
  for (const [option, plain] of Object.entries(fewest)) {
    changes.push(({ config: now, ...rest }) =>
      Reflect.get(now, option) === plain ? undefined : { ...rest, config: { ...now, [option]: plain } },
    );
  }
  for (const [index, step] of steps.entries()) {
    if (!isArm(step)) continue;
    changes.push((program) => withStep(program, index, (arm) => ({ ...arm, answer: 'honest' })));
    for (let act = step.acts.length - 1; act >= 0; act -= 1) {
      changes.push((program) =>
        withStep(program, index, (arm) => ({ ...arm, acts: arm.acts.filter((_, at) => at !== act) })),
      );
    }
  }
  return changes;
}

function withStep(program: Program, index: number, change: (arm: Arm) => Arm): Program | undefined {
  const step = program.steps[index];
  if (step === undefined || !isArm(step)) return undefined;
  const changed = change(step);
  if (changed.answer === step.answer && changed.acts.length === step.acts.length) return undefined;
  return { ...program, steps: program.steps.with(index, changed) };
}

const isArm = (step: Step): step is Arm => 'in' in step;
