import type { Row } from '../cell.ts';
import type { TableColumnRules } from '../column-rules.ts';
import type { Position } from '../position.ts';
import type { Anchor } from '../records.ts';
import type { TableId, TableSchema } from '../table.ts';
import type { Problem, SourceWants } from './problem.ts';
import type { QuerySource } from './query-source.ts';

/** A table as found at the source. */
export interface SourceTable {
  readonly schema: TableSchema;
  /** The source's own account of identity and storage, to be handed back; opaque elsewhere. */
  readonly storage: string;
  readonly estimatedRows: number;
}

/** A block of rows, encoded and compressed: the body of a row batch. */
export interface RowBlock {
  readonly rows: number;
  readonly codec: 'null' | 'zstandard';
  readonly block: Uint8Array;
}

/** A row of a range that cannot be encoded for the sink; `payload` is the row as the source sent it. */
export interface RejectedRow {
  readonly reason: string;
  readonly payload: Uint8Array;
}

/**
 * What reading a range yields, in any order; blocks are near `targetBytes` before compression. A block of several rows is never above
 * it: a row that would make it so has a block to itself.
 */
export type RangeOutput = { readonly kind: 'block'; readonly block: RowBlock } | { readonly kind: 'rejected'; readonly row: RejectedRow };

/** How to read a range. */
export interface RangeOptions {
  /** Bytes of rows in a block before compression, about. */
  readonly targetBytes: number;
  /** Encoded bytes that every row begins with, see `rowOrigin`. */
  readonly origin: Uint8Array;
  /** The view to read in; absent: the range as it is now. */
  readonly view?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * One moment of the source that all readers share, in other processes too. It lasts until it is disposed of, its process dies or its connection breaks;
 * a read that has begun goes on. The source keeps rows that nobody else needs as long as it lasts.
 */
export interface SourceView extends AsyncDisposable {
  /** Names the moment for `RangeOptions.view`. No other moment ever has this name. */
  readonly id: string;
  /** Where the source's log ended just before it. */
  readonly position: Position;
  /** Throws PipelineError `unavailable` when the source no longer holds it. */
  check(): Promise<void>;
}

/** A row as one statement saw it. Equal versions of a key are the same row, not written in between; unequal ones may be. */
export interface VersionedRow {
  readonly cells: Row;
  readonly version: string;
}

/**
 * A message of ours in the source's own log, so that its place in the stream is exact.
 * - `generation`: from here on the table's events belong to this epoch (its L0).
 * - `consistency`: all ranges of the epoch have been read (its L1).
 * - `watermark`: asks capture to publish a watermark to all tables.
 */
export type Marker =
  | { readonly kind: 'generation' | 'consistency'; readonly pipeline: string; readonly table: TableId; readonly epoch: string }
  | { readonly kind: 'watermark'; readonly pipeline: string };

/** What a change stream delivers. Positions never go back within one stream. */
export type SourceEvent =
  /** One change of one row, in stream order. A key change comes as `d` of the old key and then `c` of the new row. */
  | {
      readonly kind: 'change';
      readonly table: TableId;
      readonly op: 'c' | 'u' | 'd';
      readonly before: Row | null;
      readonly after: Row | null;
      /** See ChangeEvent. */
      readonly rowless: boolean;
      /** This event is one half of a key change. */
      readonly keyChange: boolean;
      /** Cells were left out of the log and read from the source. */
      readonly completed: boolean;
      readonly position: Position;
      readonly txId: number;
      readonly commitMs: number;
    }
  | { readonly kind: 'truncate'; readonly table: TableId; readonly position: Position; readonly txId: number; readonly commitMs: number }
  | { readonly kind: 'marker'; readonly marker: Marker; readonly position: Position; readonly commitMs: number }
  /** The table's columns or key are no longer those of the schema given to `changes`. Later changes of it are not delivered, until a generation marker of it. */
  | { readonly kind: 'schema'; readonly table: TableId; readonly position: Position; readonly commitMs: number; readonly reason: string }
  /** A row change that cannot be decoded or keyed; goes to quarantine. */
  | {
      readonly kind: 'rejected';
      readonly table: TableId;
      readonly position: Position;
      readonly reason: string;
      readonly payload: Uint8Array;
      readonly commitMs: number;
    }
  /** A transaction ended: everything at or below has been delivered. `acknowledge` is the value to acknowledge once all of it is published. */
  | { readonly kind: 'commit'; readonly position: Position; readonly acknowledge: Position; readonly commitMs: number }
  /** Nothing is in flight: every commit strictly below `position` has been delivered. May be acknowledged as it is. */
  | { readonly kind: 'idle'; readonly position: Position };

/** A running change stream. */
export interface ChangeReader extends AsyncDisposable {
  /** The next events in order, at least one; undefined once the signal of `changes` aborted. Throws when the stream breaks. */
  next(): Promise<readonly SourceEvent[] | undefined>;
  /**
   * Tells the source that everything up to this value (of a `commit` or `idle` event) is safe elsewhere; exactly this value
   * reaches the server, at once, or as the options' `confirm` says, and repeated on a timer. A reader that ends before has not told it.
   */
  acknowledge(position: Position): void;
}

/** When the server is told what was acknowledged. */
export interface ConfirmOptions {
  /** A value is held for so long, in milliseconds ... */
  readonly afterMs: number;
  /** ... and told if this says yes then. After a no nothing is told any more; an error means that it is asked again. */
  readonly mayTell: (position: Position) => Promise<boolean>;
}

/** Options of a change stream. */
export interface ChangesOptions {
  readonly pipeline: string;
  readonly anchor: Anchor;
  /** Where to begin: the last acknowledged value, or the anchor's L0. */
  readonly from: Position;
  readonly tables: readonly { readonly schema: TableSchema; readonly storage: string }[];
  /** True while incomplete events of the table must be completed (between its L0 and L1). Key changes always are. */
  readonly complete: (table: TableId) => boolean;
  /**
   * False at a place before the table's generation event, whether that is known already or still to come. Nothing of it is delivered there, other
   * columns are no `schema` event, and nothing of it counts in other tables' positions: what is streamed of it depends on where the stream began.
   * `position` lies before all events of a transaction: the answer is for the whole of it. Absent: true for all.
   */
  readonly begun?: (table: TableId, position: Position) => boolean;
  /** Keeps what was acknowledged, and where the stream begins, from the server; absent: both are told at once. */
  readonly confirm?: ConfirmOptions;
  readonly signal: AbortSignal;
}

/** What the visibility fence waits for, for status: who holds it, since when, and the statement that ends it. */
export interface FenceWait {
  readonly holder: string;
  readonly ageSeconds: number;
  readonly cure: string;
}

/** How to end a wait for others' transactions, and who hears what it waits for. */
export interface FenceOptions {
  readonly signal: AbortSignal;
  readonly onWait: (waits: readonly FenceWait[]) => void;
}

/**
 * How much of its log a source keeps for an anchor, and how much more may be written before it drops what is still needed.
 * `lost`: it has, or it no longer knows of the anchor. `at risk`: it may at any moment. `unlimited`: nothing but the disk bounds it. `none`: this
 * anchor needs no log.
 */
export interface SourceRetention {
  /** The end of the log at this moment. */
  readonly end: Position;
  readonly state: 'safe' | 'at risk' | 'lost' | 'unlimited' | 'none';
  readonly keptBytes: number;
  /** The most that is kept, by the source's settings; null without a limit. */
  readonly limitBytes: number | null;
  /** What may still be written before something that is needed may go; null without a limit. */
  readonly leftBytes: number | null;
  /** Where the limit is set, as the source calls it. */
  readonly setting: string;
}

/** An operational database to follow. One per pipeline and process; holds no connection open that it does not need. */
export interface Source extends AsyncDisposable {
  /** Every problem that would keep these tables from being replicated; touches nothing. Throws `config`/`unavailable` when it cannot even connect. */
  check(pipeline: string, tables: readonly string[], wants?: SourceWants): Promise<readonly Problem[]>;
  /**
   * The tables' columns, key and storage, in the order given; throws PipelineError `config` for one that is missing or unfit. What the rules
   * exclude is no column of the schema, what they hash is text there; the storage carries the rules to whatever reads the table.
   */
  discover(tables: readonly string[], columns?: TableColumnRules): Promise<readonly SourceTable[]>;
  /**
   * The tables that are no longer what was planned (gone, other columns, another key, not in the log any more), with a sentence each.
   * Some of these changes send no event, so the planner asks every few seconds.
   */
  drift(
    pipeline: string,
    tables: readonly { readonly schema: TableSchema; readonly storage: string }[],
  ): Promise<readonly { readonly table: TableId; readonly reason: string }[]>;
  /**
   * Commits the publication, makes a slot that is this anchor's own and returns the anchor, not yet durable anywhere. It takes nothing away,
   * so a call that comes late, or is not wanted any more, harms no anchor that is stored. Who does not store what it returns drops it.
   */
  anchor(pipeline: string, id: string, tables: readonly TableId[]): Promise<Anchor>;
  /** Drops the slot that this anchor names, and no other; ends who streams from it. No error when it is gone. Call only when the anchor is not stored and cannot be any more. */
  drop(anchor: Anchor): Promise<void>;
  /**
   * Drops what other anchors of the pipeline left: lists their slots, asks `still` whether this anchor is still the stored one, and drops
   * what it listed only after a yes. A slot that was listed while this anchor was stored and is not stored itself when `still` is asked belongs
   * to an attempt that will not be stored any more: it began before this anchor was, and only one of two is. With null no anchor is stored, all
   * slots of the pipeline are listed, and `still` says yes only once no attempt that began before can be stored any more. Does not ask when
   * it lists none.
   */
  tidy(pipeline: string, anchor: Anchor | null, still: () => Promise<boolean>): Promise<void>;
  /**
   * Takes further tables into what the pipeline's stream carries, beside those that are in it. Once it has returned, each transaction that commits
   * is streamed with all its changes of these tables, also one that was open when it was called; of those that commit before, some, all or
   * none. So a generation marker that is written after it begins a stream without gap. It waits for every transaction that is open when it is
   * called, and says so like `fence`. To repeat it, after a crash or twice at once, changes nothing. One table that is gone, or
   * stays locked, fails all of the call, and not as `unavailable`: the others may be taken in without it. Call only while an anchor is stored.
   */
  extend(pipeline: string, tables: readonly TableId[], options: FenceOptions): Promise<void>;
  /**
   * Stops streaming tables that the pipeline follows no more; the others go on. `still` is asked when nothing but the commit is left to be done, while
   * nobody else can add them: where it says no, nothing is changed and it throws `conflict`. To repeat it changes nothing.
   */
  withdraw(pipeline: string, tables: readonly TableId[], still: () => Promise<boolean>): Promise<void>;
  /** Throws PipelineError `gap` unless slot, system, timeline and position still fit the anchor and what was published. */
  verify(pipeline: string, anchor: Anchor, published: Position | null): Promise<void>;
  /**
   * Drops all slots of the pipeline, and its publication; no error when they are gone. `still` is asked once the slots are listed, and again when nothing
   * but the publication's commit is left, while nobody else can make or change it: where it says no, what is left stays and it throws `conflict`.
   */
  release(pipeline: string, still: () => Promise<boolean>): Promise<void>;
  /** Returns once every transaction that could have committed before this call's start is visible to new reads. */
  fence(options: FenceOptions): Promise<void>;
  /** Ranges that cover the table without overlap, the last one open; one range when `whole`. Sized by rows and bytes, from statistics. */
  partition(table: SourceTable, options: { readonly targetRows: number; readonly whole: boolean }): Promise<readonly string[]>;
  /** Holds this moment open. A table can be read in it whose storage was asked for before, and is the same when it is read. */
  openView(): Promise<SourceView>;
  /**
   * Reads one range as it is now, or as it was in the view; throws PipelineError `table-changed` when storage or columns are not the planned ones, or
   * the view is gone.
   */
  readRange(
    table: { readonly schema: TableSchema; readonly storage: string },
    range: string,
    options: RangeOptions,
  ): AsyncIterable<RangeOutput>;
  /**
   * The rows of some keys (cells in key order, at most some hundreds) as they are now, in the order of the keys; undefined where there is
   * none. Cells are what the stream would carry. Throws `table-changed` when the columns are not those of the schema any more.
   */
  readRows(
    table: { readonly schema: TableSchema; readonly storage: string },
    keys: readonly Row[],
    signal: AbortSignal,
  ): Promise<readonly (VersionedRow | undefined)[]>;
  changes(options: ChangesOptions): Promise<ChangeReader>;
  /** Commits a marker into the source's log. */
  mark(marker: Marker): Promise<void>;
  /** How much log is kept for this anchor; for display. Never waits for others' transactions or locks. */
  retention(anchor: Anchor): Promise<SourceRetention>;
  /** The current end of the source's log, for lag. */
  end(): Promise<Position>;
  /** Of a source that can run statements. */
  readonly queries?: QuerySource | undefined;
  /** Bytes of log between two positions, for display; 0 when the source cannot tell. */
  distance(from: Position, to: Position): number;
}
