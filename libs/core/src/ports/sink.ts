import type { Row } from '../cell.ts';
import type { ChangeEvent } from '../change-event.ts';
import type { EndMarker, RowBatch } from '../messages.ts';
import type { PartitionRuns } from '../partition-runs.ts';
import type { Position } from '../position.ts';
import type { TableId, TableSchema } from '../table.ts';
import type { Problem } from './problem.ts';

/** A generation: the physical table of one epoch. */
export interface GenerationId {
  readonly pipeline: string;
  readonly table: TableId;
  readonly epoch: string;
}

/** Progress of one generation on one bus partition of its change topic. */
export interface BusProgress {
  readonly busPartition: number;
  /** Offset of the next message to apply. */
  readonly next: number;
  readonly session: number;
  /** Position of the last applied event; snapshot rows count as the epoch's L0. */
  readonly last: Position;
  /** Rows below were truncated; null before the first truncation. */
  readonly floor: Position | null;
}

/** A generation as it stands at the sink. */
export interface GenerationStatus {
  readonly rowsBuilt: number;
  /** Users see this generation under the table's name. */
  readonly current: boolean;
  readonly changesApplied: number;
  readonly quarantined: number;
  readonly defects: number;
  readonly topicId: string;
  /** The columns and key that it was built with, and that changes must have. */
  readonly schema: TableSchema;
  readonly progress: readonly BusProgress[];
  /** The partitions that it was built without; absent where it has all of them. */
  readonly without?: PartitionRuns;
}

/** A step of one bus partition's progress: exactly from the offset the batch was read at. */
export interface ProgressMove {
  readonly busPartition: number;
  readonly from: number;
  readonly to: number;
  readonly session: number;
  readonly last: Position;
  readonly floor: Position | null;
}

/** Row batches and end markers read from the rows topic, with the move of the loader's own progress. */
export interface StageRequest {
  readonly pipeline: string;
  readonly owner: string;
  readonly moves: readonly { readonly busPartition: number; readonly from: number; readonly to: number }[];
  readonly batches: readonly { readonly batch: RowBatch; readonly schema: TableSchema }[];
  readonly ends: readonly EndMarker[];
}

/** A change as the sink applies it: one event, already deduplicated by session and position, in bus partition order. */
export interface SinkChange {
  readonly busPartition: number;
  readonly key: Buffer;
  readonly event: ChangeEvent;
}

/** A batch of changes of one generation. The sink folds them per key; truncations are in `changes` like any event. */
export interface ApplyRequest {
  readonly generation: GenerationId;
  readonly owner: string;
  readonly schema: TableSchema;
  readonly moves: readonly ProgressMove[];
  readonly changes: readonly SinkChange[];
}

/** What an applied batch did. Rows that could not be applied are returned for quarantine and already counted durably. */
export interface Applied {
  readonly applied: number;
  readonly quarantined: readonly { readonly change: SinkChange; readonly reason: string }[];
  readonly defects: number;
}

/** One partition of an epoch that is complete: one attempt's end marker and all batches it names are durable. */
export interface StagedPartition {
  readonly partition: number;
  readonly attempt: string;
  readonly rows: number;
  readonly quarantined: number;
}

/** A row of a generation, and the position of the change that wrote it last; for rows of the copy the epoch's L0. */
export interface SinkRow {
  readonly cells: Row;
  readonly position: Position | null;
}

/** A table that a deleted pipeline left to its users: it is of no pipeline. */
export interface LeftTable {
  readonly table: TableId;
  /** The pipeline that had it. */
  readonly pipeline: string;
  readonly schema: TableSchema;
  /** It has every change of the source up to here, at least; null: it followed none, as a copy or the result of a query. */
  readonly followedTo: Position | null;
  /** The copy that it began with was stopped: rows that were not read then, and did not change since, are missing. */
  readonly stopped?: true;
}

/** What to read of a generation. */
export interface ScanRequest {
  readonly generation: GenerationId;
  /** The columns that it was built with. */
  readonly schema: TableSchema;
  /** Only the rows of these keys (cells in key order, at most some hundreds), all that there are of each; absent: all rows. */
  readonly keys?: readonly Row[];
  readonly signal: AbortSignal;
}

/** The complete partitions of an epoch, and the key that its rows are to have. */
export interface KeyedRows {
  readonly generation: GenerationId;
  readonly schema: TableSchema;
  readonly partitions: number;
}

/** How much a sink wants of a step: where each costs much however little it holds, more is gathered before it. */
export interface SinkPace {
  /** Bytes of row batches, and of changes, that are worth a step. */
  readonly stageBytes: number;
  readonly applyBytes: number;
  /** How long they are gathered at most, in milliseconds; 0: what is there is taken. */
  readonly stageWaitMs: number;
  readonly applyWaitMs: number;
  /** How often what is staged is asked for while a table waits for its last partition, in milliseconds. */
  readonly lookEveryMs: number;
}

/**
 * A warehouse. Every method is one atomic step that may be repeated after a lost answer: a repetition changes nothing or fails
 * with `conflict`. A writer names its owner token; a step under another token than the last claimed one fails with `conflict`
 * and changes nothing, however late it runs. `build`, `discard` and `switchTo` carry no token: a late one finds the generation already
 * there, gone or shown, and changes nothing that users see.
 */
export interface Sink extends AsyncDisposable {
  /** Without one its steps are cheap. */
  readonly pace?: SinkPace | undefined;

  /**
   * Problems that would keep these tables from being written (taken names, rights, columns); touches nothing. `schemas` are
   * those of the tables whose columns are known. `adopts`: their generations begin with what is under their names (see `adopt`).
   */
  check(pipeline: string, tables: readonly TableId[], schemas?: readonly TableSchema[], adopts?: boolean): Promise<readonly Problem[]>;

  /** True when users see something under the table's name, whoever made it. */
  shows(table: TableId): Promise<boolean>;

  /**
   * Makes this token the only loader of the pipeline's rows and returns the next offset of each bus partition. `stream` names what the
   * offsets count in (a life of the topic under an anchor); another one than before begins at 0, since staging again changes nothing.
   */
  claimRows(pipeline: string, owner: string, stream: string, busPartitions: number): Promise<readonly number[]>;
  /** Stages batches and end markers durably; batches that are already there, or of an epoch that is built or dropped, are ignored. */
  stage(request: StageRequest): Promise<void>;
  /** The complete partitions of an epoch. */
  staged(generation: GenerationId): Promise<readonly StagedPartition[]>;
  /** Drops an epoch's staging and, unless it is current, its physical table: a voided plan. */
  discard(generation: GenerationId): Promise<void>;

  /**
   * Builds the generation once: a fresh physical table of one row a key out of the complete partitions (without a key: of all their rows), progress at `start`,
   * and, where no other generation is current, the table's name. `without`: partitions that are left out, be they complete or not, as their copy was stopped; the
   * others must be complete. Does nothing when it exists, however it was built. Returns the rows built.
   */
  build(request: {
    readonly generation: GenerationId;
    readonly anchor: string;
    readonly schema: TableSchema;
    readonly partitions: number;
    readonly without?: PartitionRuns | undefined;
    readonly l0: Position;
    readonly topicId: string;
    readonly start: readonly { readonly next: number; readonly session: number }[];
  }): Promise<{ readonly rows: number }>;
  /**
   * Begins the generation without a copy, once: a fresh physical table with the rows that are under the table's name, if there are any, each below every
   * change, progress at `start`, and the name. A table that nanosync did not make must have the schema's columns and one row a key, else
   * `prerequisite`; it stays under another name. A copy of the pipeline that nothing followed is replaced. A generation that followed
   * changes is refused with `gap`, as what came since its last one would be missing. Does nothing when it exists. Returns the rows it began with.
   */
  adopt(request: {
    readonly generation: GenerationId;
    readonly anchor: string;
    readonly schema: TableSchema;
    readonly l0: Position;
    readonly topicId: string;
    readonly start: readonly { readonly next: number; readonly session: number }[];
  }): Promise<{ readonly rows: number }>;
  /**
   * What keeps the complete partitions of an epoch from being written by the schema's key: rows that lack a cell of it, and keys that stand
   * in several rows. The answer never changes.
   */
  keyFaults(request: KeyedRows): Promise<{ readonly nulls: number; readonly doubled: number }>;
  /**
   * Writes the rows of the complete partitions over those of the generation that has the table's name, by the schema's key: a row whose key is there takes its
   * place, another one comes to it, the rest stays. One transaction, once for an epoch, whoever asks and however often. From then on the
   * epoch counts as current, as users see its rows, until another one is merged or takes the name. Throws `table-changed` for
   * rows of other columns or another key, `conflict` for an epoch that was given up and where no generation has the name.
   */
  merge(request: KeyedRows & { readonly l0: Position }): Promise<{ readonly rows: number }>;
  /** The generation's status, or undefined when it is neither built nor merged. */
  generation(generation: GenerationId): Promise<GenerationStatus | undefined>;
  /**
   * The epochs of a table that the sink holds something of: built ones, and those that are only staged (their anchor is empty, they are not
   * current).
   */
  generations(
    pipeline: string,
    table: TableId,
  ): Promise<readonly { readonly epoch: string; readonly anchor: string; readonly current: boolean }[]>;
  /** Makes this token the generation's only writer and returns its progress. */
  claim(generation: GenerationId, owner: string): Promise<GenerationStatus>;
  /** Applies a batch in one transaction whose first statement moves the progress, or throws `conflict`. */
  apply(request: ApplyRequest): Promise<Applied>;
  /**
   * Gives the table's name to this generation and drops the others of the table, all at once; true when users see it then. Does nothing when
   * it has the name already: what else exists then is newer, and a writer that was stopped for long must not drop it. Nothing is done either,
   * and the answer is false, while the generation that has the name is fed by the same stream (its anchor and topic are the same) and has
   * passed an offset of a bus partition that this one has not: what users see would go back. That is decided in the same step.
   */
  switchTo(generation: GenerationId): Promise<boolean>;

  /** What deleted pipelines left under exactly these names; touches nothing. */
  left(tables: readonly TableId[]): Promise<readonly LeftTable[]>;
  /**
   * Reads the rows of a built generation, in pieces and in any order, and changes nothing. Writers need not wait for it: each piece is as
   * the table was when the piece was read, so a row that moves meanwhile may be missed or come twice. What is there of one of the `keys` is of one
   * moment, after the call. Throws `conflict` when the generation is not there (any more).
   */
  scan(request: ScanRequest): AsyncIterable<readonly SinkRow[]>;
  /**
   * Lets go of a table of the pipeline, or with null of all its tables and of the loader of its rows. Staging, progress and generations that nobody
   * sees go; what users see stays under its name, or goes too with `dropTables`, also where an earlier call left it. Epochs that the sink knew stay
   * over, however late something of theirs comes. A table that was left is of no pipeline: the next generation of exactly this name is built beside it,
   * and takes its place when it is switched to. To repeat it changes nothing.
   */
  release(pipeline: string, table: TableId | null, options: { readonly dropTables: boolean }): Promise<void>;
}
