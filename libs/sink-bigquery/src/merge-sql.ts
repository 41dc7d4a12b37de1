import type { Cell, KeyChanges, Position, TableSchema } from '@nanosync/core';
import { keyIndexes } from '@nanosync/core';
import { sameKeyCell, valueSql } from './cell-sql.ts';
import { ABSENT, leftOut, ROW } from './change-file.ts';
import { keyColumns, POSITION_COLUMN, stagingColumn } from './column-types.ts';
import { column, text } from './sql.ts';

/** A batch in its staging table, and the table it is for; both as SQL takes them. */
export interface StagedBatch {
  readonly target: string;
  readonly staging: string;
  readonly schema: TableSchema;
  readonly keys: readonly KeyChanges[];
  /** The range of the keys is said: BigQuery reads less for it, and the emulator joins row by row. */
  readonly bounded: boolean;
}

/**
 * The statement that writes a staged batch of changes into its table. Its source is a plain table with one row a key, and no two of its clauses
 * can hold for one row, so their order means nothing. A row is only written by changes above it. A patch is never inserted.
 */
export function mergeSql({ target, staging, schema, keys, bounded }: StagedBatch): string {
  const above = `S.first > T.${POSITION_COLUMN}`;
  const left = leftOut(schema, keys);
  const keyAt = keyIndexes(schema);
  const value = (index: number) => valueSql((schema.columns[index] as TableSchema['columns'][0]).type, `S.${stagingColumn(index)}`);
  const sets = schema.columns.flatMap(({ name }, index) => {
    if (keyAt.includes(index)) return [];
    const kept = left.has(index) ? `IF(SUBSTR(S.unchanged, ${index + 1}, 1) = '1', T.${column(name)}, ${value(index)})` : value(index);
    return [`${column(name)} = ${kept}`];
  });
  const names = [...schema.columns.map(({ name }) => column(name)), POSITION_COLUMN];
  const values = [...schema.columns.map((_, index) => value(index)), 'S.position'];
  return `MERGE ${target} AS T USING ${staging} AS S
ON ${[sameKey(schema), ...(bounded ? bounds(schema, keys) : [])].join(' AND ')}
WHEN MATCHED AND ${above} AND S.state = ${ABSENT} THEN DELETE
WHEN MATCHED AND ${above} AND S.state != ${ABSENT} THEN UPDATE SET ${[...sets, `${POSITION_COLUMN} = S.position`].join(', ')}
WHEN NOT MATCHED AND S.state = ${ROW} THEN INSERT (${names.join(', ')}) VALUES (${values.join(', ')})`;
}

/** The statement that finds the rows a batch must look at before it is written: see `Bases`. `floor`: rows below it are truncated. */
export function basesSql(
  { target, staging, schema, keys, bounded }: StagedBatch,
  look: { readonly careful: boolean; readonly floor: Position | null },
): string {
  const wanted = look.careful ? `(S.needs_base OR T.${POSITION_COLUMN} >= S.first)` : 'S.needs_base';
  const alive = look.floor === null ? [] : [`T.${POSITION_COLUMN} >= ${text(look.floor)}`];
  return `SELECT S.ordinal, T.${POSITION_COLUMN} AS position FROM ${staging} AS S JOIN ${target} AS T
ON ${[sameKey(schema), ...(bounded ? bounds(schema, keys) : [])].join(' AND ')} WHERE ${[wanted, ...alive].join(' AND ')}`;
}

/** The condition that a staged row (S) and one of the table (T) have the same key. */
function sameKey(schema: TableSchema): string {
  const keyAt = keyIndexes(schema);
  return keyColumns(schema)
    .map(({ name, type }, place) => {
      const staged = valueSql(type, `S.${stagingColumn(keyAt[place] as number)}`);
      return sameKeyCell(type, `T.${column(name)}`, staged);
    })
    .join(' AND ');
}

/** The range of the first key column, where it is an integer: with it BigQuery reads only the blocks of a clustered table that can match. */
function bounds(schema: TableSchema, keys: readonly KeyChanges[]): readonly string[] {
  const [first] = keyColumns(schema);
  if (first === undefined || !/^int/.test(first.type.kind) || keys.length === 0) return [];
  const cells = keys.map(({ key }) => key[0] as Cell & (number | bigint));
  const [low, high] = cells.reduce(([min, max], cell) => [cell < min ? cell : min, cell > max ? cell : max], [cells[0], cells[0]] as [
    number | bigint,
    number | bigint,
  ]);
  // The least 64-bit number has no literal of its own in SQL, and a bound there would be none.
  return [...(low === -9_223_372_036_854_775_808n ? [] : [`T.${column(first.name)} >= ${low}`]), `T.${column(first.name)} <= ${high}`];
}
