import type { Column, ColumnType, Problem, TableSchema } from '@nanosync/core';
import { keyIndexes } from '@nanosync/core';
import { META } from './sql.ts';

/** Our own column of a physical table: the position of the change that wrote the row. */
export const POSITION_COLUMN = '_nanosync_position';
/** Our own columns of a staging table of row batches. */
export const PARTITION_COLUMN = '_nanosync_partition';
export const ATTEMPT_COLUMN = '_nanosync_attempt';

/** A column of a table as BigQuery's REST interface takes it. */
export interface Field {
  readonly name: string;
  readonly type: string;
  readonly mode?: 'REQUIRED' | 'NULLABLE';
}

/** NUMERIC holds this many digits before and after the point; what has more is BIGNUMERIC. */
const NUMERIC_WHOLE = 29;
const NUMERIC_SCALE = 9;
/** Most columns of a primary key and of a clustering. */
const MAX_KEY = 16;
const MAX_CLUSTERING = 4;
const MAX_NAME = 300;

/** The type of a physical table's column: the one that shows the kind's values as what they are. */
export function sqlTypeOf(type: ColumnType): string {
  switch (type.kind) {
    case 'bool':
      return 'BOOL';
    case 'int16':
    case 'int32':
    case 'int64':
      return 'INT64';
    case 'float64':
      return 'FLOAT64';
    case 'decimal':
      return type.precision - type.scale <= NUMERIC_WHOLE && type.scale <= NUMERIC_SCALE ? 'NUMERIC' : 'BIGNUMERIC';
    case 'text':
    case 'json':
    case 'uuid':
      return 'STRING';
    case 'bytes':
      return 'BYTES';
    case 'date':
      return 'DATE';
    case 'time':
      return 'TIME';
    case 'timestamp':
      return type.zoned ? 'TIMESTAMP' : 'DATETIME';
  }
}

/**
 * The type of a staging column. Nothing that stands in a block may fail to load, since one row would take its whole job along: so times are
 * plain numbers and text is bytes, and the build looks at each value.
 */
export function stagingTypeOf(type: ColumnType): string {
  switch (type.kind) {
    case 'date':
    case 'time':
    case 'timestamp':
      return 'INT64';
    case 'text':
    case 'json':
      return 'BYTES';
    default:
      return sqlTypeOf(type);
  }
}

/** The Avro type under which a column's bytes are loaded into a staging column. */
export function avroTypeOf(type: ColumnType): unknown {
  switch (type.kind) {
    case 'bool':
      return 'boolean';
    case 'float64':
      return 'double';
    case 'decimal':
      return { type: 'bytes', logicalType: 'decimal', precision: type.precision, scale: type.scale };
    case 'text':
    case 'json':
    case 'bytes':
      return 'bytes';
    case 'uuid':
      return 'string';
    default:
      return 'long';
  }
}

/** The columns of a physical table, ours last. */
export function physicalFields(schema: TableSchema): readonly Field[] {
  const columns = schema.columns.map(({ name, type }): Field => {
    const mode = schema.key.includes(name) ? 'REQUIRED' : 'NULLABLE';
    return { name, type: sqlTypeOf(type), mode };
  });
  return [...columns, { name: POSITION_COLUMN, type: 'STRING', mode: 'NULLABLE' }];
}

/** A staging column's name: the source's names are for the physical table alone. */
export function stagingColumn(index: number): string {
  return `c${index}`;
}

/** The columns of a staging table that hold a row's cells. */
export function stagingFields(schema: TableSchema): readonly Field[] {
  return schema.columns.map(({ type }, index) => ({ name: stagingColumn(index), type: stagingTypeOf(type) }));
}

const CLUSTERS = new Set(['BOOL', 'INT64', 'NUMERIC', 'BIGNUMERIC', 'STRING', 'DATE', 'DATETIME', 'TIMESTAMP']);
const KEYS = new Set([...CLUSTERS, 'BYTES']);

/** How a physical table is clustered: by the key's first columns, as far as BigQuery can. */
export function clusteringOf(schema: TableSchema): readonly string[] {
  return keyColumns(schema)
    .filter(({ type }) => CLUSTERS.has(sqlTypeOf(type)))
    .slice(0, MAX_CLUSTERING)
    .map(({ name }) => name);
}

/** The primary key that BigQuery is told of, for its optimizer; undefined when it cannot be one there. */
export function primaryKeyOf(schema: TableSchema): readonly string[] | undefined {
  const columns = keyColumns(schema);
  return columns.length > 0 && columns.length <= MAX_KEY && columns.every(({ type }) => KEYS.has(sqlTypeOf(type))) ? schema.key : undefined;
}

/** The columns of the key, in key order. */
export function keyColumns(schema: TableSchema): readonly Column[] {
  return keyIndexes(schema).map((index) => schema.columns[index] as Column);
}

const FORBIDDEN_PREFIXES = [
  '_change_type',
  '_change_sequence_number',
  '_change_timestamp',
  '_partition',
  '_table_',
  '_file_',
  '_row_timestamp',
  '__root__',
  '_colidentifier',
  META,
];
const FORBIDDEN_CHARACTER = /[!"$()*,./;?@[\\\]^`{}~\p{Cc}]/u;

/** What keeps a table's columns from being BigQuery's. */
export function columnProblem(schema: TableSchema): Problem | undefined {
  const seen = new Map<string, string>();
  const cure = 'Rename it at the source or leave the table out of the pipeline.';
  for (const { name } of schema.columns) {
    const lower = name.toLowerCase();
    const says = (why: string): Problem => ({ what: `column ${name} of ${schema.table} ${why}.`, cure });
    const other = seen.get(lower);
    if (other !== undefined) return says(`and column ${other} have one name in BigQuery, which ignores case`);
    const prefix = FORBIDDEN_PREFIXES.find((one) => lower.startsWith(one));
    if (prefix !== undefined) return says(`begins with ${prefix}, which BigQuery or nanosync keeps for itself`);
    if (FORBIDDEN_CHARACTER.test(name)) return says('has a character that BigQuery does not take in column names');
    if (name.length > MAX_NAME) return says(`has more than the ${MAX_NAME} characters that BigQuery takes`);
    seen.set(lower, name);
  }
  return undefined;
}
