import { EDITS } from '@nanosync/api';
import type {
  Log,
  PartitionRecord,
  PipelineCommand,
  PipelineRecord,
  QueryDefinition,
  Row,
  SinkPace,
  TableId,
  TableRecord,
} from '@nanosync/core';
import {
  afterCommand,
  isKind,
  newPipeline,
  readRecord,
  recordedTables,
  stateKeys,
  topicsOf,
  updateRecord,
  withoutTables,
} from '@nanosync/core';
import type { MemoryBusStore } from '@nanosync/testkit';
import { memoryBusStore, memoryWarehouse, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { rowsAtSink } from './adopted.ts';
import { loseTopic, restoreBus } from './bus-losses.ts';
import { SimClock } from './clock.ts';
import { SLUGGISH } from './faults.ts';
import { ModelDatabase } from './model/database.ts';
import { openModelSource } from './model/source.ts';
import type { Occurrences } from './occurrences.ts';
import { Oracle } from './oracle.ts';
import type { Plan } from './plan.ts';
import type { Process } from './process.ts';
import { SERVICES } from './process.ts';
import type { Random } from './random.ts';
import { randomOf } from './random.ts';
import type { StateHistory } from './state-history.ts';
import { stateHistory } from './state-history.ts';
import { PIPELINE } from './state-oracle.ts';
import { StoppedCopies } from './stopped.ts';
import { Supervisor } from './supervisor.ts';
import { BODY, COLUMNS, schemas, tableId } from './workload.ts';

const SLOW_PACE: SinkPace = { stageBytes: 20_000, applyBytes: 4000, stageWaitMs: 1500, applyWaitMs: 300, lookEveryMs: 250 };

/** Everything that outlives a process, the processes that run on it, and those who watch. */
export class World {
  readonly supervisor: Supervisor;
  readonly clock: SimClock;
  readonly db: ModelDatabase;
  readonly history: StateHistory;
  readonly busStore: MemoryBusStore = memoryBusStore();
  /** What must never be, in the order it was met. */
  readonly violations: string[] = [];
  readonly trace: string[] = [];
  readonly plan: Plan;
  /** The tables that the pipelines file names. */
  file: readonly number[] = [0, 1];
  /** The type that it names. */
  type: Plan['replicationType'];
  /** The tables whose large column it keeps back. */
  readonly keptBack = new Set<TableId>();
  readonly stopped: StoppedCopies;
  private readonly oracle: Oracle;
  private readonly random: Random;
  private readonly isTraced: boolean;
  private warehouse = memoryWarehouse();
  private ids = 0;
  hasRenamed = false;

  constructor(plan: Plan, occurrences: Occurrences, isTraced = false) {
    this.isTraced = isTraced;
    this.plan = plan;
    this.type = plan.replicationType;
    if (plan.replicationType === 'query') this.file = [];
    this.random = randomOf(plan.seed, 'schedule');
    this.clock = new SimClock(randomOf(plan.seed, 'ties'));
    const { clock } = this;
    const database = randomOf(plan.seed, 'database');
    this.db = new ModelDatabase({ schemas: schemas(), random: () => database.next(), clock, pageRows: 4 });
    const violated = (what: string) => this.violate(what);
    this.supervisor = new Supervisor({
      clock,
      random: this.random,
      say: (what, text) => this.say(what, text),
      violated,
      log: (process) => this.log(process),
    });
    this.oracle = new Oracle({
      db: this.db,
      busStore: this.busStore,
      occurrences,
      warehouse: () => this.warehouse,
      isRequested: () => this.history.store.entries.get(stateKeys.pipeline(PIPELINE))?.json.includes('"request":"resnapshot"') === true,
      nowMs: () => clock.monotonicMs(),
      leftInState: () => [...this.history.store.entries.keys()],
      isPrompt: plan.faults.every(({ kind }) => !SLUGGISH.includes(kind)),
      violated,
      query: plan.replicationType !== 'query' ? null : plan.isMerged === true ? 'merged' : 'replaced',
      isUnbased: () => this.type === 'cdc' && plan.replicationType !== 'cdc',
      atSink: plan.replicationType === 'cdc' ? rowsAtSink() : [],
    });
    this.stopped = new StoppedCopies(this.db);
    this.oracle.state.stopped = (record) => this.stopped.stored(record, () => this.rangesOf(record));
    if (plan.replicationType === 'cdc') for (const schema of schemas()) this.warehouse.fill(schema, rowsAtSink());
    this.history = stateHistory(
      () => clock.monotonicMs(),
      (key, json, before) => this.oracle.state.written(key, json, before),
    );
  }

  /** Opens the engines and stores the pipeline. */
  async open(): Promise<void> {
    const { bus, registry } = await openMemoryBus({ clock: this.clock, ids: { next: () => this.nextId('t') }, store: this.busStore });
    this.supervisor.engines = {
      state: this.state(),
      bus: this.oracle.watchingBus(bus),
      registry,
      openSource: () => {
        const opened = openModelSource(this.db, this.clock);
        return { ...opened, source: this.oracle.watchingSource(opened.source) };
      },
      openSink: () => {
        const { warehouse } = this;
        const watched = this.oracle.sink.watching(warehouse.open(), () => warehouse === this.warehouse);
        return { ...watched, pace: this.plan.isSinkSlow ? SLOW_PACE : undefined };
      },
      nextId: () => this.nextId('i'),
      readBytes: this.plan.readBytes,
    };
    await this.apply();
    this.history.settle();
  }

  /** What `nanosync apply` stores: the pipeline with the file's tables. */
  async apply(): Promise<void> {
    const tables = this.file;
    const connection = { name: 'c', type: 'model', dsn: null, properties: {} };
    const { concurrency, targetRows } = this.plan;
    const definition: PipelineRecord['definition'] = {
      name: PIPELINE,
      replicationType: this.type,
      source: { connection, tables: tables.map(tableId), ...this.columns() },
      sink: { connection },
      ...(this.type === 'query' ? { query: queryOf(this.plan) } : {}),
      snapshot: { concurrency, targetRowsPerPartition: targetRows, maxRowsPerSecond: null },
    };
    const key = stateKeys.pipeline(PIPELINE);
    const stored = await updateRecord<PipelineRecord>(this.state(), key, (record) => {
      const gone = record.definition.source.tables.filter((table) => !definition.source.tables.includes(table));
      const recorded = record.anchor === null ? {} : { recorded: recordedTables(record) };
      if (record.intent.deletion !== null) return undefined;
      const next = this.switched(record, withoutTables({ ...record, definition, ...recorded }, gone));
      return edited('source.columns', record, next) ?? next;
    });
    if (stored !== undefined) return;
    await this.state().put(key, newPipeline(definition, this.clock.nowMs()), 0);
  }

  /** What becomes of a record whose type was edited; the file has the old one again where the new one is refused. */
  private switched(stored: PipelineRecord, next: PipelineRecord): PipelineRecord {
    const { replicationType } = stored.definition;
    const becomes = edited('replication_type', stored, next);
    if (becomes !== undefined) return becomes;
    this.type = replicationType as Plan['replicationType'];
    return { ...next, definition: { ...next.definition, replicationType } };
  }

  private columns(): Pick<PipelineRecord['definition']['source'], 'columns'> {
    const excluded = [...this.keptBack].sort().map((table) => [table, { exclude: [COLUMNS[BODY]], hash: [] }] as const);
    return excluded.length === 0 ? {} : { columns: Object.fromEntries(excluded) };
  }

  /** True when the columns that the file keeps back are those of the stored definition. */
  areColumnsOf({ definition }: PipelineRecord): boolean {
    return JSON.stringify(definition.source.columns) === JSON.stringify(this.columns().columns);
  }

  /** What `nanosync pipeline resnapshot` stores; nothing where a pipeline that copies nothing has not begun. */
  async requestResnapshot(): Promise<void> {
    await updateRecord<PipelineRecord>(this.state(), stateKeys.pipeline(PIPELINE), (record) =>
      record.phase === 'created' && record.definition.replicationType === 'cdc' ? undefined : { ...record, request: 'resnapshot' },
    );
  }

  /** What the commands of an operator store; false where nothing was, or the pipeline, as it stands, cannot be asked that. */
  async ask(command: PipelineCommand): Promise<boolean> {
    let isNew = false;
    try {
      await updateRecord<PipelineRecord>(this.state(), stateKeys.pipeline(PIPELINE), (record) => {
        const next = afterCommand(record, command);
        isNew = next !== undefined;
        return next;
      });
    } catch (error) {
      if (!isKind(error, 'config')) throw error;
      return false;
    }
    return isNew;
  }

  async pipeline(): Promise<PipelineRecord | undefined> {
    return (await readRecord<PipelineRecord>(this.state(), stateKeys.pipeline(PIPELINE)))?.value;
  }

  /** Calls back, once, when the pipeline is next stored in a phase. */
  onPhase(phase: string, come: () => void): void {
    this.oracle.state.phaseWaits.push({ phase, come: () => this.clock.after(0, come) });
  }

  /** What users saw of a table just before an epoch began with it. */
  beganWith(epoch: string): readonly Row[] | undefined {
    return this.oracle.sink.beganWith.get(epoch);
  }

  /** What users see of a table. */
  read(table: TableId): ReturnType<typeof this.warehouse.read> {
    return this.warehouse.read(table);
  }

  private rangesOf({ table, epoch }: TableRecord): readonly string[] {
    const prefix = stateKeys.partitions(PIPELINE, table, epoch);
    const keys = [...this.history.store.entries.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => (JSON.parse(this.history.store.entries.get(key)?.json ?? '{}') as PartitionRecord).range);
  }

  /** Users see of a table that was taken out what they saw then. */
  isAsLeft(table: TableId): boolean {
    return this.oracle.sink.isAsLeft(table);
  }

  /** Messages on the quarantine topic. */
  quarantined(): number {
    return this.busStore.topics.get(topicsOf().quarantine(PIPELINE))?.partitions[0]?.messages.length ?? 0;
  }

  state() {
    return openMemoryState({ clock: this.clock, store: this.history.store, mayLoseMs: this.plan.mayLoseMs });
  }

  /** One process of each service, or two. */
  startAll(): void {
    for (const service of [...SERVICES, ...this.plan.twice]) this.supervisor.start(service);
  }

  /** The warehouse is deleted; who writes to it begins again on an empty one. */
  loseWarehouse(): void {
    this.warehouse = memoryWarehouse();
    this.oracle.warehouseLost();
    // Those that have it open: the planner of a query asks it how each run went.
    const open = this.plan.replicationType === 'query' ? ['writer', 'planner'] : ['writer'];
    for (const process of [...this.supervisor.processes]) if (open.includes(process.service)) this.supervisor.died(process);
  }

  /** Somebody renames the tables that were at the sink before, as a refused copy asks for. */
  renameForeign(): void {
    if (this.warehouse.clear()) this.hasRenamed = true;
  }

  /** The bus comes back as it was so long ago. */
  restoreBus(byMs: number): void {
    restoreBus(this.busStore, this.clock.nowMs() - byMs);
  }

  /** One topic comes back empty, as another one. */
  loseTopic(): void {
    loseTopic(this.busStore, this.random, this.nextId('t'));
  }

  /** The state store comes back as it was so long ago. */
  rewindState(byMs: number): void {
    this.oracle.state.mayGoBack();
    this.history.rewind(byMs);
  }

  wipeState(): void {
    this.oracle.state.mayGoBack();
    this.history.wipe();
  }

  /** A line for whoever reads how a seed went. */
  say(what: string, text = ''): void {
    if (this.isTraced) this.trace.push(`${String(this.clock.monotonicMs()).padStart(6)} ${what} ${text}`);
  }

  violate(what: string): void {
    this.say('VIOLATION', what);
    this.violations.push(what);
  }

  nextId(prefix: string): string {
    return `${prefix}${String(++this.ids).padStart(15, '0')}`;
  }

  private log(process: Process): Log {
    const line = (level: string) => (message: string, fields?: object) => {
      if (this.isTraced) this.say(process.name, `${level} ${message} ${JSON.stringify(fields ?? {})}`);
    };
    const log: Log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'), with: () => log };
    return log;
  }
}

/** What becomes of a record of which one part was edited, by the rules of `apply`; undefined where that is refused. */
function edited(part: 'replication_type' | 'source.columns', stored: PipelineRecord, next: PipelineRecord): PipelineRecord | undefined {
  const { value, outcomes } = EDITS[part];
  if (JSON.stringify(value(stored.definition)) === JSON.stringify(value(next.definition))) return next;
  let record = next;
  for (const outcome of outcomes({ stored, wanted: next.definition })) {
    if (outcome.kind === 'refused') return undefined;
    record = outcome.becomes?.(record) ?? record;
  }
  return record;
}

/** All rows of the first table, into a table of its name. */
function queryOf({ isMerged }: Plan): QueryDefinition {
  const table = tableId(0);
  return { statement: table, table, key: isMerged === true ? ['id'] : [], schedule: { everyMs: 2000 }, timeoutMs: null };
}
