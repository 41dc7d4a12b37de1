import { avroFieldOf, columnsOfFields } from './avro/cells.ts';
import type { AvroReader } from './avro/reader.ts';
import { AvroWriter } from './avro/writer.ts';
import type { Column, TableSchema } from './table.ts';
import { splitTableId } from './table.ts';

/** The Avro schema (JSON text) of one row of a table, as row batches hold it and as `before`/`after` of a change event. */
export function rowSchemaJson(schema: TableSchema): string {
  return JSON.stringify(rowRecord(schema));
}

/** Our own fields before the columns of every row of a row batch: which read it comes from, so that batches of many reads may share a file. */
const ORIGIN_FIELDS = [
  { name: '_nanosync_partition', type: 'int' },
  { name: '_nanosync_attempt', type: 'string' },
];

/** The Avro schema (JSON text) of one row of a row batch: its origin, see {@link rowOrigin}, then the columns. */
export function rowBlockSchemaJson(schema: TableSchema): string {
  const record = rowRecord(schema);
  return JSON.stringify({ ...record, name: 'Row', fields: [...ORIGIN_FIELDS, ...record.fields] });
}

/** The encoded origin that each row of a row batch begins with: the same bytes for all rows of one attempt at one partition. */
export function rowOrigin(partition: number, attempt: string): Buffer {
  const writer = new AvroWriter(64);
  writer.int(partition);
  writer.string(attempt);
  return writer.copy();
}

/** Reads what {@link rowOrigin} wrote. */
export function readRowOrigin(reader: AvroReader): { readonly partition: number; readonly attempt: string } {
  return { partition: reader.int(), attempt: reader.string() };
}

/** The record itself, for embedding in an envelope. */
export function rowRecord(schema: TableSchema) {
  const { schema: namespace, name } = splitTableId(schema.table);
  return {
    type: 'record',
    name: 'Value',
    namespace: `nanosync.${identifier(namespace)}.${identifier(name)}`,
    table: schema.table,
    key: schema.key,
    fields: schema.columns.map(avroFieldOf),
  };
}

/** The table schema that {@link rowSchemaJson} or {@link rowBlockSchemaJson} was made from. */
export function tableSchemaOf(json: string): TableSchema {
  return tableSchemaOfRecord(JSON.parse(json));
}

/** The same from the parsed record. */
export function tableSchemaOfRecord(record: unknown): TableSchema {
  const { table, key, fields } = record as { table: TableSchema['table']; key: string[]; fields: Parameters<typeof columnsOfFields>[0] };
  const columns: Column[] = columnsOfFields(fields.filter(({ column }) => column !== undefined));
  return { table, columns, key };
}

function identifier(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=[0-9])/, '_');
}
