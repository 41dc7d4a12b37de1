import type {
  CaptureRecord,
  ConnectionDefinition,
  Failure,
  PartitionRecord,
  PipelineIntent,
  PipelinePhase,
  PipelineRecord,
  Position,
  ReplicationType,
  SinkReport,
  State,
  TableRecord,
  TroubleRecord,
  WatchRecord,
} from '@nanosync/core';
import { followsChanges, laterPosition, leaseNames, leavingTables, listRecords, readRecord, stateKeys, tablesToAdd } from '@nanosync/core';
import { systemClock } from './clock.ts';
import type { FiguresAge, Lag, Rates, Retention } from './figures.ts';
import { ageOf, retentionOf } from './figures.ts';
import type { QueryStatus } from './query-status.ts';
import { isQueryWell, queryStatus } from './query-status.ts';
import type { TableStatus } from './table-status.ts';
import { tableStatus } from './table-status.ts';
import type { Trouble } from './troubles.ts';
import { needsPerson, troublesOf } from './troubles.ts';

/** A source or sink as the pipelines file names it. */
export interface PlaceName {
  readonly connection: string;
  readonly type: string;
}

/** One pipeline for people and programs. */
export interface PipelineStatus {
  readonly name: string;
  readonly type: ReplicationType;
  readonly source: PlaceName;
  readonly sink: PlaceName;
  readonly phase: PipelinePhase;
  /** What keeps a service from going on; it tries again. */
  readonly troubles: readonly Trouble[];
  /**
   * True while nothing failed, nothing waits for a person or has not worked for a minute, nothing is in quarantine, no defect was counted and the
   * source is not about to drop what is needed.
   */
  readonly healthy: boolean;
  /** The longest of the tables' lags; null while no table is built. */
  readonly lag: Lag | null;
  readonly perSecond: Rates | null;
  readonly secondsLeft: number | null;
  readonly retention: Retention | null;
  /** How old lag, rates and retention are. */
  readonly figures: FiguresAge;
  /** The anchor's L0. */
  readonly l0: Position | null;
  /** The latest L1 of the tables once every one has reached it in the stream. */
  readonly l1: Position | null;
  readonly published: Position | null;
  readonly session: number | null;
  readonly waiting: string | null;
  readonly request: PipelineRecord['request'];
  /** No more rows are to be copied, and the planner has not come to that yet. */
  readonly copyStops: boolean;
  /** What users want of it: it may not have come to that yet. */
  readonly intent: PipelineIntent;
  /** Tables that came to the definition and were not taken in yet. */
  readonly toAdd: readonly string[];
  /** Tables that are being taken out. */
  readonly leaving: readonly string[];
  /** Tables that are to be copied anew, of which no copy was begun yet. */
  readonly toCopy: readonly string[];
  readonly failure: Failure | null;
  readonly rowsBuilt: number;
  readonly changesPublished: number;
  readonly changesApplied: number;
  readonly waitingChanges: number;
  readonly partitionsRepeated: number;
  readonly quarantined: number;
  readonly defects: number;
  readonly tables: readonly TableStatus[];
  /** Of a query pipeline, which has no tables: its runs. */
  readonly query: QueryStatus | null;
}

/**
 * The status of a pipeline, or undefined when there is none of this name. Reads several records that change while it reads:
 * every number was true, not all at one moment.
 */
export async function pipelineStatus(
  state: State,
  name: string,
  nowMs: number = systemClock().nowMs(),
): Promise<PipelineStatus | undefined> {
  const record = (await readRecord<PipelineRecord>(state, stateKeys.pipeline(name)))?.value;
  if (record === undefined) return undefined;
  const capture = (await readRecord<CaptureRecord>(state, stateKeys.capture(name)))?.value;
  const reports = new Map((await listRecords<SinkReport>(state, stateKeys.sinkReports(name))).map(({ key, value }) => [key, value]));
  const watch = await watchOf(state, name, record);
  const query = await queryStatus(state, record);
  const tables: TableStatus[] = [];
  const leaving = leavingTables(record);
  for (const { value: table } of query === null ? await listRecords<TableRecord>(state, stateKeys.tables(name)) : []) {
    if (leaving.includes(table.table)) continue;
    const stored = await listRecords<PartitionRecord>(state, stateKeys.partitions(name, table.table, table.epoch));
    const ledger = stored.map(({ value }) => value);
    const report = reports.get(stateKeys.sinkReport(name, table.table));
    const held = await heldPartitions(state, stored);
    tables.push(tableStatus({ table, follows: followsChanges(record.definition), ledger, capture, report, watch, held, nowMs }));
  }
  const troubles = (await listRecords<TroubleRecord>(state, stateKeys.troubles(name))).map(({ value }) => value);
  return summary({ record, capture, watch, query, troubles, nowMs }, inFileOrder(tables, record.definition.source.tables));
}

/** Asked only of those that are being read: there are as many as readers. */
async function heldPartitions(
  state: State,
  stored: readonly { readonly key: string; readonly value: PartitionRecord }[],
): Promise<ReadonlySet<number>> {
  const held = new Set<number>();
  for (const { key, value } of stored)
    if (value.phase === 'reading' && (await state.isLeased(leaseNames.partition(key)))) held.add(value.partition);
  return held;
}

async function watchOf(state: State, name: string, { anchor }: PipelineRecord): Promise<WatchRecord | undefined> {
  const watch = (await readRecord<WatchRecord>(state, stateKeys.watch(name)))?.value;
  return watch?.anchor === anchor?.id ? watch : undefined;
}

/** The status of every pipeline, by name. */
export async function pipelineStatuses(state: State, nowMs: number = systemClock().nowMs()): Promise<readonly PipelineStatus[]> {
  const statuses: PipelineStatus[] = [];
  for (const { value } of await listRecords<PipelineRecord>(state, stateKeys.pipelines)) {
    const status = await pipelineStatus(state, value.definition.name, nowMs);
    if (status !== undefined) statuses.push(status);
  }
  return statuses;
}

interface PipelineFacts {
  readonly record: PipelineRecord;
  readonly capture: CaptureRecord | undefined;
  readonly watch: WatchRecord | undefined;
  readonly query: QueryStatus | null;
  readonly troubles: readonly TroubleRecord[];
  readonly nowMs: number;
}

function summary({ record, capture, watch, query, troubles: told, nowMs }: PipelineFacts, tables: readonly TableStatus[]): PipelineStatus {
  const sum = (count: (table: TableStatus) => number) => tables.reduce((total, table) => total + count(table), 0);
  const quarantined = sum((table) => table.quarantined + (table.older?.quarantined ?? 0));
  const defects = sum((table) => table.defects + (table.older?.defects ?? 0));
  const failure = record.failure ?? capture?.failure ?? null;
  const moving = told.filter(({ service }) => !isAtRest(service, record));
  const troubles = troublesOf(moving, nowMs);
  const retention = retentionOf(watch) ?? null;
  const endangered = isInDanger({ phase: record.phase, retention });
  const failed =
    record.phase === 'failed' || failure !== null || tables.some((table) => table.failure !== null || table.phase === 'failed');
  return {
    name: record.definition.name,
    type: record.definition.replicationType,
    source: placeName(record.definition.source),
    sink: placeName(record.definition.sink),
    phase: record.phase,
    troubles,
    // Invariant 'nothing-skipped': what was put aside is not in the sink.
    healthy: !failed && quarantined === 0 && defects === 0 && !endangered && !troubles.some(needsPerson) && isQueryWell(query),
    ...figuresOf(tables),
    retention,
    figures: ageOf(watch, nowMs),
    l0: record.anchor?.l0 ?? null,
    l1: latestL1(tables),
    published: capture?.published ?? null,
    session: capture?.session ?? null,
    waiting: record.waiting,
    request: record.request,
    copyStops: record.copyStopped === true,
    intent: record.intent,
    toAdd: tablesToAdd(record),
    leaving: leavingTables(record),
    toCopy: record.intent.copyAnew,
    failure,
    rowsBuilt: sum((table) => table.rows.built),
    changesPublished: sum((table) => table.changesPublished),
    changesApplied: sum((table) => table.changesApplied),
    waitingChanges: sum((table) => table.waitingChanges),
    partitionsRepeated: sum((table) => table.partitions.repeated),
    quarantined,
    defects,
    tables,
    query,
  };
}

function placeName({ connection: { name, type } }: { readonly connection: ConnectionDefinition }): PlaceName {
  return { connection: name, type };
}

/** A pipeline is as far behind as its last table, moves as all of them do, and is copied when the last one is. */
function figuresOf(tables: readonly TableStatus[]): Pick<PipelineStatus, 'lag' | 'perSecond' | 'secondsLeft'> {
  const lags = tables.flatMap(({ lag }) => lag ?? []);
  const rates = tables.flatMap(({ perSecond }) => perSecond ?? []);
  const copied = tables.filter(({ state }) => state === 'snapshotting' || state === 'planned').map(({ secondsLeft }) => secondsLeft);
  const sum = (kind: keyof Rates) => rates.reduce((total, rate) => total + rate[kind], 0);
  return {
    lag:
      lags.length === 0
        ? null
        : {
            seconds: Math.max(...lags.map(({ seconds }) => seconds)),
            atLeast: lags.some(({ atLeast }) => atLeast),
            bytes: Math.max(...lags.map(({ bytes }) => bytes)),
          },
    perSecond: rates.length === 0 ? null : { rows: sum('rows'), published: sum('published'), applied: sum('applied') },
    secondsLeft: copied.length === 0 || copied.includes(null) ? null : Math.max(...copied.map((seconds) => seconds ?? 0)),
  };
}

/** What a service said that stands still by now is not true any more. */
function isAtRest(service: string, { intent }: PipelineRecord): boolean {
  if (service === 'sink-writer') return intent.sink === 'paused';
  return service === 'cdc-capture' && intent.run === 'paused';
}

/** True while the source may drop what this pipeline needs, or has. */
export function isInDanger({ phase, retention }: Pick<PipelineStatus, 'phase' | 'retention'>): boolean {
  return MOVING.includes(phase) && retention !== null && (retention.state === 'at risk' || retention.state === 'lost');
}

/** Phases in which the source's log is needed. */
const MOVING: readonly PipelinePhase[] = ['anchored', 'snapshotting', 'streaming', 'paused'];

function latestL1(tables: readonly TableStatus[]): Position | null {
  let latest: Position | undefined;
  for (const { l1 } of tables) {
    if (l1 === null) return null;
    latest = laterPosition(latest, l1);
  }
  return latest ?? null;
}

function inFileOrder(tables: readonly TableStatus[], order: readonly string[]): readonly TableStatus[] {
  const place = (table: TableStatus) => (order.includes(table.table) ? order.indexOf(table.table) : order.length);
  return [...tables].sort((a, b) => place(a) - place(b));
}
