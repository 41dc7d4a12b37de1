/** What becomes of columns of one table whose values must not leave the source as they are. */
export interface ColumnRules {
  /** Left out: neither bus nor sink know the column. */
  readonly exclude: readonly string[];
  /** Replaced by a hash of the value's text, so that equal values stay equal; null stays null. */
  readonly hash: readonly string[];
}

/** The rules of a pipeline's tables, by table; a table without an entry is replicated as it is. */
export type TableColumnRules = Readonly<Record<string, ColumnRules>>;
