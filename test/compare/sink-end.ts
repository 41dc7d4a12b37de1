import type { CanonicalColumn, ColumnPair } from './canonical.ts';
import type { KeyedRows, KeyOrder } from './merge.ts';

/** Which rows to read: a whole table, in the order of its key. */
export interface RowsRequest {
  readonly table: string;
  readonly columns: readonly CanonicalColumn[];
  readonly key: readonly string[];
  readonly orders: readonly KeyOrder[];
}

/** The end that is compared with the source. It is read by its own SQL alone; nothing of the pipeline is used. */
export interface SinkEnd extends AsyncDisposable {
  /** The table's columns and their types, by name; empty when there is no such table. */
  describe(table: string): Promise<ReadonlyMap<string, string>>;
  /** How a column is compared. */
  canonical(pair: ColumnPair): CanonicalColumn;
  rows(request: RowsRequest): KeyedRows;
}

/** A warehouse that a demo compares, and spoils to show that the comparison finds it. */
export interface Warehouse {
  open(): Promise<SinkEnd>;
  /** Runs SQL that changes the physical table behind a name; `query` is given that table's name in SQL. */
  change(table: string, query: (physical: string) => string): Promise<void>;
  /** The first value of a query about that physical table. */
  look(table: string, query: (physical: string) => string): Promise<string>;
  /** A copy of one table that may be spoiled; disposing it removes it. */
  copyOf(table: string): Promise<Warehouse & AsyncDisposable>;
}
