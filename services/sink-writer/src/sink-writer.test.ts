import type { PartitionRecord, PipelineRecord, ServiceContext, Sink, SinkReport, TableRecord, TroubleRecord } from '@nanosync/core';
import { leaseNames, PipelineError, positionOf, RECORD_VERSION, ROWS_BUS_PARTITIONS, RUNNING, stateKeys, topicsOf } from '@nanosync/core';
import { FakeClock, ORDERS, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { runSinkWriter } from './sink-writer.ts';

const L0 = positionOf(1n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const V = RECORD_VERSION;
const PIPELINE: PipelineRecord = {
  v: V,
  definition: {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [ORDERS.table] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  ...{
    phase: 'streaming',
    anchor: { id: 'a', l0: L0, origin: {} },
    failure: null,
    waiting: null,
    request: null,
    intent: RUNNING,
    createdMs: 0,
  },
};
const TABLE: TableRecord = {
  ...{
    v: V,
    table: ORDERS.table,
    phase: 'snapshotting',
    anchor: 'a',
    epoch: 'e1',
    schema: ORDERS,
    storage: 's',
    l0: L0,
    l1Requested: true,
  },
  ...{ partitions: 1, voids: 0, estimatedRows: 1, busPartitions: 1, older: null, failure: null },
};
const PARTITION: PartitionRecord = {
  ...{
    v: V,
    partition: 0,
    range: 'all',
    phase: 'read',
    emitted: true,
    attempt: 'x',
    attempts: 1,
    reader: null,
    rows: 1,
    bytes: 1,
    voided: null,
  },
};

test('a warehouse that is lost is no gap because one loop met it empty while another was told that it was lost', async () => {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const nextId = { next: () => `i${++ids}` };
  const { bus, registry } = await openMemoryBus({ clock, ids: nextId });
  await bus.ensureTopic(topicsOf().rows('p'), ROWS_BUS_PARTITIONS);
  await state.put(stateKeys.pipeline('p'), PIPELINE, 0);
  await state.put(stateKeys.table('p', ORDERS.table), TABLE, 0);
  await state.put(stateKeys.partition('p', ORDERS.table, 'e1', 0), PARTITION, 0);
  let lost: 'no' | 'yes' | 'said' = 'no';
  let opened = 0;
  const staged = async () => {
    if (lost === 'no') return [];
    // The writer of the table is the first to step on it; all others find it empty.
    if (lost === 'yes') {
      lost = 'said';
      throw new PipelineError('unavailable', 'The warehouse was replaced.');
    }
    return [];
  };
  const sink = {
    claimRows: async () => Array.from({ length: ROWS_BUS_PARTITIONS }, () => 0),
    generations: async () => [],
    // The loader looks here: by the time that it goes on, the writer has failed.
    generation: async () => {
      if (clock.monotonicMs() < 5000) return undefined;
      lost = 'yes';
      await clock.sleep(1000);
      return undefined;
    },
    staged,
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Sink;
  const ending = new AbortController();
  const said: string[] = [];
  const line = (message: string, fields?: object) => void said.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log = { debug: () => {}, info: line, warn: line, error: line, with: () => log };
  const ctx: ServiceContext = {
    ...{ state, bus, registry, topics: topicsOf(), tasksBusPartitions: 1, changesBusPartitions: 1, keepMs: 0, log, clock, ids: nextId },
    openSource: () => Promise.reject(new Error('a sink-writer opens no source')),
    openSink: async () => {
      opened++;
      return sink;
    },
    failpoint: () => {},
    signal: ending.signal,
  };
  const running = runSinkWriter(ctx);
  for (let turn = 0; turn < 500 && opened < 2; turn++) await clock.advance(50);
  ending.abort();
  await clock.advance(10_000);
  await running;
  expect(opened).toBe(2);
  expect(said.filter((each) => each.startsWith('sink writer begins again'))).toEqual([expect.stringContaining('was replaced')]);
  const trouble = (await state.get(stateKeys.trouble('p', 'sink-writer')))?.value as TroubleRecord;
  expect(trouble).toMatchObject({ reason: 'The warehouse was replaced.', manual: false });
  const report = (await state.get(stateKeys.sinkReport('p', ORDERS.table)))?.value as SinkReport | undefined;
  expect(report?.failure ?? null).toBeNull();
});

test('a table that comes to the pipeline gets a writer, and the others keep theirs', async () => {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const nextId = { next: () => `i${++ids}` };
  const { bus, registry } = await openMemoryBus({ clock, ids: nextId });
  await bus.ensureTopic(topicsOf().rows('p'), ROWS_BUS_PARTITIONS);
  await state.put(stateKeys.pipeline('p'), PIPELINE, 0);
  await state.put(stateKeys.table('p', ORDERS.table), TABLE, 0);
  await state.put(stateKeys.partition('p', ORDERS.table, 'e1', 0), PARTITION, 0);
  const asked = new Map<string, number>();
  let opened = 0;
  const sink = {
    claimRows: async () => Array.from({ length: ROWS_BUS_PARTITIONS }, () => 0),
    generations: async (_: string, table: string) => {
      asked.set(table, (asked.get(table) ?? 0) + 1);
      return [];
    },
    generation: async () => undefined,
    staged: async () => [],
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Sink;
  const ending = new AbortController();
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx: ServiceContext = {
    ...{ state, bus, registry, topics: topicsOf(), tasksBusPartitions: 1, changesBusPartitions: 1, keepMs: 0, log, clock, ids: nextId },
    openSource: () => Promise.reject(new Error('a sink-writer opens no source')),
    openSink: async () => {
      opened++;
      return sink;
    },
    failpoint: () => {},
    signal: ending.signal,
  };
  const running = runSinkWriter(ctx);
  for (let turn = 0; turn < 100 && !asked.has(ORDERS.table); turn++) await clock.advance(50);
  const held = await state.isLeased(leaseNames.table('p', ORDERS.table));
  expect(asked.has('public.items')).toBe(false);
  const { definition } = PIPELINE;
  const tables = [ORDERS.table, 'public.items'];
  const grown = { ...PIPELINE, definition: { ...definition, source: { ...definition.source, tables } } };
  await state.put(stateKeys.pipeline('p'), grown, (await state.get(stateKeys.pipeline('p')))?.version ?? 0);
  for (let turn = 0; turn < 100 && !asked.has('public.items'); turn++) await clock.advance(50);
  expect(asked.has('public.items')).toBe(true);
  expect([held, opened]).toEqual([true, 1]);
  ending.abort();
  await clock.advance(10_000);
  await running;
});
