import type {
  CaptureRecord,
  CaptureTable,
  Failure,
  OlderReport,
  OverlapCounts,
  PartitionPhase,
  PartitionRecord,
  Position,
  SinkReport,
  TablePhase,
  TableRecord,
  WatchRecord,
} from '@nanosync/core';
import { appliedUpTo, comparePositions, countPartitions, hasPartition, seenByUsers, waitingOnBus } from '@nanosync/core';
import type { Lag, Rates } from './figures.ts';
import { lagOf, ratesOf, secondsLeftOf } from './figures.ts';

/**
 * Partitions of one epoch by phase. `done` need not be read again (read or durable), `repeated` were begun more than once.
 */
export type PartitionCounts = Readonly<Record<PartitionPhase | 'total' | 'done' | 'repeated', number>>;

/** A partition that a snapshot worker took and has not read to its end. */
export interface PartitionReading {
  readonly partition: number;
  /** The worker process, by the random id that it gave itself; null where an older nanosync took it. */
  readonly reader: string | null;
  /** 1, or more where it is read again. */
  readonly attempts: number;
  /** False: its reader was not heard of for some seconds, and another one may take it. */
  readonly held: boolean;
}

/** One table for people and programs: plain data that JSON can carry. */
export interface TableStatus {
  readonly table: string;
  readonly phase: TablePhase;
  /** The phase in the words of the design: a built table is `catching up` below its L1 and `live` from there on; `copied` where nothing is followed. */
  readonly state: 'planned' | 'snapshotting' | 'copied' | 'catching up' | 'live' | 'failed';
  readonly epoch: string;
  readonly l0: Position | null;
  readonly l1: Position | null;
  /** It began, or begins, with the rows that the sink had, and none were copied: then there are no partitions. */
  readonly adopts: boolean;
  readonly partitions: PartitionCounts;
  readonly rows: { readonly estimated: number; readonly read: number; readonly staged: number; readonly built: number };
  /** Partitions that are being read, and by whom. */
  readonly reading: readonly PartitionReading[];
  readonly bytesRead: number;
  /** Until the copy is complete, at the rate of the last minute; null when there is none, or it cannot be told. */
  readonly secondsLeft: number | null;
  /** Null until its generation is built, and before the source answered. */
  readonly lag: Lag | null;
  /** Null until it was looked at twice. */
  readonly perSecond: Rates | null;
  readonly watermark: Position | null;
  readonly changesPublished: number;
  readonly changesApplied: number;
  readonly waitingChanges: number;
  readonly waitedAtHandoff: number;
  readonly overlap: OverlapCounts;
  readonly quarantined: number;
  readonly defects: number;
  readonly lastAppliedMs: number;
  /** What users see while this epoch is copied anew beside it, as it goes on; null when they see this one, or nothing yet. */
  readonly older: OlderReport | null;
  /** What was not copied of what users see, or will, as the copy was stopped; null where nothing is missing. */
  readonly missing: MissingRows | null;
  readonly failure: Failure | null;
}

/** Rows that are missing at the sink unless they changed since L0, until the table is copied anew. */
export interface MissingRows {
  /** Partitions that were not read, of all; 0 of 0 where the copy had none yet: then no row was copied. */
  readonly partitions: number;
  readonly of: number;
  /** What the partitions are at the source, as it says it, the first so many; empty once the table is being copied anew. */
  readonly ranges: readonly string[];
}

const MOST_RANGES = 20;
const NO_OVERLAP: OverlapCounts = { inserts: 0, updates: 0, deletes: 0, keyChanges: 0, completed: 0, truncates: 0 };

/** The records of one table, as far as there are any. */
export interface TableFacts {
  readonly table: TableRecord;
  /** The pipeline follows changes. */
  readonly follows: boolean;
  readonly ledger: readonly PartitionRecord[];
  readonly capture: CaptureRecord | undefined;
  readonly report: SinkReport | undefined;
  readonly watch: WatchRecord | undefined;
  /** Numbers of the partitions whose readers hold their lease. */
  readonly held: ReadonlySet<number>;
  readonly nowMs: number;
}

/** Capture and sink may still report on another epoch of the table; only what belongs to this one is shown. */
export function tableStatus({ table, follows, ledger, capture, report: anyReport, watch, held, nowMs }: TableFacts): TableStatus {
  const anyCapture = capture?.tables[table.table];
  const captured = anyCapture?.epoch === table.epoch ? anyCapture : undefined;
  const report = anyReport?.epoch === table.epoch ? anyReport : undefined;
  const partitions = partitionCounts(table, ledger, report);
  const perSecond = ratesOf(watch, table.table, table.epoch) ?? null;
  return {
    table: table.table,
    phase: table.phase,
    state: table.phase === 'built' && !follows ? 'copied' : derivedState(table.phase, captured, report),
    epoch: table.epoch,
    l0: table.l0 ?? captured?.l0 ?? null,
    l1: captured?.l1 ?? null,
    adopts: table.adopts === true,
    partitions,
    rows: {
      estimated: table.estimatedRows,
      read: ledger.reduce((rows, partition) => rows + partition.rows, 0),
      staged: report?.rowsStaged ?? 0,
      built: report?.rowsBuilt ?? 0,
    },
    reading: ledger
      .filter(({ phase }) => phase === 'reading')
      .map(({ partition, reader, attempts }) => ({ partition, reader, attempts, held: held.has(partition) })),
    bytesRead: ledger.reduce((bytes, partition) => bytes + partition.bytes, 0),
    secondsLeft:
      report?.built === true || table.missing !== undefined
        ? null
        : secondsLeftOf({
            ...{ estimated: table.estimatedRows, rows: report?.rowsStaged ?? 0, durable: partitions.durable, total: partitions.total },
            rowsPerSecond: perSecond?.rows,
          }),
    // While a copy is made beside it, users see the older generation.
    lag: follows
      ? (lagOf(watch, table.table, appliedUpTo(capture, table.older === null ? report : seenByUsers(anyReport)), nowMs) ?? null)
      : null,
    perSecond,
    watermark: report?.watermark ?? null,
    changesPublished: captured?.changes ?? 0,
    changesApplied: report?.changesApplied ?? 0,
    waitingChanges: waitingOnBus(capture, report) ?? report?.waiting ?? 0,
    waitedAtHandoff: report?.waitedAtHandoff ?? 0,
    overlap: captured?.overlap ?? NO_OVERLAP,
    quarantined: (report?.quarantined ?? 0) + (captured?.quarantined ?? 0),
    defects: report?.defects ?? 0,
    lastAppliedMs: report?.lastAppliedMs ?? 0,
    older: olderStatus(table, anyCapture, anyReport),
    missing: missingRows(table, ledger),
    failure: table.failure ?? captured?.failure ?? report?.failure ?? null,
  };
}

/** As its owner reports it beside the newer epoch, or still alone. What capture put aside since it began is missing in it. */
function olderStatus({ older }: TableRecord, captured: CaptureTable | undefined, report: SinkReport | undefined): OlderReport | null {
  if (older === null) return null;
  const known = report?.epoch === older.epoch ? report : report?.older?.epoch === older.epoch ? report.older : undefined;
  const aside = captured === undefined ? 0 : captured.quarantinedBefore + captured.quarantined - older.quarantinedBefore;
  return {
    epoch: older.epoch,
    rowsBuilt: known?.rowsBuilt ?? 0,
    watermark: known?.watermark ?? null,
    changesApplied: known?.changesApplied ?? 0,
    waiting: known?.waiting ?? 0,
    quarantined: (known?.quarantined ?? 0) + Math.max(0, aside),
    defects: known?.defects ?? 0,
    lastAppliedMs: known?.lastAppliedMs ?? 0,
    failure: known?.failure ?? null,
  };
}

function missingRows({ missing, older, partitions }: TableRecord, ledger: readonly PartitionRecord[]): MissingRows | null {
  // Until the copy that is made beside it takes its place.
  if (missing === undefined)
    return older?.missing === undefined ? null : { partitions: countPartitions(older.missing), of: older.partitions ?? 0, ranges: [] };
  const ranges = ledger.filter(({ partition }) => hasPartition(missing, partition)).map(({ range }) => range);
  return { partitions: countPartitions(missing), of: partitions, ranges: ranges.slice(0, MOST_RANGES) };
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
