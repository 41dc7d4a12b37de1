import type { Row } from '@nanosync/core';
import { positionOf } from '@nanosync/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { failureOf, keyText, TwoSides, thing } from './testing/two-sides.ts';

const many = (count: number) => Array.from({ length: count }, (_, id) => thing(id));
const shown = (row: Row) => ({ part: row[2], id: String(row[1]) });
/** A row as nobody wrote it, in a cell that is no key. */
const flipped = (row: Row): Row => [`${String(row[0])}!`, ...row.slice(1)];

describe('two sides that stand still', () => {
  test('are equal when they are', async () => {
    const { result, found } = await new TwoSides(many(300)).verify();
    expect(found).toEqual([]);
    expect(result).toMatchObject({ outcome: 'equal', sourceRows: 300, sinkRows: 300, position: positionOf(10n, 0n) });
  });

  test('empty ones too', async () => {
    expect((await new TwoSides([]).verify()).result).toMatchObject({ outcome: 'equal', sourceRows: 0, sinkRows: 0 });
  });

  test('a flipped cell, a row that lacks, one too many and one that is doubled are found and named, and nothing else', async () => {
    const sides = new TwoSides(many(300));
    const old = positionOf(1n, 0n);
    sides.sink.set(keyText(thing(17)), [{ cells: flipped(thing(17)), position: old }]);
    sides.sink.delete(keyText(thing(18)));
    sides.sink.set(keyText(thing(1000)), [{ cells: thing(1000), position: old }]);
    const twice = { cells: thing(20), position: old };
    sides.sink.set(keyText(thing(20)), [twice, twice]);
    const { result, found } = await sides.verify();
    expect(result).toMatchObject({ outcome: 'different', counts: { different: 1, missing: 1, extra: 2, changing: 0, held: 0 } });
    const brief = found.map(({ kind, key, columns }) => ({ kind, key, columns })).sort((a, b) => Number(a.key.id) - Number(b.key.id));
    expect(brief).toEqual([
      { kind: 'different', key: shown(thing(17)), columns: ['note'] },
      { kind: 'missing', key: shown(thing(18)), columns: [] },
      { kind: 'extra', key: shown(thing(20)), columns: [] },
      { kind: 'extra', key: shown(thing(1000)), columns: [] },
    ]);
  });

  test.each([
    ['a sign of zero', 0, -0],
    ['the last bit of a double', 0.1, 0.1 + Number.EPSILON / 8],
    ['null', 1, null],
  ])('%s is a difference', async (_name, ours, theirs) => {
    const row = thing(1);
    const sides = new TwoSides([row.with(3, ours)]);
    sides.sink.set(keyText(row), [{ cells: row.with(3, theirs), position: null }]);
    expect((await sides.verify()).found).toMatchObject([{ kind: 'different', columns: ['ratio'] }]);
  });

  test('a NaN is a NaN, whatever its bits', async () => {
    const odd = new Float64Array(new BigUint64Array([0xfff8_0000_0000_0001n]).buffer)[0] as number;
    const sides = new TwoSides([thing(1).with(3, odd)]);
    sides.sink.set(keyText(thing(1)), [{ cells: thing(1).with(3, Number.NaN), position: null }]);
    expect((await sides.verify()).result.outcome).toBe('equal');
  });

  test('no more keys are held than there is room for, and what was not looked at is told', async () => {
    const sides = new TwoSides(many(3000));
    sides.sink.clear();
    const limits = { rowsAtOnce: 500, candidates: 100, listed: 7 };
    const { result, found } = await sides.verify(limits);
    expect(found).toHaveLength(7);
    expect(result).toMatchObject({ outcome: 'different', sourceRows: 3000, sinkRows: 0, counts: { missing: 100 } });
    expect(result.notSettled).toBeGreaterThan(300);
    expect(result.buckets.notExamined).toBeGreaterThan(1000);
  });

  test('buckets that do not fit into one pass are looked at in several', async () => {
    const sides = new TwoSides(many(3000));
    for (let id = 0; id < 3000; id += 10) sides.sink.delete(keyText(thing(id)));
    const { result } = await sides.verify({ rowsAtOnce: 100 });
    expect(result).toMatchObject({ counts: { missing: 300 }, notSettled: 0, buckets: { notExamined: 0 } });
  });
});

describe('two sides that change', () => {
  test('a sink that lags is equal once it has caught up, and a cell that was spoiled is found', async () => {
    const sides = new TwoSides(many(100));
    for (let id = 0; id < 50; id++) sides.write(keyText(thing(id)), id % 3 === 0 ? null : thing(id, 'new'));
    sides.show(50);
    let next = 50;
    sides.meanwhile = () => {
      sides.write(keyText(thing(next)), thing(next, 'later'));
      sides.show(sides.log.length);
      next = 50 + ((next - 49) % 20);
      sides.apply(sides.applied + 1);
    };
    sides.sink.set(keyText(thing(90)), [{ cells: flipped(thing(90)), position: null }]);
    const { result, found } = await sides.verify();
    expect(found.filter(({ kind }) => kind !== 'changing')).toMatchObject([
      { kind: 'different', key: shown(thing(90)), columns: ['note'] },
    ]);
    expect(result.outcome).toBe('different');
  });

  test('a sink that stands still is given up with a sentence', async () => {
    const sides = new TwoSides(many(10));
    sides.write(keyText(thing(1)), thing(1, 'new'));
    sides.apply = () => {};
    expect(await failureOf(sides.verify())).toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('has applied nothing of public.things'),
    });
  });

  test('what an open transaction may hide is told apart, and never as a difference', async () => {
    const sides = new TwoSides(many(10));
    sides.held = true;
    sides.write(keyText(thing(1)), thing(1, 'committed, and not visible yet'));
    sides.apply(1);
    const { result, found } = await sides.verify();
    expect(found).toMatchObject([{ kind: 'held', key: shown(thing(1)) }]);
    expect(result.outcome).toBe('undecided');
  });

  test('as it is, lag is a difference', async () => {
    const sides = new TwoSides(many(10));
    sides.write(keyText(thing(1)), thing(1, 'new'));
    sides.show(1);
    const { result, found } = await sides.verify({ asIs: true });
    expect(found).toMatchObject([{ kind: 'different', key: shown(thing(1)), columns: ['note'] }]);
    expect(result).toMatchObject({ outcome: 'different', position: null });
  });
});

/** A seeded source of numbers below a bound. */
function dice(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('whatever changes meanwhile, what was spoiled is found, and nothing else is said to differ', { timeout: 60_000 }, async () => {
  const runs = fc.record({
    seed: fc.integer({ min: 1, max: 2 ** 31 }),
    rows: fc.integer({ min: 1, max: 60 }),
    busy: fc.integer({ min: 0, max: 8 }),
    spoiled: fc.uniqueArray(fc.record({ id: fc.integer({ min: 0, max: 99 }), how: fc.constantFrom('flip', 'drop', 'add') }), {
      maxLength: 6,
      selector: ({ id }) => id,
    }),
  });
  await fc.assert(
    fc.asyncProperty(runs, async ({ seed, rows, busy, spoiled }) => {
      const roll = dice(seed);
      // Ids from 1000 on are written to; a few of them, to the same few values, so that what was comes back.
      const sides = new TwoSides([...many(rows), ...many(busy).map((_, id) => thing(1000 + id))]);
      const expected = new Map<string, string>();
      for (const { id, how } of spoiled) {
        const key = keyText(thing(id));
        const there = sides.sink.has(key);
        const old = positionOf(1n, 0n);
        if (how === 'flip' && there) sides.sink.set(key, [{ cells: flipped(thing(id)), position: old }]);
        else if (how === 'drop' && there) sides.sink.delete(key);
        else if (how === 'add' && !there) sides.sink.set(key, [{ cells: thing(id), position: old }]);
        else continue;
        expected.set(String(id), how === 'flip' ? 'different' : how === 'drop' ? 'missing' : 'extra');
      }
      sides.meanwhile = () => {
        for (let writes = busy === 0 ? 0 : roll(4); writes > 0; writes--) {
          const id = 1000 + roll(busy);
          sides.write(keyText(thing(id)), roll(3) === 0 ? null : thing(id, `value ${roll(2)}`));
        }
        sides.show(sides.visible + roll(5));
        sides.apply(sides.applied + roll(4));
      };
      const { result, found } = await sides.verify();
      const said = found.filter(({ kind }) => kind !== 'changing');
      expect(new Map(said.map(({ key, kind }) => [String(key.id), kind]))).toEqual(expected);
      for (const { key, kind } of found) if (kind === 'changing') expect(Number(key.id)).toBeGreaterThanOrEqual(1000);
      if (expected.size > 0) expect(result.outcome).toBe('different');
      else expect(result.outcome).toBe(found.length === 0 ? 'equal' : 'undecided');
    }),
    {
      numRuns: 1500,
      // One run in some 1,500 meets a row that the sink has and the source does not show yet: these do.
      examples: [[{ seed: 900142248, rows: 51, busy: 6, spoiled: [] }], [{ seed: 1592448180, rows: 31, busy: 4, spoiled: [] }]],
    },
  );
});
