import type { PipelineRecord, ServiceContext, Stored, TableRecord } from '@nanosync/core';
import { listRecords, recordedTables, stateKeys } from '@nanosync/core';

/** The records of the tables that stand under the pipeline's anchor; not of those that are being taken out. */
export async function tableRecords(ctx: ServiceContext, pipeline: PipelineRecord): Promise<readonly Stored<TableRecord>[]> {
  const recorded = recordedTables(pipeline);
  const all = await listRecords<TableRecord>(ctx.state, stateKeys.tables(pipeline.definition.name));
  return all.filter(({ value }) => recorded.includes(value.table) && value.anchor === pipeline.anchor?.id);
}
