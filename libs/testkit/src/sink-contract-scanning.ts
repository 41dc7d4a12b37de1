import type { Row, Sink, SinkRow } from '@nanosync/core';
import { describe, expect, test } from 'vitest';
import { at, changeOf, endOf, ORDERS, order, orderText, rowBatchOf } from './sink-fixtures.ts';
import type { Scenario } from './sink-scenario.ts';
import { build, E1, E2, expectKind, L0, loaderOf, rowsOf, setUp, writerOf } from './sink-scenario.ts';

async function scanned(sink: Sink, options: { readonly keys?: readonly Row[]; readonly generation?: typeof E1 } = {}): Promise<SinkRow[]> {
  const rows: SinkRow[] = [];
  const { keys, generation = E1 } = options;
  const request = { generation, schema: ORDERS, signal: new AbortController().signal, ...(keys === undefined ? {} : { keys }) };
  for await (const piece of sink.scan(request)) rows.push(...piece);
  return rows.sort((a, b) => Number((a.cells[0] as bigint) - (b.cells[0] as bigint)));
}

const texts = (rows: readonly SinkRow[]) => rows.map(({ cells }) => orderText(cells));

/** Reading the rows of a generation. */
export function describeScanning(the: Scenario): void {
  describe('scanning', () => {
    test('yields every row with the position of its last change, those of the copy with L0', async () => {
      await setUp(the.sink, [order(1), order(2, null, null), order(3)]);
      const writer = await writerOf(the.sink, 'w');
      await writer.apply(
        changeOf(ORDERS, 'u', order(3, 'changed'), at(102)),
        changeOf(ORDERS, 'd', order(1), at(103)),
        changeOf(ORDERS, 'c', order(4), at(104, 2)),
      );
      const rows = await scanned(the.sink);
      expect(texts(rows)).toEqual(rowsOf(order(2, null, null), order(3, 'changed'), order(4)));
      expect(rows.map(({ position }) => position)).toEqual([L0, at(102), at(104, 2)]);
    });

    test('yields the rows of some keys alone', async () => {
      await setUp(
        the.sink,
        Array.from({ length: 40 }, (_, index) => order(index)),
      );
      expect(texts(await scanned(the.sink, { keys: [[7n], [1000n], [39n]] }))).toEqual(rowsOf(order(7), order(39)));
      expect(await scanned(the.sink, { keys: [[1000n]] })).toEqual([]);
    });

    test('goes on beside a writer, and yields what did not change meanwhile once', async () => {
      await setUp(
        the.sink,
        Array.from({ length: 40 }, (_, index) => order(index)),
      );
      const writer = await writerOf(the.sink, 'w');
      const rows: SinkRow[] = [];
      let commit = 200;
      for await (const piece of the.sink.scan({ generation: E1, schema: ORDERS, signal: new AbortController().signal })) {
        rows.push(...piece);
        await writer.apply(changeOf(ORDERS, 'u', order(0, `at ${commit}`), at(commit++)));
      }
      const others = rows.filter(({ cells }) => cells[0] !== 0n).map(({ cells }) => Number(cells[0]));
      expect(others.sort((a, b) => a - b)).toEqual(Array.from({ length: 39 }, (_, index) => index + 1));
    });

    test('reads a generation that is not shown, and refuses one that is not there', async () => {
      await setUp(the.sink, [order(1)]);
      await expectKind('conflict', scanned(the.sink, { generation: E2 }));
      await loaderOf(the.sink, 'loader', 1).stage(
        [rowBatchOf(ORDERS, [order(5)], { epoch: 'e2', partition: 0, attempt: 'x', batch: 0 })],
        [endOf(ORDERS, { epoch: 'e2', partition: 0, attempt: 'x', batches: 1, rows: 1 })],
      );
      await build(the.sink, E2, 1);
      expect(texts(await scanned(the.sink, { generation: E2 }))).toEqual(rowsOf(order(5)));
      await the.sink.switchTo(E2);
      await expectKind('conflict', scanned(the.sink));
    });

    test('ends when it is given up', async () => {
      await setUp(the.sink, [order(1)]);
      const request = { generation: E1, schema: ORDERS, signal: AbortSignal.abort(new Error('enough')) };
      await expect(the.sink.scan(request)[Symbol.asyncIterator]().next()).rejects.toThrow('enough');
    });
  });
}
