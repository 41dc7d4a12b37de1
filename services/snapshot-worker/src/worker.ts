import type { Delivery, PartitionTask, ServiceContext } from '@nanosync/core';
import { decodeMessage, describeError, isKind, PARTITION_TASK, PipelineError, schemaIdOf } from '@nanosync/core';
import { BatchPublisher } from './batch-publisher.ts';
import { readPartition } from './read-partition.ts';
import { SourcePool } from './source-pool.ts';

/** Name of the group in which all snapshot workers share the tasks. */
const GROUP = 'snapshot-workers';
/** How often a worker says that it is alive while it reads, in milliseconds. */
const HEARTBEAT_MS = 3000;

/**
 * Runs one snapshot worker: takes partition tasks from the bus, `slots` at a time, and publishes each range as row batches and an
 * end marker. A task may arrive again; a partition that is already read, or that this worker is reading, is passed over. How many
 * partitions of a pipeline are in flight over all workers is the planner's business.
 */
export async function runSnapshotWorker(ctx: ServiceContext, slots = 4): Promise<void> {
  const taskSchema = await ctx.registry.register(`${ctx.topics.tasks}-value`, PARTITION_TASK.schema);
  await ctx.bus.ensureTopic(ctx.topics.tasks, ctx.tasksBusPartitions);
  await using member = await ctx.bus.group(ctx.topics.tasks, GROUP);
  await using sources = new SourcePool(ctx);
  await using publisher = new BatchPublisher(ctx);
  const reading = new Set<string>();
  const slot = async () => {
    for (;;) {
      const delivery = await member.next(ctx.signal);
      if (delivery === undefined) return;
      if (schemaIdOf(delivery.message.value) !== taskSchema)
        throw new PipelineError('defect', 'The task topic holds a message that is no task.');
      const task = decodeMessage(PARTITION_TASK, delivery.message.value);
      const name = `${task.pipeline}/${task.table}/${task.epoch}/${task.partition}`;
      if (!reading.has(name)) {
        reading.add(name);
        await work({ ctx, task, delivery, sources, publisher }).finally(() => reading.delete(name));
      }
      if (ctx.signal.aborted) return;
      await delivery.done();
    }
  };
  await Promise.all(Array.from({ length: slots }, slot));
}

interface Work {
  readonly ctx: ServiceContext;
  readonly task: PartitionTask;
  readonly delivery: Delivery;
  readonly sources: SourcePool;
  readonly publisher: BatchPublisher;
}

/** Reads the partition, again under a new attempt while the source or the bus is away; heartbeats meanwhile. */
async function work({ ctx, task, delivery, sources, publisher }: Work): Promise<void> {
  const beating = new AbortController();
  const beat = (async () => {
    while (!beating.signal.aborted) {
      await ctx.clock.sleep(HEARTBEAT_MS, beating.signal);
      await delivery.heartbeat();
    }
  })();
  try {
    for (let tries = 0; !ctx.signal.aborted; tries++) {
      try {
        return await readPartition(ctx, task, sources, publisher);
      } catch (error) {
        if (ctx.signal.aborted) return;
        if (!isKind(error, 'unavailable', 'conflict')) throw error;
        ctx.log.warn('partition will be read again', { table: task.table, partition: task.partition, err: describeError(error) });
        await ctx.clock.sleep(Math.min(30_000, 500 * 2 ** tries), ctx.signal);
      }
    }
  } finally {
    beating.abort();
    await beat;
  }
}
