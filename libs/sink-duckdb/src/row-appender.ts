import type { DuckDBConnection } from '@duckdb/node-api';
import { BLOB } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import type { ColumnType } from '@nanosync/core';
import { BlockCursor } from './block-cursor.ts';
import { ColumnBuffer, VECTOR_ROWS } from './column-buffer.ts';

/** A row that a column's type cannot hold: left out, and reported. */
export interface RejectedRow {
  /** Its place in the block, from 0. */
  readonly row: number;
  readonly column: number;
  readonly reason: string;
  readonly payload: Uint8Array;
}

/** The table to append to, in the current transaction. */
export interface AppendTarget {
  readonly catalog: string;
  readonly schema: string;
  readonly table: string;
}

/**
 * Appends encoded row blocks to a table: Avro bytes to DuckDB's vectors, without a JavaScript value for any cell. Long strings
 * are not copied here at all: the block is handed to DuckDB once, and each string is a pointer into it (`duckdb_string_t` of
 * DuckDB's C interface) until the chunk is appended. One use: append, then `finish` or `abandon`.
 */
export class RowAppender {
  private readonly appender: duckdb.Appender;
  private readonly chunk: duckdb.DataChunk;
  private readonly vectors: readonly duckdb.Vector[];
  private readonly columns: readonly ColumnBuffer[];
  private readonly constants: readonly ColumnBuffer[];
  /** Hold the bytes of the block and of the constants on DuckDB's side; loading the next frees the ones before. */
  private readonly blockArena = duckdb.create_data_chunk([BLOB.toLogicalType().logical_type]);
  private readonly constantArena = duckdb.create_data_chunk([BLOB.toLogicalType().logical_type]);
  private readonly cursor = new BlockCursor();

  /** `constants` are columns whose values stand before the others in the blocks and are the same for a block's rows; here they come last. */
  constructor(connection: DuckDBConnection, target: AppendTarget, columns: readonly ColumnType[], constants: readonly ColumnType[] = []) {
    // The handle is private in the driver's types, and the driver's appender hides the column types (JSON is VARCHAR to it).
    const handle = (connection as unknown as { readonly connection: duckdb.Connection }).connection;
    this.appender = duckdb.appender_create_ext(handle, target.catalog, target.schema, target.table);
    this.columns = columns.map((type) => new ColumnBuffer(type));
    this.constants = constants.map((type) => new ColumnBuffer(type));
    const all = [...this.columns, ...this.constants];
    this.chunk = duckdb.create_data_chunk(all.map((_, index) => duckdb.appender_column_type(this.appender, index)));
    this.vectors = all.map((_, index) => duckdb.data_chunk_get_vector(this.chunk, index));
  }

  /**
   * Appends a block of `rows` records, each beginning with the bytes of `constants` (Avro values without a null branch, in order).
   * Returns the rows that were left out; throws RangeError when the block is not what it should be.
   */
  append(block: Uint8Array, rows: number, constants: Uint8Array = NOTHING): readonly RejectedRow[] {
    load(this.blockArena, block, this.columns);
    load(this.constantArena, constants, this.constants);
    this.fillConstants(constants, Math.min(rows, VECTOR_ROWS));
    this.cursor.open(block);
    const rejected: RejectedRow[] = [];
    let filled = 0;
    for (let row = 0; row < rows; row++) {
      this.cursor.skip(constants);
      const start = this.cursor.at;
      const wrong = this.readRow(filled);
      if (wrong === undefined) filled++;
      else rejected.push({ row, ...wrong, payload: Buffer.from(block.subarray(start, this.cursor.at)) });
      if (filled === VECTOR_ROWS) {
        this.flush(filled);
        filled = 0;
      }
    }
    if (this.cursor.at !== block.length) throw new RangeError('a row block is longer than its rows');
    this.flush(filled);
    return rejected;
  }

  /** Puts everything into the transaction. */
  finish(): void {
    duckdb.appender_flush_sync(this.appender);
    duckdb.appender_close_sync(this.appender);
  }

  /** Forgets what was not put there yet. An appender that is merely dropped would write it later, outside any transaction. */
  abandon(): void {
    try {
      duckdb.appender_clear(this.appender);
    } finally {
      duckdb.appender_close_sync(this.appender);
    }
  }

  private fillConstants(bytes: Uint8Array, rows: number): void {
    this.cursor.open(bytes);
    for (const column of this.constants) {
      column.read(column, this.cursor, 0);
      for (let row = 1; row < rows; row++) column.bytes.copyWithin(row * column.width, 0, column.width);
    }
  }

  private readRow(slot: number): { column: number; reason: string } | undefined {
    const { columns, cursor } = this;
    let wrong: { column: number; reason: string } | undefined;
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index] as ColumnBuffer;
      const branch = cursor.byte();
      if (branch === 0) {
        column.setNull(slot);
        continue;
      }
      if (branch !== 2) throw new RangeError(`a row block has the unknown union branch ${branch}`);
      const reason = column.read(column, cursor, slot);
      if (reason !== undefined) wrong ??= { column: index, reason };
    }
    if (wrong !== undefined) for (const column of columns) column.setValid(slot);
    return wrong;
  }

  private flush(rows: number): void {
    if (rows === 0) return;
    const all = [...this.columns, ...this.constants];
    for (const [index, vector] of this.vectors.entries()) {
      const column = all[index] as ColumnBuffer;
      duckdb.copy_data_to_vector(vector, 0, column.bytes.buffer, 0, rows * column.width);
      if (column.hasNull) {
        duckdb.vector_ensure_validity_writable(vector);
        duckdb.copy_data_to_vector_validity(vector, 0, column.validity.buffer, 0, Math.ceil(rows / 64) * 8);
        column.reset();
      }
    }
    duckdb.data_chunk_set_size(this.chunk, rows);
    duckdb.append_data_chunk(this.appender, this.chunk);
    duckdb.data_chunk_reset(this.chunk);
  }
}

const NOTHING = new Uint8Array(0);

/** Copies bytes to DuckDB's side and points the columns' long strings there. */
function load(arena: duckdb.DataChunk, bytes: Uint8Array, columns: readonly ColumnBuffer[]): void {
  duckdb.data_chunk_reset(arena);
  const vector = duckdb.data_chunk_get_vector(arena, 0);
  duckdb.vector_assign_string_element_len(vector, 0, bytes);
  const laidOut = duckdb.vector_get_data(vector, 16);
  // Up to 12 bytes stand inside the element itself: then nothing in them is long enough to need the address.
  const address = bytes.length <= 12 ? 0n : new DataView(laidOut.buffer, laidOut.byteOffset).getBigUint64(8, true);
  for (const column of columns) column.point(address);
}

/** Appends to a table in the current transaction: all that `work` appends, or nothing when it throws. */
export async function appendTo(appender: RowAppender, work: (appender: RowAppender) => Promise<void>): Promise<void> {
  try {
    await work(appender);
    appender.finish();
  } catch (error) {
    try {
      appender.abandon();
    } catch {
      // The first error says what happened; the transaction is rolled back for it.
    }
    throw error;
  }
}
