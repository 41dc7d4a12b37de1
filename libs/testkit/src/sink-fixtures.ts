import { zstdCompressSync } from 'node:zlib';
import type { Cell, ChangeEvent, ColumnType, EndMarker, Position, Row, RowBatch, SinkChange, TableSchema } from '@nanosync/core';
import { AvroWriter, ChangeCodec, formatDecimal, positionOf, rowOrigin, tableIdOf, UNCHANGED, writeCell } from '@nanosync/core';

/** A small table that the sink contract is tried on. */
export const ORDERS: TableSchema = {
  table: tableIdOf('public', 'orders'),
  columns: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'name', type: { kind: 'text' } },
    { name: 'amount', type: { kind: 'decimal', precision: 10, scale: 2 } },
    { name: 'body', type: { kind: 'text' } },
    { name: 'paid', type: { kind: 'bool' } },
  ],
  key: ['id'],
};

/** A row of {@link ORDERS}. */
export function order(id: number, name: Cell = `name ${id}`, body: Cell = `a body that is longer than twelve bytes, of ${id}`): Row {
  return [BigInt(id), name, BigInt(id) * 100n, body, id % 2 === 0];
}

/** A change's position: the n-th change of a commit. */
export function at(commit: number, index = 1): Position {
  return positionOf(BigInt(commit), BigInt(index));
}

/** An encoded row batch. */
export function rowBatchOf(
  schema: TableSchema,
  rows: readonly Row[],
  names: { readonly epoch: string; readonly partition: number; readonly attempt: string; readonly batch: number; readonly codec?: string },
): { readonly batch: RowBatch; readonly schema: TableSchema } {
  const writer = new AvroWriter();
  for (const row of rows) {
    writer.raw(rowOrigin(names.partition, names.attempt));
    for (const [index, column] of schema.columns.entries()) writeCell(writer, column.type, row[index] ?? null);
  }
  const codec = names.codec ?? 'zstandard';
  const block = codec === 'null' ? writer.copy() : zstdCompressSync(writer.view());
  const { epoch, partition, attempt, batch } = names;
  return { batch: { table: schema.table, epoch, partition, attempt, batch, rows: rows.length, codec, rowSchemaId: 1, block }, schema };
}

/** An end marker. */
export function endOf(schema: TableSchema, end: Omit<EndMarker, 'table' | 'quarantined'> & { readonly quarantined?: number }): EndMarker {
  return { table: schema.table, quarantined: 0, ...end };
}

/** A change as the sink takes it. */
export function changeOf(
  schema: TableSchema,
  op: ChangeEvent['op'],
  row: Row | null,
  position: Position,
  options: { readonly busPartition?: number; readonly rowless?: boolean; readonly epoch?: string } = {},
): SinkChange {
  const event: ChangeEvent = {
    table: schema.table,
    op,
    before: op === 'd' ? row : null,
    after: op === 'd' || op === 't' ? null : row,
    rowless: options.rowless ?? false,
    position,
    epoch: options.epoch ?? 'e1',
    session: 1,
    txId: 1,
    commitMs: 0,
  };
  return { busPartition: options.busPartition ?? 0, key: row === null ? Buffer.alloc(0) : new ChangeCodec(schema).key(row), event };
}

/** The row with some columns left out, as the log leaves out large values that an update did not touch. */
export function without(schema: TableSchema, row: Row, ...columns: readonly string[]): Row {
  return row.map((cell, index) => (columns.includes(schema.columns[index]?.name ?? '') ? UNCHANGED : cell));
}

/** A cell as text, for comparison; only the kinds of {@link ORDERS} have the warehouse's own text form. */
export function cellText(type: ColumnType, cell: Cell): string | null {
  if (cell === null) return null;
  if (cell === UNCHANGED) return '(unchanged)';
  if (type.kind === 'decimal') return formatDecimal(cell as bigint, type.scale);
  return cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : String(cell);
}

/** A row of {@link ORDERS} as the harness reads it back. */
export function orderText(row: Row): readonly (string | null)[] {
  return ORDERS.columns.map((column, index) => cellText(column.type, row[index] ?? null));
}
