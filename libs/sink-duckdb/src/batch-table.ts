import type { DuckDBConnection } from '@duckdb/node-api';
import type { Cell, Column, KeyChanges, KeyOutcome, Position, TableSchema } from '@nanosync/core';
import { AvroWriter, keyIndexes, PipelineError, parsePosition, UNCHANGED, writeCell } from '@nanosync/core';
import { POSITION_COLUMN, sqlTypeOf } from './column-types.ts';
import { appendTo, RowAppender } from './row-appender.ts';
import { name, run } from './sql.ts';

/**
 * The batch as a temporary table: one row a key, the table's columns behind ours. `first` is the position of the key's first
 * change, for the guard; `unchanged` marks, with a 1 for each column, the cells of a patch that the base row must give.
 */
const OWN: readonly Column[] = [
  { name: '_nanosync_ordinal', type: { kind: 'int32' } },
  { name: '_nanosync_state', type: { kind: 'int16' } },
  { name: '_nanosync_needs_base', type: { kind: 'bool' } },
  { name: '_nanosync_first', type: { kind: 'text' } },
  { name: POSITION_COLUMN, type: { kind: 'text' } },
  { name: '_nanosync_unchanged', type: { kind: 'text' } },
];

const STATES: Readonly<Record<KeyOutcome['state'], number>> = { absent: 0, row: 1, patch: 2 };

/** Makes an empty batch table, in the current transaction. */
export async function createBatchTable(connection: DuckDBConnection, schema: TableSchema): Promise<void> {
  const columns = [...OWN, ...schema.columns].map((column) => `${name(column.name)} ${sqlTypeOf(column.type)}`);
  await run(connection, `CREATE OR REPLACE TEMP TABLE batch (${columns.join(', ')})`);
}

const writer = new AvroWriter(1024 * 1024);

/** Rows are encoded in blocks of about this many bytes, so that one wide batch needs no wide buffer. */
const BLOCK_BYTES = 1024 * 1024;

/** Writes the outcomes into the batch table, along the same path as row batches. */
export async function writeBatch(connection: DuckDBConnection, schema: TableSchema, keys: readonly KeyChanges[]): Promise<void> {
  const columns = [...OWN, ...schema.columns];
  const keyAt = keyIndexes(schema);
  const types = columns.map((column) => column.type);
  const target = { catalog: 'temp', schema: 'main', table: 'batch' };
  await appendTo(new RowAppender(connection, target, types), async (appender) => {
    writer.reset();
    let rows = 0;
    for (const [ordinal, key] of keys.entries()) {
      encode(schema, keyAt, ordinal, key);
      rows++;
      if (writer.length < BLOCK_BYTES && ordinal < keys.length - 1) continue;
      if (appender.append(writer.view(), rows).length > 0)
        throw new PipelineError('defect', `a checked change of ${schema.table} does not fit.`);
      writer.reset();
      rows = 0;
    }
  });
}

function encode(schema: TableSchema, keyAt: readonly number[], ordinal: number, { key, changes, outcome }: KeyChanges): void {
  const mask = outcome.state === 'patch' ? maskOf(outcome.cells, keyAt) : null;
  const own: Cell[] = [
    ordinal,
    STATES[outcome.state],
    outcome.needBase.length > 0,
    changes[0]?.event.position ?? null,
    outcome.position,
    mask,
  ];
  for (const [index, column] of OWN.entries()) writeCell(writer, column.type, own[index] as Cell);
  for (const [index, column] of schema.columns.entries()) {
    const place = keyAt.indexOf(index);
    const cell = place >= 0 ? key[place] : outcome.state === 'absent' ? null : outcome.cells[index];
    writeCell(writer, column.type, cell ?? null);
  }
}

function maskOf(cells: readonly Cell[], keyAt: readonly number[]): string | null {
  if (!cells.includes(UNCHANGED)) return null;
  return cells.map((cell, index) => (cell === UNCHANGED && !keyAt.includes(index) ? '1' : '0')).join('');
}

/**
 * Looks once for the rows that are there: those that patches need, with the cells they leave out, and, where `careful`, those
 * whose position is not below the key's first change. Returns the position of each by its key's place in the batch.
 */
export async function findBases(
  connection: DuckDBConnection,
  schema: TableSchema,
  target: string,
  keys: readonly KeyChanges[],
  careful: boolean,
): Promise<ReadonlyMap<number, Position>> {
  if (!careful && keys.every(({ outcome }) => outcome.needBase.length === 0)) return new Map();
  const columns = leftOut(schema, keys).map((index) => `, t.${columnAt(schema, index)}`);
  await run(
    connection,
    `CREATE OR REPLACE TEMP TABLE base AS
     SELECT b._nanosync_ordinal, t.${POSITION_COLUMN} AS _nanosync_base${columns.join('')}
     FROM temp.batch AS b JOIN ${target} AS t ON ${sameKey(schema)}
     WHERE b._nanosync_needs_base${careful ? ` OR t.${POSITION_COLUMN} >= b._nanosync_first` : ''}`,
  );
  const reader = await connection.runAndReadAll('SELECT _nanosync_ordinal, _nanosync_base FROM temp.base');
  return new Map(reader.getRowsJson().map(([ordinal, position]) => [Number(ordinal), parsePosition(String(position))]));
}

/** Fills the cells that patches left out from the rows that {@link findBases} found. */
export async function fillUnchanged(connection: DuckDBConnection, schema: TableSchema, keys: readonly KeyChanges[]): Promise<void> {
  const sets = leftOut(schema, keys).map((index) => {
    const column = columnAt(schema, index);
    return `${column} = CASE WHEN b._nanosync_unchanged[${index + 1}] = '1' THEN t.${column} ELSE b.${column} END`;
  });
  if (sets.length === 0) return;
  await run(
    connection,
    `UPDATE temp.batch AS b SET ${sets.join(', ')} FROM temp.base AS t
     WHERE b._nanosync_unchanged IS NOT NULL AND t._nanosync_ordinal = b._nanosync_ordinal`,
  );
}

/** The condition that a row of the batch (b) and one of the table (t) have the same key. */
export function sameKey(schema: TableSchema): string {
  return schema.key.map((column) => `t.${name(column)} = b.${name(column)}`).join(' AND ');
}

/** The columns that some patch leaves out; key columns are never among them. */
function leftOut(schema: TableSchema, keys: readonly KeyChanges[]): readonly number[] {
  const needed = new Set<number>();
  for (const { outcome } of keys)
    if (outcome.state === 'patch') for (const [index, cell] of outcome.cells.entries()) if (cell === UNCHANGED) needed.add(index);
  for (const index of keyIndexes(schema)) needed.delete(index);
  return [...needed];
}

function columnAt(schema: TableSchema, index: number): string {
  return name((schema.columns[index] as Column).name);
}
