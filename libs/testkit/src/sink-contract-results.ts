import type { GenerationId, Row, TableSchema } from '@nanosync/core';
import { describe, expect, test } from 'vitest';
import { at, endOf, ORDERS, order, rowBatchOf } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { build, E1, E2, expectKind, loaderOf, rowsOf, setUp, TOPIC } from './sink-scenario.ts';

const NOWHERE = at(0, 0);
const KEYLESS: TableSchema = { ...ORDERS, key: [] };
const E3: GenerationId = { ...E1, epoch: 'e3' };

/** Results of queries: tables without a key, and rows that are written over others by key. */
export function describeResults(the: Scenario): void {
  /** Stages one whole result. */
  const stage = async (epoch: string, rows: readonly Row[], schema = ORDERS, attempt = 'a') => {
    const [from] = await the.sink.claimRows('shop', 'loader', TOPIC, 1);
    const names = { epoch, partition: 0, attempt };
    await loaderOf(the.sink, 'loader', from).stage(rows.length === 0 ? [] : [rowBatchOf(schema, rows, { ...names, batch: 0 })], [
      endOf(schema, { ...names, batches: rows.length === 0 ? 0 : 1, rows: rows.length }),
    ]);
  };
  const merge = (generation: GenerationId, schema = ORDERS) => the.sink.merge({ generation, schema, partitions: 1, l0: NOWHERE });
  const faults = (generation: GenerationId) => the.sink.keyFaults({ generation, schema: ORDERS, partitions: 1 });
  const buildResult = (generation: GenerationId, schema = KEYLESS) =>
    the.sink.build({ generation, anchor: 'anchor', schema, partitions: 1, l0: NOWHERE, topicId: '', start: [] });

  describe('tables without a key', () => {
    test('have every row of the one complete attempt, equal ones too, and are replaced in one step', async () => {
      await stage('e1', [order(9)], KEYLESS, 'killed');
      await the.sink.discard(E1);
      await stage('e2', [order(1), order(2), order(1)], KEYLESS);
      expect(await buildResult(E2)).toEqual({ rows: 3 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(1), order(2)));
      await stage('e3', [order(3)], KEYLESS);
      expect(await buildResult(E3)).toEqual({ rows: 1 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(1), order(2)));
      await the.sink.switchTo(E3);
      expect(await the.seen()).toEqual(rowsOf(order(3)));
      expect(await the.sink.generation(E3)).toMatchObject({ rowsBuilt: 1, current: true, progress: [] });
      expect(await the.sink.generation(E2)).toBeUndefined();
    });
  });

  describe('merging by key', () => {
    test('writes over the rows that are there, leaves the others, and counts as current from then on', async () => {
      await setUp(the.sink, [order(1), order(2)]);
      await stage('e2', [order(2, 'new'), order(3)]);
      expect(await faults(E2)).toEqual({ nulls: 0, doubled: 0 });
      expect(await merge(E2)).toEqual({ rows: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2, 'new'), order(3)));
      expect(await the.sink.generation(E2)).toMatchObject({ rowsBuilt: 2, current: true });
      expect(await the.sink.generation(E1)).toMatchObject({ current: true });
      expect((await the.sink.staged(E2)).map(({ rows }) => rows)).toEqual([2]);
      expect((await the.sink.generations('shop', ORDERS.table)).map(({ epoch }) => epoch)).toEqual(['e1']);
    });

    test('is done once for an epoch: asked for again, also after a later one, it changes nothing', async () => {
      await setUp(the.sink, [order(1)]);
      await stage('e2', [order(1, 'second')]);
      await merge(E2);
      expect(await merge(E2)).toEqual({ rows: 1 });
      await stage('e3', [order(1, 'third')]);
      await merge(E3);
      await stage('e2', [order(1, 'late')], ORDERS, 'zombie');
      await expectKind('conflict', merge(E2));
      expect(await the.sink.generation(E2)).toBeUndefined();
      expect(await the.seen()).toEqual(rowsOf(order(1, 'third')));
    });

    test('of an epoch that was given up is refused, and what is merged is not given up', async () => {
      await setUp(the.sink, [order(1)]);
      await stage('e2', [order(1, 'second')]);
      await the.sink.discard(E2);
      await expectKind('conflict', merge(E2));
      await stage('e3', [order(1, 'third')]);
      await merge(E3);
      await the.sink.discard(E3);
      expect(await the.sink.generation(E3)).toMatchObject({ current: true });
      expect(await the.seen()).toEqual(rowsOf(order(1, 'third')));
    });

    test('takes the complete attempt alone, and a result without rows', async () => {
      await setUp(the.sink, [order(1)]);
      const [from] = await the.sink.claimRows('shop', 'loader', TOPIC, 1);
      await loaderOf(the.sink, 'loader', from).stage(
        [rowBatchOf(ORDERS, [order(7)], { epoch: 'e2', partition: 0, attempt: 'dead', batch: 0 })],
        [],
      );
      await expectKind('defect', merge(E2));
      await stage('e2', [order(2)], ORDERS, 'good');
      expect(await faults(E2)).toEqual({ nulls: 0, doubled: 0 });
      expect(await merge(E2)).toEqual({ rows: 1 });
      await stage('e3', []);
      expect(await faults(E3)).toEqual({ nulls: 0, doubled: 0 });
      expect(await merge(E3)).toEqual({ rows: 0 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2)));
    });

    test('counts keys that stand in several rows, and rows that lack one', async () => {
      await setUp(the.sink, [order(1)]);
      const keyless: Row = [null, 'x', null, null, null];
      await stage('e2', [order(1), order(1, 'other'), order(2), order(2), order(3), keyless, keyless]);
      expect(await faults(E2)).toEqual({ nulls: 2, doubled: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('refuses other columns, another key, and a table that is not there', async () => {
      await stage('e2', [order(1)]);
      await expectKind('conflict', merge(E2));
      await setUp(the.sink, [order(1)]);
      const other: TableSchema = { ...ORDERS, key: ['name'] };
      await stage('e3', [order(1, 'other')], other);
      await expectKind('table-changed', merge(E3, other));
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('writes over the rows that a deleted pipeline left once they are adopted', async () => {
      await stage('e1', [order(1), order(2)]);
      await buildResult(E1, ORDERS);
      await the.sink.release('shop', null, { dropTables: false });
      expect(await the.sink.left([ORDERS.table])).toMatchObject([{ pipeline: 'shop', followedTo: null }]);
      await stage('e2', [order(2, 'new'), order(3)]);
      const begun = { generation: E3, anchor: 'again', schema: ORDERS, l0: NOWHERE, topicId: '', start: [] };
      for (let twice = 0; twice < 2; twice++) expect(await the.sink.adopt(begun)).toEqual({ rows: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2)));
      expect(await merge(E2)).toEqual({ rows: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2, 'new'), order(3)));
    });

    test('a generation that takes the name ends what was merged into the one before', async () => {
      await setUp(the.sink, [order(1)]);
      await stage('e2', [order(2)]);
      await merge(E2);
      await stage('e3', [order(3)]);
      await build(the.sink, E3, 1);
      await the.sink.switchTo(E3);
      expect(await the.sink.generation(E2)).toBeUndefined();
      await expectKind('conflict', merge(E2));
      expect(await the.seen()).toEqual(rowsOf(order(3)));
    });
  });
}
