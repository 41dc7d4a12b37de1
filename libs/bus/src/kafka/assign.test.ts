import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assign, type Claim } from './assign.ts';

const claim = (member: string, owned: readonly number[] = [], busy: readonly number[] = [], generation = 1): Claim => ({
  ...{ member, owned, busy, generation },
});

test('the first member gets everything, a second one half of it', () => {
  expect([...assign([claim('a')], 4)]).toEqual([['a', { assigned: [0, 1, 2, 3], release: [] }]]);
  expect([...assign([claim('a', [0, 1, 2, 3]), claim('b')], 4)]).toEqual([
    ['a', { assigned: [0, 1], release: [] }],
    ['b', { assigned: [2, 3], release: [] }],
  ]);
});

test('a bus partition that is worked on stays until it is done, and is then handed on', () => {
  const working = assign([claim('a', [0, 1, 2, 3], [1, 2, 3]), claim('b')], 4);
  expect([...working]).toEqual([
    ['a', { assigned: [1, 2, 3], release: [3] }],
    ['b', { assigned: [0], release: [] }],
  ]);
  const done = assign([claim('a', [1, 2, 3], [1, 2]), claim('b', [0])], 4);
  expect([...done]).toEqual([
    ['a', { assigned: [1, 2], release: [] }],
    ['b', { assigned: [0, 3], release: [] }],
  ]);
});

test('of two that claim one bus partition the one that was there last has it', () => {
  const shares = assign([claim('back', [0, 1], [0, 1], 3), claim('heir', [0, 1], [0], 4)], 2);
  expect(shares.get('heir')).toEqual({ assigned: [0], release: [] });
  expect(shares.get('back')).toEqual({ assigned: [1], release: [] });
});

const partitionsOf = (owners: readonly number[], member: number) => owners.flatMap((owner, at) => (owner === member ? [at] : []));

test('whatever members claim: each bus partition has one owner, none that is worked on moves, and at rest all have the same, by the fewest moves', () => {
  const group = fc.record({
    members: fc.integer({ min: 1, max: 6 }),
    owners: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: 1, maxLength: 16 }),
    busy: fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }),
    atRest: fc.boolean(),
  });
  fc.assert(
    fc.property(group, ({ members, owners, busy, atRest }) => {
      const claims = Array.from({ length: members }, (_, member) => {
        const owned = partitionsOf(owners, member);
        return claim(`m${member}`, owned, atRest ? [] : owned.filter((at) => busy[at]));
      });
      const shares = assign(claims, owners.length);
      const all = [...shares.values()].flatMap(({ assigned }) => assigned);
      expect(all.toSorted((a, b) => a - b)).toEqual(owners.map((_, at) => at));
      for (const { member, busy: working } of claims) {
        const share = shares.get(member);
        expect(share?.assigned).toEqual(expect.arrayContaining([...working]));
        expect(working).toEqual(expect.arrayContaining([...(share?.release ?? [])]));
      }
      if (!atRest) return;
      const counts = [...shares.values()].map(({ assigned }) => assigned.length);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      const kept = claims.reduce(
        (sum, { member, owned }) => sum + owned.filter((at) => shares.get(member)?.assigned.includes(at)).length,
        0,
      );
      const sizes = claims.map(({ owned }) => owned.length).toSorted((a, b) => b - a);
      const most = sizes.reduce((sum, size, at) => {
        const quota = Math.floor(owners.length / members) + (at < owners.length % members ? 1 : 0);
        return sum + Math.min(size, quota);
      }, 0);
      expect(kept).toBe(most);
    }),
    { numRuns: 500 },
  );
});
