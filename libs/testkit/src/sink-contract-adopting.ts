import type { GenerationId, Sink } from '@nanosync/core';
import { positionBelowAll } from '@nanosync/core';
import { describe, expect, test } from 'vitest';
import { at, changeOf, endOf, ORDERS, order, rowBatchOf } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { batch, E1, E2, end, expectKind, L0, loaderOf, rowsOf, setUp, TOPIC, writerOf } from './sink-scenario.ts';

function adopt(sink: Sink, generation: GenerationId = E1, schema = ORDERS) {
  const start = [
    { next: 5, session: 1 },
    { next: 7, session: 1 },
  ];
  return sink.adopt({ generation, anchor: 'anchor', schema, l0: L0, topicId: TOPIC, start });
}

/** A generation that begins with what is under the table's name. */
export function describeAdopting(the: Scenario): void {
  describe('adopting', () => {
    test('begins with no row where there is no table, once, and follows', async () => {
      expect(await adopt(the.sink)).toEqual({ rows: 0 });
      expect(await the.seen()).toEqual([]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(changeOf(ORDERS, 'c', order(1), at(101)));
      expect(await adopt(the.sink)).toEqual({ rows: 0 });
      expect(await the.seen()).toEqual(rowsOf(order(1)));
      expect(await the.sink.generation(E1)).toMatchObject({ current: true, rowsBuilt: 0, topicId: TOPIC });
    });

    test('replaces a copy of the pipeline that nothing followed, with its rows', async () => {
      const [from] = await the.sink.claimRows('shop', 'loader', TOPIC, 1);
      await loaderOf(the.sink, 'loader', from).stage([batch(0, 'a1', 0, [order(1), order(2)])], [end(0, 'a1', 1, 2)]);
      const copy = { generation: E1, anchor: 'first', schema: ORDERS, partitions: 1, l0: L0, topicId: '', start: [] };
      expect(await the.sink.build(copy)).toEqual({ rows: 2 });
      await the.sink.switchTo(E1);
      expect(await adopt(the.sink, E2)).toEqual({ rows: 2 });
      expect(await adopt(the.sink, E2)).toEqual({ rows: 2 });
      expect(await the.sink.generation(E1)).toBeUndefined();
      const writer = await writerOf(the.sink, 'w', E2);
      // Below every change, wherever the copy stood.
      await writer.apply(changeOf(ORDERS, 'u', order(2, 'fresh'), at(1), { epoch: 'e2' }));
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2, 'fresh')));
      await writer.apply(changeOf(ORDERS, 't', null, at(2), { epoch: 'e2' }));
      expect(await the.seen()).toEqual([]);
    });

    test('refuses a generation that followed changes: what came since would be missing', async () => {
      await setUp(the.sink, [order(1)]);
      await expectKind('gap', adopt(the.sink, E2));
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test.each(['shop', 'again'])('begins with the rows that a deleted pipeline left, for %s, in one step', async (pipeline) => {
      await setUp(the.sink, [order(1), order(2)]);
      const before = await writerOf(the.sink, 'w');
      await before.apply(changeOf(ORDERS, 'u', order(1, 'followed'), at(500)));
      await the.sink.release('shop', null, { dropTables: false });
      const id = { ...E2, pipeline };
      expect(await the.sink.check(pipeline, [ORDERS.table], [ORDERS], true)).toEqual([]);
      for (let twice = 0; twice < 2; twice++) expect(await adopt(the.sink, id)).toEqual({ rows: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1, 'followed'), order(2)));
      const writer = await writerOf(the.sink, 'w', id);
      // Below every change, wherever the deleted pipeline stood.
      await writer.apply(changeOf(ORDERS, 'u', order(1, 'fresh'), at(1)));
      await the.sink.release('shop', null, { dropTables: pipeline !== 'shop' }); // Late, of another: what it left is adopted by now.
      expect(await the.seen()).toEqual(rowsOf(order(1, 'fresh'), order(2)));
    });

    test('refuses rows that a deleted pipeline left when the source has other columns by now, and leaves them', async () => {
      await setUp(the.sink, [order(1)]);
      await the.sink.release('shop', null, { dropTables: false });
      const now = { ...ORDERS, columns: ORDERS.columns.slice(0, -1) };
      expect((await the.sink.check('shop', [ORDERS.table], [now], true))[0]?.what).toContain('other columns');
      await expectKind('prerequisite', adopt(the.sink, E2, now));
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('is refused for an epoch that was given up, and ignores what was staged of its own', async () => {
      await the.sink.discard(E2);
      await expectKind('conflict', adopt(the.sink, E2));
      const [from] = await the.sink.claimRows('shop', 'loader', TOPIC, 1);
      const loader = loaderOf(the.sink, 'loader', from);
      await loader.stage([batch(0, 'a1', 0, [order(1)])], []);
      await adopt(the.sink);
      await loader.stage(
        [rowBatchOf(ORDERS, [order(2)], { epoch: 'e1', partition: 0, attempt: 'a2', batch: 0 })],
        [endOf(ORDERS, { epoch: 'e1', partition: 0, attempt: 'a2', batches: 1, rows: 1 })],
      );
      expect(await the.seen()).toEqual([]);
      expect(await the.sink.staged(E1)).toEqual([]);
    });

    test('keeps the rows of a table that somebody else filled, each below every change, and applies changes by key', async () => {
      if (the.harness.fill === undefined) return;
      await the.harness.fill([order(1), order(2), order(3)]);
      expect(await the.sink.check('shop', [ORDERS.table], [ORDERS], true)).toEqual([]);
      expect(await the.sink.check('shop', [ORDERS.table], [ORDERS])).toHaveLength(1);
      expect(await adopt(the.sink)).toEqual({ rows: 3 });
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2), order(3)));
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(
        changeOf(ORDERS, 'u', order(2, 'changed'), at(1)),
        changeOf(ORDERS, 'd', order(3), at(2)),
        changeOf(ORDERS, 'u', order(4, 'never here'), at(3)),
      );
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2, 'changed'), order(4, 'never here')));
      expect(positionBelowAll(L0) < at(1)).toBe(true);
    });

    test('refuses a table of which two rows have one key, and leaves it as it is', async () => {
      if (the.harness.fill === undefined) return;
      await the.harness.fill([order(1), order(1, 'again')]);
      expect((await the.sink.check('shop', [ORDERS.table], [ORDERS], true))[0]?.what).toContain('one key');
      await expectKind('prerequisite', adopt(the.sink));
      expect(await the.sink.generation(E1)).toBeUndefined();
    });

    test('refuses a table with other columns', async () => {
      await the.harness.occupy(ORDERS.table);
      expect((await the.sink.check('shop', [ORDERS.table], [ORDERS], true)).length).toBeGreaterThan(0);
      await expectKind('prerequisite', adopt(the.sink));
    });
  });
}
