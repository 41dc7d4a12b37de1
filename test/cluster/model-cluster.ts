import { runCapture } from '@nanosync/cdc-capture';
import type { Log, PipelineRecord, Row, ServiceContext, State, TableSchema } from '@nanosync/core';
import { newPipeline, PipelineError, readRecord, stateKeys, tableIdOf } from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { randomIds, systemClock } from '@nanosync/runtime';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import { openRedisState } from '@nanosync/state/redis';
import { memoryWarehouse, openMemoryBus } from '@nanosync/testkit';
import { ModelDatabase } from '../sim/model/database.ts';
import { openModelSource } from '../sim/model/source.ts';
import type { Host } from '../sim/process.ts';
import { Process } from '../sim/process.ts';
import { randomOf } from '../sim/random.ts';
import { contextOf } from '../sim/services.ts';

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

/** Real time, and calls that are counted and that nothing happens to. */
function hostOf(called: () => void): Host {
  const clock = systemClock();
  return {
    clock,
    after: (ms, wake) => void clock.sleep(ms).then(wake),
    travel: async () => undefined,
    fateOf: () => {
      called();
      return undefined;
    },
    died: () => undefined,
    violate: (what) => {
      throw new PipelineError('defect', what);
    },
  };
}

/** One of each service, on connections of its own. */
export interface ModelProcess {
  readonly calls: () => number;
  /** Lines of `info` and above, `level message {fields}`. */
  readonly said: readonly string[];
  /** kill -9. */
  kill(): Promise<void>;
}

function rowText(row: Row): string {
  return row.map(String).join('|');
}

/** A database, bus and warehouse in memory, beside a real Redis. */
export class ModelCluster implements AsyncDisposable {
  readonly db: ModelDatabase;
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
    const random = randomOf(1, 'database');
    this.db = new ModelDatabase({ schemas: [ORDERS], random: () => random.next(), clock: systemClock() });
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
      const transaction = this.db.begin();
      transaction.insert(TABLE, [id, `row ${id}`]);
      transaction.commit();
      transaction.becomeVisible();
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
    let calls = 0;
    const process = new Process(
      hostOf(() => calls++),
      'worker',
      'all services',
    );
    const state = await openRedisState(this.redis);
    const said: string[] = [];
    const ids = randomIds();
    const engines = {
      state,
      ...this.engines,
      openSource: () => openModelSource(this.db, process.clock()),
      openSink: () => this.warehouse.open(),
      nextId: () => ids.next(),
    };
    const ctx: ServiceContext = { ...contextOf(process, engines, logTo(said)), signal: this.ending.signal };
    const running = Promise.all(RUNS.map((run) => run(ctx)));
    running.catch(() => undefined);
    this.closing.push(async () => {
      if (!process.dead) await running;
      await state[Symbol.asyncDispose]();
    });
    const kill = async () => {
      process.dead = true;
      process.cut();
      await state[Symbol.asyncDispose]();
    };
    return { calls: () => calls, said, kill };
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
const PIPELINE_RECORD: PipelineRecord = newPipeline(
  {
    name: PIPELINE,
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [TABLE] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 2, targetRowsPerPartition: 2, maxRowsPerSecond: null },
  },
  0,
);
