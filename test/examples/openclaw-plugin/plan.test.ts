import type { Discovered } from 'mapsweep/discover';
import { describe, expect, it } from 'vitest';
import type { ListedMap } from '../../../examples/openclaw-plugin/config.js';
import { planAdoptions, type TrackedMap, treatmentOf } from '../../../examples/openclaw-plugin/plan.js';

const map = (path: string, ref = new Map()): Discovered => ({ path, kind: 'map', size: ref.size, ref });
const tracked = (path: string, ref: object, waitsFor?: string): [string, TrackedMap] => [
  path,
  { ref, waitsFor },
];
const follow: ListedMap[] = [
  { match: 'openclaw.a/companion', policy: { follows: 'openclaw.a/leader', orphanAfter: '10m' } },
  { match: 'openclaw.a/leader', policy: { maxIdle: '5m' } },
];

describe('treatmentOf', () => {
  const maps: ListedMap[] = [
    { match: 'openclaw.a/kept', policy: false },
    { match: 'openclaw.a/*', policy: { maxIdle: '1h' } },
  ];

  it('observes a map that nobody lists', () => {
    expect(treatmentOf('openclaw.b/any', maps)).toEqual({ policy: { mode: 'observe' }, isListed: false });
  });

  it('leaves a map alone that is listed as false', () => {
    expect(treatmentOf('openclaw.a/kept', maps)).toBeUndefined();
  });

  it('gives every map below a pattern its policy', () => {
    expect(treatmentOf('openclaw.a/any', maps)).toEqual({ policy: { maxIdle: '1h' }, isListed: true });
    expect(treatmentOf('openclaw.a/any/deeper', maps)?.isListed).toBe(false);
  });
});

describe('planAdoptions', () => {
  it('adopts leaders before what follows them, and listed maps before the others', () => {
    const discovered = [map('openclaw.0'), map('openclaw.a/companion'), map('openclaw.a/leader')];
    const { adopt, release } = planAdoptions(discovered, new Map(), follow, 10);
    expect(adopt.map(({ path }) => path)).toEqual([
      'openclaw.a/leader',
      'openclaw.a/companion',
      'openclaw.0',
    ]);
    expect(adopt[1]).toMatchObject({ policy: follow[0]?.policy, isListed: true });
    expect(release).toEqual([]);
  });

  it('changes nothing where everything is tracked', () => {
    const leader = map('openclaw.a/leader');
    const plan = planAdoptions([leader], new Map([tracked(leader.path, leader.ref)]), follow, 10);
    expect(plan).toEqual({ release: [], adopt: [], leftOut: 0 });
  });

  it('releases a map that is gone, and follows one that is another object by now', () => {
    const old = new Map([tracked('openclaw.gone', new Map()), tracked('openclaw.a/leader', new Map())]);
    const now = map('openclaw.a/leader');
    const plan = planAdoptions([now], old, follow, 10);
    expect(plan.release).toEqual(['openclaw.gone', 'openclaw.a/leader']);
    expect(plan.adopt).toMatchObject([{ path: 'openclaw.a/leader', ref: now.ref }]);
  });

  it('follows a map that moved to another path', () => {
    const ref = new Map();
    const plan = planAdoptions([map('openclaw.new', ref)], new Map([tracked('openclaw.old', ref)]), [], 10);
    expect(plan.release).toEqual(['openclaw.old']);
    expect(plan.adopt).toMatchObject([{ path: 'openclaw.new', ref }]);
  });

  it('adopts a companion anew once the leader that it lacked is tracked', () => {
    const leader = map('openclaw.a/leader');
    const companion = map('openclaw.a/companion');
    const waiting = tracked(companion.path, companion.ref, leader.path);
    const first = planAdoptions([companion, leader], new Map([waiting]), follow, 10);
    expect(first.release).toEqual([]);
    expect(first.adopt.map(({ path }) => path)).toEqual([leader.path]);
    const both = new Map([waiting, tracked(leader.path, leader.ref)]);
    const second = planAdoptions([companion, leader], both, follow, 10);
    expect(second.release).toEqual([companion.path]);
    expect(second.adopt).toMatchObject([{ path: companion.path, policy: { follows: leader.path } }]);
  });

  it('takes the first of 2 maps of one path', () => {
    const twins = [map('openclaw.twin'), map('openclaw.twin')];
    const { adopt } = planAdoptions(twins, new Map(), [], 10);
    expect(adopt).toHaveLength(1);
    expect(adopt[0]?.ref).toBe(twins[0]?.ref);
  });

  it('leaves out what nobody lists beyond 2 maps', () => {
    const discovered = [map('openclaw.0'), map('openclaw.1'), map('openclaw.a/leader')];
    const plan = planAdoptions(discovered, new Map(), follow, 2);
    expect(plan.adopt.map(({ path }) => path)).toEqual(['openclaw.a/leader', 'openclaw.0']);
    expect(plan.leftOut).toBe(1);
  });

  it('ends for patterns that follow themselves', () => {
    const circle: ListedMap[] = [{ match: 'openclaw.*', policy: { follows: 'openclaw.x' } }];
    expect(planAdoptions([map('openclaw.x')], new Map(), circle, 10).adopt).toHaveLength(1);
  });
});
