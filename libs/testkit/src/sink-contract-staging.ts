import type { Row, TableId, TableSchema } from '@nanosync/core';
import { describe, expect, test } from 'vitest';
import { endOf, ORDERS, order, rowBatchOf } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { batch, build, E1, end, expectKind, L0, loaderOf, rowsOf, setUp, TOPIC } from './sink-scenario.ts';

/** Staging and building. */
export function describeStaging(the: Scenario): void {
  describe('staging', () => {
    test('a loader begins at 0, goes on where it was, and begins at 0 again in another stream', async () => {
      expect(await the.sink.claimRows('shop', 'a', TOPIC, 2)).toEqual([0, 0]);
      await the.sink.stage({ pipeline: 'shop', owner: 'a', moves: [{ busPartition: 1, from: 0, to: 3 }], batches: [], ends: [] });
      expect(await the.sink.claimRows('shop', 'b', TOPIC, 2)).toEqual([0, 3]);
      await expectKind('gap', the.sink.claimRows('shop', 'b', TOPIC, 3));
      expect(await the.sink.claimRows('other', 'b', 'topic-2', 1)).toEqual([0]);
      expect(await the.sink.claimRows('shop', 'c', 'topic-2', 2)).toEqual([0, 0]);
      const move = { busPartition: 1, from: 3, to: 4 };
      await expectKind('conflict', the.sink.stage({ pipeline: 'shop', owner: 'b', moves: [move], batches: [], ends: [] }));
      await the.sink.stage({ pipeline: 'shop', owner: 'c', moves: [{ ...move, from: 0 }], batches: [], ends: [] });
      expect(await the.sink.claimRows('shop', 'd', 'topic-2', 2)).toEqual([0, 4]);
    });

    test('moves exactly, under the last claimed token, or changes nothing', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      await loader.stage([batch(0, 'a1', 0, [order(1)])], []);
      await expectKind('conflict', loaderOf(the.sink, 'a').stage([batch(0, 'a1', 1, [order(2)])], [end(0, 'a1', 1, 1)]));
      await the.sink.claimRows('shop', 'b', TOPIC, 1);
      await expectKind('conflict', loader.stage([batch(0, 'a1', 1, [order(2)])], [end(0, 'a1', 1, 1)]));
      expect(await the.sink.staged(E1)).toEqual([]);
      await loaderOf(the.sink, 'b', 1).stage([], [end(0, 'a1', 1, 1)]);
      expect(await the.sink.staged(E1)).toEqual([{ partition: 0, attempt: 'a1', rows: 1, quarantined: 0 }]);
    });

    test('a partition is complete when one attempt has its end marker, all its batches and all its rows', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      await loader.stage([], [end(0, 'a1', 2, 3, 4)]);
      await loader.stage([batch(0, 'a1', 1, [order(1)]), batch(0, 'a2', 0, [order(1), order(2)])], []);
      expect(await the.sink.staged(E1)).toEqual([]);
      await loader.stage([batch(0, 'a1', 0, [order(2), order(3)])], []);
      expect(await the.sink.staged(E1)).toEqual([{ partition: 0, attempt: 'a1', rows: 3, quarantined: 4 }]);
      await loader.stage([batch(1, 'a3', 0, [order(4)])], [end(1, 'a3', 1, 2)]);
      expect(await the.sink.staged(E1)).toHaveLength(1);
      await loader.stage([], [end(2, 'a4', 0, 0)]);
      expect((await the.sink.staged(E1)).map((one) => one.partition)).toEqual([0, 2]);
    });

    test('the attempt that was complete first stays the one, whatever a zombie adds', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      await loader.stage([batch(0, 'b', 0, [order(1)])], [end(0, 'b', 1, 1)]);
      await loader.stage([batch(0, 'a', 0, [order(1), order(9)])], [end(0, 'a', 1, 2)]);
      expect(await the.sink.staged(E1)).toEqual([{ partition: 0, attempt: 'b', rows: 1, quarantined: 0 }]);
      expect(await build(the.sink, E1, 1)).toEqual({ rows: 1 });
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('leaves out what the copy was stopped before, also where it came after all, and says so ever after', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      const part = (partition: number, row: Row) =>
        [[batch(partition, `a${partition}`, 0, [row])], [end(partition, `a${partition}`, 1, 1)]] as const;
      await loader.stage(...part(0, order(1)));
      await loader.stage(...part(2, order(3)));
      await loader.stage([batch(4, 'half', 0, [order(5)])], []);
      const without = [
        [1, 2],
        [4, 4],
      ] as const;
      await expectKind('defect', build(the.sink, E1, 5, ORDERS, L0, { without })); // Partition 3 is to come.
      await loader.stage(...part(3, order(4)));
      expect(await the.sink.shows(E1.table)).toBe(false);
      expect(await build(the.sink, E1, 5, ORDERS, L0, { without })).toEqual({ rows: 2 });
      expect(await the.sink.shows(E1.table)).toBe(true);
      expect(await the.seen()).toEqual(rowsOf(order(1), order(4)));
      await loader.stage(...part(1, order(2)));
      expect(await build(the.sink, E1, 5)).toEqual({ rows: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(4)));
      expect((await the.sink.generation(E1))?.without).toEqual(without);
      expect((await the.sink.claim(E1, 'owner')).without).toEqual(without);
    });

    test('begins with no row where nothing was copied, whatever was staged', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      await loaderOf(the.sink, 'a').stage([batch(0, 'a1', 0, [order(1)])], [end(0, 'a1', 1, 1)]);
      expect(await build(the.sink, E1, 0, ORDERS, L0, { without: [] })).toEqual({ rows: 0 });
      expect(await the.seen()).toEqual([]);
      expect((await the.sink.generation(E1))?.without).toEqual([]);
    });

    test('a repeated batch is there once, in one request and in several', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      const one = batch(0, 'a1', 0, [order(1)]);
      await loader.stage([one, one], []);
      await loader.stage([one], [end(0, 'a1', 1, 1), end(0, 'a1', 1, 1)]);
      expect(await build(the.sink, E1, 1)).toEqual({ rows: 1 });
    });

    test('takes blocks as they are and compressed, with nulls, and batches of several tables in one step', async () => {
      const other: TableSchema = { ...ORDERS, table: 'public.other' as TableId };
      await the.sink.claimRows('shop', 'a', TOPIC, 2);
      const nulls: Row = [3n, null, null, null, null];
      await the.sink.stage({
        pipeline: 'shop',
        owner: 'a',
        moves: [
          { busPartition: 0, from: 0, to: 2 },
          { busPartition: 1, from: 0, to: 1 },
        ],
        batches: [
          rowBatchOf(ORDERS, [order(1), nulls], { epoch: 'e1', partition: 0, attempt: 'a1', batch: 0, codec: 'null' }),
          rowBatchOf(other, [order(7)], { epoch: 'o1', partition: 0, attempt: 'a2', batch: 0 }),
        ],
        ends: [end(0, 'a1', 1, 2), endOf(other, { epoch: 'o1', partition: 0, attempt: 'a2', batches: 1, rows: 1 })],
      });
      await build(the.sink, E1, 1);
      await build(the.sink, { ...E1, table: other.table, epoch: 'o1' }, 1, other);
      expect(await the.seen()).toEqual(rowsOf(order(1), nulls));
      expect(await the.harness.read(other.table)).toEqual(rowsOf(order(7)));
    });
  });

  describe('building', () => {
    test('makes one row a key, shows it under the name, and does it once', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      await loader.stage([batch(0, 'a1', 0, [order(1), order(2, 'early')]), batch(1, 'a2', 0, [order(2, 'late'), order(3)])], []);
      await loader.stage([], [end(0, 'a1', 1, 2), end(1, 'a2', 1, 2)]);
      expect(await the.seen()).toBeUndefined();
      expect(await the.sink.generation(E1)).toBeUndefined();
      expect(await build(the.sink, E1, 2)).toEqual({ rows: 3 });
      expect(await build(the.sink, E1, 2)).toEqual({ rows: 3 });
      const rows = (await the.seen()) ?? [];
      expect(rows.map(([id]) => id)).toEqual(['1', '2', '3']);
      expect(['early', 'late']).toContain(rows[1]?.[1]);
      expect(await the.sink.generation(E1)).toEqual({
        rowsBuilt: 3,
        schema: ORDERS,
        current: true,
        changesApplied: 0,
        quarantined: 0,
        defects: 0,
        topicId: TOPIC,
        progress: [
          { busPartition: 0, next: 5, session: 1, last: L0, floor: null },
          { busPartition: 1, next: 7, session: 1, last: L0, floor: null },
        ],
      });
      expect((await the.sink.staged(E1)).map((one) => one.rows)).toEqual([2, 2]);
    });

    test('refuses to build what is not complete', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      await loaderOf(the.sink, 'a').stage([batch(1, 'a1', 0, [order(1)])], [end(1, 'a1', 1, 1)]);
      await expectKind('defect', build(the.sink, E1, 2));
      await expectKind('defect', build(the.sink, E1, 1));
      expect(await the.sink.generation(E1)).toBeUndefined();
      expect(await the.seen()).toBeUndefined();
    });

    test('leaves out rows of attempts that are not the complete one', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      await loader.stage([batch(0, 'dead', 0, [order(9)]), batch(0, 'good', 0, [order(1)])], [end(0, 'good', 1, 1)]);
      expect(await build(the.sink, E1, 1)).toEqual({ rows: 1 });
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('builds an empty table', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      await loaderOf(the.sink, 'a').stage([], [end(0, 'a1', 0, 0)]);
      expect(await build(the.sink, E1, 1)).toEqual({ rows: 0 });
      expect(await the.seen()).toEqual([]);
    });

    test('ignores what still arrives for a built epoch, and its progress moves', async () => {
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      const loader = loaderOf(the.sink, 'a');
      await loader.stage([batch(0, 'a1', 0, [order(1)])], [end(0, 'a1', 1, 1)]);
      await build(the.sink, E1, 1);
      await loader.stage([batch(0, 'zombie', 0, [order(2)])], [end(0, 'zombie', 1, 1)]);
      expect(await the.sink.staged(E1)).toEqual([{ partition: 0, attempt: 'a1', rows: 1, quarantined: 0 }]);
      expect(await the.sink.claimRows('shop', 'b', TOPIC, 1)).toEqual([2]);
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('refuses a name that is taken by somebody else or by another pipeline', async () => {
      await the.harness.occupy('public.taken' as TableId);
      const problems = await the.sink.check('shop', ['public.taken', ORDERS.table] as TableId[]);
      expect(problems).toHaveLength(1);
      expect(problems[0]?.what).toContain('public.taken');
      const taken: TableSchema = { ...ORDERS, table: 'public.taken' as TableId };
      await the.sink.claimRows('shop', 'a', TOPIC, 1);
      await loaderOf(the.sink, 'a').stage([], [endOf(taken, { epoch: 't1', partition: 0, attempt: 'a', batches: 0, rows: 0 })]);
      await expectKind('prerequisite', build(the.sink, { ...E1, table: taken.table, epoch: 't1' }, 1, taken));
      await setUp(the.sink, [order(1)]);
      expect(await the.sink.check('shop', [ORDERS.table])).toEqual([]);
      const [problem] = await the.sink.check('other', ['Public.Orders'] as TableId[]);
      expect(problem?.what).toContain('shop');
    });
  });
}
