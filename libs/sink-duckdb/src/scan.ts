import type {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBTimestampTZValue,
  DuckDBTimeValue,
  DuckDBUUIDValue,
  DuckDBValue,
} from '@duckdb/node-api';
import type { Cell, CellValue, Column, ColumnType, GenerationId, ScanRequest, SinkRow } from '@nanosync/core';
import { AvroWriter, keyIndexes, PipelineError, parsePosition, writeCell } from '@nanosync/core';
import { POSITION_COLUMN, sqlTypeOf } from './column-types.ts';
import type { FileOptions, Session } from './duckdb-file.ts';
import { DuckdbFile } from './duckdb-file.ts';
import { physicalName, whereGeneration } from './names.ts';
import { appendTo, RowAppender } from './row-appender.ts';
import { int, name, query } from './sql.ts';

/** Rows that one statement reads: while it lasts the file is not checkpointed, so it must not last. */
const ROWS_AT_ONCE = 245_760;

/** Reads a generation on a connection of its own, a range of row numbers a statement. */
export async function* scan(
  options: FileOptions,
  { generation: id, schema, keys, signal }: ScanRequest,
): AsyncGenerator<readonly SinkRow[]> {
  signal.throwIfAborted();
  const file = await DuckdbFile.acquire(options);
  try {
    const session = await file.reader();
    if (session === undefined) throw notThere(id);
    try {
      await requireBuilt(session, id);
      const from = `FROM ${session.meta}.${name(physicalName(id))}`;
      const select = `SELECT ${[...schema.columns.map((column) => column.name), POSITION_COLUMN].map(name).join(', ')} ${from}`;
      const convert = schema.columns.map(({ type }) => converterOf(type));
      const conditions = keys === undefined ? pieces(await rowNumbers(session, from)) : [await keyCondition(session, schema, keys)];
      for (const condition of conditions) yield* rowsOf(session, `${select} WHERE ${condition}`, convert, signal);
    } finally {
      session.connection.closeSync();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw isGone(error) ? notThere(id) : file.explain(error);
  } finally {
    await file.release();
  }
}

async function requireBuilt({ connection, meta }: Session, id: GenerationId): Promise<void> {
  const [row] = await query(connection, `SELECT 1 FROM ${meta}.generations WHERE ${whereGeneration(id)} AND state = 'built'`);
  if (row === undefined) throw notThere(id);
}

function notThere(id: GenerationId): PipelineError {
  return new PipelineError('conflict', `the generation ${id.epoch} of ${id.table} does not exist at the sink.`, {
    hint: 'It is not built yet, or was dropped by a switch.',
  });
}

/** The table was dropped between two pieces. */
function isGone(error: unknown): boolean {
  return error instanceof Error && /^Catalog Error/.test(error.message);
}

/** The row number behind the last row. */
async function rowNumbers({ connection }: Session, from: string): Promise<number> {
  return Number((await query(connection, `SELECT coalesce(max(rowid) + 1, 0) AS n ${from}`))[0]?.n);
}

/**
 * Conditions that cover all row numbers, from the last one, which is open, to the first. A checkpoint closes the gaps that deleted rows left, so that rows
 * behind them get lower numbers: read in this order they may come twice, in the other one they would be missed.
 */
export function* pieces(end: number): Generator<string> {
  const last = Math.max(0, Math.ceil(end / ROWS_AT_ONCE) - 1) * ROWS_AT_ONCE;
  yield `rowid >= ${int(last)}`;
  for (let at = last - ROWS_AT_ONCE; at >= 0; at -= ROWS_AT_ONCE) yield `rowid >= ${int(at)} AND rowid < ${int(at + ROWS_AT_ONCE)}`;
}

/** Puts the keys into a temporary table of this connection, along the path of row batches, and returns the condition that a row has one of them. */
async function keyCondition(
  { connection }: Session,
  schema: ScanRequest['schema'],
  keys: NonNullable<ScanRequest['keys']>,
): Promise<string> {
  const columns = keyIndexes(schema).map((at) => schema.columns[at] as Column);
  const definitions = columns.map(({ type }, index) => `k${index} ${sqlTypeOf(type)}`);
  await connection.run(`CREATE OR REPLACE TEMP TABLE wanted (${definitions.join(', ')})`);
  const writer = new AvroWriter();
  for (const key of keys) for (const [index, { type }] of columns.entries()) writeCell(writer, type, key[index] ?? null);
  const types = columns.map(({ type }) => type);
  await appendTo(new RowAppender(connection, { catalog: 'temp', schema: 'main', table: 'wanted' }, types), async (appender) => {
    // A key that the types cannot hold is no row's.
    appender.append(writer.view(), keys.length);
  });
  return `(${columns.map((column) => name(column.name)).join(', ')}) IN (SELECT (${columns.map((_, index) => `k${index}`).join(', ')}) FROM temp.wanted)`;
}

async function* rowsOf(
  { connection }: Session,
  sql: string,
  convert: readonly Convert[],
  signal: AbortSignal,
): AsyncGenerator<readonly SinkRow[]> {
  const result = await connection.stream(sql);
  for (;;) {
    signal.throwIfAborted();
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return;
    const columns = chunk.getColumns();
    const positions = columns.pop() as readonly DuckDBValue[];
    yield positions.map((position, row) => ({
      cells: convert.map((one, column): Cell => {
        const value = (columns[column] as readonly DuckDBValue[])[row] ?? null;
        return value === null ? null : one(value);
      }),
      position: position === null ? null : parsePosition(String(position)),
    }));
  }
}

/** Turns a value that is not null into a cell. */
type Convert = (value: DuckDBValue) => CellValue;

const AS_IT_IS: Convert = (value) => value as CellValue;

function converterOf(type: ColumnType): Convert {
  switch (type.kind) {
    case 'bool':
    case 'int16':
    case 'int32':
    case 'int64':
    case 'float64':
    case 'text':
    case 'json':
      return AS_IT_IS;
    case 'decimal':
      return (value) => (value as DuckDBDecimalValue).value;
    case 'uuid':
      return (value) => (value as DuckDBUUIDValue).toString();
    case 'bytes':
      return (value) => (value as DuckDBBlobValue).bytes;
    case 'date':
      return (value) => (value as DuckDBDateValue).days;
    case 'time':
      return (value) => Number((value as DuckDBTimeValue).micros);
    case 'timestamp':
      return (value) => (value as DuckDBTimestampTZValue).micros;
  }
}
