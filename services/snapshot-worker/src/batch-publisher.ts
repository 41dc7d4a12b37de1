import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type { EndMarker, PartitionTask, Producer, RejectedRow, RowBlock, ServiceContext } from '@nanosync/core';
import {
  END_MARKER,
  encodeMessage,
  fittingPayload,
  measured,
  PipelineError,
  QUARANTINED,
  ROW_BATCH,
  ROWS_BUS_PARTITIONS,
  tooLargeReason,
} from '@nanosync/core';

const decompress = promisify(zstdDecompress);

/** A COPY that waits holds locks at the source: give it up when the bus has refused for this long. */
const BUS_PATIENCE_MS = 30_000;

/** Names, counts and key that a batch's message has besides its block, at most. */
const BATCH_OVERHEAD_BYTES = 2048;

/** Names one attempt at one partition, and the schema its rows are encoded with. */
export interface AttemptName {
  readonly task: PartitionTask;
  readonly attempt: string;
  readonly rowSchemaId: number;
}

/** Publishes row batches and end markers. One producer for all slots, thrown away after any send that failed or stayed unanswered. */
export class BatchPublisher implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private producer: Promise<Producer> | undefined;

  constructor(ctx: ServiceContext) {
    this.ctx = ctx;
  }

  /** Bytes of rows in a block that surely fits into a message. */
  get maxBlockBytes(): number {
    return Math.max(1024, Math.floor((this.ctx.bus.maxMessageBytes - BATCH_OVERHEAD_BYTES) * 0.98)); // What does not shrink grows a little.
  }

  /** True when the bus takes a batch of this block. */
  fits({ block }: RowBlock): boolean {
    return block.length + BATCH_OVERHEAD_BYTES <= this.ctx.bus.maxMessageBytes;
  }

  async batch(name: AttemptName, batch: number, { rows, codec, block }: RowBlock): Promise<void> {
    const { task, attempt, rowSchemaId } = name;
    const { table, epoch, partition } = task;
    const record = { table, epoch, partition, attempt, batch, rows, codec, rowSchemaId, block };
    const schemaId = await this.ctx.registry.register('nanosync.rows-RowBatch', ROW_BATCH.schema);
    const message = encodeMessage(ROW_BATCH, schemaId, record);
    const step = { step: 'publish rows', pipeline: task.pipeline, bytes: message.length, entries: rows } as const;
    await measured(this.ctx, step, () => this.send(task, message));
    this.ctx.failpoint('batch-published');
  }

  async end(task: PartitionTask, marker: EndMarker): Promise<void> {
    const schemaId = await this.ctx.registry.register('nanosync.rows-EndMarker', END_MARKER.schema);
    await this.send(task, encodeMessage(END_MARKER, schemaId, marker));
    this.ctx.failpoint('end-marker-published');
  }

  /** Quarantines the row of a block that the bus does not take. Blocks of several rows have a size that fits. */
  async quarantineLarge(name: AttemptName, { rows, codec, block }: RowBlock): Promise<RejectedRow> {
    if (rows !== 1) throw new PipelineError('defect', `A block of ${rows} rows is larger than the bus takes.`);
    const payload = codec === 'null' ? block : await decompress(block);
    const row = { reason: tooLargeReason('row', this.ctx.bus.maxMessageBytes), payload };
    await this.quarantine(name, row);
    return row;
  }

  async quarantine(name: AttemptName, row: RejectedRow): Promise<void> {
    const { task, attempt } = name;
    const schemaId = await this.ctx.registry.register('nanosync.quarantine-value', QUARANTINED.schema);
    const origin = `partition ${task.partition}, attempt ${attempt}`;
    const value = encodeMessage(QUARANTINED, schemaId, {
      table: task.table,
      epoch: task.epoch,
      origin,
      reason: row.reason,
      payload: fittingPayload(row.payload, this.ctx.bus.maxMessageBytes),
    });
    await this.sendTo(this.ctx.topics.quarantine(task.pipeline), 0, Buffer.from(task.table), value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.throwAway(this.producer);
  }

  private async send(task: PartitionTask, value: Buffer): Promise<void> {
    const key = Buffer.from(`${task.table}/${task.partition}`);
    await this.sendTo(this.ctx.topics.rows(task.pipeline), task.partition % ROWS_BUS_PARTITIONS, key, value);
  }

  private async sendTo(topic: string, partition: number, key: Buffer, value: Buffer): Promise<void> {
    this.producer ??= this.ctx.bus.producer();
    const { producer } = this;
    const sending = producer.then((opened) => opened.send(topic, partition, [{ key, value }]));
    const patience = new AbortController();
    const late = this.ctx.clock.sleep(BUS_PATIENCE_MS, patience.signal).then(() => 'late' as const);
    try {
      if ((await Promise.race([sending, late])) === 'late')
        throw new PipelineError('unavailable', `The bus did not take a row batch within ${BUS_PATIENCE_MS / 1000} s.`, {
          hint: 'The partition is read again once the bus answers.',
        });
    } catch (error) {
      sending.catch(() => undefined);
      this.throwAway(producer).catch(() => undefined); // Not waited for: what did not answer may not close either.
      throw error;
    } finally {
      patience.abort();
    }
  }

  /** Only the producer that failed: another slot's failure must not end sends that go well. */
  private async throwAway(producer: Promise<Producer> | undefined): Promise<void> {
    if (this.producer === producer) this.producer = undefined;
    const opened = await producer?.catch(() => undefined);
    await opened?.[Symbol.asyncDispose]();
  }
}
