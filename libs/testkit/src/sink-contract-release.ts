import { leastPosition, tableIdOf } from '@nanosync/core';
import { describe, expect, test } from 'vitest';
import { at, changeOf, endOf, ORDERS, order, rowBatchOf } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { build, E1, E2, expectKind, L0, loaderOf, rowsOf, setUp, TOPIC, writerOf } from './sink-scenario.ts';

const AGAIN = { ...E1, epoch: 'e3', pipeline: 'again' };

/** What is left of a table, or of a pipeline, that is let go. */
export function describeRelease(the: Scenario): void {
  const stageFresh = async (pipeline: string, epoch: string, value: string) => {
    const owner = `loader of ${pipeline}`;
    const [next = 0] = await the.sink.claimRows(pipeline, owner, TOPIC, 1);
    const name = { epoch, partition: 0, attempt: 'x' };
    await the.sink.stage({
      pipeline,
      owner,
      moves: [{ busPartition: 0, from: next, to: next + 1 }],
      batches: [rowBatchOf(ORDERS, [order(1, value)], { ...name, batch: 0 })],
      ends: [endOf(ORDERS, { ...name, batches: 1, rows: 1 })],
    });
  };

  describe('release', () => {
    test('leaves the rows that users see and nothing else, and lets nothing of before be written any more', async () => {
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      const loader = loaderOf(the.sink, 'loader', 1);
      await loader.stage([rowBatchOf(ORDERS, [order(9)], { epoch: 'e2', partition: 0, attempt: 'x', batch: 0 })], []);
      for (let twice = 0; twice < 2; twice++) {
        await the.sink.release('shop', ORDERS.table, { dropTables: false });
        expect(await the.seen()).toEqual(rowsOf(order(1)));
        expect(await the.sink.generations('shop', ORDERS.table)).toEqual([]);
        expect(await the.sink.generation(E1)).toBeUndefined();
      }
      await expectKind('conflict', writer.apply(changeOf(ORDERS, 'c', order(2), at(101))));
      await expectKind('conflict', the.sink.claim(E1, 'late'));
      await expectKind('conflict', the.sink.switchTo(E1));
      for (const id of [E1, E2]) await expectKind('conflict', build(the.sink, id, 1));
      await the.sink.discard(E1);
      await loader.stage([], [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 1, rows: 1 })]);
      expect(await the.sink.staged(E2)).toEqual([]);
      expect(await the.sink.generations('shop', ORDERS.table)).toEqual([]);
      expect(await the.seen()).toEqual(rowsOf(order(1)));
      await the.sink.release('shop', null, { dropTables: false });
      await expectKind('conflict', loader.stage([], []));
      expect(await the.sink.claimRows('shop', 'new', TOPIC, 1)).toEqual([0]);
    });

    test('rows that were left stay until a new generation takes their name, of whatever pipeline, in one step', async () => {
      await setUp(the.sink, [order(1), order(2)]);
      await the.sink.release('shop', null, { dropTables: false });
      expect(await the.sink.check('again', [ORDERS.table], [ORDERS])).toEqual([]);
      await stageFresh('again', 'e3', 'fresh');
      await build(the.sink, AGAIN, 1, ORDERS);
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2)));
      expect(await the.sink.generations('again', ORDERS.table)).toEqual([{ epoch: 'e3', anchor: 'anchor', current: false }]);
      expect((await the.sink.claim(AGAIN, 'w')).current).toBe(false);
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2)));
      await the.sink.switchTo(AGAIN);
      expect(await the.seen()).toEqual(rowsOf(order(1, 'fresh')));
      expect((await the.sink.claim(AGAIN, 'w')).current).toBe(true);
      await the.sink.release('shop', null, { dropTables: true }); // Late: what it left is another's by now.
      expect(await the.seen()).toEqual(rowsOf(order(1, 'fresh')));
    });

    test('says what it left, and up to where that has the changes, until another generation has the name', async () => {
      expect(await the.sink.left([ORDERS.table])).toEqual([]);
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(changeOf(ORDERS, 'c', order(2), at(500)));
      const { progress } = await the.sink.claim(E1, 'another');
      expect(await the.sink.left([ORDERS.table])).toEqual([]);
      for (let twice = 0; twice < 2; twice++) {
        await the.sink.release('shop', null, { dropTables: false });
        const followedTo = leastPosition(progress.map(({ last }) => last));
        const told = { table: ORDERS.table, pipeline: 'shop', schema: { table: ORDERS.table, key: ORDERS.key }, followedTo };
        expect(await the.sink.left([ORDERS.table, tableIdOf('public', 'other')])).toMatchObject([told]);
      }
      await stageFresh('again', 'e3', 'fresh');
      await build(the.sink, AGAIN, 1, ORDERS);
      expect(await the.sink.left([ORDERS.table])).toHaveLength(1);
      await the.sink.switchTo(AGAIN);
      expect(await the.sink.left([ORDERS.table])).toEqual([]);
    });

    test('says of what it left that its copy was stopped, however often it is let go', async () => {
      await the.sink.claimRows('shop', 'loader', TOPIC, 1);
      const name = { epoch: 'e1', partition: 0, attempt: 'a1' };
      await loaderOf(the.sink, 'loader').stage(
        [rowBatchOf(ORDERS, [order(1)], { ...name, batch: 0 })],
        [endOf(ORDERS, { ...name, batches: 1, rows: 1 })],
      );
      await build(the.sink, E1, 2, ORDERS, L0, { without: [[1, 1]] });
      for (let twice = 0; twice < 2; twice++) {
        await the.sink.release('shop', null, { dropTables: false });
        expect(await the.sink.left([ORDERS.table])).toMatchObject([{ pipeline: 'shop', stopped: true }]);
      }
      await stageFresh('again', 'e3', 'fresh');
      await build(the.sink, AGAIN, 1, ORDERS);
      await the.sink.switchTo(AGAIN);
      await the.sink.release('again', null, { dropTables: false });
      expect((await the.sink.left([ORDERS.table])).map(({ stopped }) => stopped)).toEqual([undefined]);
    });

    test('drops what users see only where that is asked for, also what was left before', async () => {
      await setUp(the.sink, [order(1)]);
      await the.sink.release('shop', null, { dropTables: false });
      for (let twice = 0; twice < 2; twice++) await the.sink.release('shop', null, { dropTables: true });
      expect(await the.seen()).toBeUndefined();
      expect(await the.sink.check('other', [ORDERS.table], [ORDERS])).toEqual([]);
      await stageFresh('other', 'e3', 'fresh');
      await build(the.sink, { ...AGAIN, pipeline: 'other' }, 1, ORDERS);
      expect(await the.seen()).toEqual(rowsOf(order(1, 'fresh')));
    });
  });
}
