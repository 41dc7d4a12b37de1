import type { FenceWait, Source, TableId } from '@nanosync/core';

/**
 * A scenario: one step a line, what it led to behind ` -> ` or in indented lines below. Running it writes the same text anew; a
 * database fits if nothing differs. Steps: see `source-scenario-run.ts`.
 */
export interface Scenario {
  readonly name: string;
  readonly text: string;
  /**
   * Part of it is what PostgreSQL happens to do: on which page a version lies (five rows with a body `P` fill one; a version goes to the
   * first page that has room), and what of a slot survives a crash.
   */
  readonly typical?: boolean;
}

/** What a statement came to: it never waits for long. */
export type StatementOutcome = 'done' | 'blocked' | 'duplicate' | 'absent';

/** New cells of a row; those that are not given stay untouched. */
export interface ScenarioChange {
  readonly id?: number;
  readonly name?: string;
  readonly body?: string;
}

/** A session of an application on the database under test; disposing it ends what it left open, prepared or hanging. */
export interface ScenarioSession extends AsyncDisposable {
  begin(): Promise<void>;
  insert(table: TableId, row: Required<ScenarioChange>): Promise<StatementOutcome>;
  update(table: TableId, id: number, change: ScenarioChange): Promise<StatementOutcome>;
  delete(table: TableId, id: number): Promise<StatementOutcome>;
  truncate(table: TableId): Promise<StatementOutcome>;
  prepare(): Promise<void>;
  commit(): Promise<void>;
  /** Returns once the commit is in the log, and neither visible nor answered. */
  commitLate(): Promise<void>;
  /** Lets what {@link commitLate} began come to its end. */
  becomeVisible(): Promise<void>;
  rollback(): Promise<void>;
  /** Connects anew after a crash of the server; what it prepared is still its own. */
  reconnect(): Promise<void>;
}

/** A part of the source that can be seen to wait. */
export type WaitingPart = 'anchor' | 'fence' | 'extend' | 'read' | 'stream';

/** A database that scenarios run on, one after the other, each with two tables and a pipeline of its own. */
export interface ScenarioDatabase extends AsyncDisposable {
  readonly source: Source;
  /** A new empty table: `id` (int64, the key), `name` and `body` (text). */
  table(name: string): Promise<TableId>;
  session(name: string): Promise<ScenarioSession>;
  /** Moves all rows to another file; `waits` when the table is in use. */
  rewrite(table: TableId): Promise<'done' | 'waits'>;
  /** Makes room where rows are gone; `shorten` gives empty pages at the end back, which needs the table for a moment. */
  vacuum(table: TableId, shorten: boolean): Promise<void>;
  /** The server dies and comes back. */
  crash(): Promise<void>;
  dropSlot(pipeline: string): Promise<void>;
  breakStream(pipeline: string): Promise<void>;
  /** Where the slot is confirmed, once it is at least here. */
  confirmed(pipeline: string, atLeast: bigint): Promise<bigint>;
  /** Waits for work of the source; where time is the database's own, it moves on. */
  settled<T>(work: Promise<T>): Promise<T>;
  /** Returns once this part of the source is seen to wait, for this session where it is named, or `over` says that it does not wait. */
  untilWaiting(part: WaitingPart, session: string | undefined, over: () => boolean): Promise<void>;
  /** The session that a wait names. */
  holder(wait: FenceWait): string;
}
