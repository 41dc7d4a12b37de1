import type { PartitionRecord, PartitionTask, ServiceContext } from '@nanosync/core';
import { describeError, isKind, leaseNames, readRecord, stateKeys } from '@nanosync/core';

/** How long a reader counts as alive after it was last heard of, in milliseconds. */
const LEASE_MS = 10_000;
/** How often one who waits looks again. */
const LOOK_EVERY_MS = 500;

/**
 * Waits until nobody else reads the task's partition, and holds it from then on under this token; false when it needs no reading any more.
 *
 * The bus hands a task to another worker when it shares out its partitions anew, while the first still reads. The lease only saves reading
 * the range twice: it may run out under a paused reader, whose attempt is then one of two, of which the sink takes one.
 */
export async function awaitPartition(ctx: ServiceContext, task: PartitionTask, token: string): Promise<boolean> {
  while (!ctx.signal.aborted) {
    const record = await readRecord<PartitionRecord>(ctx.state, partitionKey(task));
    if (record === undefined || record.value.phase === 'read' || record.value.phase === 'durable') return false;
    if (await ctx.state.lease(leaseName(task), token, LEASE_MS)) return true;
    await ctx.clock.sleep(LOOK_EVERY_MS, ctx.signal);
  }
  return false;
}

/** Says that the holder still reads. A state store that is away does not end a read. */
export async function renewPartition(ctx: ServiceContext, task: PartitionTask, token: string): Promise<void> {
  try {
    await ctx.state.lease(leaseName(task), token, LEASE_MS);
  } catch (error) {
    if (!isKind(error, 'unavailable')) throw error;
    ctx.log.debug('partition lease not renewed', { err: describeError(error) });
  }
}

/** Lets others have the partition. */
export async function releasePartition(ctx: ServiceContext, task: PartitionTask, token: string): Promise<void> {
  await ctx.state.release(leaseName(task), token).catch(() => undefined); // It runs out by itself.
}

/** The state key of a task's partition. */
export function partitionKey(task: PartitionTask): string {
  return stateKeys.partition(task.pipeline, task.table, task.epoch, task.partition);
}

function leaseName(task: PartitionTask): string {
  return leaseNames.partition(partitionKey(task));
}
