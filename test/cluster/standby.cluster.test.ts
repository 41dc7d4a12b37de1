import { randomUUID } from 'node:crypto';
import { runCapture } from '@nanosync/cdc-capture';
import type { Log, PipelineRecord, Row, ServiceContext, State, TableSchema } from '@nanosync/core';
import { listRecords, RECORD_VERSION, stateKeys, tableIdOf, topicsOf } from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { randomIds, systemClock } from '@nanosync/runtime';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import { openRedisState } from '@nanosync/state';
import { clusterStack, memoryWarehouse, openMemoryBus } from '@nanosync/testkit';
import { expect, it, vi } from 'vitest';
import { ModelDatabase, rowText } from '../sim/model-database.ts';
import { openModelSource } from '../sim/model-source.ts';
import { clockOf, Process, portsOf, sinkOf, sourceOf } from '../sim/process.ts';

const PIPELINE = 'standby';
const TEXT = { kind: 'text' } as const;
const TABLE = tableIdOf('public', 'orders');
const ORDERS: TableSchema = {
  table: TABLE,
  columns: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'name', type: TEXT },
  ],
  key: ['id'],
};
const RUNS = [runPlanner, (ctx: ServiceContext) => runSnapshotWorker(ctx, 2), runCapture, runSinkWriter];

it('the second of every service stands by without a word and takes over when the first dies', async () => {
  const { redis } = await clusterStack('redis');
  const options = { url: redis.url, keyPrefix: `standby-${randomUUID()}` };
  const clock = systemClock();
  const db = new ModelDatabase([ORDERS]);
  const insert = (...ids: readonly number[]) => {
    for (const id of ids) db.commit([{ kind: 'put', table: TABLE, row: [BigInt(id), `row ${id}`] as Row }]);
  };
  insert(1, 2, 3, 4, 5);
  const warehouse = memoryWarehouse();
  const { bus, registry } = await openMemoryBus({ clock, ids: randomIds() });
  const ending = new AbortController();

  /** A process that runs one of each service on connections of its own; `kill` is kill -9. */
  const start = async () => {
    const process = new Process();
    const state = await openRedisState(options);
    const cuts: (() => void)[] = [];
    const said: string[] = [];
    const line = (level: string) => (message: string, fields?: object) =>
      void said.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
    const log: Log = { debug: () => {}, info: line('info'), warn: line('warn'), error: line('error'), with: () => log };
    const ctx: ServiceContext = {
      ...portsOf(process, { state, bus, registry }),
      ...{ topics: topicsOf(), tasksBusPartitions: 2, changesBusPartitions: 2, keepMs: 1000, log, clock: clockOf(process, clock) },
      ids: randomIds(),
      openSource: async () => {
        const { source, cut } = openModelSource(db, clockOf(process, clock));
        cuts.push(cut);
        return sourceOf(process, source);
      },
      openSink: async () => sinkOf(process, warehouse.open()),
      failpoint: () => {},
      signal: ending.signal,
    };
    const kill = async () => {
      process.kill();
      for (const cut of cuts) cut();
      await state[Symbol.asyncDispose]();
    };
    return { process, state, said, kill, running: Promise.all(RUNS.map((run) => run(ctx))) };
  };

  const first = await start();
  const { state } = first;
  await state.put(stateKeys.pipeline(PIPELINE), pipeline(), 0);
  await vi.waitUntil(() => isEqual(db, warehouse), { timeout: 20_000 });
  await vi.waitUntil(async () => (await phase(state)) === 'streaming', { timeout: 20_000 });

  const second = await start();
  // Some rounds of each of its loops.
  await vi.waitUntil(() => second.process.calls > 60, { timeout: 20_000 });
  insert(6, 7);
  await vi.waitUntil(() => isEqual(db, warehouse), { timeout: 20_000 });
  expect(second.said).toEqual([]);
  expect(await listRecords(state, stateKeys.troubles(PIPELINE))).toEqual([]);
  expect(first.said.filter((line) => !line.startsWith('info'))).toEqual([]);

  await first.kill();
  insert(8, 9);
  await vi.waitUntil(() => isEqual(db, warehouse), { timeout: 20_000 });
  expect(await phase(second.state)).toBe('streaming');
  expect(second.said.filter((line) => !line.startsWith('info'))).toEqual([]);
  expect(second.said.join('\n')).toContain('capture session begins');
  expect(warehouse.read(TABLE)).toHaveLength(9);

  ending.abort();
  await second.running;
  await second.state[Symbol.asyncDispose]();
});

function isEqual(db: ModelDatabase, warehouse: ReturnType<typeof memoryWarehouse>): boolean {
  const found = warehouse.read(TABLE)?.map(rowText).join('\n');
  return found === db.rowsOf(TABLE).map(rowText).join('\n');
}

async function phase(state: State): Promise<string | undefined> {
  return ((await state.get(stateKeys.pipeline(PIPELINE)))?.value as PipelineRecord | undefined)?.phase;
}

function pipeline(): PipelineRecord {
  const connection = { name: 'c', type: 'model', dsn: null, properties: {} };
  return {
    v: RECORD_VERSION,
    definition: {
      name: PIPELINE,
      replicationType: 'cdc_backfill',
      source: { connection, tables: [TABLE] },
      sink: { connection },
      snapshot: { concurrency: 2, targetRowsPerPartition: 2, maxRowsPerSecond: null },
    },
    phase: 'created',
    anchor: null,
    failure: null,
    waiting: null,
    request: null,
    createdMs: 0,
  };
}
