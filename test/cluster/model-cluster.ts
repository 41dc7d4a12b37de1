import { runCapture } from '@nanosync/cdc-capture';
import type { Log, PipelineRecord, Row, ServiceContext, State, TableSchema } from '@nanosync/core';
import { RECORD_VERSION, readRecord, stateKeys, tableIdOf, topicsOf } from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { randomIds, systemClock } from '@nanosync/runtime';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import { openRedisState } from '@nanosync/state';
import { memoryWarehouse, openMemoryBus } from '@nanosync/testkit';
import { ModelDatabase, rowText } from '../sim/model-database.ts';
import { openModelSource } from '../sim/model-source.ts';
import { clockOf, Process, portsOf, sinkOf, sourceOf } from '../sim/process.ts';

/** The pipeline that every model cluster has. */
export const PIPELINE = 'model';
const TABLE = tableIdOf('public', 'orders');
const ORDERS: TableSchema = {
  table: TABLE,
  columns: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'name', type: { kind: 'text' } },
  ],
  key: ['id'],
};
const RUNS = [runPlanner, (ctx: ServiceContext) => runSnapshotWorker(ctx, 2), runCapture, runSinkWriter];

/** One of each service, on connections of its own. */
export interface ModelProcess {
  readonly calls: () => number;
  /** Lines of `info` and above, `level message {fields}`. */
  readonly said: readonly string[];
  /** kill -9. */
  kill(): Promise<void>;
}

/** A database, bus and warehouse in memory, beside a real Redis. */
export class ModelCluster implements AsyncDisposable {
  readonly db = new ModelDatabase([ORDERS]);
  readonly warehouse = memoryWarehouse();
  readonly state: State;
  private readonly redis: Parameters<typeof openRedisState>[0];
  private readonly engines: Awaited<ReturnType<typeof openMemoryBus>>;
  private readonly ending = new AbortController();
  private readonly closing: (() => Promise<unknown>)[] = [];
  private last = 0;

  private constructor(parts: Pick<ModelCluster, 'state'> & { redis: ModelCluster['redis']; engines: ModelCluster['engines'] }) {
    this.state = parts.state;
    this.redis = parts.redis;
    this.engines = parts.engines;
  }

  /** With so many rows in the table, and the pipeline stored. */
  static async open(redis: ModelCluster['redis'], rows: number): Promise<ModelCluster> {
    const state = await openRedisState(redis);
    const engines = await openMemoryBus({ clock: systemClock(), ids: randomIds() });
    const cluster = new ModelCluster({ state, redis, engines });
    cluster.insert(rows);
    await cluster.apply();
    return cluster;
  }

  /** Stores the pipeline as `apply` does. */
  async apply(): Promise<void> {
    await this.state.put(stateKeys.pipeline(PIPELINE), PIPELINE_RECORD, 0);
  }

  /** Commits so many new rows, a transaction each. */
  insert(rows: number): void {
    for (let done = 0; done < rows; done++) {
      const id = BigInt(++this.last);
      this.db.commit([{ kind: 'put', table: TABLE, row: [id, `row ${id}`] as Row }]);
    }
  }

  get isEqual(): boolean {
    const found = this.warehouse.read(TABLE)?.map(rowText).join('\n');
    return found === this.db.rowsOf(TABLE).map(rowText).join('\n');
  }

  async pipeline(): Promise<PipelineRecord | undefined> {
    return (await readRecord<PipelineRecord>(this.state, stateKeys.pipeline(PIPELINE)))?.value;
  }

  async start(): Promise<ModelProcess> {
    const { db, warehouse, ending } = this;
    const clock = systemClock();
    const process = new Process();
    const state = await openRedisState(this.redis);
    const cuts: (() => void)[] = [];
    const said: string[] = [];
    const ctx: ServiceContext = {
      ...portsOf(process, { state, ...this.engines }),
      ...{
        topics: topicsOf(),
        tasksBusPartitions: 2,
        changesBusPartitions: 2,
        keepMs: 1000,
        log: logTo(said),
        clock: clockOf(process, clock),
      },
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
    const running = Promise.all(RUNS.map((run) => run(ctx)));
    running.catch(() => undefined);
    this.closing.push(async () => {
      if (!process.dead) await running;
      await state[Symbol.asyncDispose]();
    });
    const kill = async () => {
      process.kill();
      for (const cut of cuts) cut();
      await state[Symbol.asyncDispose]();
    };
    return { calls: () => process.calls, said, kill };
  }

  /** Ends all processes; throws what a service ended with. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort();
    for (const close of this.closing) await close();
    await this.state[Symbol.asyncDispose]();
  }
}

function logTo(said: string[]): Log {
  const line = (level: string) => (message: string, fields?: object) =>
    void said.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { debug: () => {}, info: line('info'), warn: line('warn'), error: line('error'), with: () => log };
  return log;
}

const CONNECTION = { name: 'c', type: 'model', dsn: null, properties: {} };
const PIPELINE_RECORD: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: PIPELINE,
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [TABLE] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 2, targetRowsPerPartition: 2, maxRowsPerSecond: null },
  },
  phase: 'created',
  anchor: null,
  failure: null,
  waiting: null,
  request: null,
  createdMs: 0,
};
