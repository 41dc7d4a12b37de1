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
 * A task goes to the bus partition whose worker has the fewest tasks in flight: which worker that is, is known from who took the tasks before. Among
 * equals it goes where none has gone for longest, which finds the workers that came. So each gets as much as it can read.
 */
export class TaskPublisher implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private producer: Producer | undefined;
  private places: Place[] = [];
  /** Who took the last task of each bus partition. */
  private readonly readers: (string | undefined)[] = [];
  /** The number of the last task of each bus partition. */
  private readonly used: (number | undefined)[] = [];
  private sent = 0;

  constructor(ctx: ServiceContext) {
    this.ctx = ctx;
  }

  async send({ definition: { name } }: PipelineRecord, { table, ledger, record, order }: TaskToSend): Promise<void> {
    const { ctx } = this;
    const schemaId = await ctx.registry.register(`${ctx.topics.tasks}-value`, PARTITION_TASK.schema);
    const { partition, range } = record;
    const { table: id, epoch, partitions } = table;
    const value = encodeMessage(PARTITION_TASK, schemaId, { pipeline: name, table: id, epoch, partition, partitions, order, range });
    const busPartition = this.choose();
    try {
      this.producer ??= await ctx.bus.producer();
      await this.producer.send(ctx.topics.tasks, busPartition, [{ key: Buffer.from(`${name}/${id}/${partition}`), value }]);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    this.places.push({ busPartition, ledger, partition });
    this.used[busPartition] = ++this.sent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { producer } = this;
    this.producer = undefined;
    await producer?.[Symbol.asyncDispose]();
  }

  private choose(): number {
    for (const { busPartition, ledger, partition } of this.places)
      this.readers[busPartition] = ledger.readerOf(partition) ?? this.readers[busPartition];
    this.places = this.places.filter(({ ledger, partition }) => ledger.isInFlight(partition));
    const all = Array.from({ length: this.ctx.tasksBusPartitions }, (_, busPartition) => busPartition);
    const rank = new Map(all.map((busPartition) => [busPartition, this.rank(busPartition)]));
    return all.reduce((best, other) => (before(rank.get(other), rank.get(best)) ? other : best));
  }

  /** What makes a bus partition a worse choice: tasks of its worker, then its own, then a late use. */
  private rank(busPartition: number): readonly number[] {
    const reader = this.readers[busPartition];
    const own = this.places.filter((place) => place.busPartition === busPartition).length;
    const ofReader = reader === undefined ? own : this.places.filter((place) => this.readers[place.busPartition] === reader).length;
    return [ofReader, own, this.used[busPartition] ?? 0];
  }
}

function before(a: readonly number[] = [], b: readonly number[] = []): boolean {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at >= 0 && (a[at] as number) < (b[at] as number);
}
