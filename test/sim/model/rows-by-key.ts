import type { Row, TableSchema, VersionedRow } from '@nanosync/core';
import { ChangeCodec, PipelineError, sameSchema } from '@nanosync/core';
import type { ModelDatabase } from './database.ts';
import type { Version } from './heap.ts';
import { isVisible } from './table.ts';

/** A name for each version, as PostgreSQL has a place and the transaction that wrote there. */
const names = new WeakMap<Version, string>();
let given = 0;

/** Reads rows by key under one snapshot. */
export function readModelRows(db: ModelDatabase, schema: TableSchema, keys: readonly Row[]): (VersionedRow | undefined)[] {
  const table = db.find(schema.table);
  if (table === undefined || !sameSchema(table.schema, schema))
    throw new PipelineError('table-changed', `Table ${schema.table} is not as it was planned.`);
  const codec = new ChangeCodec(schema);
  const snapshot = db.snapshot();
  return keys.map((key) => {
    const versions = table.heap.ofKey(codec.keyOfCells(key).toString('latin1'));
    const found = versions.find((version) => isVisible(version, snapshot));
    return found === undefined ? undefined : { cells: found.row, version: nameOf(found) };
  });
}

function nameOf(version: Version): string {
  const known = names.get(version) ?? String(++given);
  names.set(version, known);
  return known;
}
