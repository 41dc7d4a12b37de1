import type { PipelineRecord, Producer, ServiceContext, TableRecord } from '@nanosync/core';
import { encodeMessage, PARTITION_TASK } from '@nanosync/core';
import type { Ledger } from './ledger.ts';

/** Bytes of row batches of one pipeline that may be on the bus and not yet durable at the sink before tasks are held back. */
const MAX_UNDURABLE_BYTES = 256 * 1024 * 1024;

interface Round {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly waiting: (text: string | null) => Promise<void>;
  readonly open: readonly { readonly table: TableRecord; readonly ledger: Ledger }[];
}

/**
 * Publishes tasks until `snapshot.concurrency` partitions of the pipeline are in flight, tables in turn. A task is published
 * before it is stored as emitted, so it may be sent twice and is never forgotten.
 */
export async function emitTasks(round: Round): Promise<void> {
  const { ctx, pipeline, open } = round;
  let room = pipeline.definition.snapshot.concurrency - sum(open, (ledger) => ledger.inFlight);
  if (room <= 0 || open.every(({ ledger }) => ledger.peek() === undefined)) return;
  if (sum(open, (ledger) => ledger.undurableBytes) > MAX_UNDURABLE_BYTES) {
    await round.waiting('The snapshot waits for the sink to take in what has been read.');
    return;
  }
  await using producer = await ctx.bus.producer();
  const schemaId = await ctx.registry.register(`${ctx.topics.tasks}-value`, PARTITION_TASK.schema);
  while (room > 0) {
    const candidates = open.filter(({ ledger }) => ledger.peek() !== undefined);
    const chosen = candidates.sort((a, b) => a.ledger.inFlight - b.ledger.inFlight)[0];
    if (chosen === undefined) break;
    await emitNext(round, producer, schemaId, chosen.table, chosen.ledger);
    room--;
  }
}

async function emitNext(round: Round, producer: Producer, schemaId: number, table: TableRecord, ledger: Ledger): Promise<void> {
  const { ctx, pipeline } = round;
  const stored = ledger.peek();
  if (stored === undefined) return;
  const { partition, range } = stored.value;
  const order = ledger.completed + ledger.inFlight + 1;
  const { name } = pipeline.definition;
  const task = { pipeline: name, table: table.table, epoch: table.epoch, partition, partitions: table.partitions, order, range };
  const key = Buffer.from(`${name}/${table.table}/${partition}`);
  await producer.send(ctx.topics.tasks, partition % ctx.tasksBusPartitions, [
    { key, value: encodeMessage(PARTITION_TASK, schemaId, task) },
  ]);
  ctx.failpoint('task-emitted');
  await ledger.markEmitted(stored);
}

function sum(open: Round['open'], of: (ledger: Ledger) => number): number {
  return open.reduce((total, { ledger }) => total + of(ledger), 0);
}
