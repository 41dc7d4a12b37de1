import { describe, expect, test } from 'vitest';
import { at, changeOf, endOf, ORDERS, order, rowBatchOf } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { build, E1, E2, expectKind, loaderOf, rowsOf, setUp, TOPIC, writerOf } from './sink-scenario.ts';

/** Several generations of a table, and a sink that is opened anew. */
export function describeGenerations(the: Scenario): void {
  describe('generations', () => {
    test('a second one is built beside the first, follows too, and takes the name in one step', async () => {
      await setUp(the.sink, [order(1), order(2)]);
      const first = await writerOf(the.sink, 'w');
      await loaderOf(the.sink, 'loader', 1).stage(
        [rowBatchOf(ORDERS, [order(1, 'fresh')], { epoch: 'e2', partition: 0, attempt: 'x', batch: 0 })],
        [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 1, rows: 1 })],
      );
      expect(await build(the.sink, E2, 1, ORDERS, at(200, 0))).toEqual({ rows: 1 });
      const second = await writerOf(the.sink, 'w', E2);
      await first.apply(changeOf(ORDERS, 'c', order(3), at(201)));
      await second.apply(changeOf(ORDERS, 'c', order(3), at(201), { epoch: 'e2' }));
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2), order(3)));
      expect(await the.sink.generations('shop', ORDERS.table)).toEqual([
        { epoch: 'e1', anchor: 'anchor', current: true },
        { epoch: 'e2', anchor: 'anchor', current: false },
      ]);
      await the.sink.switchTo(E1); // A late repetition: what users see already is not switched to again.
      expect(await the.sink.generations('shop', ORDERS.table)).toHaveLength(2);
      await the.sink.switchTo(E2);
      await the.sink.switchTo(E2);
      expect(await the.seen()).toEqual(rowsOf(order(1, 'fresh'), order(3)));
      expect(await the.sink.generations('shop', ORDERS.table)).toEqual([{ epoch: 'e2', anchor: 'anchor', current: true }]);
      expect(await the.sink.generation(E1)).toBeUndefined();
      await expectKind('conflict', the.sink.claim(E1, 'w'));
      await expectKind('conflict', first.apply(changeOf(ORDERS, 'c', order(9), at(300))));
      await expectKind('conflict', the.sink.switchTo(E1));
      await expectKind('conflict', build(the.sink, E1, 1));
      await second.apply(changeOf(ORDERS, 'c', order(4), at(202), { epoch: 'e2' }));
      expect(await the.seen()).toEqual(rowsOf(order(1, 'fresh'), order(3), order(4)));
    });

    test('one that the same stream feeds takes the name only where it has read all that users have seen', async () => {
      await setUp(the.sink, [order(1)]);
      const first = await writerOf(the.sink, 'w');
      await loaderOf(the.sink, 'loader', 1).stage([], [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 0, rows: 0 })]);
      await build(the.sink, E2, 1, ORDERS, at(200, 0));
      const second = await writerOf(the.sink, 'w', E2);
      await first.apply(changeOf(ORDERS, 'c', order(3), at(201)), changeOf(ORDERS, 'c', order(4), at(201), { busPartition: 1 }));
      expect(await the.sink.switchTo(E2)).toBe(false);
      await second.apply(changeOf(ORDERS, 'c', order(3), at(201), { epoch: 'e2' }));
      expect(await the.sink.switchTo(E2)).toBe(false);
      expect(await the.seen()).toEqual(rowsOf(order(1), order(3), order(4)));
      expect(await the.sink.generations('shop', ORDERS.table)).toHaveLength(2);
      await first.apply(changeOf(ORDERS, 'd', order(1), at(202))); // Both go on.
      await second.apply(
        changeOf(ORDERS, 'd', order(1), at(202), { epoch: 'e2' }),
        changeOf(ORDERS, 'c', order(4), at(201), { busPartition: 1, epoch: 'e2' }),
      );
      expect(await the.sink.switchTo(E2)).toBe(true);
      await expectKind('conflict', first.apply(changeOf(ORDERS, 'c', order(9), at(300))));
      expect(await the.seen()).toEqual(rowsOf(order(3), order(4)));
      expect(await the.sink.switchTo(E2)).toBe(true);
    });

    test.each([
      ['another anchor', { anchor: 'another' }],
      ['another life of the topic', { topicId: 'another' }],
    ])('one of %s takes the name however far the other one came', async (_, stream) => {
      await setUp(the.sink, [order(1)]);
      await (await writerOf(the.sink, 'w')).apply(changeOf(ORDERS, 'c', order(3), at(201)));
      await loaderOf(the.sink, 'loader', 1).stage([], [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 0, rows: 0 })]);
      await build(the.sink, E2, 1, ORDERS, at(200, 0), stream);
      expect(await the.sink.switchTo(E2)).toBe(true);
      expect(await the.seen()).toEqual([]);
    });

    test('a discarded epoch is gone for good, the current one stays', async () => {
      await setUp(the.sink, [order(1)]);
      const loader = loaderOf(the.sink, 'loader', 1);
      const late = () =>
        loader.stage(
          [rowBatchOf(ORDERS, [order(5)], { epoch: 'e2', partition: 0, attempt: 'x', batch: 0 })],
          [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 1, rows: 1 })],
        );
      await late();
      expect(await the.sink.generations('shop', ORDERS.table)).toEqual([
        { epoch: 'e1', anchor: 'anchor', current: true },
        { epoch: 'e2', anchor: '', current: false },
      ]);
      await the.sink.discard(E2);
      await the.sink.discard(E2);
      expect(await the.sink.staged(E2)).toEqual([]);
      await late();
      expect(await the.sink.staged(E2)).toEqual([]);
      await expectKind('conflict', build(the.sink, E2, 1));
      await the.sink.discard(E1);
      expect(await the.seen()).toEqual(rowsOf(order(1)));
      await the.sink.discard({ ...E1, epoch: 'never staged' });
      expect(await the.sink.generations('shop', ORDERS.table)).toHaveLength(1);
    });

    test('a generation that is built and not current can be discarded', async () => {
      await setUp(the.sink, [order(1)]);
      await loaderOf(the.sink, 'loader', 1).stage([], [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 0, rows: 0 })]);
      await build(the.sink, E2, 1);
      await the.sink.discard(E2);
      expect(await the.sink.generation(E2)).toBeUndefined();
      expect(await the.seen()).toEqual(rowsOf(order(1)));
    });

    test('everything is still there for a the.sink that is opened anew', async () => {
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(changeOf(ORDERS, 'c', order(2), at(101)));
      const status = await the.sink.generation(E1);
      await the.sink[Symbol.asyncDispose]();
      the.sink = await the.harness.open();
      expect(await the.sink.generation(E1)).toEqual(status);
      expect(await the.sink.claimRows('shop', 'b', TOPIC, 1)).toEqual([1]);
      await writer.onto(the.sink).apply(changeOf(ORDERS, 'c', order(3), at(102)));
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2), order(3)));
    });
  });
}
