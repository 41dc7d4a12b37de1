import type { Position, Row, TableId, TableRecord } from '@nanosync/core';
import { hasPartition } from '@nanosync/core';
import { adoptedRows } from './adopted.ts';
import type { ModelDatabase } from './model/database.ts';
import { WHOLE } from './model/read-range.ts';
import { isVisible } from './model/table.ts';

/** Where the rows of a table were when its copy was stopped. */
interface Stopped {
  readonly storage: string;
  readonly pages: ReadonlyMap<string, number>;
  readonly ranges: readonly string[];
}

/**
 * What a table amounts to whose copy was stopped, by the source alone: rows that nothing has changed since L0 lie where they lay when their ranges were read,
 * so each is at the sink exactly where its range was.
 */
export class StoppedCopies {
  private readonly db: ModelDatabase;
  private readonly byEpoch = new Map<string, Stopped>();

  constructor(db: ModelDatabase) {
    this.db = db;
  }

  /** Call with each record as it is stored, and the ranges that are stored under its epoch. */
  stored({ table, epoch, missing }: TableRecord, ranges: () => readonly string[]): void {
    if (missing === undefined || this.byEpoch.has(epoch)) return;
    const found = this.db.table(table as TableId);
    const snapshot = this.db.snapshot();
    const visible = [...found.heap.versions()].filter((version) => isVisible(version, snapshot));
    const pages = new Map(visible.map(({ row, page }) => [String(row[0]), page]));
    this.byEpoch.set(epoch, { storage: found.storage, pages, ranges: ranges() });
  }

  /** The rows that the sink must have; those of `found` count where the table was rewritten before it was stopped, as nobody knows where they lay. */
  wanted({ table, epoch, storage, partitions, missing = [] }: TableRecord, l0: Position, found: readonly Row[]): readonly Row[] {
    const stopped = this.byEpoch.get(epoch);
    const isKnown = partitions === 0 || (stopped !== undefined && stopped.storage === storage);
    const there = new Set(found.map((row) => String(row[0])));
    const isCopied = (row: Row) => {
      if (partitions === 0) return false;
      if (!isKnown) return there.has(String(row[0]));
      const page = stopped?.pages.get(String(row[0]));
      const partition = stopped?.ranges.findIndex((range) => page !== undefined && isIn(range, page)) ?? -1;
      return partition >= 0 && !hasPartition(missing, partition);
    };
    return adoptedRows(this.db, table as TableId, l0, this.db.rowsOf(table as TableId).filter(isCopied));
  }
}

function isIn(range: string, page: number): boolean {
  if (range === WHOLE) return true;
  const [from = '', to = ''] = range.split(':');
  return Number(from) <= page && (to === '' || page < Number(to));
}
