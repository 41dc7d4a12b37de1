import type { Position, Row, TableId } from '@nanosync/core';
import { comparePositions, positionOf } from '@nanosync/core';
import type { ModelDatabase } from './model/database.ts';
import { rowOf } from './workload.ts';

/** Rows that are at the sink before a pipeline without a copy begins: some of keys that the source has, some of keys that it never has. */
export function rowsAtSink(): readonly Row[] {
  return [2n, 3n, 5n, 8n, 13n, 7001n, 7002n].map((key) => rowOf(key, `at the sink ${key}`));
}

/** What a table amounts to that began with these rows and got every change from a place on: the others stay as they were. */
export function adoptedRows(db: ModelDatabase, table: TableId, l0: Position, initial: readonly Row[]): readonly Row[] {
  const rows = new Map(initial.map((row) => [String(row[0]), row]));
  const source = new Map(db.rowsOf(table).map((row) => [String(row[0]), row]));
  const touched = new Set<string>();
  for (const { lsn, writes } of db.log) {
    if (comparePositions(positionOf(lsn, 0n), l0) < 0) continue;
    for (const { kind, table: written, before, after } of writes) {
      if (written !== table) continue;
      if (kind === 'truncate') rows.clear();
      for (const row of [before, after]) if (row !== null) touched.add(String(row[0]));
    }
  }
  for (const key of touched) {
    const row = source.get(key);
    if (row === undefined) rows.delete(key);
    else rows.set(key, row);
  }
  return [...rows.values()];
}
