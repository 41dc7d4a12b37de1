import type {
  Marker,
  PartitionPhase,
  PartitionRecord,
  PipelineRecord,
  ServiceContext,
  SinkReport,
  Source,
  TableRecord,
} from '@nanosync/core';
import { newPipeline, positionOf, RECORD_VERSION, readRecord, stateKeys, withCopyStopped } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { asBuilt, StoppedTables, stopCopies } from './stopping.ts';

const L0 = positionOf(100n, 0n);
const TABLE: TableRecord = {
  ...{ v: RECORD_VERSION, table: ORDERS.table, phase: 'snapshotting', anchor: 'a', epoch: 'e1', schema: ORDERS, storage: 's', l0: L0 },
  ...{ l1Requested: false, partitions: 4, voids: 0, estimatedRows: 1, busPartitions: 1, older: null, failure: null, replaces: false },
};
const connection = { name: 'c', type: 'fake', dsn: null, properties: {} };
const NEW = newPipeline(
  {
    ...{ name: 'p', replicationType: 'cdc', source: { connection, tables: [ORDERS.table] }, sink: { connection } },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  0,
);
const PIPELINE = withCopyStopped({ ...NEW, phase: 'snapshotting', anchor: { id: 'a', l0: L0, origin: {} } });
const HALF: readonly PartitionPhase[] = ['durable', 'read', 'reading', 'planned'];

/** A table as stored, with its ranges, of a pipeline whose copies are to stop. */
async function stopping(record: Partial<TableRecord> = {}, ranges = HALF, voided: string | null = null) {
  const clock = new FakeClock();
  const state = Object.assign(openMemoryState({ clock }), { mayLoseMs: 1000 });
  const key = stateKeys.table('p', ORDERS.table);
  await state.put(stateKeys.pipeline('p'), PIPELINE, 0);
  await state.put(key, { ...TABLE, ...record }, 0);
  const partition = async (number: number, phase: PartitionPhase) => {
    const at = stateKeys.partition('p', ORDERS.table, 'e1', number);
    const value: PartitionRecord = {
      ...{ v: RECORD_VERSION, partition: number, range: `${number}:`, phase, emitted: true, attempt: 'x', attempts: 1, reader: null },
      ...{ rows: 1, bytes: 1, voided: phase === 'reading' ? voided : null },
    };
    await state.put(at, value, (await state.get(at))?.version ?? 0);
  };
  for (const [number, phase] of ranges.entries()) await partition(number, phase);
  const marks: string[] = [];
  const source = {
    mark: async (marker: Marker) => void marks.push(`${marker.kind} ${'epoch' in marker ? marker.epoch : ''}`),
    discover: async () => [{ schema: ORDERS, storage: 'another file', estimatedRows: 1 }],
  } as unknown as Source;
  const line = () => {};
  const log = { info: line, warn: line };
  const { signal } = new AbortController();
  const ctx = { state, clock, ids: { next: () => 'i1' }, log, failpoint: line, signal } as unknown as ServiceContext;
  const stored = async () => (await readRecord<TableRecord>(state, key))!;
  const tables = new StoppedTables();
  const stop = (fresh: readonly string[] = ['e1']) =>
    stopCopies({ ctx, pipeline: PIPELINE, source, fresh: new Set(fresh), waiting: async () => {} });
  return {
    ...{ clock, ctx, marks, partition, stored, stop },
    table: async () => (await stored()).value,
    /** Where the store may have lost the table until then. */
    stopInTime: async (fresh?: readonly string[]) => {
      const stopped = stop(fresh);
      await clock.advance(1000);
      await stopped;
    },
    meet: () => state.put(stateKeys.capture('p'), { v: RECORD_VERSION, anchor: 'a', tables: { [ORDERS.table]: {} } }, 0),
    settled: async () => tables.settled(ctx, 'p', await stored()),
    asked: async () => (await readRecord<PipelineRecord>(state, stateKeys.pipeline('p')))?.value.copyStopped,
    put: async (change: Partial<TableRecord>) => state.put(key, { ...(await stored()).value, ...change }, (await stored()).version),
  };
}

test('a table that is half read says which partitions are missing, under its epoch and L0, and then nothing is asked for any more', async () => {
  const { stop, table, asked, marks } = await stopping();
  await stop();
  expect(await table()).toEqual({ ...TABLE, missing: [[2, 3]] });
  expect(await asked()).toBeUndefined();
  expect(marks).toEqual([]);
  await stop(); // Of a planner that had read the request before.
  expect(await table()).toEqual({ ...TABLE, missing: [[2, 3]] });
});

test.each([
  ['is read to its end', {}, ['read', 'durable', 'durable', 'read']],
  ['has its L1', { l1Requested: true }, HALF],
  ['is built', { phase: 'built' }, HALF],
  ['adopts', { adopts: true, partitions: 0 }, []],
  ['is copied anew', { older: { epoch: 'e0', schema: ORDERS, storage: 's', quarantinedBefore: 0 } }, HALF],
  ['is of another anchor', { anchor: 'b' }, HALF],
] as const)('a table that %s stays as it is', async (_, record, ranges) => {
  const { stop, table, asked } = await stopping(record, ranges);
  await stop();
  expect(await table()).toEqual({ ...TABLE, ...record });
  expect(await asked()).toBeUndefined();
});

test.each([
  [null, ['generation e1']],
  [L0, []],
] as const)('a table without ranges is not copied at all, from its place in the stream on: %s', async (l0, marked) => {
  const { stopInTime, table, marks } = await stopping({ phase: 'planned', partitions: 0, l0 });
  await stopInTime();
  expect(await table()).toEqual({ ...TABLE, phase: 'snapshotting', partitions: 0, l0, missing: [] });
  expect(marks).toEqual(marked);
});

test('the marker of a table that is not read at all, and that capture has not met, waits until the store cannot lose the table any more', async () => {
  const { stop, clock, marks, table } = await stopping({ phase: 'planned', partitions: 0, l0: null });
  const stopped = stop();
  await clock.advance(999);
  expect(marks).toEqual([]);
  expect((await table()).missing).toBeUndefined();
  await clock.advance(1);
  await stopped;
  expect(marks).toEqual(['generation e1']);
  const met = await stopping({ phase: 'planned', partitions: 0, l0: null });
  await met.meet();
  await met.stop();
  expect(met.marks).toEqual(['generation e1']);
});

test('a table without ranges that another planner chose the epoch of gets one that nobody has read or given up', async () => {
  const { stopInTime, table, marks } = await stopping({ phase: 'planned', partitions: 0 });
  await stopInTime([]);
  expect(await table()).toMatchObject({ phase: 'snapshotting', epoch: 'i1', l0: null, missing: [] });
  expect(marks).toEqual(['generation i1']);
});

test('of a table that was rewritten nothing that was read counts: it is planned anew, and stopped then', async () => {
  const { stop, stopInTime, table, asked } = await stopping({}, HALF, 'rewritten');
  await stop();
  expect(await table()).toMatchObject({ phase: 'planned', epoch: 'i1', l0: null });
  expect((await table()).missing).toBeUndefined();
  expect(await asked()).toBe(true);
  await stopInTime();
  expect(await table()).toMatchObject({ phase: 'snapshotting', epoch: 'i1', partitions: 0, missing: [] });
  expect(await asked()).toBeUndefined();
});

test('another planner that changed the table first is not overwritten, and the request stays', async () => {
  const { ctx, stop, table, put, asked } = await stopping();
  const list = ctx.state.list.bind(ctx.state);
  ctx.state.list = async (prefix) => {
    const found = await list(prefix);
    if (prefix.startsWith('partitions/')) await put({ voids: 1 });
    return found;
  };
  await expect(stop()).rejects.toMatchObject({ kind: 'conflict' });
  expect((await table()).missing).toBeUndefined();
  expect(await asked()).toBe(true);
});

test('what is missing is settled once the store cannot lose it any more, without what was read meanwhile', async () => {
  const { stop, settled, clock, partition } = await stopping();
  await stop();
  expect(await settled()).toBeUndefined();
  await clock.advance(900);
  expect(await settled()).toBeUndefined();
  await partition(2, 'read');
  await clock.advance(200);
  expect(await settled()).toMatchObject({ missing: [[3, 3]] });
});

test('a store that lost it and got it again is given its time again', async () => {
  const { stop, settled, clock, put } = await stopping();
  await stop();
  await settled();
  await clock.advance(900);
  await put({}); // Stored anew, with another version.
  await clock.advance(200);
  expect(await settled()).toBeUndefined();
});

test('a copy that was read to its end after all is whole', async () => {
  const { stop, settled, clock, partition } = await stopping();
  await stop();
  await settled();
  for (const number of [2, 3]) await partition(number, 'read');
  await clock.advance(1000);
  expect(await settled()).toEqual(TABLE);
});

test('what was read and is not any more has been lost by the store', async () => {
  const { stop, settled, clock, partition } = await stopping();
  await stop();
  await settled();
  await partition(1, 'planned');
  await clock.advance(1000);
  await expect(settled()).rejects.toMatchObject({ kind: 'gap' });
});

test('a built table lacks what the sink says, and a store that has lost that it was stopped does not take it for whole', () => {
  const report = (without?: SinkReport['without']) => ({ built: true, without }) as SinkReport;
  const stopped: TableRecord = { ...TABLE, missing: [[2, 3]] };
  expect(asBuilt('p', stopped, report([[3, 3]]))).toEqual({ ...TABLE, missing: [[3, 3]] });
  expect(asBuilt('p', stopped, report())).toEqual(TABLE);
  expect(asBuilt('p', TABLE, report())).toEqual(TABLE);
  expect(() => asBuilt('p', TABLE, report([[3, 3]]))).toThrow('lost which rows are missing');
});
