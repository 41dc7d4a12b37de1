import type { Column, ColumnType, Problem, TableSchema } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { META } from './sql.ts';

/** Our own column of a physical table: the position of the change that wrote the row. */
export const POSITION_COLUMN = '_nanosync_position';
/** Our own columns of a staging table. */
export const PARTITION_COLUMN = '_nanosync_partition';
export const ATTEMPT_COLUMN = '_nanosync_attempt';

/** The DuckDB type that holds every value of a kind. JSON is stored as the source wrote it and is not parsed on the way in. */
export function sqlTypeOf(type: ColumnType): string {
  switch (type.kind) {
    case 'bool':
      return 'BOOLEAN';
    case 'int16':
      return 'SMALLINT';
    case 'int32':
      return 'INTEGER';
    case 'int64':
      return 'BIGINT';
    case 'float64':
      return 'DOUBLE';
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'text':
      return 'VARCHAR';
    case 'json':
      return 'JSON';
    case 'uuid':
      return 'UUID';
    case 'bytes':
      return 'BLOB';
    case 'date':
      return 'DATE';
    case 'time':
      return 'TIME';
    case 'timestamp':
      return type.zoned ? 'TIMESTAMPTZ' : 'TIMESTAMP';
  }
}

/** Refuses columns that DuckDB cannot tell apart or that would hide our own; the cure is at the source. */
export function checkColumns(schema: TableSchema): void {
  const problem = columnProblem(schema);
  if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
}

/** Columns that DuckDB cannot tell apart, or one that would hide our own. */
export function columnProblem(schema: TableSchema): Problem | undefined {
  const seen = new Map<string, Column>();
  for (const column of schema.columns) {
    const lower = column.name.toLowerCase();
    const other = seen.get(lower);
    if (other !== undefined)
      return {
        what: `columns ${other.name} and ${column.name} of ${schema.table} have one name in DuckDB, which ignores case.`,
        cure: 'Rename one of them at the source or leave the table out of the pipeline.',
      };
    if (lower.startsWith(META))
      return {
        what: `column ${column.name} of ${schema.table} has a name that nanosync keeps for itself.`,
        cure: 'Rename the column at the source or leave the table out of the pipeline.',
      };
    seen.set(lower, column);
  }
  return undefined;
}
