import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  ExplainedState,
  HealthHandlerOptions,
  LeakState,
  MemoryOptions,
  Registry,
  RemovalReason,
} from 'mapsweep';
import type { StatusPageOptions } from 'mapsweep/page';
import type { PostgresJournalOptions } from 'mapsweep/postgres';
import type { MapsweepMatchers } from 'mapsweep/vitest';
import { describe, expect, it } from 'vitest';
import { endedOptionNames } from '../../src/endings/ended-policy.js';
import { eventNames, type RegistryEvents } from '../../src/events/event-bus.js';
import { leavingReasons } from '../../src/events/reasons.js';
import { policyOptionNames } from '../../src/policy/compile-policy.js';
import { metricNames } from '../../src/prometheus/catalogue.js';
import { registryOptionNames } from '../../src/registry/compile-options.js';
import { Registry as RegistryClass } from '../../src/registry/registry.js';
import { root, textOf } from './blocks.js';

/** The names that a type has, which the compiler keeps complete. */
const names = <Name extends string>(all: Record<Name, true>): string[] => Object.keys(all);

/** What stands in the first column of the first table under a heading: what is code there. */
function firstColumn(document: string, heading: string): string[] {
  return tableUnder(document, heading).flatMap(([first = '']) =>
    [...first.matchAll(/`([^`]+)`/g)].map(([, code]) => code as string),
  );
}

function tableUnder(document: string, heading: string): string[][] {
  const lines = textOf(document).split('\n');
  const from = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  const rows: string[][] = [];
  for (const line of from === -1 ? [] : lines.slice(from + 1)) {
    if (line.startsWith('| ')) rows.push(line.slice(2, -2).split(' | '));
    else if (rows.length > 0 || line.startsWith('#')) break;
  }
  return rows.slice(2);
}

const calls = [
  'maps',
  ...Object.getOwnPropertyNames(RegistryClass.prototype).filter((name) => name !== 'constructor'),
] satisfies (keyof Registry | string)[];

describe('a table of the guide names all there is, and nothing else', () => {
  it.each<[what: string, document: string, heading: string, all: readonly string[]]>([
    ['options of a policy', 'policies.md', 'Options of a policy', policyOptionNames],
    ['options of createRegistry', 'registry.md', 'Options of createRegistry', registryOptionNames],
    ['options of ended', 'endings.md', 'Options of ended', endedOptionNames],
    ['events', 'registry.md', 'Events', eventNames],
    ['metrics', 'prometheus.md', 'Metrics', metricNames],
    ['error codes', 'registry.md', 'Errors', errorCodes()],
    [
      'verdicts',
      'leaks.md',
      'The verdict',
      names<LeakState>({ ok: true, filling: true, growing: true, leaking: true }),
    ],
    [
      'states of an entry',
      'leaks.md',
      'Why is it still there?',
      names<ExplainedState>({
        live: true,
        due: true,
        guarded: true,
        held: true,
        waiting: true,
        failing: true,
        untracked: true,
        absent: true,
      }),
    ],
    [
      'options of memory',
      'memory.md',
      'Before the heap is full',
      names<keyof MemoryOptions>({ warnAt: true, shedAt: true, reportTo: true }),
    ],
    [
      'options of the page',
      'page-and-health.md',
      'A page for whoever is on call',
      names<keyof StatusPageOptions>({
        token: true,
        authorize: true,
        allow: true,
        keys: true,
        refresh: true,
      }),
    ],
    [
      'views of health',
      'page-and-health.md',
      'Health',
      names<NonNullable<HealthHandlerOptions['show']>>({ live: true, ready: true, detail: true }),
    ],
    [
      'options of postgresJournal',
      'processes.md',
      'The journal of an instance',
      names<keyof PostgresJournalOptions>({
        instance: true,
        schema: true,
        takeOverAfter: true,
        maxWait: true,
      }),
    ],
  ])('%s', (_what, document, heading, all) => {
    expect(firstColumn(`src/guide/${document}`, heading).sort()).toEqual([...all].sort());
  });

  it('calls of a registry', () => {
    const named = firstColumn('src/guide/registry.md', 'Calls').map((code) => /^\w+/.exec(code)?.[0]);
    expect(named.sort()).toEqual([...calls].sort());
  });

  it('matchers', () => {
    const all = names<keyof MapsweepMatchers>({
      toBeDrained: true,
      toDrainWithin: true,
      toReturnToBaseline: true,
      toHaveEndedExactlyOnce: true,
      toHaveEndedEveryRunOnce: true,
      toBecomeCollectable: true,
    });
    const named = firstColumn('src/guide/leak-tests.md', 'Matchers').map(
      (code) => /\)\.(\w+)/.exec(code)?.[1],
    );
    expect(named.sort()).toEqual(all.sort());
  });

  it('what a handler of each event gets', () => {
    const gets: { [Name in keyof RegistryEvents]: Record<keyof RegistryEvents[Name], true> | string } = {
      ended: {
        id: true,
        key: true,
        generation: true,
        reason: true,
        registeredAt: true,
        lastActiveAt: true,
        endedAt: true,
        value: true,
        detail: true,
      },
      'subagent-ended': 'the same',
      swept: {
        map: true,
        key: true,
        value: true,
        generation: true,
        registeredAt: true,
        lastActiveAt: true,
        rule: true,
        keptBy: true,
      },
      evicted: 'the same',
      'sweep-finished': {
        startedAt: true,
        durationMs: true,
        longestSliceMs: true,
        slices: true,
        examined: true,
        swept: true,
        maps: true,
        skipped: true,
      },
      'callback-failed': { map: true, callback: true, key: true, error: true },
      'delivery-failed': {
        event: true,
        recipient: true,
        attempt: true,
        error: true,
        willRetry: true,
        retryInMs: true,
      },
      'dead-letter': { letter: true, dropped: true },
      'leak-suspected': {
        map: true,
        suspected: true,
        reason: true,
        perHour: true,
        since: true,
        size: true,
        oldestKeys: true,
        sites: true,
      },
      'clock-jumped': { byMs: true, at: true },
      'journal-failed': { journal: true, error: true, isFinal: true },
      'memory-pressure': {
        kind: true,
        level: true,
        ratio: true,
        usedBytes: true,
        limitBytes: true,
        shedding: true,
        report: true,
      },
    };
    for (const [event = '', says = ''] of tableUnder('src/guide/registry.md', 'Events')) {
      const all = gets[event.replaceAll('`', '') as keyof RegistryEvents];
      const said = typeof all === 'string' ? all : `\`{ ${Object.keys(all).join(', ')} }\``;
      expect(says.slice(0, said.length), event).toBe(said);
    }
  });

  it('reasons for which a value leaves', () => {
    const reasons: readonly RemovalReason[] = leavingReasons;
    const said = textOf('src/guide/policies.md');
    const from = said.indexOf('with the reason:');
    const sentence = said.slice(from, said.indexOf('overwritten has not left', from));
    expect([...sentence.matchAll(/`(\w+)`/g)].map(([, reason]) => reason).sort()).toEqual(
      [...reasons].sort(),
    );
  });
});

/** A union of texts is nothing at run time. */
function errorCodes(): string[] {
  const source = readFileSync(join(root, 'src/errors.ts'), 'utf8');
  return [...source.matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map(([, code]) => code as string);
}
