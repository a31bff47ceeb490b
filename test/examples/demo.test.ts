import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createBatch } from '../../examples/demo/batch.ts';
import { type CrashFigures, countCrashes, type Delivery } from '../../examples/demo/crash-figures.ts';
import type { Figures } from '../../examples/demo/figures.ts';
import { MAP_NAMES } from '../../examples/demo/gateway.ts';
import { ask } from '../http/serving.ts';

const fromRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

interface Outcome {
  exitStatus: number | string | null | undefined;
  stdout: string;
  stderr: string;
}

interface Document {
  seed: number;
  tickets: number;
  plain: Figures;
  mapsweep: Figures;
  held: boolean;
  broken: string[];
}

/** Runs the demo as `npm run demo` does, as a real process. */
const demo = (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const command = ['--expose-gc', '--import', 'tsx', 'examples/demo/main.ts', ...args];
    execFile(process.execPath, command, { cwd: fromRoot('.') }, (error, stdout, stderr) => {
      resolve({ exitStatus: error === null ? 0 : error.code, stdout, stderr });
    });
  });

const figuresOf = <Figures = Document>({ stdout, stderr }: Outcome): Figures => {
  if (!stdout.startsWith('{')) throw new Error(`the demo printed no figures: ${stderr || stdout}`);
  return JSON.parse(stdout) as Figures;
};

/** A terminal has 24 lines of 80 columns, and the last one has the prompt. */
const screenLines = 23;

/** What is printed after the last line of progress, without the empty lines around it. */
const lastScreenOf = ({ stdout }: Outcome): string[] => {
  const lines = stdout.split('\n');
  const progress = lines.findLastIndex((line) => /\d+% {3}gateway clock [\d:]{8} /.test(line));
  if (progress === -1) throw new Error(`the demo said nothing while it played: ${stdout}`);
  return lines
    .slice(progress + 1)
    .join('\n')
    .trim()
    .split('\n');
};

/** The two figures of a line that begins like that. */
const rowOf = (screen: readonly string[], label: string): [string, string] => {
  const line = screen.find((candidate) => candidate.trimStart().startsWith(label));
  const [, first, second] = /\s{2,}(\S.*?)\s{2,}(\S.*)$/.exec(line?.trim() ?? '') ?? [];
  if (first === undefined || second === undefined)
    throw new Error(`no line of ${label} in ${screen.join('\n')}`);
  return [first, second];
};

const entriesOver = (figures: Figures) => MAP_NAMES.map((name) => figures.entries[name].over);

describe.concurrent('npm run demo', () => {
  let asItIs: Promise<Outcome>;

  beforeAll(() => {
    // The demo imports the package by its name, so it needs the build.
    if (!existsSync(fromRoot('dist/index.js')))
      throw new Error('dist/ is missing: run `npm run build` first');
    asItIs = demo('--tickets', '40', '--json');
  });

  it('leaks in all 4 plain Maps, in none of mapsweep, and exits with 0', async () => {
    const outcome = await asItIs;
    const { plain, mapsweep, ...document } = figuresOf(outcome);

    expect(document).toMatchObject({ seed: 52, tickets: 40, held: true, broken: [] });
    expect(entriesOver(plain)).toSatisfy((over: number[]) => over.every((count) => count > 0));
    expect(plain.notified.none).toBeGreaterThan(0);
    expect(plain.notified.moreThanOnce).toBeGreaterThan(0);

    expect(entriesOver(mapsweep)).toEqual([0, 0, 0, 0]);
    for (const name of MAP_NAMES) expect(mapsweep.entries[name].left).toBe(mapsweep.entries[name].working);
    // 40 tickets x 2 sessions, and 10 helpers.
    expect(mapsweep.notified).toEqual({ none: 0, once: 90, moreThanOnce: 0 });
    expect(mapsweep.killed).toBe(0);
    expect(outcome).toMatchObject({ exitStatus: 0, stderr: '' });
  }, 120_000);

  it('has second ends in its batch, which plain Maps tell and mapsweep turns away', async () => {
    const { plain, mapsweep } = figuresOf(await asItIs);
    const { operations } = createBatch({ seed: 52, tickets: 40 });
    const completed = operations.filter(({ action }) => action.kind === 'cleanup');
    const reported = completed.length - new Set(completed.map(({ runId }) => runId)).size;

    expect(reported).toBeGreaterThan(0);
    expect(plain.secondEnds).toEqual({ reported, turnedAway: 0 });
    expect(mapsweep.secondEnds).toEqual({ reported, turnedAway: reported });
  }, 120_000);

  it('ends with its verdict on one screen of 80 columns, also where it is no terminal', async () => {
    const [{ plain, mapsweep }, outcome] = [figuresOf(await asItIs), await demo('--tickets', '40')];
    const screen = lastScreenOf(outcome);

    expect(screen.length).toBeLessThanOrEqual(screenLines);
    for (const line of outcome.stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is the colours of a terminal that are not wanted
    expect(outcome.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
    // Of another run of the same batch: these do not depend on the machine.
    const [leftOnPlain, leftOnMapsweep] = rowOf(screen, 'entries left of runs that are over');
    expect(Number(leftOnPlain)).toBe(entriesOver(plain).reduce((sum, over) => sum + over));
    expect(leftOnMapsweep).toBe('0');
    for (const name of MAP_NAMES)
      expect(rowOf(screen, name)).toEqual([String(plain.entries[name].over), '0']);
    expect(rowOf(screen, 'ends of 90 runs: never told')).toEqual([String(plain.notified.none), '0']);
    expect(rowOf(screen, 'told twice or more')).toEqual([String(plain.notified.moreThanOnce), '0']);
    const { reported } = mapsweep.secondEnds;
    expect(rowOf(screen, `second ends, of ${reported}: turned away`)).toEqual(['0', String(reported)]);
    for (const block of rowOf(screen, 'longest block of the event loop'))
      expect(block).toMatch(/^[\d.]+ ms$/);
    expect(screen.at(-2)).toContain('mapsweep held: nothing was left, and every end was told once.');
    expect(screen.at(-1)).toMatch(/^ {2}Next: /);
  }, 120_000);

  it('says what did not hold and exits with 1 when the registry never sweeps', async () => {
    const outcome = await demo('--tickets', '40', '--sabotage', 'no-sweep');

    expect(outcome.stdout).toContain('mapsweep did not hold.');
    expect(outcome.stdout).toMatch(/subagentRuns still holds \d+ entries of runs that are over\./);
    expect(outcome.stdout).not.toContain('mapsweep held');
    expect(outcome.exitStatus).toBe(1);
  }, 120_000);

  it('tells every ending over 2 kills, and again only under the id that it had', async () => {
    const outcome = await demo('--crash', '--tickets', '40', '--json');
    const { crash, broken } = figuresOf<{ crash: CrashFigures; broken: string[] }>(outcome);

    expect(broken).toEqual([]);
    expect(crash.crashes).toHaveLength(2);
    for (const { answered, open } of crash.crashes) {
      expect(answered).toBeGreaterThan(0);
      // The store loses 2 runs that the journal holds.
      expect(open.inJournalAlone).toBeGreaterThanOrEqual(2);
    }
    expect(crash.endedAsLost).toBeGreaterThanOrEqual(4);
    // 40 tickets x 2 sessions, and 10 helpers.
    const { heard, heardById, knownToNobody, deliveries } = crash;
    expect(heardById).toEqual({ never: 0, once: 90 - knownToNobody, twice: 0, moreOften: 0 });
    expect(heard.never).toBe(0);
    expect(heard.once + heard.twice + heard.moreOften).toBe(heardById.once);
    expect(deliveries.all - deliveries.repeats).toBe(heardById.once);
    expect(deliveries.repeats).toBeGreaterThanOrEqual(heard.twice);
    expect(crash.entries.subagentRuns).toEqual({ left: 4, over: 0, working: 4 });
    expect(outcome).toMatchObject({ exitStatus: 0, stderr: '' });
  }, 120_000);

  it('says what got lost and exits with 1 when the second life starts without the journal', async () => {
    const outcome = await demo('--crash', '--tickets', '40', '--sabotage', 'forget-journal');

    expect(outcome.stdout).toMatch(/never heard of the end of \d+ runs?\./);
    expect(outcome.stdout).toMatch(/\d+ runs? did not come back and did not end as lost\./);
    expect(outcome.stdout).toContain('mapsweep did not hold.');
    expect(outcome.exitStatus).toBe(1);
  }, 120_000);

  it('ends on one screen after its kills too', async () => {
    const outcome = await demo('--crash', '--tickets', '40');
    const screen = lastScreenOf(outcome);

    expect(screen.length).toBeLessThanOrEqual(screenLines);
    for (const line of screen) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(rowOf(screen, 'never')).toEqual(['0', '0']);
    expect(rowOf(screen, 'more than once')[1]).toBe('0');
    expect(screen.at(-2)).toContain('mapsweep held: no end was lost, and none had a second id.');
    expect(outcome.exitStatus).toBe(0);
  }, 120_000);

  it('names a wrong option and exits with 2', async () => {
    const outcome = await demo('--tickets', 'many');

    expect(outcome.stderr).toContain('--tickets got "many"; it takes a whole number from 10 to 20000');
    expect(outcome).toMatchObject({ exitStatus: 2, stdout: '' });
  }, 120_000);
});

describe('npm run demo -- --serve', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  /** Begins to serve; resolves as soon as it says where. */
  async function serving(...args: string[]) {
    const command = ['--expose-gc', '--import', 'tsx', 'examples/demo/main.ts', '--serve', ...args];
    const child = spawn(process.execPath, command, { cwd: fromRoot('.') });
    children.push(child);
    const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    for await (const text of child.stdout) {
      said += text;
      const address = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
      if (address !== undefined) return { child, address, ended };
    }
    throw new Error(`the demo did not serve: ${said}`);
  }

  // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is what the test looks at.
  const reportAt = async (address: string): Promise<any> => (await fetch(`${address}/report.json`)).json();
  const sizesIn = (report: { maps: { rows: { name: string; size: number }[] } }) =>
    Object.fromEntries(report.maps.rows.map(({ name, size }) => [name, size])) as Record<string, number>;

  it('shows under load how one gateway leaks and the other is swept, side by side, and ends by Ctrl-C', async () => {
    const { child, address, ended } = await serving();
    const first = sizesIn(await reportAt(`${address}/plain`));
    expect(Object.keys(first).sort()).toEqual([...MAP_NAMES].sort());
    // Until it has leaked far more than a swept one ever has.
    let plain = first;
    while ((plain.subagentRuns as number) < 120) {
      await sleep(500);
      plain = sizesIn(await reportAt(`${address}/plain`));
    }
    const [leaking, swept] = [await reportAt(`${address}/plain`), await reportAt(`${address}/mapsweep`)];
    const counts = sizesIn(swept);
    for (const name of ['subagentRuns', 'seqByRun'] as const) {
      expect(counts[name]).toBeGreaterThan(0);
      expect(counts[name]).toBeLessThan((plain[name] as number) / 2);
    }
    // The line of the one climbs to its end; that of the other does not.
    const lineOf = (report: typeof swept) =>
      report.maps.rows.find(({ name }: { name: string }) => name === 'subagentRuns').sizes as number[];
    expect(lineOf(leaking)).toEqual(lineOf(leaking).toSorted((one, other) => one - other));
    expect(lineOf(leaking).length).toBeGreaterThan(20);
    const lineOfSwept = lineOf(swept);
    expect(lineOfSwept.at(-1)).toBeLessThan(1.5 * (lineOfSwept[lineOfSwept.length >> 1] as number));
    expect(swept.endings).toMatchObject({ map: 'subagentRuns', deadLetters: 0 });
    expect(swept.endings.ended.completed).toBeGreaterThan(20);

    const index = await (await fetch(address)).text();
    for (const name of MAP_NAMES) expect(index).toContain(`<th scope="row">${name}</th>`);
    expect(index.match(/<polyline points="[\d., ]+"/g)).toHaveLength(2 * MAP_NAMES.length);
    const metrics = await (await fetch(`${address}/metrics`)).text();
    for (const registry of ['plain', 'mapsweep'])
      expect(metrics).toMatch(
        new RegExp(`mapsweep_entries\\{map="subagentRuns",registry="${registry}"\\} \\d`),
      );
    expect((await fetch(`${address}/nothing`)).status).toBe(404);
    expect(String(new URL(address).hostname)).toBe('127.0.0.1');
    const outside = Object.values(networkInterfaces())
      .flatMap((those) => those ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4');
    if (outside !== undefined)
      await expect(fetch(`http://${outside.address}:${new URL(address).port}/`)).rejects.toThrow();

    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
  }, 180_000);

  it('outlives an address that is none, and shows nothing under a name that may be another site’s', async () => {
    const { child, address } = await serving();
    const port = Number(new URL(address).port);
    expect((await ask(port, '//')).status).toBe(404);
    for (const path of ['/', '/metrics', '/plain', '/mapsweep/report.json']) {
      const { status, body } = await ask(port, path, 'GET', { host: 'evil.example' });
      expect([path, status, body.includes('subagentRuns')]).toEqual([path, 403, false]);
      expect((await ask(port, path, 'GET', { host: `localhost:${port}` })).status).toBe(200);
    }
    expect(child.exitCode).toBeNull();
  }, 60_000);

  it('ends by itself after as long as was said', async () => {
    const { ended } = await serving('--for', '1s');
    expect(await ended).toEqual([0, null]);
  }, 60_000);

  it.each([
    [['--for', '30s'], '--for says when --serve ends; it does not go without it'],
    [['--serve', '--for', 'ever'], '--for got "ever"; it takes a time such as 30s, 10m or 1h'],
    [['--serve', '--for', '0s'], '--for got "0s"'],
    [['--serve', '--json'], '--json prints the figures and ends'],
    [['--serve', '--crash'], '--crash kills a gateway that nobody looks at'],
    [['--sabotage', 'forget-journal'], '--sabotage forget-journal does not go without --crash'],
    [['--crash', '--sabotage', 'no-sweep'], '--sabotage no-sweep does not go with --crash'],
  ])(
    'names what is wrong with %j and exits with 2',
    async (args, sentence) => {
      const outcome = await demo(...args);
      expect(outcome.stderr).toContain(sentence);
      expect(outcome).toMatchObject({ exitStatus: 2, stdout: '' });
    },
    60_000,
  );

  it('says that its port is taken and exits with 1', async () => {
    const { address } = await serving();
    const outcome = await demo('--serve', '--port', new URL(address).port);
    expect(outcome.stderr).toContain('EADDRINUSE');
    expect(outcome.exitStatus).toBe(1);
  }, 60_000);
});

describe('what the demo counts after its kills', () => {
  const batch = createBatch({ seed: 1, tickets: 10 });
  const ended = batch.runs.filter(({ kind, active }) => !active && (kind === 'session' || kind === 'run'));
  const once = ended.map(({ ids }): Delivery => {
    const runId = ids.at(-1)!;
    return { runId, id: `first:${runId}`, reason: 'completed', life: 1 };
  });
  const [first] = once as [Delivery];
  const counted = (deliveries: Delivery[], held: string[] = []) => {
    const none = { left: 0, over: 0, working: 0 };
    const entries = {
      subagentRuns: none,
      runContextById: none,
      seqByRun: none,
      pendingLifecycleErrors: none,
    };
    const lost = { held: new Set(held), knownToNobody: new Set<string>() };
    return countCrashes(batch, [], deliveries, lost, entries);
  };

  it('takes an ending that the next life told under the same id for a repeat', () => {
    const { deliveries, heard, heardById, broken } = counted([...once, { ...first, life: 2 }]);

    expect(deliveries).toEqual({ all: ended.length + 1, repeats: 1 });
    expect(heard).toMatchObject({ never: 0, twice: 1 });
    expect(heardById).toEqual({ never: 0, once: ended.length, twice: 0, moreOften: 0 });
    expect(broken).toEqual([]);
  });

  it.each([
    ['under a second id', [...once, { ...first, id: 'second', life: 2 }], /under more than one id/],
    ['twice in one life', [...once, first], /One life of the gateway told .* more than once/],
    ['never', once.slice(1), /never heard of the end of 1 run\./],
  ])('does not let pass an ending told %s', (_, deliveries, sentence) => {
    expect(counted(deliveries).broken).toEqual([expect.stringMatching(sentence)]);
  });

  it('does not let pass a run that the journal held and that ended otherwise than lost', () => {
    expect(counted(once, [first.runId]).broken).toEqual(['1 run did not come back and did not end as lost.']);
  });
});
