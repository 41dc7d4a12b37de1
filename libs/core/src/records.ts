import type { PipelineDefinition } from './definition.ts';
import type { PartitionRuns } from './partition-runs.ts';
import type { PartitionPhase, PausablePhase, PipelinePhase, TablePhase } from './phases.ts';
import type { Position } from './position.ts';
import type { TableId, TableSchema } from './table.ts';

/** The version of everything below as stored. An older one is upgraded where it is read (`upgrade.ts`), a newer one refused. */
export const RECORD_VERSION = 2;

/** One life of a slot. Durable before the first row is read; `l0` never moves. `origin` is the source's own (opaque) identity. */
export interface Anchor {
  readonly id: string;
  readonly l0: Position;
  readonly origin: Readonly<Record<string, string>>;
}

/** What is wrong, and the command or statement that repairs it. */
export interface Failure {
  readonly reason: string;
  readonly cure: string;
}

/**
 * What users want of a pipeline: states to reach and not steps to take, so that asking twice is asking once. Written by who asks; the planner
 * moves the phase towards it, and the services go by it.
 */
export interface PipelineIntent {
  /** `paused`: nothing is read from the source, which keeps its log until the pipeline is resumed. */
  readonly run: 'running' | 'paused';
  /** `paused`: nothing is written to the sink. Capture goes on and the source's log is released. */
  readonly sink: 'running' | 'paused';
  /** The pipeline goes for good, and with `dropTables` its tables at the sink too. With `force` what does not answer is left. Never taken back. */
  readonly deletion: { readonly dropTables: boolean; readonly force?: boolean } | null;
  /** Tables to be copied anew under the same anchor, beside what users see; each goes from the list when its new epoch is stored. */
  readonly copyAnew: readonly string[];
}

/** A pipeline as the planner knows it. Key `pipelines/<name>`; only the planner writes `phase`. */
export interface PipelineRecord {
  readonly v: typeof RECORD_VERSION;
  readonly definition: PipelineDefinition;
  readonly phase: PipelinePhase;
  /** Where a paused pipeline was, and goes on. */
  readonly pausedIn?: PausablePhase;
  readonly anchor: Anchor | null;
  /**
   * The tables whose records were stored: with the anchor, or later with their addition, each time in one write with this. Those of the
   * definition that are not here are still to be added. Absent before the first anchor: all of the definition will be.
   */
  readonly recorded?: readonly string[];
  /**
   * Tables that were taken out and of which something is left: they go from here last. One that is in the definition again is added after
   * that. Absent: none.
   */
  readonly leaving?: readonly string[];
  readonly failure: Failure | null;
  /** What the planner waits for right now (the fence's holders, a full bus), for status. */
  readonly waiting: string | null;
  /**
   * A new life of the whole pipeline is asked for, with an anchor of its own: its tables are copied, or begin with what the sink has (`adopt`). Or, of a
   * query pipeline alone, a run before its time. The planner acts on it and clears it.
   */
  readonly request: 'resnapshot' | 'adopt' | 'run' | null;
  /**
   * The first copies of this anchor's tables are to be stopped where they are; set by who makes it a pipeline of type `cdc`. The planner clears it once each
   * table that was not read to its end says what is missing in it.
   */
  readonly copyStopped?: true;
  /** What users want; see `intent.ts`. */
  readonly intent: PipelineIntent;
  readonly createdMs: number;
}

/** A table of a pipeline. Key `tables/<pipeline>/<table>`; written by the planner alone. */
export interface TableRecord {
  readonly v: typeof RECORD_VERSION;
  readonly table: TableId;
  readonly phase: TablePhase;
  readonly anchor: string;
  readonly epoch: string;
  /** Columns and key of this epoch. */
  readonly schema: TableSchema;
  /** The source's own account of the table's storage (PostgreSQL: relation, filenode); opaque elsewhere. */
  readonly storage: string;
  /** Position of the epoch's generation event: known at once for a pipeline's first tables, later reported by capture. */
  readonly l0: Position | null;
  /** The view of the source that its ranges are read in (`SourceView.id`); absent where changes repair what moves between two reads. */
  readonly view?: string;
  /** True once the L1 marker was written into the source's log. */
  readonly l1Requested: boolean;
  /** It begins with the rows that are at the sink under its name, and none of the source are copied: type `cdc`. */
  readonly adopts?: true;
  /**
   * Its copy was stopped: the rows of these partitions are not read, those that do not change any more are missing at the sink. Empty where it had no
   * partitions yet: then no row is copied. Settled once L1 is requested, and gone with the next copy.
   */
  readonly missing?: PartitionRuns;
  /** Users saw something under its name when it was planned, which goes once they see this epoch; absent where an older nanosync planned it. */
  readonly replaces?: boolean;
  /** Number of ranges, 0 until they are in the ledger, and where nothing is copied. */
  readonly partitions: number;
  /** How often a rewrite voided this table's plan; after two it is read as one range. */
  readonly voids: number;
  readonly estimatedRows: number;
  readonly busPartitions: number;
  /** The generation that users see while this epoch is copied beside it, under the same anchor; null when there is none, or they see this one. */
  readonly older: OlderEpoch | null;
  readonly failure: Failure | null;
}

/** An epoch that goes on receiving changes until another one of its anchor takes its place. Which one users see is known to the sink alone. */
export interface OlderEpoch {
  readonly epoch: string;
  /** What the stream is decoded by until the newer epoch begins in it. */
  readonly schema: TableSchema;
  readonly storage: string;
  /** Its {@link CaptureTable.quarantinedBefore}: what capture put aside since then is missing in it. */
  readonly quarantinedBefore: number;
  /** It was built from all rows of the source, so changes may leave to it what they did not change. Absent: it may lack some. */
  readonly based?: true;
  /** Its {@link TableRecord.missing}, of so many partitions. */
  readonly missing?: PartitionRuns;
  readonly partitions?: number;
}

/** One range in the ledger. Key `partitions/<pipeline>/<table>/<epoch>/<number, 8 digits>`; by compare-and-set only. */
export interface PartitionRecord {
  readonly v: typeof RECORD_VERSION;
  readonly partition: number;
  readonly range: string;
  readonly phase: PartitionPhase;
  /** True once its task was published by this planner's life or an earlier one. */
  readonly emitted: boolean;
  readonly attempt: string | null;
  /** How many attempts began; above 1 the partition was repeated. */
  readonly attempts: number;
  /** The worker process that last took it, a random id of its own; tells the planner who reads what. */
  readonly reader: string | null;
  readonly rows: number;
  readonly bytes: number;
  /** A reason the range could not be read that voids the plan (a rewrite), or null. */
  readonly voided: string | null;
}

/** What capture has published. Key `capture/<pipeline>`; written by the slot's holder after the bus acknowledged and before the source is. */
export interface CaptureRecord {
  readonly v: typeof RECORD_VERSION;
  /** The anchor these positions belong to; another anchor starts a new record. */
  readonly anchor: string;
  readonly session: number;
  /** Every change at or below is on the bus. */
  readonly published: Position;
  /** Where a new session begins: the last value acknowledged to the source. */
  readonly acknowledged: Position;
  /** End offset of each bus partition after the last publication: topic -> offsets by partition. */
  readonly ends: Readonly<Record<string, readonly number[]>>;
  /** Identity of each topic when first published to: a re-created topic is a gap. */
  readonly topics: Readonly<Record<string, string>>;
  readonly tables: Readonly<Record<TableId, CaptureTable>>;
  /** Of tables that are being taken out: changes from this position on are neither published nor counted in positions, by any session. */
  readonly left?: Readonly<Record<string, Position>>;
  readonly eventsPublished: number;
  readonly lastCommitMs: number;
  /** Why capture stopped for good, or null. */
  readonly failure: Failure | null;
}

/** One table as capture met it in the stream. Counters are exact: a repeated transaction counts again from the stored value. */
export interface CaptureTable {
  /** Epoch of the last generation event, with its position. */
  readonly epoch: string;
  readonly l0: Position;
  /** Position of the epoch's L1 event, null below it. */
  readonly l1: Position | null;
  readonly changes: number;
  readonly overlap: OverlapCounts;
  /** Changes that could not be decoded or keyed and went to the quarantine topic. */
  readonly quarantined: number;
  /** Those of earlier epochs under this anchor. */
  readonly quarantinedBefore: number;
  /** Why the table's changes are no longer published, or null. */
  readonly failure: Failure | null;
}

/** Changes between L0 and L1 of the epoch. */
export interface OverlapCounts {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly keyChanges: number;
  /** Updates that left large columns out of the log and were completed from the source. */
  readonly completed: number;
  readonly truncates: number;
}

/** A table at the sink, as its owner reports it. Key `sink/<pipeline>/<table>`; for display and for the planner's steps, never truth. */
export interface SinkReport {
  readonly v: typeof RECORD_VERSION;
  readonly epoch: string;
  /** Random id of the writer that began the report last; only it tells how far the table is. */
  readonly writer: string;
  readonly built: boolean;
  /** Users see this epoch under the table's name. */
  readonly current: boolean;
  readonly rowsBuilt: number;
  readonly rowsStaged: number;
  readonly partitionsDurable: number;
  /** It was built without these partitions, as its copy was stopped; absent where it has all. */
  readonly without?: PartitionRuns;
  /** Least over the bus partitions: everything below is durable. */
  readonly watermark: Position | null;
  readonly changesApplied: number;
  readonly waiting: number;
  /** The progress in the table's topic, by bus partition: the next message, and the position of the last applied one. Absent before it is built. */
  readonly bus?: { readonly topic: string; readonly next: readonly number[]; readonly last: readonly Position[] };
  /** Number of changes that waited on the bus when the gate opened. */
  readonly waitedAtHandoff: number;
  readonly quarantined: number;
  /** Lower positions that arrived for a row: must be 0. */
  readonly defects: number;
  readonly lastAppliedMs: number;
  /** The generation that users see while this epoch is copied beside it, or null. */
  readonly older: OlderReport | null;
  readonly failure: Failure | null;
}

/** What a table's owner reports of the generation that it feeds beside a newer one. */
export type OlderReport = Pick<
  SinkReport,
  'epoch' | 'rowsBuilt' | 'watermark' | 'bus' | 'changesApplied' | 'waiting' | 'quarantined' | 'defects' | 'lastAppliedMs' | 'failure'
>;

/** What keeps a service from working on a pipeline now. Key `trouble/<pipeline>/<service>`; for display, gone when it works again. */
export interface TroubleRecord {
  readonly v: typeof RECORD_VERSION;
  readonly service: string;
  /** What is wrong and its cure. */
  readonly reason: string;
  /** True when it does not pass by itself. */
  readonly manual: boolean;
  /** Since when the service has not worked for any reason; absent where an older nanosync told it. */
  readonly sinceMs?: number;
  /** True when only part of the pipeline stands still (tables that cannot be added); the others go on. */
  readonly partial?: true;
}

/** The key of each kind of record in the state store. Names are made of `/`-free parts. */
export const stateKeys = {
  pipelines: 'pipelines/',
  pipeline: (pipeline: string) => `pipelines/${part(pipeline)}`,
  tables: (pipeline: string) => `tables/${part(pipeline)}/`,
  table: (pipeline: string, table: string) => `tables/${part(pipeline)}/${part(table)}`,
  partitions: (pipeline: string, table: string, epoch: string) => `partitions/${part(pipeline)}/${part(table)}/${part(epoch)}/`,
  partitionsOf: (pipeline: string) => `partitions/${part(pipeline)}/`,
  partitionsOfTable: (pipeline: string, table: string) => `partitions/${part(pipeline)}/${part(table)}/`,
  partition: (pipeline: string, table: string, epoch: string, partition: number) =>
    `partitions/${part(pipeline)}/${part(table)}/${part(epoch)}/${String(partition).padStart(8, '0')}`,
  capture: (pipeline: string) => `capture/${part(pipeline)}`,
  query: (pipeline: string) => `query/${part(pipeline)}`,
  sinkReports: (pipeline: string) => `sink/${part(pipeline)}/`,
  watch: (pipeline: string) => `watch/${part(pipeline)}`,
  troubles: (pipeline: string) => `trouble/${part(pipeline)}/`,
  trouble: (pipeline: string, service: string) => `trouble/${part(pipeline)}/${part(service)}`,
  sinkReport: (pipeline: string, table: string) => `sink/${part(pipeline)}/${part(table)}`,
} as const;

function part(name: string): string {
  return encodeURIComponent(name);
}
