import type { Cell, CellValue } from '../cell.ts';
import { UNCHANGED } from '../cell.ts';
import type { Column, ColumnType } from '../table.ts';
import { decimalFromBytes, decimalToBytes } from './decimal.ts';
import type { AvroReader } from './reader.ts';
import type { AvroWriter } from './writer.ts';

/** The branch of the union `["null", T]` that says null, and the one that says a value follows, as encoded bytes. */
export const NULL_BRANCH = 0;
export const VALUE_BRANCH = 2;

/** Writes one cell as the union `["null", T]`; an unchanged cell is written as null and must be named apart. */
export function writeCell(writer: AvroWriter, type: ColumnType, cell: Cell): void {
  if (cell === null || cell === UNCHANGED) {
    writer.byte(NULL_BRANCH);
    return;
  }
  writer.byte(VALUE_BRANCH);
  writeValue(writer, type, cell);
}

/** Reads what {@link writeCell} wrote. */
export function readCell(reader: AvroReader, type: ColumnType): CellValue | null {
  const branch = reader.byte();
  if (branch === NULL_BRANCH) return null;
  if (branch !== VALUE_BRANCH) throw new RangeError(`unknown union branch ${branch}`);
  return readValue(reader, type);
}

/** Writes the value of a cell without a null branch, as the row's canonical key bytes need it. */
export function writeValue(writer: AvroWriter, type: ColumnType, value: CellValue): void {
  switch (type.kind) {
    case 'bool':
      return writer.boolean(value as boolean);
    case 'int16':
    case 'int32':
    case 'date':
    case 'time':
      return writer.int(value as number);
    case 'int64':
    case 'timestamp':
      return writer.bigint(value as bigint);
    case 'float64':
      return writer.double(value as number);
    case 'decimal':
      return writer.lengthPrefixed(decimalToBytes(value as bigint));
    case 'text':
    case 'json':
    case 'uuid':
      return writer.string(value as string);
    case 'bytes':
      return writer.lengthPrefixed(value as Uint8Array);
  }
}

function readValue(reader: AvroReader, type: ColumnType): CellValue {
  switch (type.kind) {
    case 'bool':
      return reader.boolean();
    case 'int16':
    case 'int32':
    case 'date':
    case 'time':
      return reader.int();
    case 'int64':
    case 'timestamp':
      return reader.bigint();
    case 'float64':
      return reader.double();
    case 'decimal':
      return decimalFromBytes(reader.lengthPrefixed());
    case 'text':
    case 'json':
    case 'uuid':
      return reader.string();
    case 'bytes':
      return Uint8Array.from(reader.lengthPrefixed());
  }
}

/** The Avro schema of a column's values, with our own kind beside it so that the columns can be read back exactly. */
export function avroTypeOf(type: ColumnType): unknown {
  switch (type.kind) {
    case 'bool':
      return tagged('boolean', type);
    case 'int16':
    case 'int32':
      return tagged('int', type);
    case 'int64':
      return tagged('long', type);
    case 'float64':
      return tagged('double', type);
    case 'decimal':
      return { ...tagged('bytes', type), logicalType: 'decimal', precision: type.precision, scale: type.scale };
    case 'text':
    case 'json':
      return tagged('string', type);
    case 'uuid':
      return { ...tagged('string', type), logicalType: 'uuid' };
    case 'bytes':
      return tagged('bytes', type);
    case 'date':
      return { ...tagged('int', type), logicalType: 'date' };
    case 'time':
      return { ...tagged('long', type), logicalType: 'time-micros' };
    case 'timestamp':
      return { ...tagged('long', type), logicalType: type.zoned ? 'timestamp-micros' : 'local-timestamp-micros' };
  }
}

/** An Avro field of a row: nullable, whatever the source says, because before images and key changes leave cells out. */
export function avroFieldOf(column: Column): unknown {
  return { name: avroName(column.name), type: ['null', avroTypeOf(column.type)], default: null, column: column.name };
}

/** A column's name as Avro takes it (letters, digits, `_`); others become `_xHHHH_`, reversibly. */
export function avroName(name: string): string {
  const escaped = [...name]
    .map((char) => (/[A-Za-z0-9]/.test(char) || char === '_' ? char : `_x${char.codePointAt(0)?.toString(16)}_`))
    .join('');
  return /^[0-9]/.test(escaped) ? `_x${escaped.charCodeAt(0).toString(16)}_${escaped.slice(1)}` : escaped;
}

/** The columns behind the fields that {@link avroFieldOf} made. */
export function columnsOfFields(
  fields: readonly { readonly column: string; readonly type: readonly [unknown, { readonly nanosync: ColumnType }] }[],
): Column[] {
  return fields.map((field) => ({ name: field.column, type: field.type[1].nanosync }));
}

function tagged(type: string, kind: ColumnType): { readonly type: string; readonly nanosync: ColumnType } {
  return { type, nanosync: kind };
}
