import { describe, expect, it } from 'vitest';
import {
  type AnnouncedMap,
  announcement,
  changesInWords,
  policyInWords,
  wouldSweep,
} from '../../../examples/openclaw-plugin/announcement.js';

const observed = (path: string, size: number): AnnouncedMap => ({
  path,
  size,
  policy: { mode: 'observe' },
  isListed: false,
  waitsFor: undefined,
});
const listed = (policy: AnnouncedMap['policy'], waitsFor?: string): AnnouncedMap => ({
  ...observed('openclaw.a', 2),
  policy,
  isListed: true,
  waitsFor,
});
const sweeping = { mode: 'sweep', sweepEvery: '60s' };

describe('announcement', () => {
  it('names the 5 largest of the maps that are only observed', () => {
    const sizes = [3, 1, 40, 2, 5, 4];
    const lines = announcement(
      sizes.map((size) => observed(`openclaw.${size}`, size)),
      sweeping,
    );
    expect(lines).toEqual([
      'tracks 6 maps, every 60s, mode sweep: 0 by a policy, 6 observed',
      'only observes, largest first: openclaw.40 (40), openclaw.5 (5), openclaw.4 (4), openclaw.3 (3), openclaw.2 (2), …',
    ]);
  });

  it('is one line where there is nothing', () => {
    expect(announcement([], sweeping)).toEqual([
      'tracks 0 maps, every 60s, mode sweep: 0 by a policy, 0 observed',
    ]);
  });

  it.each([
    ['sweeps openclaw.a (2 entries): maxIdle 5m', listed({ maxIdle: '5m' }), 'sweep'],
    ['would sweep openclaw.a (2 entries): maxIdle 5m', listed({ maxIdle: '5m' }), 'observe'],
    ['would sweep openclaw.a (2 entries): ttl 1h', listed({ ttl: '1h', mode: 'observe' }), 'sweep'],
    ['sweeps openclaw.a (2 entries): ttl 1h', listed({ ttl: '1h', mode: 'sweep' }), 'observe'],
    ['only observes openclaw.a (2 entries)', listed({}), 'sweep'],
    [
      'only observes openclaw.a (2 entries): expectedMax 512',
      listed({ mode: 'observe', expectedMax: 512 }),
      'sweep',
    ],
    ['only observes openclaw.a (2 entries): ttl false', listed({ ttl: false }), 'sweep'],
    ['sweeps openclaw.a (2 entries): maxIdle 0', listed({ maxIdle: 0 }), 'sweep'],
    [
      'sweeps openclaw.a (2 entries): for keys like ^a maxAge 1h',
      listed({ rules: [{ match: '^a', maxAge: '1h' }] }),
      'sweep',
    ],
    [
      'sweeps openclaw.a (2 entries): maxIdle 30m, until openclaw.b is tracked, which it follows',
      listed({ maxIdle: '30m' }, 'openclaw.b'),
      'sweep',
    ],
  ])('says %j', (line, map, mode) => {
    expect(announcement([map], { mode, sweepEvery: '60s' })[1]).toBe(line);
  });
});

describe('policyInWords', () => {
  it('says what each rule is for, by which paths an entry is kept, and no mode', () => {
    expect(
      policyInWords({
        maxAge: false,
        expiresAt: ['archiveAtMs', 'endsAt'],
        rules: [{ match: '^cron:', ttl: '24h', since: 'endedAt' }, { match: '^main$' }],
        keepWhile: ['queue.length', 'draining'],
        maxPerOwner: { owner: 'user.id', max: 20 },
        mode: 'sweep',
      }),
    ).toBe(
      'maxAge false, expiresAt archiveAtMs or endsAt, for keys like ^cron: ttl 24h, since endedAt, for keys like ^main$ never, kept while queue.length or draining, at most 20 for each user.id',
    );
  });
});

describe('changesInWords', () => {
  it('says nothing of no changes', () => {
    expect(changesInWords([], [])).toBeUndefined();
  });

  it('tells a map that came from one that was replaced and one that is gone', () => {
    expect(changesInWords(['new', 'renewed'], ['renewed', 'old'])).toBe(
      'now tracks: new; follows to a new object: renewed; no longer there: old',
    );
  });

  it('names 5 of 7', () => {
    expect(changesInWords(['1', '2', '3', '4', '5', '6', '7'], [])).toBe(
      'now tracks: 1, 2, 3, 4, 5 and 2 more',
    );
  });
});

describe('wouldSweep', () => {
  it('says how many of how many', () => {
    expect(wouldSweep({ name: 'openclaw.a', overdue: 1, size: 1 })).toBe(
      'would have swept 1 of 1 entry of openclaw.a by now',
    );
  });
});
