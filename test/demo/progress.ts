import type {
  Anchor,
  CaptureRecord,
  OverlapCounts,
  PartitionRecord,
  PipelineRecord,
  Position,
  SinkReport,
  State,
  TableRecord,
} from '@nanosync/core';
import { listRecords, readRecord, sectionsOf, stateKeys } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { openEmbeddedState } from '@nanosync/state';

/** How far one table is, out of the state store. */
export interface TableProgress {
  readonly table: string;
  readonly phase: TableRecord['phase'];
  /** Partitions, 0 until they are planned. */
  readonly partitions: number;
  /** Partitions that were read or are durable. */
  readonly read: number;
  readonly reading: number;
  readonly rows: number;
  readonly estimatedRows: number;
  /** Partitions that were begun more than once. */
  readonly repeated: number;
  readonly l1: Position | null;
  /** Changes that capture published. */
  readonly changes: number;
  readonly overlap: OverlapCounts;
  /** The sink's account; null before its first report. */
  readonly sink: SinkReport | null;
}

/** How far a pipeline is. */
export interface Progress {
  readonly phase: PipelineRecord['phase'];
  readonly anchor: Anchor | null;
  /** One sentence with its cure, when the pipeline or a table failed. */
  readonly failure: string | null;
  readonly waiting: string | null;
  readonly capture: CaptureRecord | null;
  readonly tables: readonly TableProgress[];
}

/** A look at a pipeline's state from outside its process. Nothing here writes. */
export interface ProgressReader extends AsyncDisposable {
  /** Undefined until the pipeline is known. */
  read(): Promise<Progress | undefined>;
}

const NO_OVERLAP: OverlapCounts = { inserts: 0, updates: 0, deletes: 0, keyChanges: 0, completed: 0, truncates: 0 };

/** Opens the state store in a data folder for reading, beside the process that writes it. */
export async function openProgress(dataDir: string, pipeline: string): Promise<ProgressReader> {
  return progressIn(await openEmbeddedState({ directory: `${dataDir}/state`, clock: systemClock() }), pipeline);
}

/** Reads a pipeline's progress from any state store, which is closed with the reader. */
export function progressIn(state: State, pipeline: string): ProgressReader {
  return {
    read: () => readProgress(state, pipeline),
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
}

async function readProgress(state: State, pipeline: string): Promise<Progress | undefined> {
  const record = (await readRecord<PipelineRecord>(state, stateKeys.pipeline(pipeline)))?.value;
  if (record === undefined) return undefined;
  const capture = (await readRecord<CaptureRecord>(state, stateKeys.capture(pipeline)))?.value ?? null;
  const tables: TableProgress[] = [];
  let failure = record.failure;
  for (const { value: table } of await listRecords<TableRecord>(state, stateKeys.tables(pipeline))) {
    const partitions = await listRecords<PartitionRecord>(state, stateKeys.partitions(pipeline, table.table, table.epoch));
    const sink = (await readRecord<SinkReport>(state, stateKeys.sinkReport(pipeline, table.table)))?.value ?? null;
    tables.push(
      tableProgress(
        table,
        partitions.map(({ value }) => value),
        capture,
        sink,
      ),
    );
    failure ??= table.failure ?? sink?.failure ?? null;
  }
  return {
    phase: record.phase,
    anchor: record.anchor,
    failure: failure === null ? null : `${failure.reason} ${failure.cure}`,
    waiting: record.waiting,
    capture,
    tables,
  };
}

function tableProgress(
  table: TableRecord,
  partitions: readonly PartitionRecord[],
  capture: CaptureRecord | null,
  sink: SinkReport | null,
): TableProgress {
  const captured = capture?.tables[table.table];
  const current = captured?.epoch === table.epoch ? captured : undefined;
  const read = partitions.filter(({ phase }) => phase === 'read' || phase === 'durable');
  return {
    table: table.table,
    phase: table.phase,
    partitions: table.partitions,
    read: read.length,
    reading: partitions.filter(({ phase }) => phase === 'reading').length,
    rows: read.reduce((sum, partition) => sum + partition.rows, 0),
    estimatedRows: table.estimatedRows,
    repeated: partitions.filter(({ attempts }) => attempts > 1).length,
    l1: current?.l1 ?? null,
    changes: current?.changes ?? 0,
    overlap: current?.overlap ?? NO_OVERLAP,
    sink: sink?.epoch === table.epoch ? sink : null,
  };
}

/** A position as PostgreSQL prints it. */
export function lsnOf(position: Position): string {
  const lsn = sectionsOf(position)[0] ?? 0n;
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/** An LSN as a number. */
export function lsnNumber(lsn: string): bigint {
  const [high = '0', low = '0'] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}
