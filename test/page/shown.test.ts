import { createServer } from 'node:http';
import { getHeapStatistics } from 'node:v8';
import express from 'express';
import { createRegistry } from 'mapsweep';
import { statusPage } from 'mapsweep/page';
import { createManualClock } from 'mapsweep/testing';
import { describe, expect, it } from 'vitest';
import { shownKey } from '../../src/events/shown.ts';
import { policyOptionNames } from '../../src/policy/compile-policy.ts';
import { openNow } from '../../src/restart/open-journal.ts';
import { fastifyListening, listening } from '../http/serving.ts';
import { MemoryVolume } from '../restart/memory-journal.ts';
import { dataAt, gateway, leaking, send, served, textAt, wordsOf } from './setting.ts';

describe('the sentence', () => {
  it('says that all is well, with the age of the last sweep', async () => {
    const { clock, registry } = gateway();
    await clock.advance(75_000);
    const page = await textAt(await served(registry));
    expect(page).toMatch(
      /class="sentence good"[^>]*>All is well: none of 4 maps leaks; last sweep 15s ago; no dead letters; heap at \d+ % of its limit\./,
    );
  });

  it('turns red for a leak and names the map, and is amber before', async () => {
    const { registry, grow } = await leaking(5);
    const address = await served(registry);
    expect(await textAt(address)).toMatch(
      /class="sentence doubtful"[^>]*>Worth a look: none of 2 maps leaks, 1 may;/,
    );
    await grow(9);
    const page = await textAt(address);
    expect(page).toMatch(/class="sentence bad"[^>]*>Something is wrong: 1 of 2 maps leaks;/);
    expect(wordsOf(page)).toContain(registry.health().reasons[0]);
  });

  it('counts sizes that are watched, and turns amber and then red for one of them too', async () => {
    const clock = createManualClock();
    const registry = createRegistry({ maps: {}, clock });
    let size = 0;
    registry.watch('handles', () => 7);
    registry.watch('listeners', () => size);
    const grow = async (hours: number) => {
      for (let minute = 0; minute < hours * 60; minute += 1) {
        size += 5;
        await clock.advance(60_000);
      }
    };
    const address = await served(registry);
    expect(await textAt(address)).toMatch(/"sentence good".*none of 0 maps and 2 watched sizes leaks;/);
    await grow(5);
    expect(await textAt(address)).toMatch(
      /"sentence doubtful".*none of 0 maps and 2 watched sizes leaks, 1 may;/,
    );
    await grow(9);
    expect(await textAt(address)).toMatch(/"sentence bad".*wrong: 1 of 0 maps and 2 watched sizes leaks;/);
    const { watched } = await dataAt(`${address}/report.json`);
    expect(watched.map(({ name }: { name: string }) => name)).toEqual(['listeners', 'handles']);
    registry.stop();
  });

  it('is amber for a dead letter, and says that a registry is closed', async () => {
    const { registry, die } = gateway();
    const address = await served(registry);
    await die('a');
    expect(await textAt(address)).toMatch(/"sentence doubtful"[^>]*>Worth a look.* 1 dead letter;/);
    await registry.close();
    expect(await textAt(address)).toContain(
      'The registry is closed: nothing is swept or delivered by itself any more; 0 endings undelivered; 1 dead letter.',
    );
  });
});

describe('the maps', () => {
  it('are told as report() tells of them, and the worst comes first', async () => {
    const { registry, clock } = gateway();
    for (let index = 0; index < 5; index += 1) registry.maps.sockets.set(`s${index}`, index);
    for (let index = 0; index < 20; index += 1) registry.maps['per/user?'].set(`u${index}`, index);
    await clock.advance(2 * 3_600_000);
    const { maps } = await dataAt(`${await served(registry)}/report.json`);
    const reported = registry.report().maps;
    expect(maps.rows.map(({ name }: { name: string }) => name)).toEqual([
      'sockets',
      'per/user?',
      'contexts',
      'runs',
    ]);
    expect(maps.rows[0]).toMatchObject({ overdue: 5, guarded: 5 });
    for (const row of maps.rows) {
      const { sizes, sizesOverMs, hoursToLimit, ...told } = row;
      expect(reported.find(({ name }) => name === row.name)).toMatchObject(told);
      expect(sizes.at(-1)).toBe(row.size);
    }
  });

  it('have a column for each thing that may be wrong with them, and what is held counts', async () => {
    const { registry } = gateway();
    for (const key of ['a', 'b', 'c']) registry.maps.runs.set(key, {});
    for (const key of ['a', 'b']) registry.hold('runs', key);
    const address = await served(registry);
    const page = await textAt(`${address}/?filter=runs`);
    const cells = (tag: string) =>
      [...page.matchAll(new RegExp(`<${tag}[^>]*>(.*?)</${tag}>`, 'g'))].map(([, cell]) =>
        wordsOf(cell as string),
      );
    const columns = cells('th').slice(0, -1);
    expect(columns).toEqual([
      'Map',
      'Verdict',
      'Since',
      'Entries',
      'Over time',
      'Oldest',
      'Overdue',
      'Orphaned',
      'Guarded',
      'Held',
      'Waiting',
      'Weight',
    ]);
    const row = cells('td');
    expect([row[columns.indexOf('Entries') - 1], row[columns.indexOf('Held') - 1]]).toEqual(['3', '2']);
    expect(await textAt(`${address}/report.txt`)).toContain('0 guarded, 2 held, 0 waiting');
    expect((await dataAt(`${address}/report.json`)).maps.rows).toContainEqual(
      expect.objectContaining({ name: 'runs', held: 2 }),
    );
  });

  it('say what is beyond a cap, and when one is full', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: {
        users: { maxPerOwner: { owner: () => 'all', max: 1 }, keepWhile: () => true },
        all: { maxEntries: 9_000 },
      },
      clock,
    });
    const { users, all } = registry.maps as unknown as Record<string, Map<number, number>>;
    for (let key = 0; key < 3; key += 1) users?.set(key, key);
    for (let minute = 0; minute < 6 * 60; minute += 1) {
      for (let run = 0; run < 5; run += 1) all?.set(all.size, run);
      await clock.advance(60_000);
    }
    const page = await textAt(await served(registry));
    expect(page).toContain('2 beyond maxPerOwner');
    expect(page).toMatch(/filling, \+300\.0 an hour, full in 1d/);
  });

  it('say when the cap of one that leaks is reached, or the heap is full by what it weighs', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { capped: { maxEntries: 50_000 }, heavy: { weigh: () => 1_000 }, light: {} },
      clock,
    });
    const maps = Object.values(registry.maps) as unknown as Map<number, number>[];
    // Of ten runs an hour nine are over within a minute, and one stays.
    for (let minute = 0; minute < 30 * 60; minute += 1) {
      for (const map of maps) {
        map.set(minute, minute);
        if (minute % 6 !== 0) map.delete(minute - 1);
      }
      await clock.advance(60_000);
    }
    const { rows } = (await dataAt(`${await served(registry)}/report.json`)).maps;
    const of = (name: string) => rows.find((row: { name: string }) => row.name === name);
    for (const { leak } of rows) expect(leak).toEqual(expect.objectContaining({ state: 'leaking' }));
    for (const { leak } of rows) expect(leak).not.toHaveProperty('hoursToLimit');
    const [capped, heavy, light] = ['capped', 'heavy', 'light'].map(of);
    expect(capped.hoursToLimit).toBeCloseTo((50_000 - capped.size) / capped.leak.perHour, 5);
    const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
    const hours = (limit - used) / (1_000 * heavy.leak.perHour);
    expect(heavy.hoursToLimit / hours).toBeGreaterThan(0.9);
    expect(heavy.hoursToLimit / hours).toBeLessThan(1.1);
    expect(light.hoursToLimit).toBeUndefined();
    const page = await textAt(await served(registry));
    expect(page.match(/leaking, \+[\d.]+ an hour, full in \d+d/g)).toHaveLength(2);
    registry.stop();
  });

  it('have their size as a line from the first sweeps on, with the time that it covers', async () => {
    const { registry, clock } = gateway();
    for (let minute = 0; minute < 5; minute += 1) {
      registry.maps['per/user?'].set(minute, minute);
      await clock.advance(60_000);
    }
    const address = await served(registry);
    const { rows } = (await dataAt(`${address}/report.json?filter=per`)).maps;
    expect(rows[0].sizes).toEqual([1, 2, 3, 4, 5, 5]);
    expect(rows[0].sizesOverMs).toBe(300_000);
    expect(await textAt(`${address}/?filter=per`)).toContain('</svg><small>5m</small>');
  });

  it.each([0, 1])(
    'have the smallest size of each step as a line, wherever in it that was: %i',
    async (full) => {
      const clock = createManualClock();
      const registry = createRegistry({ maps: { runs: {} }, sweepEvery: '10m', clock });
      const runs = registry.maps.runs as unknown as Map<number, number>;
      // More hours than there are points; in every second one the map is empty.
      for (let hour = 0; hour < 96; hour += 1) {
        await clock.advance(5 * 600_000);
        if (hour % 2 === full) for (let run = 0; run < 7; run += 1) runs.set(run, 1);
        else runs.clear();
        await clock.advance(600_000);
      }
      const [{ sizes }] = (await dataAt(`${await served(registry)}/report.json`)).maps.rows;
      expect(sizes.length).toBeLessThan(60);
      expect(new Set(sizes.slice(0, -1))).toEqual(new Set([0]));
      registry.stop();
    },
  );

  it('are filtered by a name as it is shown, also if it holds what is not seen', async () => {
    const name = 'heart\u2764\ufe0f';
    const registry = createRegistry({ maps: { [name]: {}, quiet: {} } as never, clock: createManualClock() });
    const address = await served(registry);
    const page = await textAt(`${address}/?filter=${encodeURIComponent(name)}`);
    const shown = /name="filter" value="([^"]*)"/.exec(page)?.[1] as string;
    const { maps } = await dataAt(`${address}/report.json?filter=${encodeURIComponent(shown)}`);
    expect(maps.rows.map((row: { name: string }) => row.name)).toEqual([name]);
    registry.stop();
  });

  it('have their size as a line over the hours that the verdict goes by', async () => {
    const { registry } = await leaking(14);
    const address = await served(registry);
    const { maps } = await dataAt(`${address}/report.json`);
    const [{ sizes, size, leak }] = maps.rows;
    expect(sizes.length).toBeGreaterThan(12);
    expect(sizes).toEqual(sizes.toSorted((a: number, b: number) => a - b));
    expect(size).toBe(14 * 300);
    expect(leak).toEqual(JSON.parse(JSON.stringify(registry.report().maps[0]?.leak)));
    const page = await textAt(address);
    expect(page.match(/<polyline points="([^"]*)"/)?.[1]?.split(' ')).toHaveLength(sizes.length);
    expect(page).toContain('leaking, +300.0 an hour');
    expect(page).toMatch(/<td>\d+h ago<\/td>/);
    expect(wordsOf(await textAt(`${address}/?map=runs`))).toMatch(
      /leaking, \+300\.0 an hour since \d+h ago: .* 4200 entries\./,
    );
  });

  it('are filtered by name and verdict, and sorted as wanted', async () => {
    const { registry } = await leaking(14, 'Runs');
    const address = await served(registry);
    const names = async (query: string) =>
      (await dataAt(`${address}/report.json?${query}`)).maps.rows.map(({ name }: { name: string }) => name);
    expect(await names('')).toEqual(['Runs', 'quiet']);
    expect(await names('filter=UI')).toEqual(['quiet']);
    expect(await names('state=leaking')).toEqual(['Runs']);
    expect(await names('state=ok')).toEqual(['quiet']);
    expect(await names('sort=size')).toEqual(['Runs', 'quiet']);
    registry.maps.quiet?.set('a', 1);
    expect(await names('sort=oldest')).toEqual(['Runs', 'quiet']);
    expect(await names('sort=name&filter=')).toEqual(['Runs', 'quiet']);
    expect(await names('state=wrong&page=zero&sort=__proto__')).toEqual(['Runs', 'quiet']);
    expect(await textAt(`${address}/?filter=none`)).toContain('There is no such map.');
  });
});

describe('a map that is opened', () => {
  it('has durations as they are, and not rounded', async () => {
    const registry = createRegistry({
      maps: { runs: { ttl: '90m', maxIdle: 5_400_500, maxAge: '36h' } },
      sweepEvery: '90s',
      clock: createManualClock(),
    });
    const words = wordsOf(await textAt(`${await served(registry)}/?map=runs`));
    expect(words).toContain('due 90m after');
    expect(words).toContain('due when idle for 5400500ms (maxIdle)');
    expect(words).toContain('due at an age of 36h,');
    expect(words).toContain('A sweep every 90s.');
    expect(String(registry.report())).toContain('sweeping every 90s,');
  });

  it('has its policy in words, where its entries come from, and what has left it', async () => {
    const { registry, clock } = gateway();
    for (let index = 0; index < 12; index += 1) registry.maps.runs.set(`run-${index}`, {});
    registry.maps.runs.delete('run-0');
    await clock.advance(1);
    const words = wordsOf(await textAt(`${await served(registry)}/?map=runs`));
    expect(words).toContain('due 5m after what its value says (since) (ttl)');
    expect(words).toContain('due when idle for 1d (maxIdle)');
    expect(words).toContain('at most 1000 entries');
    expect(words).toContain('12 registered; left: 1 deleted');
    expect(words).toMatch(/100 % \(11 sampled\): .*shown\.test\.ts/);
  });

  it('has watched sizes, with their verdict and bound, on the page, in the text and as JSON', async () => {
    const registry = createRegistry({ maps: {}, clock: createManualClock() });
    const base = await served(registry);
    expect(await (await fetch(base)).text()).not.toContain('Watched sizes');
    registry.watch('<list>', () => 7, { max: 9 });
    expect(await (await fetch(base)).text()).toContain('<bdi>&lt;list&gt;</bdi>: ok; 7 of 9');
    expect(await (await fetch(`${base}/report.txt`)).text()).toContain('<list> (watched): ok; 7 of 9');
    expect((await dataAt(`${base}/report.json`)).watched).toMatchObject([
      { name: '<list>', size: 7, max: 9 },
    ]);
  });

  it('has words for every option of a policy', async () => {
    const given = {
      adopt: new Map(),
      ttl: '5m',
      since: 'lastActiveAt',
      expiresAt: () => undefined,
      maxIdle: '1h',
      maxAge: '1d',
      activeAt: () => undefined,
      keepWhile: () => false,
      rules: [{ match: /^a/, ttl: '1m' }, { match: /^b/ }],
      follows: { map: 'leader', key: () => undefined },
      orphanAfter: '10m',
      maxEntries: 100,
      maxPerOwner: { owner: () => 1, max: 7 },
      shed: true,
      expectedMax: 50,
      unstamped: 'expired',
      beforeSweep: { batch: 7, run: () => {} },
      sweepEvery: '1s',
      beforeSweepTimeout: '3s',
      dispose: () => {},
      replaced: () => {},
      weigh: () => 1,
      persist: { encode: () => 1, decode: () => 1 },
      mode: 'observe',
    };
    // An option that is new is to be given here, and to have its words.
    expect(Object.keys(given).sort()).toEqual([...policyOptionNames].sort());
    const registry = createRegistry({
      maps: { all: given, leader: {} } as never,
      clock: createManualClock(),
    });
    const { policy } = (await dataAt(`${await served(registry)}/report.json?map=all`)).opened;
    const words = policy.join('\n');
    for (const name of policyOptionNames) {
      expect(words).toMatch(
        name === 'rules' ? /rules\[1\], for keys that match, instead: stays/ : `(${name})`,
      );
    }
    for (const figure of [
      '5m after',
      'idle for 1h',
      'age of 1d',
      "in 'leader'",
      'idle for 10m',
      'most 100',
      '7 entries',
      'to 50',
      'in 3s',
    ]) {
      expect(words).toContain(figure);
    }
    const { policy: none } = (await dataAt(`${await served(registry)}/report.json?map=leader`)).opened;
    expect(none).toEqual(['no lifetime: an entry stays until its owner deletes it']);
  });

  it.each([
    [
      'a cap',
      { maxEntries: 5 },
      {},
      'no lifetime: an entry stays until its owner deletes it, or a cap evicts it',
    ],
    [
      'rules alone',
      { rules: [{ match: /^a/, ttl: '1m' }] },
      {},
      'no lifetime for keys that match no rule: such an entry stays until its owner deletes it',
    ],
    [
      'a registry that observes',
      { ttl: '1m' },
      { mode: 'observe' },
      'nothing is removed: it is only observed (mode)',
    ],
  ] as const)('says first what becomes of an entry with %s', async (_, policy, options, words) => {
    const maps = { runs: policy } as never;
    const registry = createRegistry({ maps, ...options, clock: createManualClock() });
    const { opened } = await dataAt(`${await served(registry)}/report.json?map=runs`);
    expect(opened.policy[0]).toBe(words);
    registry.stop();
  });

  it('says that there is no lifetime, however often the map is looked at', async () => {
    const registry = createRegistry({ maps: { runs: { sweepEvery: '5s' } }, clock: createManualClock() });
    const { policy } = (await dataAt(`${await served(registry)}/report.json?map=runs`)).opened;
    expect(policy).toEqual([
      'no lifetime: an entry stays until its owner deletes it',
      'looked at every 5s (sweepEvery)',
    ]);
  });

  it('says what is held longest and from where, and what has come of its beforeSweep', async () => {
    const clock = createManualClock();
    const registry = createRegistry({
      maps: { runs: { ttl: '1m', beforeSweep: () => Promise.reject(new Error('locked')) } },
      captureSites: 1,
      clock,
    });
    const runs = registry.maps.runs as unknown as Map<string, number>;
    for (const key of ['a', 'b']) runs.set(key, 1);
    registry.hold('runs', 'a' as never);
    await clock.advance(120_000);
    const address = await served(registry);
    const held = /'a'\s*held for 2m, at .*shown\.test\.ts/;
    expect(wordsOf(await textAt(`${address}/?map=runs`))).toMatch(held);
    expect(wordsOf(await textAt(`${address}/?map=runs`))).toMatch(/Calls of beforeSweep: \d failed\./);
    expect(await textAt(`${address}/report.txt?map=runs`)).toMatch(held);
    expect(await textAt(await served(registry, { keys: 'masked' }).then((to) => `${to}/?map=runs`))).toMatch(
      /Held longest<\/h3>\s*<dl><dt><bdi>\(masked\)/,
    );
    registry.stop();
    expect(await textAt(address)).toContain('Nothing is swept by itself any more.');
  });

  it('explains its ten oldest entries as explain() does, and each by its handle', async () => {
    const { registry } = gateway();
    for (let index = 0; index < 12; index += 1) registry.maps.runs.set(`run-${index}`, {});
    const address = await served(registry);
    const { opened } = await dataAt(`${address}/report.json?map=runs`);
    expect(opened.oldest).toHaveLength(10);
    expect(opened.oldest[9]).toMatchObject({ key: "'run-9'", state: 'live' });
    expect(opened.oldest[9].why).toContain(registry.explain('runs', 'run-9').why.split(';')[0]);
    const { handle } = opened.oldest[9];
    const one = await dataAt(`${address}/report.json?map=runs&entry=${handle}`);
    expect(one.opened.entry.key).toBe("'run-9'");
    registry.maps.runs.delete('run-9');
    expect(await textAt(`${address}/?map=runs&entry=${handle}`)).toContain(
      'The entry that was asked for has left',
    );
  });

  it('finds the entry of a key without the key being part of an address', async () => {
    const { registry } = gateway();
    registry.maps.runs.set('a=b', {});
    (registry.maps.sockets as Map<unknown, unknown>).set(42, 1);
    const address = await served(registry);
    const found = await send(`${address}/find?map=runs`, { key: 'a=b' });
    expect([found.status, found.headers.get('location')]).toEqual([
      303,
      expect.stringMatching(/^\.\/\?map=runs&entry=\d+-[\w-]+$/),
    ]);
    expect(
      wordsOf(await textAt(new URL(found.headers.get('location') as string, `${address}/find`).href)),
    ).toMatch(/asked for'a=b'live: due by maxIdle in 1d/);
    const byNumber = await send(`${address}/find?map=sockets`, { key: '42' });
    expect(byNumber.headers.get('location')).toMatch(/entry=/);
    const absent = await send(`${address}/find?map=runs`, { key: 'nobody' });
    expect(absent.headers.get('location')).toBe('./?map=runs&done=absent');
    expect(await textAt(`${address}/?map=runs&done=absent`)).toContain('There is no such key');
  });

  it.each([
    ['42', 42],
    ["'42'", '42'],
    ['true', true],
    ['5n', 5n],
    ['-5n', -5n],
    ['null', null],
    ['undefined', undefined],
    ["'null'", 'null'],
    ["'a\\u{200d}b'", 'a\u200db'],
    ["'a\\\\u{200d}b'", 'a\\u{200d}b'],
    ["'\\u{e0001}\\n\\u001b'", '\u{e0001}\n\u001b'],
    ["'\\u{fffffff}'", "'\\u{fffffff}'"],
    ["'k'", 'k'],
    ['k', 'k'],
    [`"it's"`, "it's"],
    ["it's", "it's"],
    [`"'k'"`, "'k'"],
    [`'say "a\\\\b"'`, 'say "a\\b"'],
    [' sp ', ' sp '],
    ['"', '"'],
  ])('finds what is typed as it is shown, quotes and all, and else as it is: %s', async (typed, key) => {
    const { registry } = gateway();
    const sockets = registry.maps.sockets as Map<unknown, unknown>;
    for (const of of [
      42,
      '42',
      true,
      'true',
      5n,
      -5n,
      null,
      undefined,
      'null',
      'a\u200db',
      'a\\u{200d}b',
      '\u{e0001}\n\u001b',
      "'\\u{fffffff}'",
      'k',
      "'k'",
      "it's",
      'say "a\\b"',
      ' sp ',
      '"',
    ])
      sockets.set(of, 1);
    const address = await served(registry);
    const found = await send(`${address}/find?map=sockets`, { key: typed });
    const entry = /entry=(.+)$/.exec(found.headers.get('location') as string)?.[1];
    const { opened } = await dataAt(`${address}/report.json?map=sockets&entry=${entry}`);
    expect(opened.entry.key).toBe(shownKey(key));
  });

  it('finds an entry by the key that its class was given, though it keeps it under another', async () => {
    class LowerCase extends Map<string, number> {
      override set(key: string, value: number): this {
        return super.set(key.toLowerCase(), value);
      }
    }
    const live = new LowerCase();
    const registry = createRegistry({ maps: { live: { adopt: live } }, clock: createManualClock() });
    live.set('Run-1', 1);
    const address = await served(registry);
    const found = await send(`${address}/find?map=live`, { key: 'Run-1' });
    const to = found.headers.get('location')?.replace('./', '/report.json');
    expect((await dataAt(`${address}${to}`)).opened.entry.key).toBe("'run-1'");
    registry.stop();
  });

  it('does not show another entry for one of a map that was released since', async () => {
    const registry = createRegistry({ maps: {}, clock: createManualClock() });
    const runs = registry.adopt('runs', new Map([['a', 1]]));
    const address = await served(registry);
    const { opened } = await dataAt(`${address}/report.json?map=runs`);
    runs.release();
    registry.adopt('runs', new Map([['b', 1]]));
    const page = wordsOf(await textAt(`${address}/?map=runs&entry=${opened.oldest[0].handle}`));
    expect(page).toContain('The entry that was asked for has left.');
    expect(page).not.toContain("asked for'b'");
    registry.stop();
  });

  it('stays open, and the maps filtered and sorted, when a key is looked up', async () => {
    const { registry } = gateway();
    registry.maps.runs.set('a', {});
    const address = await served(registry);
    const page = await textAt(`${address}/?filter=run&sort=size&map=runs&entry=7&done=absent`);
    const [, action] = page.match(/action="([^"]*find[^"]*)"/) as RegExpMatchArray;
    const to = new URL((action as string).replaceAll('&amp;', '&'), `${address}/`).href;
    const found = await send(to, { key: 'a' });
    expect(found.headers.get('location')).toMatch(/^\.\/\?filter=run&sort=size&map=runs&entry=1-[\w-]+$/);
    const absent = await send(to, { key: 'b' });
    expect(absent.headers.get('location')).toBe('./?filter=run&sort=size&map=runs&done=absent');
  });

  it('may have halves of a pair in its name, which no address can carry', async () => {
    const names = ['a\ud800', 'a\ud801'];
    const registry = createRegistry<Record<string, Map<string, number>>>({
      maps: Object.fromEntries(names.map((name) => [name, {}])) as never,
      clock: createManualClock(),
    });
    for (const name of names)
      (registry.maps[name] as Map<string, number>).set(`in ${names.indexOf(name)}`, 1);
    const address = await served(registry);
    const page = await textAt(`${address}/?sort=name`);
    const links = [...page.matchAll(/<th scope="row"><a href="\.\/([^"]+)"/g)].map(([, link]) =>
      wordsOf(link as string),
    );
    expect(links).toHaveLength(2);
    for (const [index, link] of links.entries()) {
      const opened = wordsOf(await textAt(`${address}/${link}`));
      expect(opened).toContain(`in ${index}`);
      const found = await send(`${address}/find${link}`, { key: `in ${index}` });
      expect(found.headers.get('location')).toMatch(/entry=/);
    }
  });

  it('may have any name, and may be gone', async () => {
    const address = await served(gateway().registry);
    const page = await textAt(address);
    const link = page.match(/href="([^"]*per%2F[^"]*)"/)?.[1]?.replaceAll('&amp;', '&') as string;
    expect(wordsOf(await textAt(new URL(link, `${address}/`).href))).toContain('The map per/user?');
    expect(await textAt(`${address}/?map=gone`)).toContain('There is no such map any more');
  });
});

describe('endings, failures and the journal', () => {
  it('are told as report() and deadLetters() tell of them', async () => {
    const { registry, die, clock } = gateway();
    await die('a');
    await clock.advance(60_000);
    await die('b');
    const address = await served(registry);
    const { endings } = await dataAt(`${address}/report.json`);
    const reported = registry.report().endings;
    expect(reported).toMatchObject({
      map: endings.map,
      ended: endings.ended,
      pending: endings.pending,
      deadLetters: endings.deadLetters,
      duplicates: endings.duplicates,
      recipients: endings.recipients,
    });
    const letters = registry.deadLetters();
    expect(endings.letters).toMatchObject(
      letters.map(({ at, attempts, cause, recipient }) => ({ at, attempts, cause, recipient })),
    );
    const words = wordsOf(await textAt(address));
    expect(words).toContain('completed; attempts-exhausted after 1 attempts: Error: the queue is down <b>');
    expect(words).toContain(
      registry.report().callbackErrors.map(({ callback, count }) => `${callback}: ${count}`)[0],
    );
  });

  it('have the journal with what it takes and what is wrong with it', async () => {
    const volume = new MemoryVolume();
    const registry = createRegistry<{ runs: Map<string, number> }>({
      maps: { runs: {} },
      ended: { map: 'runs' },
      persistTo: openNow(volume.open(), { maxWaitMs: 5_000 }),
      clock: createManualClock(),
    });
    const address = await served(registry);
    registry.maps.runs.set('a', 1);
    await registry.flushed();
    const { journal } = await dataAt(`${address}/report.json`);
    expect(journal).toMatchObject({ isLost: false, isBehind: false });
    expect(journal.bytes).toBeGreaterThan(0);
    expect(await textAt(address)).toContain('id="journal"');
    expect(await textAt(await served(gateway().registry))).not.toContain('id="journal"');
    registry.stop();
  });
});

describe('the page in a framework', () => {
  const { registry } = gateway();
  const handler = statusPage(registry, { allow: 'actions' });
  const mounts: Record<string, () => Promise<number>> = {
    'node:http': () => listening(createServer(handler)),
    express: () => listening(createServer(express().use('/mapsweep', handler))),
    'express with parsers': () =>
      listening(createServer(express().use(express.text(), express.urlencoded()).use('/mapsweep', handler))),
    'express with raw bodies': () =>
      listening(
        createServer(
          express()
            .use(express.raw({ type: '*/*' }))
            .use('/mapsweep', handler),
        ),
      ),
    fastify: () => fastifyListening((app) => app.all('/mapsweep', handler).all('/mapsweep/*', handler)),
  };

  it.each(Object.keys(mounts))(
    'finds its style, its links and its forms with and without a slash: %s',
    async (name) => {
      const port = await (mounts[name] as () => Promise<number>)();
      registry.maps.runs.set('a', {});
      for (const path of ['/mapsweep', '/mapsweep/']) {
        const address = `http://127.0.0.1:${port}${path}`;
        const page = await textAt(`${address}?map=runs`);
        const attributes = [...page.matchAll(/ (?:href|src|action)="([^"]*)"/g)].map(
          ([, to]) => to as string,
        );
        expect(attributes.length).toBeGreaterThan(10);
        for (const to of attributes.map((to) => new URL(to.replaceAll('&amp;', '&'), address))) {
          expect(to.pathname).toMatch(
            /^\/mapsweep\/(page\.css|page\.js|report\.json|report\.txt|find|sweep|)$/,
          );
          if (!/find|sweep$/.test(to.pathname)) expect((await fetch(to)).status).toBe(200);
        }
        const found = await send(new URL('/mapsweep/find?map=runs', address).href, { key: 'a' });
        expect(found.headers.get('location')).toMatch(/entry=\d+/);
        const css = await fetch(new URL('/mapsweep/page.css', address));
        expect(css.headers.get('content-type')).toBe('text/css; charset=utf-8');
      }
    },
  );
});

describe('the text', () => {
  it('says what the page says', async () => {
    const { registry, die } = gateway();
    await die('a');
    const address = await served(registry);
    const text = await textAt(`${address}/report.txt?map=runs`);
    const id = registry.deadLetters()[0]?.id;
    for (const words of [
      'mapsweep default\nWorth a look',
      'runs: ok',
      `dead letter of 'a' to default, 0ms ago, id ${id}: completed; attempts-exhausted after 1 attempts: Error:`,
      'to default: 0 delivered, 0 pending, 1 attempts failed, 1 dead letters',
      'A sweep every 1m.',
      'due when idle for 1d',
      'Error: the queue',
    ]) {
      expect(text).toContain(words);
    }
    expect(text).not.toContain('are shown');
  });

  it('says what is not there, and what is not shown', async () => {
    const { registry, die } = gateway();
    for (let index = 0; index < 51; index += 1) await die(`run-${index}`);
    const address = await served(registry);
    expect(await textAt(`${address}/report.txt?map=gone`)).toContain('\nThere is no such map any more.\n');
    expect(await textAt(`${address}/report.txt?map=runs&entry=999`)).toContain(
      '\n  The entry that was asked for has left.\n',
    );
    expect(await textAt(`${address}/report.txt`)).toContain('51 dead letters. The oldest 50 are shown.');
    expect(wordsOf(await textAt(address))).toContain('The oldest 50 are shown.');
  });

  it('says that the oldest of each recipient are shown where there are several', async () => {
    const clock = createManualClock();
    const fail = () => Promise.reject(new Error('down'));
    const ended = { map: 'runs', attempts: 1, deliver: { queue: fail, log: fail } } as const;
    const registry = createRegistry({ maps: { runs: {} }, ended, clock });
    for (let run = 0; run < 51; run += 1) {
      (registry.maps.runs as Map<unknown, unknown>).set(run, 1);
      registry.end(run as never);
      await clock.advance(0);
    }
    const text = await textAt(`${await served(registry)}/report.txt`);
    expect(text).toContain('102 dead letters. The oldest 50 of each recipient are shown.');
    registry.stop();
  });
});
