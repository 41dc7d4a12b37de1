import type { PipelineRecord, ServiceContext, TableRecord } from '@nanosync/core';
import type { Ledger } from './ledger.ts';
import type { TaskPublisher } from './task-publisher.ts';

/** Bytes of row batches of one pipeline that may be on the bus and not yet durable at the sink before tasks are held back. */
const MAX_UNDURABLE_BYTES = 256 * 1024 * 1024;
/** A partition in flight whose record has not moved for this long gets its task again; a worker moves it every few seconds. */
const TASK_PATIENCE_MS = 120_000;

interface Round {
  readonly ctx: ServiceContext;
  readonly pipeline: PipelineRecord;
  readonly tasks: TaskPublisher;
  readonly open: readonly { readonly table: TableRecord; readonly ledger: Ledger }[];
}

/**
 * Publishes tasks until `snapshot.concurrency` partitions of the pipeline are in flight, tables in turn, and again those that have
 * not moved for long. A task is published before it is stored as emitted, so it may be sent twice and is never forgotten. Returns what
 * keeps tasks back, or null.
 */
export async function emitTasks(round: Round): Promise<string | null> {
  const { ctx, pipeline, open, tasks } = round;
  const stuck = open.flatMap((entry) => entry.ledger.stuck(TASK_PATIENCE_MS).map((stored) => ({ ...entry, stored })));
  let room = pipeline.definition.snapshot.concurrency - sum(open, (ledger) => ledger.inFlight);
  const wanted = room > 0 && open.some(({ ledger }) => ledger.peek() !== undefined);
  if (stuck.length === 0 && !wanted) return null;
  for (const { table, ledger, stored } of stuck) {
    ctx.log.warn('partition task sent again', { table: table.table, partition: stored.value.partition });
    await tasks.send(pipeline, { table, ledger, record: stored.value, order: ledger.completed + 1 });
  }
  // Invariant 'bounded': an absent sink does not fill the bus.
  if (sum(open, (ledger) => ledger.undurableBytes) > MAX_UNDURABLE_BYTES)
    return pipeline.intent.sink === 'paused'
      ? `The snapshot waits for the sink, which is paused: nanosync pipeline resume ${pipeline.definition.name} --sink`
      : 'The snapshot waits for the sink to take in what has been read.';
  for (; room > 0; room--) {
    const next = inTurn(open);
    const stored = next?.ledger.peek();
    if (next === undefined || stored === undefined) return null;
    await tasks.send(pipeline, { ...next, record: stored.value, order: next.ledger.completed + next.ledger.inFlight + 1 });
    ctx.failpoint('task-emitted');
    await next.ledger.markEmitted(stored);
  }
  return null;
}

/** The table with partitions left that has the fewest in flight. */
function inTurn(open: Round['open']): Round['open'][number] | undefined {
  const candidates = open.filter(({ ledger }) => ledger.peek() !== undefined);
  return candidates.sort((a, b) => a.ledger.inFlight - b.ledger.inFlight)[0];
}

function sum(open: Round['open'], of: (ledger: Ledger) => number): number {
  return open.reduce((total, { ledger }) => total + of(ledger), 0);
}
