import type { PipelineRecord, TableId, TableRecord } from '@nanosync/core';

/**
 * The tables whose images are complete whatever has passed: the sink was given no rows of them to take cells from, or not all, or a copy is made of them
 * anew, whose first changes may be met before this session knows that it has begun.
 */
export function completedTables(pipeline: PipelineRecord, tables: readonly TableRecord[]): ReadonlySet<TableId> {
  const unbased = unbasedTables(pipeline, tables);
  return new Set(tables.filter(({ table, older }) => older !== null || unbased.has(table)).map(({ table }) => table));
}

/**
 * Those of which a generation at the sink was not given all rows: an update whose cells cannot be read any more is none there that can be laid upon a row, and is
 * published as the delete that comes of it. Where the rows are there, that would take a row from users that comes back with its next update.
 */
export function unbasedTables({ definition }: PipelineRecord, tables: readonly TableRecord[]): ReadonlySet<TableId> {
  const isUnbased = ({ adopts, older, missing }: TableRecord) =>
    definition.replicationType === 'cdc' || adopts === true || missing !== undefined || (older !== null && older.based !== true);
  return new Set(tables.filter(isUnbased).map(({ table }) => table));
}
