import type {
  CaptureRecord,
  CaptureTable,
  Failure,
  OverlapCounts,
  PartitionPhase,
  PartitionRecord,
  PipelinePhase,
  PipelineRecord,
  Position,
  SinkReport,
  State,
  TablePhase,
  TableRecord,
  TroubleRecord,
} from '@nanosync/core';
import { comparePositions, laterPosition, listRecords, readRecord, stateKeys, tablesToAdd } from '@nanosync/core';

/**
 * Partitions of one epoch by phase. `done` need not be read again (read or durable), `repeated` were begun more than once.
 */
export type PartitionCounts = Readonly<Record<PartitionPhase | 'total' | 'done' | 'repeated', number>>;

/** One table for people and programs: plain data that JSON can carry. */
export interface TableStatus {
  readonly table: string;
  readonly phase: TablePhase;
  /** The phase in the words of the design: a built table is `catching up` below its L1 and `live` from there on. */
  readonly state: 'planned' | 'snapshotting' | 'catching up' | 'live' | 'failed';
  readonly epoch: string;
  readonly l0: Position | null;
  readonly l1: Position | null;
  readonly partitions: PartitionCounts;
  readonly rows: { readonly estimated: number; readonly read: number; readonly staged: number; readonly built: number };
  readonly bytesRead: number;
  readonly watermark: Position | null;
  readonly changesPublished: number;
  readonly changesApplied: number;
  readonly waitingChanges: number;
  readonly waitedAtHandoff: number;
  readonly overlap: OverlapCounts;
  readonly quarantined: number;
  readonly defects: number;
  readonly lastAppliedMs: number;
  readonly failure: Failure | null;
}

/** One pipeline for people and programs. */
export interface PipelineStatus {
  readonly name: string;
  readonly phase: PipelinePhase;
  /** What keeps a service from going on; it tries again. `manual`: it will not pass by itself. */
  readonly troubles: readonly { readonly service: string; readonly reason: string; readonly manual: boolean }[];
  /** True while nothing failed, nothing waits for a person, nothing is in quarantine and no defect was counted. */
  readonly healthy: boolean;
  /** The anchor's L0. */
  readonly l0: Position | null;
  /** The latest L1 of the tables once every one has reached it in the stream. */
  readonly l1: Position | null;
  readonly published: Position | null;
  readonly session: number | null;
  readonly waiting: string | null;
  readonly request: 'resnapshot' | null;
  /** Tables that came to the definition and were not taken in yet. */
  readonly toAdd: readonly string[];
  readonly failure: Failure | null;
  readonly rowsBuilt: number;
  readonly changesPublished: number;
  readonly changesApplied: number;
  readonly waitingChanges: number;
  readonly partitionsRepeated: number;
  readonly quarantined: number;
  readonly defects: number;
  readonly tables: readonly TableStatus[];
}

const NO_OVERLAP: OverlapCounts = { inserts: 0, updates: 0, deletes: 0, keyChanges: 0, completed: 0, truncates: 0 };

/**
 * The status of a pipeline, or undefined when there is none of this name. Reads several records that change while it reads:
 * every number was true, not all at one moment.
 */
export async function pipelineStatus(state: State, name: string): Promise<PipelineStatus | undefined> {
  const record = (await readRecord<PipelineRecord>(state, stateKeys.pipeline(name)))?.value;
  if (record === undefined) return undefined;
  const capture = (await readRecord<CaptureRecord>(state, stateKeys.capture(name)))?.value;
  const reports = new Map((await listRecords<SinkReport>(state, stateKeys.sinkReports(name))).map(({ key, value }) => [key, value]));
  const tables: TableStatus[] = [];
  for (const { value: table } of await listRecords<TableRecord>(state, stateKeys.tables(name))) {
    const stored = await listRecords<PartitionRecord>(state, stateKeys.partitions(name, table.table, table.epoch));
    const ledger = stored.map(({ value }) => value);
    const report = reports.get(stateKeys.sinkReport(name, table.table));
    tables.push(tableStatus(table, ledger, capture?.tables[table.table], report));
  }
  const troubles = (await listRecords<TroubleRecord>(state, stateKeys.troubles(name))).map(({ value }) => value);
  return summary(record, capture, inFileOrder(tables, record.definition.source.tables), troubles);
}

/** The status of every pipeline, by name. */
export async function pipelineStatuses(state: State): Promise<readonly PipelineStatus[]> {
  const statuses: PipelineStatus[] = [];
  for (const { value } of await listRecords<PipelineRecord>(state, stateKeys.pipelines)) {
    const status = await pipelineStatus(state, value.definition.name);
    if (status !== undefined) statuses.push(status);
  }
  return statuses;
}

function summary(
  record: PipelineRecord,
  capture: CaptureRecord | undefined,
  tables: readonly TableStatus[],
  troubles: readonly TroubleRecord[],
): PipelineStatus {
  const sum = (count: (table: TableStatus) => number) => tables.reduce((total, table) => total + count(table), 0);
  const quarantined = sum((table) => table.quarantined);
  const defects = sum((table) => table.defects);
  const failure = record.failure ?? capture?.failure ?? null;
  const failed =
    record.phase === 'failed' || failure !== null || tables.some((table) => table.failure !== null || table.phase === 'failed');
  return {
    name: record.definition.name,
    phase: record.phase,
    troubles: troubles.map(({ service, reason, manual }) => ({ service, reason, manual })),
    // Invariant 'nothing-skipped': what was put aside is not in the sink.
    healthy: !failed && quarantined === 0 && defects === 0 && troubles.every(({ manual }) => !manual),
    l0: record.anchor?.l0 ?? null,
    l1: latestL1(tables),
    published: capture?.published ?? null,
    session: capture?.session ?? null,
    waiting: record.waiting,
    request: record.request,
    toAdd: tablesToAdd(record),
    failure,
    rowsBuilt: sum((table) => table.rows.built),
    changesPublished: sum((table) => table.changesPublished),
    changesApplied: sum((table) => table.changesApplied),
    waitingChanges: sum((table) => table.waitingChanges),
    partitionsRepeated: sum((table) => table.partitions.repeated),
    quarantined,
    defects,
    tables,
  };
}

function latestL1(tables: readonly TableStatus[]): Position | null {
  let latest: Position | undefined;
  for (const { l1 } of tables) {
    if (l1 === null) return null;
    latest = laterPosition(latest, l1);
  }
  return latest ?? null;
}

/** Capture and sink may still report on another epoch of the table; only what belongs to this one is shown. */
function tableStatus(
  table: TableRecord,
  ledger: readonly PartitionRecord[],
  anyCapture: CaptureTable | undefined,
  anyReport: SinkReport | undefined,
): TableStatus {
  const captured = anyCapture?.epoch === table.epoch ? anyCapture : undefined;
  const report = anyReport?.epoch === table.epoch ? anyReport : undefined;
  return {
    table: table.table,
    phase: table.phase,
    state: derivedState(table.phase, captured, report),
    epoch: table.epoch,
    l0: table.l0 ?? captured?.l0 ?? null,
    l1: captured?.l1 ?? null,
    partitions: partitionCounts(table, ledger, report),
    rows: {
      estimated: table.estimatedRows,
      read: ledger.reduce((rows, partition) => rows + partition.rows, 0),
      staged: report?.rowsStaged ?? 0,
      built: report?.rowsBuilt ?? 0,
    },
    bytesRead: ledger.reduce((bytes, partition) => bytes + partition.bytes, 0),
    watermark: report?.watermark ?? null,
    changesPublished: captured?.changes ?? 0,
    changesApplied: report?.changesApplied ?? 0,
    waitingChanges: report?.waiting ?? 0,
    waitedAtHandoff: report?.waitedAtHandoff ?? 0,
    overlap: captured?.overlap ?? NO_OVERLAP,
    quarantined: (report?.quarantined ?? 0) + (captured?.quarantined ?? 0),
    defects: report?.defects ?? 0,
    lastAppliedMs: report?.lastAppliedMs ?? 0,
    failure: table.failure ?? captured?.failure ?? report?.failure ?? null,
  };
}

function derivedState(phase: TablePhase, captured: CaptureTable | undefined, report: SinkReport | undefined): TableStatus['state'] {
  switch (phase) {
    case 'planned':
    case 'snapshotting':
    case 'failed':
      return phase;
    case 'following':
      return 'live';
    case 'built': {
      const l1 = captured?.l1 ?? null;
      const watermark = report?.watermark ?? null;
      return l1 !== null && watermark !== null && comparePositions(watermark, l1) >= 0 ? 'live' : 'catching up';
    }
  }
}

/** The ledger may be behind what the sink knows to be durable, never ahead of it. */
function partitionCounts(table: TableRecord, ledger: readonly PartitionRecord[], report: SinkReport | undefined): PartitionCounts {
  const counts = { planned: 0, reading: 0, read: 0, durable: 0, total: Math.max(table.partitions, ledger.length), repeated: 0 };
  for (const partition of ledger) {
    counts[partition.phase]++;
    if (partition.attempts > 1) counts.repeated++;
  }
  const durable = Math.min(counts.total, Math.max(counts.durable, report?.partitionsDurable ?? 0));
  return { ...counts, durable, done: Math.max(durable, counts.read + counts.durable) };
}

function inFileOrder(tables: readonly TableStatus[], order: readonly string[]): readonly TableStatus[] {
  const place = (table: TableStatus) => (order.includes(table.table) ? order.indexOf(table.table) : order.length);
  return [...tables].sort((a, b) => place(a) - place(b));
}
