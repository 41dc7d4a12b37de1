import type { PartitionRecord, PartitionTask, PipelineRecord, ServiceContext, TableRecord } from '@nanosync/core';
import { abortWhen, areRangesRead, isLeftOut, readRecord, recordedTables, scheduledQuery, stateKeys, updateRecord } from '@nanosync/core';
import { partitionKey } from './partition-lease.ts';

/** How often a reader looks whether its pipeline is still to be read, in milliseconds. */
const LOOK_EVERY_MS = 250;

/** True while the table's ranges are to be read under the anchor that the pipeline was found with. */
export function isRangeWanted(now: PipelineRecord | undefined, { table }: PartitionTask, anchor: string | undefined): boolean {
  if (now === undefined || !areRangesRead(now) || now.anchor?.id !== anchor) return false;
  return scheduledQuery(now) !== undefined || recordedTables(now).includes(table);
}

/**
 * Reads while the pipeline is to be read: once it is paused, deleted or anchored anew, or the copy stopped, the read's signal aborts, which ends it at its next block.
 * False when it ended so, whatever came of it then.
 */
export async function whileRead(
  ctx: ServiceContext,
  { task, anchor }: { readonly task: PartitionTask; readonly anchor: string | undefined },
  read: (ctx: ServiceContext) => Promise<void>,
): Promise<boolean> {
  const over = new AbortController();
  const ending = new AbortController();
  const watching = abortWhen({ clock: ctx.clock, everyMs: LOOK_EVERY_MS, ending }, async () => {
    const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(task.pipeline)))?.value;
    if (!isRangeWanted(now, task, anchor) || (await wasStopped(ctx, now, task))) over.abort();
    return over.signal.aborted;
  });
  watching.catch(() => undefined); // Thrown below; not unhandled until then.
  try {
    await read({ ...ctx, signal: AbortSignal.any([ctx.signal, over.signal]) });
  } catch (error) {
    if (!over.signal.aborted) throw error;
  } finally {
    ending.abort();
    await watching;
  }
  return !over.signal.aborted;
}

/** Only where it may have been: each look costs a read of the state store. */
async function wasStopped(ctx: ServiceContext, now: PipelineRecord | undefined, task: PartitionTask): Promise<boolean> {
  if (now?.definition.replicationType !== 'cdc') return false;
  const table = (await readRecord<TableRecord>(ctx.state, stateKeys.table(task.pipeline, task.table)))?.value;
  return table?.epoch === task.epoch && isLeftOut(table, task.partition);
}

/**
 * Says in the ledger that the task is no longer out, so that the planner sends it again once the pipeline goes on. Call with the partition's lease;
 * what an attempt has published is never looked at without its end marker.
 */
export async function giveBack(ctx: ServiceContext, task: PartitionTask): Promise<void> {
  await updateRecord<PartitionRecord>(ctx.state, partitionKey(task), (record) => {
    const isOut = record.emitted && record.voided === null && (record.phase === 'planned' || record.phase === 'reading');
    return isOut && record.range === task.range ? { ...record, emitted: false } : undefined;
  });
}
