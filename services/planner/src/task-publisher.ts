import type { PartitionRecord, PipelineRecord, Producer, ServiceContext, TableRecord } from '@nanosync/core';
import { encodeMessage, PARTITION_TASK } from '@nanosync/core';
import type { Ledger } from './ledger.ts';

/** A partition whose task is out, and the bus partition it was sent to. */
interface Place {
  readonly busPartition: number;
  readonly ledger: Ledger;
  readonly partition: number;
}

/** A partition task to send. */
export interface TaskToSend {
  readonly table: TableRecord;
  readonly ledger: Ledger;
  readonly record: PartitionRecord;
  /** The number to show. */
  readonly order: number;
}

/**
 * Publishes the partition tasks of one pipeline, with one producer that is kept open and thrown away after any failure.
 *
 * A task goes to the bus partition with the fewest tasks in flight, the lowest number first. So the next task follows the one that was just
 * finished to the worker that finished it: each worker gets as much as it can read, without knowing of the others.
 */
export class TaskPublisher implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private producer: Producer | undefined;
  private places: Place[] = [];

  constructor(ctx: ServiceContext) {
    this.ctx = ctx;
  }

  async send({ definition: { name } }: PipelineRecord, { table, ledger, record, order }: TaskToSend): Promise<void> {
    const { ctx } = this;
    const schemaId = await ctx.registry.register(`${ctx.topics.tasks}-value`, PARTITION_TASK.schema);
    const { partition, range } = record;
    const { table: id, epoch, partitions } = table;
    const value = encodeMessage(PARTITION_TASK, schemaId, { pipeline: name, table: id, epoch, partition, partitions, order, range });
    const busPartition = this.leastBusy();
    try {
      this.producer ??= await ctx.bus.producer();
      await this.producer.send(ctx.topics.tasks, busPartition, [{ key: Buffer.from(`${name}/${id}/${partition}`), value }]);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    this.places.push({ busPartition, ledger, partition });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { producer } = this;
    this.producer = undefined;
    await producer?.[Symbol.asyncDispose]();
  }

  private leastBusy(): number {
    this.places = this.places.filter(({ ledger, partition }) => ledger.isInFlight(partition));
    const load = new Array<number>(this.ctx.tasksBusPartitions).fill(0);
    for (const { busPartition } of this.places) load[busPartition] = (load[busPartition] ?? 0) + 1;
    return load.indexOf(Math.min(...load));
  }
}
