import type { ColumnType } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

/** One replicated column as PostgreSQL knows it; columns match by attribute number, which survives renames. */
export interface StoredColumn {
  readonly attnum: number;
  readonly name: string;
  readonly typeOid: number;
  readonly typmod: number;
  readonly type: ColumnType;
  /** Its values do not leave the source. */
  readonly excluded?: true;
  /** Its values leave as hashes under the key of this fingerprint. */
  readonly hashed?: string;
}

/** A table's replica identity: default (primary key), index, full, nothing. */
export type ReplicaIdentity = 'd' | 'i' | 'f' | 'n';

/** What a table was when it was planned: the opaque `storage` of the port, and the source's own truth about the table. */
export interface TableStorage {
  readonly oid: number;
  /** Changes with every rewrite (VACUUM FULL, CLUSTER, TRUNCATE, some ALTER TABLEs). */
  readonly filenode: number;
  /** Columns of the log in attribute order, without dropped and generated ones. Those that are not excluded are the schema's, in its order. */
  readonly columns: readonly StoredColumn[];
  /** Attribute numbers of the key columns, in index order: the order of the schema's key. */
  readonly key: readonly number[];
  readonly replicaIdentity: ReplicaIdentity;
}

/** Writes the storage for the table's record; equal storages give equal text. */
export function formatStorage(storage: TableStorage): string {
  const { oid, filenode, key, replicaIdentity } = storage;
  const columns = storage.columns.map(({ attnum, name, typeOid, typmod, type, excluded, hashed }) => ({
    ...{ attnum, name, typeOid, typmod, type },
    ...(excluded === undefined ? {} : { excluded }),
    ...(hashed === undefined ? {} : { hashed }),
  }));
  return JSON.stringify({ oid, filenode, columns, key, replicaIdentity });
}

/** Reads what {@link formatStorage} wrote. */
export function parseStorage(text: string): TableStorage {
  try {
    const storage = JSON.parse(text) as Partial<TableStorage>;
    if (
      typeof storage.oid === 'number' &&
      typeof storage.filenode === 'number' &&
      Array.isArray(storage.columns) &&
      Array.isArray(storage.key)
    )
      return storage as TableStorage;
  } catch {
    // Falls through to the defect below.
  }
  throw new PipelineError('defect', "a table's stored storage is not a PostgreSQL table");
}

/** True when two storages have the same replicated columns (number, name, type). */
export function sameColumns(a: readonly StoredColumn[], b: readonly StoredColumn[]): boolean {
  const plain = (columns: readonly StoredColumn[]) => JSON.stringify(columns.map((c) => [c.attnum, c.name, c.typeOid, c.typmod]));
  return plain(a) === plain(b);
}
