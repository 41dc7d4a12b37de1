import { runCapture } from '@nanosync/cdc-capture';
import type { GroupMember, Log, PipelineRecord, ServiceContext, SinkPace, SinkReport, TableId } from '@nanosync/core';
import {
  comparePositions,
  listRecords,
  PipelineError,
  positionOf,
  RECORD_VERSION,
  readRecord,
  stateKeys,
  topicsOf,
  updateRecord,
} from '@nanosync/core';
import { runPlanner } from '@nanosync/planner';
import { runSinkWriter } from '@nanosync/sink-writer';
import { runSnapshotWorker } from '@nanosync/snapshot-worker';
import type { MemoryStateStore } from '@nanosync/testkit';
import { FakeClock, memoryBusStore, memoryStateStore, memoryWarehouse, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import type { ModelDatabase } from './model-database.ts';
import { rowText } from './model-database.ts';
import { openModelSource } from './model-source.ts';
import type { Fate } from './process.ts';
import { clockOf, Process, portsOf, sinkOf, sourceOf } from './process.ts';

export type ServiceName = 'planner' | 'worker' | 'capture' | 'writer';
export const SERVICES: readonly ServiceName[] = ['planner', 'worker', 'capture', 'writer'];

const RUN: Record<ServiceName, (ctx: ServiceContext) => Promise<void>> = {
  planner: runPlanner,
  worker: (ctx) => runSnapshotWorker(ctx, 2),
  capture: runCapture,
  writer: runSinkWriter,
};

const PIPELINE = 'sim';

/** Everything that outlives a process, and the processes that run on it. */
export class World {
  readonly clock = new FakeClock();
  readonly db: ModelDatabase;
  warehouse = memoryWarehouse();
  readonly stateStore: MemoryStateStore = memoryStateStore();
  /** Errors that ended a service, by name: each process is started again, as a supervisor does. */
  readonly ended: string[] = [];
  readonly logged: string[] = [];
  private readonly busStore = memoryBusStore();
  private readonly ending = new AbortController();
  private ids = 0;
  private bus: Awaited<ReturnType<typeof openMemoryBus>> | undefined;
  private readonly processes = new Map<Process, ServiceName>();

  private readonly mayLoseMs: number;
  private readonly pace: SinkPace | undefined;

  constructor(db: ModelDatabase, mayLoseMs = 0, pace?: SinkPace) {
    this.db = db;
    this.mayLoseMs = mayLoseMs;
    this.pace = pace;
  }

  async open(tables: readonly TableId[], targetRows: number): Promise<void> {
    this.bus = await openMemoryBus({ clock: this.clock, ids: { next: () => this.id('t') }, store: this.busStore });
    const connection = { name: 'c', type: 'model', dsn: null, properties: {} };
    const record: PipelineRecord = {
      v: RECORD_VERSION,
      definition: {
        name: PIPELINE,
        replicationType: 'cdc_backfill',
        source: { connection, tables },
        sink: { connection },
        snapshot: { concurrency: 3, targetRowsPerPartition: targetRows, maxRowsPerSecond: null },
      },
      phase: 'created',
      anchor: null,
      failure: null,
      waiting: null,
      request: null,
      createdMs: 0,
    };
    await this.state().put(stateKeys.pipeline(PIPELINE), record, 0);
  }

  /** Starts a process that runs one service; it is started again when it ends by an error. */
  start(name: ServiceName, fate?: Fate): Process {
    const process = new Process(fate);
    this.processes.set(process, name);
    void this.supervise(name, process);
    return process;
  }

  /** Moves time on to the next sleeper. */
  async tick(): Promise<void> {
    const { nextMs } = this.clock;
    await this.clock.advance(nextMs === undefined ? 1 : Math.max(0, nextMs - this.clock.nowMs()));
  }

  async pipeline(): Promise<PipelineRecord> {
    const found = await readRecord<PipelineRecord>(this.state(), stateKeys.pipeline(PIPELINE));
    if (found === undefined) throw new Error('the pipeline record is gone');
    return found.value;
  }

  async requestResnapshot(): Promise<void> {
    await updateRecord<PipelineRecord>(this.state(), stateKeys.pipeline(PIPELINE), (record) => ({ ...record, request: 'resnapshot' }));
  }

  /** How sink and source differ, or an empty list. */
  differences(): readonly string[] {
    return [...this.tables()].flatMap((table) => {
      const wanted = this.db.rowsOf(table).map(rowText);
      const found = this.warehouse.read(table)?.map(rowText) ?? ['no such table'];
      const missing = wanted.filter((row) => !found.includes(row)).map((row) => `${table} lacks ${row}`);
      const extra = found.filter((row) => !wanted.includes(row)).map((row) => `${table} has ${row}`);
      return [...missing, ...extra];
    });
  }

  /** Rows that were counted as quarantined or as defects; a sound run has none. */
  async miscounted(): Promise<number> {
    const reports = await listRecords<{ v: 1; quarantined: number; defects: number }>(this.state(), stateKeys.sinkReports(PIPELINE));
    return reports.reduce((sum, { value }) => sum + value.quarantined + value.defects, 0);
  }

  /** The warehouse is deleted while nobody writes to it; the writers begin again on an empty one. */
  loseWarehouse(): void {
    this.warehouse = memoryWarehouse();
    this.restart('writer');
  }

  /** Kills the processes of a service with their connections, and starts one. */
  restart(service: ServiceName): void {
    for (const [process, name] of this.processes)
      if (name === service) {
        process.kill();
        process.onFate();
      }
    this.start(service);
  }

  /** Messages on the quarantine topic. */
  quarantined(): number {
    return this.busStore.topics.get(topicsOf().quarantine(PIPELINE))?.partitions[0]?.messages.length ?? 0;
  }

  /** The bus comes back without the newest messages of each partition of the topics whose names end so, or the topics come back empty. */
  loseMessages(ending: string, count: number | 'topic'): void {
    for (const [name, topic] of this.busStore.topics) {
      if (!name.endsWith(ending)) continue;
      if (count === 'topic')
        this.busStore.topics.set(name, {
          ...topic,
          id: this.id('t'),
          partitions: topic.partitions.map(() => ({ start: 0, messages: [] })),
          groups: new Map(),
        });
      else for (const log of topic.partitions) log.messages.splice(Math.max(0, log.messages.length - count));
    }
  }

  /** Tables whose watermark at the sink has not passed their last commit at the source. */
  async behind(): Promise<readonly TableId[]> {
    const behind: TableId[] = [];
    for (const table of this.tables()) {
      const report = await readRecord<SinkReport>(this.state(), stateKeys.sinkReport(PIPELINE, table));
      const last = this.db.log.findLast(({ writes }) => writes.some(({ write }) => write.table === table));
      const watermark = report?.value.watermark ?? null;
      if (last !== undefined && (watermark === null || comparePositions(watermark, positionOf(last.lsn, 0n)) <= 0)) behind.push(table);
    }
    return behind;
  }

  /** Every table's phase. */
  async tablePhases(): Promise<readonly string[]> {
    const tables = await listRecords<{ v: 1; phase: string }>(this.state(), stateKeys.tables(PIPELINE));
    return tables.map(({ value }) => value.phase);
  }

  /** Ends everything; nothing of this world may go on. */
  async close(): Promise<void> {
    this.ending.abort();
    for (const process of this.processes.keys()) {
      process.resume();
    }
    for (let turn = 0; turn < 5; turn++) await this.tick();
    for (const process of this.processes.keys()) process.kill();
  }

  state() {
    return openMemoryState({ clock: this.clock, store: this.stateStore, mayLoseMs: this.mayLoseMs });
  }

  private tables(): readonly TableId[] {
    return this.db.tableIds();
  }

  private id(prefix: string): string {
    return `${prefix}${String(++this.ids).padStart(15, '0')}`;
  }

  private async supervise(name: ServiceName, process: Process): Promise<void> {
    for (; !this.ending.signal.aborted && !process.dead; await this.clock.sleep(100, this.ending.signal)) {
      try {
        await RUN[name](this.context(name, process));
      } catch (error) {
        if (error instanceof PipelineError && error.retry === 'timed') continue;
        this.ended.push(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  }

  private context(name: ServiceName, process: Process): ServiceContext {
    if (this.bus === undefined) throw new Error('the world is not open');
    const { clock, ending } = this;
    const { bus, registry } = this.bus;
    const cuts: (() => void)[] = [];
    process.onFate = () => {
      for (const cut of cuts) cut();
    };
    const watched = new Proxy(bus, {
      get: (target, key) => {
        if (key !== 'group') {
          const value = Reflect.get(target, key, target) as unknown;
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return async (topic: string, group: string): Promise<GroupMember> => {
          const member = await target.group(topic, group);
          cuts.push(() => void member[Symbol.asyncDispose]());
          return member;
        };
      },
    });
    return {
      ...portsOf(process, { state: this.state(), bus: watched, registry }),
      topics: topicsOf(),
      tasksBusPartitions: 2,
      changesBusPartitions: 2,
      keepMs: 1000,
      log: this.log(name),
      clock: clockOf(process, clock),
      ids: { next: () => this.id('i') },
      openSource: () =>
        process.through(async () => {
          const { source, cut } = openModelSource(this.db, clockOf(process, clock));
          cuts.push(cut);
          return sourceOf(process, source);
        }),
      openSink: () => process.through(async () => sinkOf(process, { ...this.warehouse.open(), pace: this.pace })),
      failpoint: () => {},
      signal: ending.signal,
    };
  }

  private log(name: string): Log {
    const line = (level: string) => (message: string, fields?: object) => {
      this.logged.push(`${this.clock.monotonicMs()} ${name} ${level} ${message} ${JSON.stringify(fields ?? {})}`);
    };
    const log: Log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'), with: () => log };
    return log;
  }
}
