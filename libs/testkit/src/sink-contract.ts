import type { ApplyRequest, EndMarker, GenerationId, Row, RowBatch, Sink, SinkChange, TableId, TableSchema } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { at, changeOf, endOf, ORDERS, order, orderText, rowBatchOf, without } from './sink-fixtures.ts';

/** A warehouse as the contract suite needs it, fresh for each test. */
export interface SinkHarness extends AsyncDisposable {
  /** Another sink on the same warehouse. */
  open(): Promise<Sink>;
  /** What users see under the table's name, every cell as text, ordered by `id`; undefined when there is no such table. */
  read(table: TableId): Promise<readonly (readonly (string | null)[])[] | undefined>;
  /** Makes something that is not nanosync's under the table's name. */
  occupy(table: TableId): Promise<void>;
}

const E1: GenerationId = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
const E2: GenerationId = { ...E1, epoch: 'e2' };
const L0 = at(100, 0);
const TOPIC = 'topic-1';

/** Registers the tests that every {@link Sink} has to pass. */
export function describeSink(name: string, makeHarness: () => Promise<SinkHarness>): void {
  describe(`sink contract: ${name}`, () => {
    let harness: SinkHarness;
    let sink: Sink;
    beforeEach(async () => {
      harness = await makeHarness();
      sink = await harness.open();
    });
    afterEach(async () => {
      await sink[Symbol.asyncDispose]();
      await harness[Symbol.asyncDispose]();
    });
    const seen = () => harness.read(ORDERS.table);
    const rowsOf = (...rows: readonly Row[]) => rows.map(orderText);

    describe('staging', () => {
      test('a loader begins at 0, goes on where it was, and a topic that is another one is a gap', async () => {
        expect(await sink.claimRows('shop', 'a', TOPIC, 2)).toEqual([0, 0]);
        await sink.stage({ pipeline: 'shop', owner: 'a', moves: [{ busPartition: 1, from: 0, to: 3 }], batches: [], ends: [] });
        expect(await sink.claimRows('shop', 'b', TOPIC, 2)).toEqual([0, 3]);
        await expectKind('gap', sink.claimRows('shop', 'b', 'topic-2', 2));
        await expectKind('gap', sink.claimRows('shop', 'b', TOPIC, 3));
        expect(await sink.claimRows('other', 'b', 'topic-2', 1)).toEqual([0]);
      });

      test('moves exactly, under the last claimed token, or changes nothing', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        await loader.stage([batch(0, 'a1', 0, [order(1)])], []);
        await expectKind('conflict', loaderOf(sink, 'a').stage([batch(0, 'a1', 1, [order(2)])], [end(0, 'a1', 1, 1)]));
        await sink.claimRows('shop', 'b', TOPIC, 1);
        await expectKind('conflict', loader.stage([batch(0, 'a1', 1, [order(2)])], [end(0, 'a1', 1, 1)]));
        expect(await sink.staged(E1)).toEqual([]);
        await loaderOf(sink, 'b', 1).stage([], [end(0, 'a1', 1, 1)]);
        expect(await sink.staged(E1)).toEqual([{ partition: 0, attempt: 'a1', rows: 1, quarantined: 0 }]);
      });

      test('a partition is complete when one attempt has its end marker, all its batches and all its rows', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        await loader.stage([], [end(0, 'a1', 2, 3, 4)]);
        await loader.stage([batch(0, 'a1', 1, [order(1)]), batch(0, 'a2', 0, [order(1), order(2)])], []);
        expect(await sink.staged(E1)).toEqual([]);
        await loader.stage([batch(0, 'a1', 0, [order(2), order(3)])], []);
        expect(await sink.staged(E1)).toEqual([{ partition: 0, attempt: 'a1', rows: 3, quarantined: 4 }]);
        await loader.stage([batch(1, 'a3', 0, [order(4)])], [end(1, 'a3', 1, 2)]);
        expect(await sink.staged(E1)).toHaveLength(1);
        await loader.stage([], [end(2, 'a4', 0, 0)]);
        expect((await sink.staged(E1)).map((one) => one.partition)).toEqual([0, 2]);
      });

      test('the attempt that was complete first stays the one, whatever a zombie adds', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        await loader.stage([batch(0, 'b', 0, [order(1)])], [end(0, 'b', 1, 1)]);
        await loader.stage([batch(0, 'a', 0, [order(1), order(9)])], [end(0, 'a', 1, 2)]);
        expect(await sink.staged(E1)).toEqual([{ partition: 0, attempt: 'b', rows: 1, quarantined: 0 }]);
        expect(await build(sink, E1, 1)).toEqual({ rows: 1 });
        expect(await seen()).toEqual(rowsOf(order(1)));
      });

      test('a repeated batch is there once, in one request and in several', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        const one = batch(0, 'a1', 0, [order(1)]);
        await loader.stage([one, one], []);
        await loader.stage([one], [end(0, 'a1', 1, 1), end(0, 'a1', 1, 1)]);
        expect(await build(sink, E1, 1)).toEqual({ rows: 1 });
      });

      test('takes blocks as they are and compressed, with nulls, and batches of several tables in one step', async () => {
        const other: TableSchema = { ...ORDERS, table: 'public.other' as TableId };
        await sink.claimRows('shop', 'a', TOPIC, 2);
        const nulls: Row = [3n, null, null, null, null];
        await sink.stage({
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
        await build(sink, E1, 1);
        await build(sink, { ...E1, table: other.table, epoch: 'o1' }, 1, other);
        expect(await seen()).toEqual(rowsOf(order(1), nulls));
        expect(await harness.read(other.table)).toEqual(rowsOf(order(7)));
      });
    });

    describe('building', () => {
      test('makes one row a key, shows it under the name, and does it once', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        await loader.stage([batch(0, 'a1', 0, [order(1), order(2, 'early')]), batch(1, 'a2', 0, [order(2, 'late'), order(3)])], []);
        await loader.stage([], [end(0, 'a1', 1, 2), end(1, 'a2', 1, 2)]);
        expect(await seen()).toBeUndefined();
        expect(await sink.generation(E1)).toBeUndefined();
        expect(await build(sink, E1, 2)).toEqual({ rows: 3 });
        expect(await build(sink, E1, 2)).toEqual({ rows: 3 });
        const rows = (await seen()) ?? [];
        expect(rows.map(([id]) => id)).toEqual(['1', '2', '3']);
        expect(['early', 'late']).toContain(rows[1]?.[1]);
        expect(await sink.generation(E1)).toEqual({
          rowsBuilt: 3,
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
        expect((await sink.staged(E1)).map((one) => one.rows)).toEqual([2, 2]);
      });

      test('refuses to build what is not complete', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        await loaderOf(sink, 'a').stage([batch(1, 'a1', 0, [order(1)])], [end(1, 'a1', 1, 1)]);
        await expectKind('defect', build(sink, E1, 2));
        await expectKind('defect', build(sink, E1, 1));
        expect(await sink.generation(E1)).toBeUndefined();
        expect(await seen()).toBeUndefined();
      });

      test('leaves out rows of attempts that are not the complete one', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        await loader.stage([batch(0, 'dead', 0, [order(9)]), batch(0, 'good', 0, [order(1)])], [end(0, 'good', 1, 1)]);
        expect(await build(sink, E1, 1)).toEqual({ rows: 1 });
        expect(await seen()).toEqual(rowsOf(order(1)));
      });

      test('builds an empty table', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        await loaderOf(sink, 'a').stage([], [end(0, 'a1', 0, 0)]);
        expect(await build(sink, E1, 1)).toEqual({ rows: 0 });
        expect(await seen()).toEqual([]);
      });

      test('ignores what still arrives for a built epoch, and its progress moves', async () => {
        await sink.claimRows('shop', 'a', TOPIC, 1);
        const loader = loaderOf(sink, 'a');
        await loader.stage([batch(0, 'a1', 0, [order(1)])], [end(0, 'a1', 1, 1)]);
        await build(sink, E1, 1);
        await loader.stage([batch(0, 'zombie', 0, [order(2)])], [end(0, 'zombie', 1, 1)]);
        expect(await sink.staged(E1)).toEqual([{ partition: 0, attempt: 'a1', rows: 1, quarantined: 0 }]);
        expect(await sink.claimRows('shop', 'b', TOPIC, 1)).toEqual([2]);
        expect(await seen()).toEqual(rowsOf(order(1)));
      });

      test('refuses a name that is taken by somebody else or by another pipeline', async () => {
        await harness.occupy('public.taken' as TableId);
        const problems = await sink.check('shop', ['public.taken', ORDERS.table] as TableId[]);
        expect(problems).toHaveLength(1);
        expect(problems[0]?.what).toContain('public.taken');
        const taken: TableSchema = { ...ORDERS, table: 'public.taken' as TableId };
        await sink.claimRows('shop', 'a', TOPIC, 1);
        await loaderOf(sink, 'a').stage([], [endOf(taken, { epoch: 't1', partition: 0, attempt: 'a', batches: 0, rows: 0 })]);
        await expectKind('prerequisite', build(sink, { ...E1, table: taken.table, epoch: 't1' }, 1, taken));
        await setUp(sink, [order(1)]);
        expect(await sink.check('shop', [ORDERS.table])).toEqual([]);
        const [problem] = await sink.check('other', ['Public.Orders'] as TableId[]);
        expect(problem?.what).toContain('shop');
      });
    });

    describe('applying', () => {
      test('inserts, updates and deletes, and counts', async () => {
        await setUp(sink, [order(1), order(2), order(3)]);
        const writer = await writerOf(sink, 'w');
        const done = await writer.apply(
          changeOf(ORDERS, 'c', order(4), at(101)),
          changeOf(ORDERS, 'u', order(1, 'new'), at(102)),
          changeOf(ORDERS, 'd', without(ORDERS, order(2), 'name', 'amount', 'body', 'paid'), at(103)),
          changeOf(ORDERS, 'd', order(77), at(104)),
        );
        expect(done).toEqual({ applied: 4, quarantined: [], defects: 0 });
        expect(await seen()).toEqual(rowsOf(order(1, 'new'), order(3), order(4)));
        const status = await sink.generation(E1);
        expect(status?.changesApplied).toBe(4);
        expect(status?.progress[0]).toEqual({ busPartition: 0, next: 9, session: 1, last: at(104), floor: null });
      });

      test('folds changes of one key in order', async () => {
        await setUp(sink, [order(1), order(2)]);
        const writer = await writerOf(sink, 'w');
        await writer.apply(
          changeOf(ORDERS, 'd', order(1), at(101)),
          changeOf(ORDERS, 'c', order(1, 'again'), at(102)),
          changeOf(ORDERS, 'u', without(ORDERS, order(1, 'third'), 'body'), at(103)),
          changeOf(ORDERS, 'u', order(2, 'x'), at(104)),
          changeOf(ORDERS, 'd', order(2), at(105)),
          changeOf(ORDERS, 'c', order(3), at(106)),
          changeOf(ORDERS, 'd', order(3), at(107)),
        );
        expect(await seen()).toEqual(rowsOf(order(1, 'third')));
      });

      test('keeps unchanged cells from the row, also through several changes of one batch', async () => {
        await setUp(sink, [order(1, 'a', 'large body number one'), order(2, 'b', 'large body number two')]);
        const writer = await writerOf(sink, 'w');
        await writer.apply(
          changeOf(ORDERS, 'u', without(ORDERS, order(1, 'a2'), 'body'), at(101)),
          changeOf(ORDERS, 'u', without(ORDERS, order(2, 'ignored', 'body two, new'), 'name'), at(102)),
          changeOf(ORDERS, 'u', without(ORDERS, [1n, 'ignored', 5n, 'ignored', null], 'name', 'body'), at(103)),
        );
        expect(await seen()).toEqual(rowsOf([1n, 'a2', 5n, 'large body number one', null], order(2, 'b', 'body two, new')));
      });

      test('quarantines what leaves cells out of a row that is not there, drops what is rowless, and never inserts NULL for it', async () => {
        await setUp(sink, [order(1)]);
        const writer = await writerOf(sink, 'w');
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
        expect(await seen()).toEqual(rowsOf(order(8)));
        expect(await sink.generation(E1)).toMatchObject({ quarantined: 3, changesApplied: 4, defects: 0 });
      });

      test('a rowless change is applied to a row that is there', async () => {
        await setUp(sink, [order(1)]);
        const writer = await writerOf(sink, 'w');
        await writer.apply(changeOf(ORDERS, 'u', without(ORDERS, order(1, 'changed'), 'body'), at(101), { rowless: true }));
        expect(await seen()).toEqual(rowsOf(order(1, 'changed')));
      });

      test('never goes back: a position that is not above the row is a counted defect', async () => {
        await setUp(sink, [order(1), order(2)]);
        const writer = await writerOf(sink, 'w');
        await writer.apply(changeOf(ORDERS, 'u', order(1, 'at 110'), at(110)));
        const done = await writer.apply(
          changeOf(ORDERS, 'u', order(1, 'at 105'), at(105)),
          changeOf(ORDERS, 'd', order(2), at(100, 0)),
          changeOf(ORDERS, 'u', without(ORDERS, order(1, 'at 111'), 'body'), at(111)),
        );
        expect(done).toEqual({ applied: 1, quarantined: [], defects: 2 });
        expect(await seen()).toEqual(rowsOf(order(1, 'at 111'), order(2)));
        expect(await sink.generation(E1)).toMatchObject({ defects: 2, changesApplied: 2 });
      });

      test('a truncation deletes what is below it, also of the same batch, and voids what arrives later from below', async () => {
        await setUp(sink, [order(1), order(2)]);
        const writer = await writerOf(sink, 'w');
        await writer.apply(changeOf(ORDERS, 'c', order(3), at(120), { busPartition: 1 }));
        const done = await writer.apply(
          changeOf(ORDERS, 'c', order(4), at(101)),
          changeOf(ORDERS, 't', null, at(110)),
          changeOf(ORDERS, 'c', order(1, 'after'), at(111)),
        );
        expect(done.applied).toBe(3);
        expect(await seen()).toEqual(rowsOf(order(1, 'after'), order(3)));
        const late = await writer.apply(
          changeOf(ORDERS, 'u', without(ORDERS, order(2), 'body'), at(105), { busPartition: 1 }),
          changeOf(ORDERS, 'c', order(5), at(106), { busPartition: 1 }),
          changeOf(ORDERS, 't', null, at(110), { busPartition: 1 }),
          changeOf(ORDERS, 'c', order(6), at(112), { busPartition: 1 }),
        );
        expect(late).toEqual({ applied: 4, quarantined: [], defects: 0 });
        expect(await seen()).toEqual(rowsOf(order(1, 'after'), order(3), order(6)));
        expect((await sink.generation(E1))?.progress.map((part) => part.floor)).toEqual([at(110), at(110)]);
      });

      test('moves exactly, under the last claimed token, or changes nothing', async () => {
        await setUp(sink, [order(1)]);
        const zombie = await writerOf(sink, 'zombie');
        const request = zombie.request(changeOf(ORDERS, 'c', order(2), at(101)));
        await sink.apply(request);
        await expectKind('conflict', sink.apply(request));
        const before = await sink.generation(E1);
        const writer = await writerOf(await harness.open(), 'w');
        await expectKind('conflict', sink.apply(zombie.request(changeOf(ORDERS, 'c', order(3), at(102)))));
        await expectKind('conflict', zombie.apply(changeOf(ORDERS, 't', null, at(102))));
        expect(await sink.generation(E1)).toEqual(before);
        await writer.apply(changeOf(ORDERS, 'c', order(4), at(102)));
        expect(await seen()).toEqual(rowsOf(order(1), order(2), order(4)));
      });

      test('a batch that moves one bus partition wrongly moves none', async () => {
        await setUp(sink, [order(1)]);
        const writer = await writerOf(sink, 'w');
        const [good, bad] = [
          writer.request(changeOf(ORDERS, 'c', order(2), at(101))),
          writer.request(changeOf(ORDERS, 't', null, at(101), { busPartition: 1 })),
        ];
        const wrong = bad.moves.map((move) => ({ ...move, from: move.from + 1 }));
        await expectKind('conflict', sink.apply({ ...good, moves: [...good.moves, ...wrong], changes: [...good.changes, ...bad.changes] }));
        expect(await seen()).toEqual(rowsOf(order(1)));
        await expectKind('defect', sink.apply({ ...good, moves: [] }));
      });

      test('refuses changes of other columns', async () => {
        await setUp(sink, [order(1)]);
        const writer = await writerOf(sink, 'w');
        const schema = { ...ORDERS, columns: ORDERS.columns.slice(0, 4) };
        await expectKind('table-changed', sink.apply({ ...writer.request(changeOf(ORDERS, 'c', order(2), at(101))), schema }));
        expect((await sink.generation(E1))?.progress[0]?.next).toBe(5);
      });
    });

    describe('generations', () => {
      test('a second one is built beside the first, follows too, and takes the name in one step', async () => {
        await setUp(sink, [order(1), order(2)]);
        const first = await writerOf(sink, 'w');
        await loaderOf(sink, 'loader', 1).stage(
          [rowBatchOf(ORDERS, [order(1, 'fresh')], { epoch: 'e2', partition: 0, attempt: 'x', batch: 0 })],
          [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 1, rows: 1 })],
        );
        expect(await build(sink, E2, 1, ORDERS, at(200, 0))).toEqual({ rows: 1 });
        const second = await writerOf(sink, 'w', E2);
        await first.apply(changeOf(ORDERS, 'c', order(3), at(201)));
        await second.apply(changeOf(ORDERS, 'c', order(3), at(201), { epoch: 'e2' }));
        expect(await seen()).toEqual(rowsOf(order(1), order(2), order(3)));
        expect(await sink.generations('shop', ORDERS.table)).toEqual([
          { epoch: 'e1', anchor: 'anchor', current: true },
          { epoch: 'e2', anchor: 'anchor', current: false },
        ]);
        await sink.switchTo(E2);
        await sink.switchTo(E2);
        expect(await seen()).toEqual(rowsOf(order(1, 'fresh'), order(3)));
        expect(await sink.generations('shop', ORDERS.table)).toEqual([{ epoch: 'e2', anchor: 'anchor', current: true }]);
        expect(await sink.generation(E1)).toBeUndefined();
        await expectKind('conflict', sink.claim(E1, 'w'));
        await expectKind('conflict', first.apply(changeOf(ORDERS, 'c', order(9), at(300))));
        await expectKind('conflict', sink.switchTo(E1));
        await expectKind('conflict', build(sink, E1, 1));
        await second.apply(changeOf(ORDERS, 'c', order(4), at(202), { epoch: 'e2' }));
        expect(await seen()).toEqual(rowsOf(order(1, 'fresh'), order(3), order(4)));
      });

      test('a discarded epoch is gone for good, the current one stays', async () => {
        await setUp(sink, [order(1)]);
        const loader = loaderOf(sink, 'loader', 1);
        const late = () =>
          loader.stage(
            [rowBatchOf(ORDERS, [order(5)], { epoch: 'e2', partition: 0, attempt: 'x', batch: 0 })],
            [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 1, rows: 1 })],
          );
        await late();
        await sink.discard(E2);
        await sink.discard(E2);
        expect(await sink.staged(E2)).toEqual([]);
        await late();
        expect(await sink.staged(E2)).toEqual([]);
        await expectKind('conflict', build(sink, E2, 1));
        await sink.discard(E1);
        expect(await seen()).toEqual(rowsOf(order(1)));
        await sink.discard({ ...E1, epoch: 'never staged' });
        expect(await sink.generations('shop', ORDERS.table)).toHaveLength(1);
      });

      test('a generation that is built and not current can be discarded', async () => {
        await setUp(sink, [order(1)]);
        await loaderOf(sink, 'loader', 1).stage([], [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 0, rows: 0 })]);
        await build(sink, E2, 1);
        await sink.discard(E2);
        expect(await sink.generation(E2)).toBeUndefined();
        expect(await seen()).toEqual(rowsOf(order(1)));
      });

      test('everything is still there for a sink that is opened anew', async () => {
        await setUp(sink, [order(1)]);
        const writer = await writerOf(sink, 'w');
        await writer.apply(changeOf(ORDERS, 'c', order(2), at(101)));
        const status = await sink.generation(E1);
        await sink[Symbol.asyncDispose]();
        sink = await harness.open();
        expect(await sink.generation(E1)).toEqual(status);
        expect(await sink.claimRows('shop', 'b', TOPIC, 1)).toEqual([1]);
        await writer.onto(sink).apply(changeOf(ORDERS, 'c', order(3), at(102)));
        expect(await seen()).toEqual(rowsOf(order(1), order(2), order(3)));
      });
    });

    test('any sequence of changes, however it is cut into batches and repeated, leaves what the model has', {
      timeout: 60_000,
    }, async () => {
      await fc.assert(
        fc.asyncProperty(history, async ({ base, steps, cuts }) => {
          await using own = await makeHarness();
          await using fresh = await own.open();
          await setUp(
            fresh,
            base.map((id) => order(id)),
          );
          const writer = await writerOf(fresh, 'w');
          const { batches, rows } = model(base, steps, cuts);
          for (const changes of batches) {
            const request = writer.request(...changes);
            const done = await fresh.apply(request);
            expect(done).toEqual({ applied: changes.length, quarantined: [], defects: 0 });
            await expectKind('conflict', fresh.apply(request));
          }
          expect(await own.read(ORDERS.table)).toEqual(rows.map(orderText));
        }),
        { numRuns: 25 },
      );
    });
  });
}

type Step = { readonly kind: 'put' | 'patch' | 'delete' | 'truncate' | 'rowless'; readonly id: number; readonly text: string };

const history = fc.record({
  base: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 6 }),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom<Step['kind'][]>('put', 'put', 'patch', 'patch', 'delete', 'delete', 'rowless', 'truncate'),
      id: fc.integer({ min: 1, max: 10 }),
      text: fc.string({ maxLength: 20, unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    }),
    { maxLength: 40 },
  ),
  cuts: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 20 }),
});

/** Plays a history on a map, and cuts its changes into batches; keys are spread over the two bus partitions. */
function model(base: readonly number[], steps: readonly Step[], cuts: readonly number[]) {
  const rows = new Map<number, Row>(base.map((id) => [id, order(id)]));
  const changes: SinkChange[] = [];
  for (const [index, { kind, id, text }] of steps.entries()) {
    const position = at(101 + index);
    const busPartition = id % 2;
    const old = rows.get(id);
    if (kind === 'truncate') {
      rows.clear();
      for (const part of [0, 1]) changes.push(changeOf(ORDERS, 't', null, position, { busPartition: part }));
    } else if (kind === 'delete') {
      rows.delete(id);
      changes.push(changeOf(ORDERS, 'd', without(ORDERS, order(id), 'name', 'amount', 'body', 'paid'), position, { busPartition }));
    } else if (kind === 'rowless' && old === undefined) {
      changes.push(changeOf(ORDERS, 'u', without(ORDERS, order(id, text), 'body'), position, { busPartition, rowless: true }));
    } else if (kind === 'patch' && old !== undefined) {
      const patched: Row = [old[0] ?? null, text, null, old[3] ?? null, old[4] ?? null];
      rows.set(id, patched);
      changes.push(changeOf(ORDERS, 'u', without(ORDERS, patched, 'body', 'paid'), position, { busPartition }));
    } else {
      rows.set(id, order(id, text, `body of ${text}`));
      changes.push(changeOf(ORDERS, old === undefined ? 'c' : 'u', order(id, text, `body of ${text}`), position, { busPartition }));
    }
  }
  const batches: SinkChange[][] = [];
  let from = 0;
  for (const size of [...cuts, changes.length]) {
    if (from < changes.length) batches.push(changes.slice(from, from + size));
    from += size;
  }
  return { batches, rows: [...rows].sort(([a], [b]) => a - b).map(([, row]) => row) };
}

function batch(partition: number, attempt: string, number: number, rows: readonly Row[]) {
  return rowBatchOf(ORDERS, rows, { epoch: 'e1', partition, attempt, batch: number });
}

function end(partition: number, attempt: string, batches: number, rows: number, quarantined = 0): EndMarker {
  return endOf(ORDERS, { epoch: 'e1', partition, attempt, batches, rows, quarantined });
}

async function expectKind(kind: Parameters<typeof isKind>[1], promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error, `an error of kind ${kind}`).toSatisfy((thrown: unknown) => isKind(thrown, kind));
}

/** Stages on bus partition 0 of the rows topic, one offset a request. */
function loaderOf(sink: Sink, owner: string, from = 0) {
  let next = from;
  return {
    stage: async (batches: readonly { readonly batch: RowBatch; readonly schema: TableSchema }[], ends: readonly EndMarker[]) => {
      await sink.stage({ pipeline: 'shop', owner, moves: [{ busPartition: 0, from: next, to: next + 1 }], batches, ends });
      next++;
    },
  };
}

function build(sink: Sink, generation: GenerationId, partitions: number, schema = ORDERS, l0 = L0) {
  const start = [
    { next: 5, session: 1 },
    { next: 7, session: 1 },
  ];
  return sink.build({ generation, anchor: 'anchor', schema, partitions, l0, topicId: TOPIC, start });
}

/** Builds E1 out of these rows, loaded as `loader` up to offset 1. */
async function setUp(sink: Sink, rows: readonly Row[]): Promise<void> {
  const [from] = await sink.claimRows('shop', 'loader', TOPIC, 1);
  await loaderOf(sink, 'loader', from).stage([batch(0, 'a1', 0, rows)], [end(0, 'a1', 1, rows.length)]);
  await build(sink, E1, 1);
}

/** Applies changes, a batch a call, and keeps the offsets as the sink-writer does. */
async function writerOf(sink: Sink, owner: string, generation = E1) {
  const { progress } = await sink.claim(generation, owner);
  const next = progress.map((part) => part.next);
  const request = (...changes: readonly SinkChange[]): ApplyRequest => {
    const parts = [...new Set(changes.map((change) => change.busPartition))];
    const moves = parts.map((busPartition) => {
      const own = changes.filter((change) => change.busPartition === busPartition);
      const from = next[busPartition] as number;
      next[busPartition] = from + own.length;
      return { busPartition, from, to: from + own.length, session: 1, last: own.at(-1)!.event.position, floor: null };
    });
    return { generation, owner, schema: ORDERS, moves, changes };
  };
  const onto = (other: Sink) => ({ request, apply: (...changes: readonly SinkChange[]) => other.apply(request(...changes)) });
  return { ...onto(sink), onto };
}
