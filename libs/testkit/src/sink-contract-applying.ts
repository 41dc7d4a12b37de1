import { describe, expect, test } from 'vitest';
import { at, changeOf, ORDERS, order, without } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { E1, expectKind, rowsOf, setUp, writerOf } from './sink-scenario.ts';

/** Applying changes. */
export function describeApplying(the: Scenario): void {
  describe('applying', () => {
    test('inserts, updates and deletes, and counts', async () => {
      await setUp(the.sink, [order(1), order(2), order(3)]);
      const writer = await writerOf(the.sink, 'w');
      const done = await writer.apply(
        changeOf(ORDERS, 'c', order(4), at(101)),
        changeOf(ORDERS, 'u', order(1, 'new'), at(102)),
        changeOf(ORDERS, 'd', without(ORDERS, order(2), 'name', 'amount', 'body', 'paid'), at(103)),
        changeOf(ORDERS, 'd', order(77), at(104)),
      );
      expect(done).toEqual({ applied: 4, quarantined: [], defects: 0 });
      expect(await the.seen()).toEqual(rowsOf(order(1, 'new'), order(3), order(4)));
      const status = await the.sink.generation(E1);
      expect(status?.changesApplied).toBe(4);
      expect(status?.progress[0]).toEqual({ busPartition: 0, next: 9, session: 1, last: at(104), floor: null });
    });

    test('folds changes of one key in order', async () => {
      await setUp(the.sink, [order(1), order(2)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(
        changeOf(ORDERS, 'd', order(1), at(101)),
        changeOf(ORDERS, 'c', order(1, 'again'), at(102)),
        changeOf(ORDERS, 'u', without(ORDERS, order(1, 'third'), 'body'), at(103)),
        changeOf(ORDERS, 'u', order(2, 'x'), at(104)),
        changeOf(ORDERS, 'd', order(2), at(105)),
        changeOf(ORDERS, 'c', order(3), at(106)),
        changeOf(ORDERS, 'd', order(3), at(107)),
      );
      expect(await the.seen()).toEqual(rowsOf(order(1, 'third')));
    });

    test('keeps unchanged cells from the row, also through several changes of one batch', async () => {
      await setUp(the.sink, [order(1, 'a', 'large body number one'), order(2, 'b', 'large body number two')]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(
        changeOf(ORDERS, 'u', without(ORDERS, order(1, 'a2'), 'body'), at(101)),
        changeOf(ORDERS, 'u', without(ORDERS, order(2, 'ignored', 'body two, new'), 'name'), at(102)),
        changeOf(ORDERS, 'u', without(ORDERS, [1n, 'ignored', 5n, 'ignored', null], 'name', 'body'), at(103)),
      );
      expect(await the.seen()).toEqual(rowsOf([1n, 'a2', 5n, 'large body number one', null], order(2, 'b', 'body two, new')));
    });

    test('quarantines what leaves cells out of a row that is not there, drops what is rowless, and never inserts NULL for it', async () => {
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      const partial = changeOf(ORDERS, 'u', without(ORDERS, order(5), 'body'), at(101));
      const afterDelete = changeOf(ORDERS, 'u', without(ORDERS, order(1), 'body'), at(105));
      const moot = changeOf(ORDERS, 'u', without(ORDERS, order(8), 'body'), at(106));
      const done = await writer.apply(
        partial,
        changeOf(ORDERS, 'u', order(6), at(102), { rowless: true }),
        changeOf(ORDERS, 'u', without(ORDERS, order(7), 'body'), at(103), { rowless: true }),
        changeOf(ORDERS, 'd', order(1), at(104)),
        afterDelete,
        moot,
        changeOf(ORDERS, 'u', order(8), at(107)),
      );
      expect(done.quarantined.map((one) => one.change)).toEqual([partial, afterDelete, moot]);
      expect(done.applied).toBe(4);
      expect(await the.seen()).toEqual(rowsOf(order(8)));
      expect(await the.sink.generation(E1)).toMatchObject({ quarantined: 3, changesApplied: 4, defects: 0 });
    });

    test('a rowless change is applied to a row that is there', async () => {
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(changeOf(ORDERS, 'u', without(ORDERS, order(1, 'changed'), 'body'), at(101), { rowless: true }));
      expect(await the.seen()).toEqual(rowsOf(order(1, 'changed')));
    });

    test('never goes back: a position that is not above the row is a counted defect', async () => {
      await setUp(the.sink, [order(1), order(2)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(changeOf(ORDERS, 'u', order(1, 'at 110'), at(110)));
      const done = await writer.apply(
        changeOf(ORDERS, 'u', order(1, 'at 105'), at(105)),
        changeOf(ORDERS, 'd', order(2), at(100, 0)),
        changeOf(ORDERS, 'u', without(ORDERS, order(1, 'at 111'), 'body'), at(111)),
      );
      expect(done).toEqual({ applied: 1, quarantined: [], defects: 2 });
      expect(await the.seen()).toEqual(rowsOf(order(1, 'at 111'), order(2)));
      expect(await the.sink.generation(E1)).toMatchObject({ defects: 2, changesApplied: 2 });
    });

    test('a truncation deletes what is below it, also of the same batch, and voids what arrives later from below', async () => {
      await setUp(the.sink, [order(1), order(2)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(changeOf(ORDERS, 'c', order(3), at(120), { busPartition: 1 }));
      const done = await writer.apply(
        changeOf(ORDERS, 'c', order(4), at(101)),
        changeOf(ORDERS, 't', null, at(110)),
        changeOf(ORDERS, 'c', order(1, 'after'), at(111)),
      );
      expect(done.applied).toBe(3);
      expect(await the.seen()).toEqual(rowsOf(order(1, 'after'), order(3)));
      const late = await writer.apply(
        changeOf(ORDERS, 'u', without(ORDERS, order(2), 'body'), at(105), { busPartition: 1 }),
        changeOf(ORDERS, 'c', order(5), at(106), { busPartition: 1 }),
        changeOf(ORDERS, 't', null, at(110), { busPartition: 1 }),
        changeOf(ORDERS, 'c', order(6), at(112), { busPartition: 1 }),
      );
      expect(late).toEqual({ applied: 4, quarantined: [], defects: 0 });
      expect(await the.seen()).toEqual(rowsOf(order(1, 'after'), order(3), order(6)));
      expect((await the.sink.generation(E1))?.progress.map((part) => part.floor)).toEqual([at(110), at(110)]);
    });

    test('moves exactly, under the last claimed token, or changes nothing', async () => {
      await setUp(the.sink, [order(1)]);
      const zombie = await writerOf(the.sink, 'zombie');
      const request = zombie.request(changeOf(ORDERS, 'c', order(2), at(101)));
      await the.sink.apply(request);
      await expectKind('conflict', the.sink.apply(request));
      const before = await the.sink.generation(E1);
      const writer = await writerOf(await the.harness.open(), 'w');
      await expectKind('conflict', the.sink.apply(zombie.request(changeOf(ORDERS, 'c', order(3), at(102)))));
      await expectKind('conflict', zombie.apply(changeOf(ORDERS, 't', null, at(102))));
      expect(await the.sink.generation(E1)).toEqual(before);
      await writer.apply(changeOf(ORDERS, 'c', order(4), at(102)));
      expect(await the.seen()).toEqual(rowsOf(order(1), order(2), order(4)));
    });

    test('a batch that moves one bus partition wrongly moves none', async () => {
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      const [good, bad] = [
        writer.request(changeOf(ORDERS, 'c', order(2), at(101))),
        writer.request(changeOf(ORDERS, 't', null, at(101), { busPartition: 1 })),
      ];
      const wrong = bad.moves.map((move) => ({ ...move, from: move.from + 1 }));
      await expectKind(
        'conflict',
        the.sink.apply({ ...good, moves: [...good.moves, ...wrong], changes: [...good.changes, ...bad.changes] }),
      );
      expect(await the.seen()).toEqual(rowsOf(order(1)));
      await expectKind('defect', the.sink.apply({ ...good, moves: [] }));
    });

    test('refuses changes of other columns', async () => {
      await setUp(the.sink, [order(1)]);
      const writer = await writerOf(the.sink, 'w');
      const schema = { ...ORDERS, columns: ORDERS.columns.slice(0, 4) };
      await expectKind('table-changed', the.sink.apply({ ...writer.request(changeOf(ORDERS, 'c', order(2), at(101))), schema }));
      expect((await the.sink.generation(E1))?.progress[0]?.next).toBe(5);
    });
  });
}
