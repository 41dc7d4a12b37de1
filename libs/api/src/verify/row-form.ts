import type { Cell, Column, ColumnType, Row, TableSchema } from '@nanosync/core';
import { AvroReader, AvroWriter, keyIndexes, NULL_BRANCH, readCell, readRowOrigin, writeCell } from '@nanosync/core';

/** A row as it is compared: bytes that are equal for equal rows alone. */
export interface RowBytes {
  /** The key's cells; text so that it can be the key of a map. Its bytes are those of latin1. */
  readonly key: string;
  /** All cells, a view that is valid until the next row. */
  readonly bytes: Buffer;
}

/**
 * Rows of one table in the form in which they are compared, whichever side they come from: cells in Avro, of which a source's row batches are
 * made already. A NaN is a NaN, whatever its bits. In a key -0 is 0, as it is to PostgreSQL: the cells of such rows differ, not their keys.
 */
export class RowForm {
  readonly schema: TableSchema;
  private readonly keyAt: readonly number[];
  private readonly keyTypes: readonly ColumnType[];
  private readonly writer = new AvroWriter(64 * 1024);
  private readonly keyWriter = new AvroWriter(1024);

  constructor(schema: TableSchema) {
    this.schema = schema;
    this.keyAt = keyIndexes(schema);
    this.keyTypes = this.keyAt.map((at) => (schema.columns[at] as Column).type);
  }

  /** A row's cells. */
  ofCells(cells: Row): RowBytes {
    const { schema } = this;
    const writer = this.writer;
    writer.reset();
    for (let index = 0; index < schema.columns.length; index++)
      writeForm(writer, (schema.columns[index] as Column).type, cells[index] ?? null);
    return { key: this.keyOf(this.keyAt.map((at) => cells[at] ?? null)), bytes: writer.view() };
  }

  /** The rows of a block of row batches, one after the other. */
  *ofBlock(block: Uint8Array): Generator<RowBytes> {
    const reader = new AvroReader(block);
    const { columns } = this.schema;
    const starts: number[] = new Array(columns.length);
    while (!reader.done) {
      readRowOrigin(reader);
      const start = reader.at;
      for (let index = 0; index < columns.length; index++) {
        starts[index] = reader.at;
        skipCell(reader, (columns[index] as Column).type);
      }
      yield { key: this.keyAtStarts(reader, starts), bytes: reader.bytes.subarray(start, reader.at) };
    }
  }

  /** The key of the key's cells, in key order. */
  keyOf(cells: Row): string {
    const { keyTypes } = this;
    const keyWriter = this.keyWriter;
    keyWriter.reset();
    for (let index = 0; index < keyTypes.length; index++) {
      const cell = cells[index] ?? null;
      writeForm(keyWriter, keyTypes[index] as ColumnType, cell === 0 ? 0 : cell);
    }
    return keyWriter.view().toString('latin1');
  }

  /** The key's cells, in key order. */
  cellsOfKey(key: string): Row {
    const reader = new AvroReader(Buffer.from(key, 'latin1'));
    return this.keyTypes.map((type) => readCell(reader, type));
  }

  /** The names of the columns in which two rows differ. */
  differing(one: Row, other: Row): readonly string[] {
    return this.schema.columns
      .filter(({ type }, index) => !sameCell(type, one[index] ?? null, other[index] ?? null))
      .map(({ name }) => name);
  }

  private keyAtStarts(reader: AvroReader, starts: readonly number[]): string {
    const { keyAt, keyTypes } = this;
    const end = reader.at;
    const cells: Cell[] = [];
    for (let index = 0; index < keyAt.length; index++) {
      reader.at = starts[keyAt[index] as number] as number;
      cells.push(readCell(reader, keyTypes[index] as ColumnType));
    }
    reader.at = end;
    return this.keyOf(cells);
  }
}

const cellWriter = new AvroWriter(1024);

function sameCell(type: ColumnType, one: Cell, other: Cell): boolean {
  cellWriter.reset();
  writeForm(cellWriter, type, one);
  const first = cellWriter.copy();
  cellWriter.reset();
  writeForm(cellWriter, type, other);
  return first.equals(cellWriter.view());
}

function writeForm(writer: AvroWriter, type: ColumnType, cell: Cell): void {
  writeCell(writer, type, type.kind === 'float64' && Number.isNaN(cell) ? Number.NaN : cell);
}

/** Moves behind a cell, and gives a NaN the bits that all have. */
function skipCell(reader: AvroReader, type: ColumnType): void {
  if (reader.byte() === NULL_BRANCH) return;
  switch (type.kind) {
    case 'bool':
      reader.byte();
      return;
    case 'int16':
    case 'int32':
    case 'int64':
    case 'date':
    case 'time':
    case 'timestamp':
      while (reader.byte() & 0x80);
      return;
    case 'float64': {
      const { at } = reader;
      if (Number.isNaN(reader.double())) reader.bytes.writeDoubleLE(Number.NaN, at);
      return;
    }
    default:
      reader.lengthPrefixed();
  }
}
