import type {
  PartitionRecord,
  PartitionTask,
  PipelineRecord,
  RangeOptions,
  RangeOutput,
  RejectedRow,
  ServiceContext,
  Source,
  TableRecord,
} from '@nanosync/core';
import {
  describeError,
  isKind,
  isLeftOut,
  measured,
  PARTITION_MACHINE,
  PipelineError,
  readRecord,
  rowBlockSchemaJson,
  rowOrigin,
  scheduledQuery,
  stateKeys,
  step,
  updateRecord,
} from '@nanosync/core';
import type { AttemptName, BatchPublisher } from './batch-publisher.ts';
import { partitionKey } from './partition-lease.ts';
import type { ReadLimits } from './read-limit.ts';
import type { SourcePool } from './source-pool.ts';
import { giveBack, isRangeWanted, whileRead } from './while-read.ts';

/** What the slots of a worker share. */
export interface ReadTools {
  /** The worker's own random id. */
  readonly reader: string;
  readonly sources: SourcePool;
  readonly publisher: BatchPublisher;
  readonly limits: ReadLimits;
}

/** Bytes of rows in one block before compression. */
const BLOCK_BYTES = 1_000_000;
/** Batches on their way to the bus while the next block is being read. */
const BATCHES_IN_FLIGHT = 2;
/** How often a partition that is being read moves its record, in milliseconds. */
const PROGRESS_EVERY_MS = 5000;

/**
 * Reads one partition under a fresh attempt and publishes it. The attempt is stored before the first read, `read` after the end
 * marker is durable on the bus; what another attempt published is never looked at, the sink takes one complete attempt.
 * Returns without reading when the task is out of date. While the pipeline is not to be read the task is given back instead, from the middle of a
 * range too. Throws `unavailable` when it is worth trying again. `moved` is called whenever the
 * read has come further.
 */
export async function readPartition(ctx: ServiceContext, task: PartitionTask, tools: ReadTools, moved: () => void): Promise<void> {
  const pipeline = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(task.pipeline)))?.value;
  const table = (await readRecord<TableRecord>(ctx.state, stateKeys.table(task.pipeline, task.table)))?.value;
  if (pipeline === undefined || table === undefined || table.epoch !== task.epoch || table.adopts === true) return;
  if (isLeftOut(table, task.partition)) return;
  if (!isRangeWanted(pipeline, task, table.anchor)) return giveBack(ctx, task);
  const attempt = await take(ctx, task, tools.reader);
  if (attempt === undefined) return;
  ctx.failpoint('partition-taken');
  ctx.log.info('snapshotting', { table: task.table, partition: `${task.order}/${task.partitions}` });
  const rowSchemaId = await ctx.registry.register(`${ctx.topics.rows(task.pipeline)}-${task.table}`, rowBlockSchemaJson(table.schema));
  try {
    const wholly = await whileRead(ctx, { task, anchor: table.anchor }, async (inner) => {
      const range = { pipeline, table, name: { task, attempt, rowSchemaId }, moved };
      const of = { step: 'read', pipeline: task.pipeline } as const;
      const read = await measured(ctx, of, () => publishRange(inner, range, tools));
      ctx.metrics?.observe('nanosync_batch_bytes', of, read.bytes);
      ctx.metrics?.observe('nanosync_batch_entries', of, read.rows);
      ctx.metrics?.count('nanosync_rows_read_total', { pipeline: task.pipeline, table: task.table }, read.rows);
      await settle(ctx, task, attempt, (record) => ({ ...record, phase: step(PARTITION_MACHINE, record.phase, 'read'), ...read }));
      ctx.failpoint('partition-read-stored');
    });
    if (!wholly) await giveBack(ctx, task);
  } catch (error) {
    const voided = voidReason(pipeline, error);
    if (voided === undefined) throw error;
    await settle(ctx, task, attempt, (record) => (record.phase === 'durable' ? record : { ...record, voided }));
  }
}

function isScheduled(pipeline: PipelineRecord): boolean {
  return scheduledQuery(pipeline) !== undefined;
}

/** Why a range cannot be read as it was planned, however often it is tried. What the source has against a query ends the run: the next one may go. */
function voidReason(pipeline: PipelineRecord, error: unknown): string | undefined {
  if (isScheduled(pipeline)) return isKind(error, 'table-changed', 'prerequisite', 'config') ? describeError(error) : undefined;
  return isKind(error, 'table-changed') ? error.message : undefined;
}

/** Takes the partition by compare-and-set under a new attempt id; undefined when there is nothing left to read, or another range. */
async function take(ctx: ServiceContext, task: PartitionTask, reader: string): Promise<string | undefined> {
  const attempt = ctx.ids.next();
  const taken = await updateRecord<PartitionRecord>(ctx.state, partitionKey(task), (record) => {
    // Invariant 'cover': a range that is not the ledger's belongs to another plan.
    const next = record.voided === null && record.range === task.range ? PARTITION_MACHINE[record.phase].take : null;
    return next === null ? undefined : { ...record, phase: next, attempt, attempts: record.attempts + 1, reader };
  });
  return taken?.value.attempt === attempt ? attempt : undefined;
}

/** Stores the outcome while the partition still belongs to this attempt; an attempt that was taken over changes nothing. */
async function settle(
  ctx: ServiceContext,
  task: PartitionTask,
  attempt: string,
  change: (record: PartitionRecord) => PartitionRecord,
): Promise<void> {
  await updateRecord<PartitionRecord>(ctx.state, partitionKey(task), (record) => (record.attempt === attempt ? change(record) : undefined));
}

interface RangeRead {
  readonly pipeline: PipelineRecord;
  readonly table: TableRecord;
  readonly name: AttemptName;
  readonly moved: () => void;
}

async function publishRange(
  ctx: ServiceContext,
  { pipeline, table, name, moved }: RangeRead,
  { sources, publisher, limits }: ReadTools,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  const { task, attempt } = name;
  const source = await sources.of(pipeline);
  const sends: Promise<void>[] = [];
  const progress = progressReporter(ctx, name, moved);
  const reasons = new Map<string, number>();
  let [rows, bytes, batches, quarantined] = [0, 0, 0, 0];
  const origin = rowOrigin(task.partition, attempt);
  const reject = ({ reason }: RejectedRow) => {
    quarantined++;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  };
  const targetBytes = Math.min(BLOCK_BYTES, publisher.maxBlockBytes);
  for await (const output of outputsOf(source, { pipeline, table, task }, { targetBytes, origin, view: table.view, signal: ctx.signal })) {
    if (output.kind === 'rejected') {
      // Invariant 'nothing-skipped': published and counted, then the rest is read.
      await publisher.quarantine(name, output.row);
      reject(output.row);
      continue;
    }
    if (!publisher.fits(output.block)) {
      reject(await publisher.quarantineLarge(name, output.block));
      continue;
    }
    rows += output.block.rows;
    bytes += output.block.block.length;
    const sending = publisher.batch(name, batches++, output.block);
    sending.catch(() => undefined); // Awaited below; a failure must not count as unhandled until then.
    sends.push(sending);
    // Invariant 'bounded': the COPY waits for the bus.
    if (sends.length >= BATCHES_IN_FLIGHT) await sends.shift();
    await progress({ rows, bytes });
    await limits.take(pipeline, output.block.rows, ctx.signal, () => progress({ rows, bytes }));
  }
  await Promise.all(sends);
  if (ctx.signal.aborted) throw new PipelineError('unavailable', 'The worker was stopped while it read a partition.');
  const { table: tableId, epoch, partition } = task;
  for (const [reason, count] of reasons)
    ctx.log.warn('rows quarantined', { table: tableId, partition: `${task.order}/${task.partitions}`, rows: count, reason });
  await publisher.end(task, { table: tableId, epoch, partition, attempt, batches, rows, quarantined });
  return { rows, bytes };
}

/** What a range yields; of a query it is the statement itself. */
function outputsOf(
  source: Source,
  { pipeline, table, task }: { readonly pipeline: PipelineRecord; readonly table: TableRecord; readonly task: PartitionTask },
  options: RangeOptions,
): AsyncIterable<RangeOutput> {
  const query = scheduledQuery(pipeline);
  if (query === undefined) return source.readRange(table, task.range, options);
  if (source.queries === undefined)
    throw new PipelineError('config', `The source ${pipeline.definition.source.connection.name} runs no queries.`);
  return source.queries.read({ statement: task.range, storage: table.storage, timeoutMs: query.timeoutMs }, options);
}

/** Moves the partition's record every few seconds while it is read, so that the planner sees that it goes on. */
function progressReporter(
  ctx: ServiceContext,
  { task, attempt }: AttemptName,
  moved: () => void,
): (so: { rows: number; bytes: number }) => Promise<void> {
  let next = ctx.clock.monotonicMs() + PROGRESS_EVERY_MS;
  return async (so) => {
    moved();
    if (ctx.clock.monotonicMs() < next) return;
    next = ctx.clock.monotonicMs() + PROGRESS_EVERY_MS;
    await settle(ctx, task, attempt, (record) => ({ ...record, ...so }));
  };
}
