/** A table's name as users write it: `schema.table`. One word for it everywhere: state, bus, sink, logs. */
export type TableId = string & { readonly __brand: 'TableId' };

/**
 * What a column holds, independent of any database. A source maps every type that it cannot express here to `text`,
 * in the source's own text form; a sink maps each kind to a type of its own that holds all its values.
 */
export type ColumnType =
  | { readonly kind: 'bool' }
  | { readonly kind: 'int16' | 'int32' | 'int64' }
  | { readonly kind: 'float64' }
  /** `precision` digits in all (at most 38), `scale` of them after the point. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'text' | 'json' | 'uuid' | 'bytes' }
  /** Days since 1970-01-01; `DATE_INFINITY` and its negative are the infinities. */
  | { readonly kind: 'date' }
  /** Microseconds since midnight, 0 to 86,400,000,000 inclusive. */
  | { readonly kind: 'time' }
  /** Microseconds since 1970-01-01 00:00 (UTC when `zoned`); `TIMESTAMP_INFINITY` and its negative are the infinities. */
  | { readonly kind: 'timestamp'; readonly zoned: boolean };

/** A `date` cell of this many days is infinity, its negative is minus infinity. */
export const DATE_INFINITY = 2_147_483_647;
/** A `timestamp` cell of this many microseconds is infinity, its negative is minus infinity. */
export const TIMESTAMP_INFINITY = 9_223_372_036_854_775_807n;

/** One column of a table, in the source's order. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** The columns and the key of a table, as planned for one epoch. `key` names columns in index order; only the result of a query may have none. */
export interface TableSchema {
  readonly table: TableId;
  readonly columns: readonly Column[];
  readonly key: readonly string[];
}

/** Makes a table id of its two halves. */
export function tableIdOf(schema: string, name: string): TableId {
  return `${schema}.${name}` as TableId;
}

/** Splits `schema.table` at the first dot; throws when a half is missing. */
export function splitTableId(table: string): { readonly schema: string; readonly name: string } {
  const dot = table.indexOf('.');
  if (dot <= 0 || dot === table.length - 1) throw new RangeError(`a table is named schema.table, not ${JSON.stringify(table)}`);
  return { schema: table.slice(0, dot), name: table.slice(dot + 1) };
}

/** The places of the key columns among the columns, in key order. */
export function keyIndexes(schema: TableSchema): readonly number[] {
  return schema.key.map((name) => {
    const index = schema.columns.findIndex((column) => column.name === name);
    if (index < 0) throw new Error(`key column ${name} of ${schema.table} is not among its columns`);
    return index;
  });
}

/** True when two schemas have the same columns (name, type, order) and key. */
export function sameSchema(a: TableSchema, b: TableSchema): boolean {
  return JSON.stringify([a.columns.map(plainColumn), a.key]) === JSON.stringify([b.columns.map(plainColumn), b.key]);
}

function plainColumn(column: Column): readonly unknown[] {
  const { type } = column;
  return [column.name, type.kind, type.kind === 'decimal' ? [type.precision, type.scale] : type.kind === 'timestamp' ? type.zoned : null];
}
