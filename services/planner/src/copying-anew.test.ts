import type { PipelineRecord, ServiceContext, Source, TableRecord } from '@nanosync/core';
import { newPipeline, positionOf, RECORD_VERSION, readRecord, stateKeys } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { beginCopies } from './copying-anew.ts';

const L0 = positionOf(100n, 0n);
const TABLE: TableRecord = {
  ...{ v: RECORD_VERSION, table: ORDERS.table, phase: 'following', anchor: 'a', epoch: 'e1', schema: ORDERS, storage: 's', l0: L0 },
  ...{ l1Requested: true, partitions: 3, voids: 1, estimatedRows: 1, busPartitions: 1, older: null, failure: null },
};
const connection = { name: 'c', type: 'fake', dsn: null, properties: {} };
const NEW = newPipeline(
  {
    ...{ name: 'p', replicationType: 'cdc_backfill', source: { connection, tables: [ORDERS.table] }, sink: { connection } },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  0,
);
const PIPELINE: PipelineRecord = {
  ...NEW,
  ...{ phase: 'streaming', anchor: { id: 'a', l0: L0, origin: {} }, intent: { ...NEW.intent, copyAnew: [ORDERS.table] } },
};

/** A table as stored, and a planner that was asked to copy it anew. */
async function asked(record: Partial<TableRecord>, found: Partial<Awaited<ReturnType<Source['discover']>>[0]> = {}, drift?: string) {
  const state = openMemoryState({ clock: new FakeClock() });
  const key = stateKeys.table('p', ORDERS.table);
  await state.put(stateKeys.pipeline('p'), PIPELINE, 0);
  await state.put(key, { ...TABLE, ...record }, 0);
  const tables = { [ORDERS.table]: { epoch: 'e1', l1: null, quarantinedBefore: 4, quarantined: 1 } };
  await state.put(stateKeys.capture('p'), { v: RECORD_VERSION, anchor: 'a', tables }, 0);
  const source = {
    drift: async () => (drift === undefined ? [] : [{ table: ORDERS.table, reason: drift }]),
    discover: async () => [{ schema: ORDERS, storage: 'as it is now', estimatedRows: 7, ...found }],
  } as unknown as Source;
  let ids = 0;
  const log = { info: () => {} };
  const ctx = { state, ids: { next: () => `i${++ids}` }, log, failpoint: () => {} } as unknown as ServiceContext;
  const fresh = new Set<string>();
  return {
    ...{ state, ctx, fresh, key, source },
    begin: (pipeline = PIPELINE) => beginCopies({ ctx, pipeline, source, fresh }),
    table: async () => (await readRecord<TableRecord>(state, key))?.value,
    left: async () => (await readRecord<PipelineRecord>(state, stateKeys.pipeline('p')))?.value.intent.copyAnew,
  };
}

test('a live table gets a new epoch in the write that takes it from the list, and names what users see meanwhile', async () => {
  const { begin, table, left, fresh } = await asked({});
  expect(await begin()).toBe(true);
  expect(await table()).toEqual({
    ...TABLE,
    ...{ phase: 'planned', epoch: 'i1', storage: 'as it is now', estimatedRows: 7, l0: null, l1Requested: false, partitions: 0, voids: 0 },
    older: { epoch: 'e1', schema: ORDERS, storage: 's', quarantinedBefore: 4, based: true },
  });
  expect(await left()).toEqual([]);
  expect([...fresh]).toEqual(['i1']);
  expect(await begin()).toBe(false); // Of a record that was read before: nothing is asked for any more.
  expect((await table())?.epoch).toBe('i1');
});

test('one that is being copied begins again, beside what users saw before', async () => {
  const older = { epoch: 'e0', schema: ORDERS, storage: 's', quarantinedBefore: 0 };
  const { begin, table, left } = await asked({ phase: 'snapshotting', l1Requested: false, older });
  expect(await begin()).toBe(true);
  expect(await table()).toMatchObject({ phase: 'planned', epoch: 'i1', older });
  expect(await left()).toEqual([]);
});

test('one of which nothing was read yet is copied anyway', async () => {
  const { begin, table, left } = await asked({ phase: 'planned' }, { storage: 's' });
  expect(await begin()).toBe(false);
  expect((await table())?.epoch).toBe('e1');
  expect(await left()).toEqual([]);
});

test('one of which nothing was read yet is not copied with columns that are to be kept back since', async () => {
  const fewer = { ...ORDERS, columns: ORDERS.columns.slice(0, 3) };
  const { begin, table, left } = await asked({ phase: 'planned' }, { storage: 's', schema: fewer });
  expect(await begin()).toBe(true);
  expect(await table()).toMatchObject({ phase: 'planned', epoch: 'i1', schema: fewer, older: null });
  expect(await left()).toEqual([]);
});

test('what is asked for while a copy is being chosen, with other columns, is in the next one', async () => {
  const { begin, table, left, state, source } = await asked({});
  const key = stateKeys.pipeline('p');
  const discover = source.discover;
  source.discover = async (...of) => {
    const found = await discover(...of);
    const columns = { [ORDERS.table]: { exclude: ['amount'], hash: [] } };
    const { version = 0 } = (await state.get(key)) ?? {};
    await state.put(
      key,
      { ...PIPELINE, definition: { ...PIPELINE.definition, source: { ...PIPELINE.definition.source, columns } } },
      version,
    );
    return found;
  };
  expect(await begin()).toBe(false);
  expect((await table())?.epoch).toBe('e1');
  expect(await left()).toEqual([ORDERS.table]);
});

test.each<[string, Partial<TableRecord>, object]>([
  ['its consistency position was asked for', { l1Requested: true }, {}],
  ['capture has met its consistency position', { l1Requested: false }, { l1: L0 }],
])('one that is read waits, as users may see it by now: %s', async (_, record, captured) => {
  const { begin, table, left, state } = await asked({ phase: 'snapshotting', ...record });
  const { version = 0 } = (await state.get(stateKeys.capture('p'))) ?? {};
  await state.put(
    stateKeys.capture('p'),
    { v: RECORD_VERSION, anchor: 'a', tables: { [ORDERS.table]: { epoch: 'e1', l1: null, ...captured } } },
    version,
  );
  expect(await begin()).toBe(false);
  expect((await table())?.epoch).toBe('e1');
  expect(await left()).toEqual([ORDERS.table]);
});

test('one that is below its consistency position waits: there are never more than two generations of it', async () => {
  const { begin, table, left } = await asked({ phase: 'built' });
  expect(await begin()).toBe(false);
  expect((await table())?.epoch).toBe('e1');
  expect(await left()).toEqual([ORDERS.table]);
});

test('a planner that is beaten chooses nothing', async () => {
  const { begin, table, left, state, key, fresh } = await asked({});
  const get = state.get.bind(state);
  let reads = 0;
  state.get = async (asked) => {
    const entry = await get(asked);
    if (asked === key && ++reads === 1) await state.put(key, { ...TABLE, epoch: 'of another planner' }, entry?.version ?? 0);
    return entry;
  };
  await expect(begin()).rejects.toMatchObject({ kind: 'conflict' });
  expect((await table())?.epoch).toBe('of another planner');
  expect(await left()).toEqual([ORDERS.table]);
  expect(fresh.size).toBe(0);
});

test('the copy has the columns that are to be kept back now, and the older one is decoded as before', async () => {
  const fewer = { ...ORDERS, columns: ORDERS.columns.slice(0, 3) };
  const { begin, table } = await asked({}, { schema: fewer });
  expect(await begin()).toBe(true);
  expect(await table()).toMatchObject({ schema: fewer, storage: 'as it is now', older: { schema: ORDERS, storage: 's' } });
});

test('a table that was altered since it was copied needs a new life of the pipeline', async () => {
  const { begin, left } = await asked({}, {}, 'A column was added.');
  await expect(begin()).rejects.toMatchObject({
    kind: 'table-changed',
    message: 'A column was added.',
    hint: 'Run: nanosync pipeline resnapshot p',
  });
  expect(await left()).toEqual([ORDERS.table]);
});
