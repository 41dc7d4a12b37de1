import type { Delivery, PartitionTask, ServiceContext } from '@nanosync/core';
import { describeError, isKind, MessageSchemas, PARTITION_TASK, PipelineError, Share } from '@nanosync/core';
import { BatchPublisher } from './batch-publisher.ts';
import { awaitPartition, releasePartition, renewPartition } from './partition-lease.ts';
import { ReadLimits } from './read-limit.ts';
import type { ReadTools } from './read-partition.ts';
import { readPartition } from './read-partition.ts';
import { SourcePool } from './source-pool.ts';

/** Name of the group in which all snapshot workers share the tasks. */
const GROUP = 'snapshot-workers';
/** How often a worker says that it is alive while it reads, in milliseconds. */
const HEARTBEAT_MS = 3000;
/** A read of which nothing has come for so long is left to others, and goes on beside theirs if it can: a connection may hang for very long. */
const STALLED_MS = 60_000;

/**
 * Runs one snapshot worker: takes partition tasks from the bus, `slots` at a time, and publishes each range as row batches and an
 * end marker. A task may arrive again: a partition that is already read is passed over, one that is being read is waited for. How many
 * partitions of a pipeline are in flight over all workers is the planner's business.
 */
export async function runSnapshotWorker(ctx: ServiceContext, slots = 4): Promise<void> {
  const schemas = await MessageSchemas.open(ctx.registry, { [`${ctx.topics.tasks}-value`]: PARTITION_TASK });
  await ctx.bus.ensureTopic(ctx.topics.tasks, ctx.tasksBusPartitions);
  await using member = await ctx.bus.group(ctx.topics.tasks, GROUP);
  await using sources = new SourcePool(ctx);
  await using publisher = new BatchPublisher(ctx);
  const tools: ReadTools = { reader: ctx.ids.next(), sources, publisher, limits: new ReadLimits(ctx.clock) };
  const ending = new AbortController();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) };
  // Nothing is shared out by it: it says that a worker is there.
  const share = new Share(inner, 'snapshot-worker');
  const keeping = share.keep().finally(() => ending.abort());
  keeping.catch(() => undefined); // Awaited below; not unhandled until then.
  const slot = async () => {
    for (;;) {
      const delivery = await member.next(inner.signal);
      if (delivery === undefined) return;
      const task = await schemas.read(PARTITION_TASK, delivery.message.value);
      if (task === undefined) throw new PipelineError('defect', 'The task topic holds a message that is no task.');
      await work({ ctx: { ...inner, log: inner.log.with({ pipeline: task.pipeline }) }, task, delivery, tools });
      if (inner.signal.aborted) return;
      await finish(ctx, delivery, task);
    }
  };
  // A slot that breaks ends the others before what they share is closed: nothing of this run goes on beside the next one.
  const outcomes = await Promise.allSettled(Array.from({ length: slots }, () => slot().finally(() => ending.abort())));
  outcomes.push(...(await Promise.allSettled([keeping])));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

interface Work {
  readonly ctx: ServiceContext;
  readonly task: PartitionTask;
  readonly delivery: Delivery;
  readonly tools: ReadTools;
}

/**
 * Reads the partition, again under a new attempt while source or bus are away or not as they must be: what is wrong with one
 * pipeline must not end the copying of others, and the planner gives the pipeline up when it is for good. Heartbeats meanwhile.
 */
async function work({ ctx, task, delivery, tools }: Work): Promise<void> {
  const token = ctx.ids.next();
  const beating = new AbortController();
  let movedMs = ctx.clock.monotonicMs();
  const moved = () => {
    movedMs = ctx.clock.monotonicMs();
  };
  const isStalled = () => ctx.clock.monotonicMs() - movedMs > STALLED_MS;
  const beat = heartbeats(ctx, { delivery, task, token, isStalled }, beating.signal);
  beat.catch(() => undefined); // Awaited below; a failure must not count as unhandled until then.
  try {
    for (let tries = 0; !ctx.signal.aborted; tries++) {
      try {
        if (!(await awaitPartition(ctx, task, token))) return;
        moved();
        return await readPartition(ctx, task, tools, moved);
      } catch (error) {
        if (ctx.signal.aborted) return;
        if (!isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config', 'gap')) throw error;
        ctx.log.warn('partition will be read again', { table: task.table, partition: task.partition, err: describeError(error) });
        await ctx.clock.sleep(Math.min(30_000, 500 * 2 ** tries), ctx.signal);
      }
    }
  } finally {
    beating.abort();
    await beat;
    await releasePartition(ctx, task, token);
  }
}

interface Beat {
  readonly delivery: Delivery;
  readonly task: PartitionTask;
  readonly token: string;
  readonly isStalled: () => boolean;
}

/** Tells bus and state that the reader lives, until the work is over. A member that the group has given up reads on: its attempt counts like any other. */
async function heartbeats(ctx: ServiceContext, { delivery, task, token, isStalled }: Beat, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await ctx.clock.sleep(HEARTBEAT_MS, over);
    if (over.aborted) return;
    if (!isStalled()) await renewPartition(ctx, task, token);
    try {
      await delivery.heartbeat();
    } catch (error) {
      if (!isKind(error, 'unavailable', 'conflict')) throw error;
      ctx.log.debug('heartbeat failed', { err: describeError(error) });
    }
  }
}

/** A task that could not be marked as done comes again, to this worker or another, which then finds its partition read. */
async function finish(ctx: ServiceContext, delivery: Delivery, task: PartitionTask): Promise<void> {
  try {
    await delivery.done();
  } catch (error) {
    if (!isKind(error, 'conflict')) throw error;
    ctx.log.debug('task will come again', { table: task.table, partition: task.partition, err: describeError(error) });
  }
}
