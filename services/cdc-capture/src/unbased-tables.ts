import type { PipelineRecord, TableId, TableRecord } from '@nanosync/core';

/**
 * The tables whose images are complete for good: the sink was given no rows of them to take cells from, or not all, or still shows a generation that was given
 * none.
 */
export function unbasedTables({ definition }: PipelineRecord, tables: readonly TableRecord[]): ReadonlySet<TableId> {
  const isUnbased = ({ adopts, older, missing }: TableRecord) =>
    definition.replicationType === 'cdc' || adopts === true || older !== null || missing !== undefined;
  return new Set(tables.filter(isUnbased).map(({ table }) => table));
}
