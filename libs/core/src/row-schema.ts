import { avroFieldOf, columnsOfFields } from './avro/cells.ts';
import type { Column, TableSchema } from './table.ts';
import { splitTableId } from './table.ts';

/** The Avro schema (JSON text) of one row of a table, as row batches hold it and as `before`/`after` of a change event. */
export function rowSchemaJson(schema: TableSchema): string {
  return JSON.stringify(rowRecord(schema));
}

/** The record itself, for embedding in an envelope. */
export function rowRecord(schema: TableSchema): unknown {
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

/** The table schema that {@link rowSchemaJson} was made from. */
export function tableSchemaOf(json: string): TableSchema {
  return tableSchemaOfRecord(JSON.parse(json));
}

/** The same from the parsed record. */
export function tableSchemaOfRecord(record: unknown): TableSchema {
  const { table, key, fields } = record as { table: TableSchema['table']; key: string[]; fields: Parameters<typeof columnsOfFields>[0] };
  const columns: Column[] = columnsOfFields(fields);
  return { table, columns, key };
}

function identifier(name: string): string {
  return name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=[0-9])/, '_');
}
