import type { PartitionRecord, PipelineRecord, ServiceContext, Sink, TableRecord } from '@nanosync/core';
import { listRecords, PARTITION_MACHINE, stateKeys, step, updateRecord } from '@nanosync/core';

/** Tells the ledger that the sink holds all of a partition; may follow any phase, and may be said again. */
export async function markDurable(ctx: ServiceContext, pipeline: string, table: string, epoch: string, partition: number): Promise<void> {
  await updateRecord<PartitionRecord>(ctx.state, stateKeys.partition(pipeline, table, epoch, partition), (record) =>
    record.phase === 'durable' ? undefined : { ...record, phase: step(PARTITION_MACHINE, record.phase, 'durable'), emitted: true },
  );
}

/** At take-over: a ledger that is behind the sink is caught up from what the sink has. */
export async function markStagedDurable(ctx: ServiceContext, pipeline: PipelineRecord, sink: Sink): Promise<void> {
  const { name } = pipeline.definition;
  for (const { value } of await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))) {
    if (value.phase !== 'snapshotting') continue;
    const { table, epoch } = value;
    for (const { partition } of await sink.staged({ pipeline: name, table, epoch })) await markDurable(ctx, name, table, epoch, partition);
  }
}
