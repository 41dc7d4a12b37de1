import type { PipelineRecord, QueryMode, QueryRecord, Row, ServiceContext, Sink, SinkReport, TableRecord } from '@nanosync/core';
import { newPipeline, positionOf, RECORD_VERSION, stateKeys } from '@nanosync/core';
import { endOf, FakeClock, memoryWarehouse, ORDERS, openMemoryState, order, rowBatchOf } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { runResultWriter } from './result-writer.ts';
import { TableReport } from './table-report.ts';

const L0 = positionOf(0n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const PIPELINE: PipelineRecord = {
  ...newPipeline(
    {
      ...{ name: 'p', replicationType: 'query', source: { connection: CONNECTION, tables: [] }, sink: { connection: CONNECTION } },
      snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
      query: { statement: 's', table: ORDERS.table, key: ['id'], schedule: { everyMs: 1000 }, timeoutMs: null },
    },
    0,
  ),
  ...{ phase: 'scheduled', anchor: { id: 'a', l0: L0, origin: {} } },
};

/** A query's table with its writer; the test begins and ends the runs. */
async function writerFixture() {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const warehouse = memoryWarehouse();
  const sink = warehouse.open();
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const put = async (key: string, value: unknown) => state.put(key, value, (await state.get(key))?.version ?? 0);
  await put(stateKeys.pipeline('p'), PIPELINE);
  await sink.claimRows('p', 'loader', 'rows', 1);
  let staged = 0;
  const schemaOf = (key: readonly string[]) => ({ ...ORDERS, key });
  return {
    ...{ clock, sink },
    seen: () => warehouse.read(ORDERS.table)?.map(([id, name]) => `${String(id)} ${String(name)}`),
    begin: async (epoch: string, mode: QueryMode, key: readonly string[] = ORDERS.key) => {
      const table: TableRecord = {
        ...{
          v: RECORD_VERSION,
          table: ORDERS.table,
          phase: 'snapshotting',
          anchor: 'a',
          epoch,
          schema: schemaOf(key),
          storage: 's',
          l0: L0,
        },
        ...{ l1Requested: false, partitions: 1, voids: 0, estimatedRows: 0, busPartitions: 0, failure: null, older: null },
      };
      await put(stateKeys.table('p', ORDERS.table), table);
      const run = { epoch, table: ORDERS.table, mode, startedMs: 0 };
      const runs: QueryRecord = { v: RECORD_VERSION, schedule: '', dueMs: 0, asked: null, run, last: null, writtenKey: null };
      await put(stateKeys.query('p'), runs);
    },
    stage: async (epoch: string, rows: readonly Row[], { key = ORDERS.key, attempt = 'a', whole = true } = {}) => {
      const name = { epoch, partition: 0, attempt };
      await sink.stage({
        ...{ pipeline: 'p', owner: 'loader', moves: [{ busPartition: 0, from: staged, to: ++staged }] },
        batches: [rowBatchOf(schemaOf(key), rows, { ...name, batch: 0 })],
        ends: whole ? [endOf(schemaOf(key), { ...name, batches: 1, rows: rows.length })] : [],
      });
    },
    report: async () => (await state.get(stateKeys.sinkReport('p', ORDERS.table)))?.value as SinkReport | undefined,
    /** Starts a writer, on this sink or one between; returns how to end it. */
    write: (through: Sink = sink) => {
      const ending = new AbortController();
      const next = { next: () => `i${++ids}` };
      const ctx = { ...{ state, clock, log, ids: next, failpoint: () => {} }, signal: ending.signal } as unknown as ServiceContext;
      const report = new TableReport(ctx, 'p', ORDERS.table);
      const running = runResultWriter({ ctx, pipeline: PIPELINE, sink: through, table: ORDERS.table, report, wanted: () => true }).catch(
        () => undefined,
      );
      return async () => {
        ending.abort();
        await clock.advance(5000);
        await running;
      };
    },
    until: async (done: () => boolean | Promise<boolean>) => {
      for (let turn = 0; turn < 100; turn++) {
        if (await done()) return true;
        await clock.advance(100);
      }
      return false;
    },
  };
}

test('a result is written when all of it is there, and not before', async () => {
  const { begin, stage, write, until, report, seen, clock } = await writerFixture();
  await begin('e1', 'replace');
  const end = write();
  await stage('e1', [order(9)], { attempt: 'killed', whole: false });
  await clock.advance(1000);
  expect(seen()).toBeUndefined();
  await stage('e1', [order(1), order(2)]);
  expect(await until(async () => (await report())?.built === true)).toBe(true);
  expect(seen()).toEqual(['1 name 1', '2 name 2']);
  expect(await report()).toMatchObject({ epoch: 'e1', rowsBuilt: 2, failure: null });
  await end();
});

test('in place of all rows, or over those that are there', async () => {
  const { begin, stage, write, until, report, seen } = await writerFixture();
  const end = write();
  const run = async (epoch: string, mode: QueryMode, ...rows: readonly Row[]) => {
    await begin(epoch, mode);
    await stage(epoch, rows);
    expect(await until(async () => (await report())?.epoch === epoch && (await report())?.built === true)).toBe(true);
  };
  await run('e1', 'merge', order(1), order(2));
  await run('e2', 'merge', order(2, 'new'), order(3));
  expect(seen()).toEqual(['1 name 1', '2 new', '3 name 3']);
  await run('e3', 'replace', order(4));
  expect(seen()).toEqual(['4 name 4']);
  await end();
});

test('goes on with the rows that a deleted pipeline left, and drops what it has begun of that in no repetition', async () => {
  const { begin, stage, write, until, report, seen, sink } = await writerFixture();
  await sink.claimRows('old', 'loader', 'rows', 1);
  const name = { epoch: 'e0', partition: 0, attempt: 'a' };
  const rows = [order(1), order(2)];
  const staged = { batches: [rowBatchOf(ORDERS, rows, { ...name, batch: 0 })], ends: [endOf(ORDERS, { ...name, batches: 1, rows: 2 })] };
  await sink.stage({ pipeline: 'old', owner: 'loader', moves: [{ busPartition: 0, from: 0, to: 1 }], ...staged });
  const generation = { pipeline: 'old', table: ORDERS.table, epoch: 'e0' };
  await sink.build({ generation, anchor: 'a', schema: ORDERS, partitions: 1, l0: L0, topicId: '', start: [] });
  await sink.release('old', null, { dropTables: false });
  const discarded: string[] = [];
  const end = write({
    ...sink,
    // As if a sink of several steps had died in the middle of them.
    generations: async (...of) => [...(await sink.generations(...of)), { epoch: 'e1-left', anchor: 'a', current: false }],
    discard: async (id) => void discarded.push(id.epoch),
  });
  await begin('e1', 'merge');
  await stage('e1', [order(2, 'new'), order(3)]);
  expect(await until(async () => (await report())?.built === true)).toBe(true);
  expect(seen()).toEqual(['1 name 1', '2 new', '3 name 3']);
  expect([discarded, await sink.left([ORDERS.table])]).toEqual([[], []]);
  await end();
});

test('rows that a deleted pipeline left with another key are not dropped by a result, but by a resnapshot', async () => {
  const { begin, stage, write, until, report, seen, sink } = await writerFixture();
  const end = write();
  await begin('e1', 'replace', []);
  await stage('e1', [order(1)], { key: [] });
  expect(await until(async () => (await report())?.built === true)).toBe(true);
  await sink.release('p', ORDERS.table, { dropTables: false });
  await begin('e2', 'merge');
  await stage('e2', [order(2)]);
  expect(await until(async () => (await report())?.epoch === 'e2' && (await report())?.failure != null)).toBe(true);
  expect((await report())?.failure).toEqual({
    reason: 'the rows of public.orders that pipeline p left have other columns, or another key, than the result.',
    cure: 'Write the table anew, without them: nanosync pipeline resnapshot p',
  });
  expect(seen()).toEqual(['1 name 1']);
  await begin('e3', 'replace');
  await stage('e3', [order(2)]);
  expect(await until(async () => (await report())?.epoch === 'e3' && (await report())?.built === true)).toBe(true);
  expect(seen()).toEqual(['2 name 2']);
  await end();
});

test('a result with two rows of a key, or without one, is refused as a whole, in numbers alone', async () => {
  const { begin, stage, write, until, report, seen } = await writerFixture();
  const end = write();
  await begin('e1', 'replace');
  await stage('e1', [order(1, 'secret'), order(1, 'secret'), order(2)]);
  expect(await until(async () => (await report())?.failure?.reason !== undefined)).toBe(true);
  expect((await report())?.failure?.reason).toBe('1 key (id) stands in several rows of the result, so nothing of it was written.');
  await begin('e2', 'replace');
  await stage('e2', [[null, 'secret', null, null, null], order(2)]);
  expect(await until(async () => (await report())?.epoch === 'e2' && (await report())?.failure?.reason !== undefined)).toBe(true);
  expect((await report())?.failure?.reason).toBe('1 row of the result has no value in the key (id), so nothing of it was written.');
  expect(seen()).toBeUndefined();
  await begin('e3', 'replace');
  await stage('e3', [order(3)]);
  expect(await until(() => seen() !== undefined)).toBe(true);
  await end();
});

test('a result with other columns than the rows that are there is refused with the cure', async () => {
  const { begin, stage, write, until, report, seen } = await writerFixture();
  const end = write();
  await begin('e1', 'replace');
  await stage('e1', [order(1)]);
  expect(await until(() => seen() !== undefined)).toBe(true);
  await begin('e2', 'merge', ['name']);
  await stage('e2', [order(2)], { key: ['name'] });
  expect(await until(async () => (await report())?.failure?.reason !== undefined && (await report())?.epoch === 'e2')).toBe(true);
  expect((await report())?.failure?.cure).toContain('nanosync pipeline resnapshot p');
  expect(seen()).toEqual(['1 name 1']);
  await end();
});

test('a writer that comes after one that died says what is done, and does it not again', async () => {
  const { begin, stage, write, until, report, seen, sink, clock } = await writerFixture();
  await begin('e1', 'replace');
  await stage('e1', [order(1)]);
  let merges = 0;
  const died = {
    ...sink,
    merge: async (request: Parameters<Sink['merge']>[0]) => {
      merges++;
      await sink.merge(request);
      throw new Error('died');
    },
  };
  const end = write(died as Sink);
  expect(await until(() => seen() !== undefined)).toBe(true);
  await begin('e2', 'merge');
  await stage('e2', [order(1, 'new')]);
  expect(await until(() => merges > 0)).toBe(true);
  await end();
  expect((await report())?.built).toBe(false);
  const again = write({ ...sink, merge: async () => Promise.reject(new Error('merged again')) });
  expect(await until(async () => (await report())?.epoch === 'e2' && (await report())?.built === true)).toBe(true);
  await clock.advance(1000);
  expect(seen()).toEqual(['1 new']);
  await again();
});

test('what an earlier run left is given up before a later one is written', async () => {
  const { begin, stage, write, until, report, sink, seen } = await writerFixture();
  await begin('e1', 'replace');
  await stage('e1', [order(1)]);
  const end = write();
  expect(await until(async () => (await report())?.built === true)).toBe(true);
  await stage('old', [order(1, 'old')]);
  await begin('e2', 'merge');
  await stage('e2', [order(1, 'new')]);
  expect(await until(async () => (await report())?.epoch === 'e2' && (await report())?.built === true)).toBe(true);
  const late = sink.merge({ generation: { pipeline: 'p', table: ORDERS.table, epoch: 'old' }, schema: ORDERS, partitions: 1, l0: L0 });
  await expect(late).rejects.toThrow('given up');
  expect(seen()).toEqual(['1 new']);
  await end();
});
