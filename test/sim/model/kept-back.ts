import type { ColumnRules, Row, SourceEvent, TableSchema } from '@nanosync/core';
import type { ModelTable } from './table.ts';

/** The columns of a table that are sent; of the rules the model knows `exclude`. */
export function sentSchema(schema: TableSchema, rules: ColumnRules | undefined): TableSchema {
  return { ...schema, columns: schema.columns.filter(({ name }) => rules?.exclude.includes(name) !== true) };
}

/** The table's schema without the columns that `sent` lacks. */
export function likeSent({ schema }: ModelTable, sent: TableSchema): TableSchema {
  return { ...schema, columns: schema.columns.filter(({ name }) => sent.columns.some((column) => column.name === name)) };
}

/** The cells of a row that are sent. */
export function sentRow({ schema }: ModelTable, sent: TableSchema, row: Row): Row {
  return row.filter((_, place) => sent.columns.some(({ name }) => name === schema.columns[place]?.name));
}

/** An event as it is sent. */
export function sentEvent(table: ModelTable | undefined, sent: TableSchema | undefined, event: SourceEvent): SourceEvent {
  if (event.kind !== 'change' || table === undefined || sent === undefined) return event;
  const { before, after } = event;
  return { ...event, before: before && sentRow(table, sent, before), after: after && sentRow(table, sent, after) };
}
