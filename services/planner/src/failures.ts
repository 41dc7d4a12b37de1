import type { CaptureRecord, Failure, PipelineRecord, ServiceContext, SinkReport, TableRecord } from '@nanosync/core';
import { leavingTables, listRecords, readRecord, stateKeys } from '@nanosync/core';

/** The first failure that capture or a table's owner at the sink reported for this life of the pipeline, or undefined. */
export async function collectFailures(ctx: ServiceContext, pipeline: string, record: PipelineRecord): Promise<Failure | undefined> {
  const leaving = leavingTables(record);
  const capture = (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(pipeline)))?.value;
  if (capture !== undefined && capture.anchor === record.anchor?.id) {
    if (capture.failure !== null) return capture.failure;
    for (const [table, { failure }] of Object.entries(capture.tables)) if (failure !== null && !leaving.includes(table)) return failure;
  }
  const epochs = new Map((await listRecords<TableRecord>(ctx.state, stateKeys.tables(pipeline))).map(({ value }) => [value.epoch, value]));
  for (const { value } of await listRecords<SinkReport>(ctx.state, stateKeys.sinkReports(pipeline))) {
    const table = epochs.get(value.epoch);
    if (value.failure !== null && table !== undefined && !leaving.includes(table.table)) return value.failure;
  }
  return undefined;
}
