import type {
  PipelineDefinition,
  PipelineRecord,
  QueryDefinition,
  QueryDescription,
  QueryRecord,
  Row,
  ServiceContext,
  SinkReport,
  Source,
  TableRecord,
} from '@nanosync/core';
import { newPipeline, positionOf, RECORD_VERSION, readRecord, stateKeys, topicsOf, updateRecord } from '@nanosync/core';
import { endOf, FakeClock, memoryWarehouse, ORDERS, openMemoryBus, openMemoryState, rowBatchOf } from '@nanosync/testkit';
import { QueryPlanner } from '../query-planner.ts';

const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
export const MINUTE = 60_000;

/** What the tests' pipeline runs, every quarter of an hour. */
export const QUERY: QueryDefinition = {
  ...{ statement: 'SELECT * FROM orders', table: ORDERS.table, key: ['id'], schedule: { everyMs: 15 * MINUTE }, timeoutMs: null },
};

const DEFINITION: PipelineDefinition = {
  name: 'p',
  replicationType: 'query',
  source: { connection: CONNECTION, tables: [] },
  sink: { connection: CONNECTION },
  snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  query: QUERY,
};

/** A query pipeline with a planner; the test itself is worker, loader and writer. */
export async function queryFixture(query: Partial<QueryDefinition> = {}) {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const nextId = { next: () => `i${++ids}` };
  const { bus, registry } = await openMemoryBus({ clock, ids: nextId });
  const warehouse = memoryWarehouse();
  const sink = warehouse.open();
  const described: string[] = [];
  /** What happens when the statement is described; a test may do more there, or throw. */
  const hooks: { describe: () => Promise<void> } = { describe: async () => {} };
  const source = {
    queries: {
      describe: async (statement: string): Promise<QueryDescription> => {
        await hooks.describe();
        described.push(statement);
        return { columns: ORDERS.columns, storage: 's' };
      },
    },
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Source;
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line, with: () => log };
  const ctx = {
    ...{ state, bus, registry, topics: topicsOf(), clock, log, ids: nextId, tasksBusPartitions: 1, changesBusPartitions: 1 },
    ...{
      openSource: async () => source,
      openSink: async () => warehouse.open(),
      failpoint: () => {},
      signal: new AbortController().signal,
    },
  } as unknown as ServiceContext;
  const key = stateKeys.pipeline('p');
  await state.put(key, newPipeline({ ...DEFINITION, query: { ...QUERY, ...query } }, clock.nowMs()), 0);
  const runs = async () => (await readRecord<QueryRecord>(state, stateKeys.query('p')))?.value;
  const run = async () => (await runs())?.run ?? null;
  const table = async () => (await readRecord<TableRecord>(state, stateKeys.table('p', (await run())?.table ?? ORDERS.table)))?.value;
  const change = (next: (record: PipelineRecord) => PipelineRecord | undefined) => updateRecord<PipelineRecord>(state, key, next);
  const put = async (at: string, value: unknown) => state.put(at, value, (await state.get(at))?.version ?? 0);
  let staged = 0;
  const planner = (): QueryPlanner => new QueryPlanner(ctx, 'p');
  const first = planner();
  /** Steps until nothing more is done at once. */
  const settle = async (of: QueryPlanner = first) => {
    while ((await of.step()) === 'busy');
  };
  const report = async (said: Partial<SinkReport>) =>
    put(stateKeys.sinkReport('p', ORDERS.table), { v: RECORD_VERSION, failure: null, built: false, ...said });
  /** Brings rows of the run under way into staging, as worker and loader do. */
  const stage = async (rows: readonly Row[]) => {
    const { epoch, schema } = (await table()) as TableRecord;
    const name = { epoch, partition: 0, attempt: 'a' };
    await sink.claimRows('p', 'loader', 'rows', 1);
    await sink.stage({
      ...{ pipeline: 'p', owner: 'loader', moves: [{ busPartition: 0, from: staged, to: staged + 1 }] },
      batches: [rowBatchOf(schema, rows, { ...name, batch: 0 })],
      ends: [endOf(schema, { ...name, batches: 1, rows: rows.length })],
    });
    staged++;
    return { pipeline: 'p', table: ORDERS.table, epoch };
  };
  /** Writes the run under way into its table, as the table's owner does, and says so unless it is told not to. */
  const write = async (rows: readonly Row[], said = true) => {
    const generation = await stage(rows);
    const { schema } = (await table()) as TableRecord;
    const l0 = positionOf(0n, 0n);
    const isThere = (await sink.generations('p', ORDERS.table)).some(({ current }) => current);
    if ((await run())?.mode === 'merge' && isThere) await sink.merge({ generation, schema, partitions: 1, l0 });
    else {
      await sink.build({ generation, anchor: 'a', schema, partitions: 1, l0, topicId: '', start: [] });
      await sink.switchTo(generation);
    }
    if (said) await report({ epoch: generation.epoch, built: true });
    return generation;
  };
  const tasks = async () => (await bus.topic(ctx.topics.tasks))?.partitions[0]?.end ?? 0;
  return {
    ...{
      clock,
      state,
      sink,
      planner: first,
      another: planner,
      settle,
      runs,
      run,
      table,
      change,
      put,
      stage,
      write,
      report,
      tasks,
      described,
      hooks,
    },
    seen: () => warehouse.read(ORDERS.table)?.map(([id]) => Number(id)),
    pipeline: async () => (await readRecord<PipelineRecord>(state, key))?.value as PipelineRecord,
    edit: (edited: Partial<QueryDefinition>) =>
      change((record) => ({
        ...record,
        definition: { ...record.definition, query: { ...(record.definition.query as QueryDefinition), ...edited } },
      })),
  };
}
