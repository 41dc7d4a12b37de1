import type { Bus, Message, PartitionReader } from '@nanosync/core';

/** Messages of one bus partition, in offset order. */
export interface PartitionMessages {
  readonly busPartition: number;
  readonly messages: readonly Message[];
}

/**
 * Reads all bus partitions of one topic side by side, each from its own offset, with at most one read of `maxBytes` per partition
 * waiting in memory.
 */
export class PartitionsReader implements AsyncDisposable {
  private readonly readers: readonly PartitionReader[];
  private readonly maxBytes: number;
  private readonly signal: AbortSignal;
  private readonly pending: (Promise<number> | undefined)[];
  private readonly arrived: (readonly Message[] | undefined)[];

  private constructor(readers: readonly PartitionReader[], maxBytes: number, signal: AbortSignal) {
    this.readers = readers;
    this.maxBytes = maxBytes;
    this.signal = signal;
    this.pending = readers.map(() => undefined);
    this.arrived = readers.map(() => undefined);
  }

  static async open(
    bus: Bus,
    topic: string,
    offsets: readonly number[],
    options: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<PartitionsReader> {
    const readers: PartitionReader[] = [];
    const opened = new PartitionsReader(readers, options.maxBytes, options.signal);
    try {
      for (const [partition, offset] of offsets.entries()) readers.push(await bus.reader(topic, partition, offset));
    } catch (error) {
      await opened[Symbol.asyncDispose]();
      throw error;
    }
    return new PartitionsReader(readers, options.maxBytes, options.signal);
  }

  /** What has arrived, of as many partitions as have something; waits until one has, or up to `waitMs`. */
  async next(waitMs: number): Promise<readonly PartitionMessages[]> {
    for (const index of this.readers.keys()) if (this.arrived[index] === undefined) this.pending[index] ??= this.start(index, waitMs);
    await Promise.race(this.pending.filter((pending) => pending !== undefined));
    await new Promise<void>((resolve) => setImmediate(resolve)); // Lets reads that have also ended hand over what they have.
    const batch: PartitionMessages[] = [];
    for (const [busPartition, messages] of this.arrived.entries()) {
      if (messages === undefined) continue;
      this.arrived[busPartition] = undefined;
      if (messages.length > 0) batch.push({ busPartition, messages });
    }
    return batch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.pending.filter((pending) => pending !== undefined));
    for (const reader of this.readers) await reader[Symbol.asyncDispose]();
  }

  /** A read that fails while its caller is busy is reported by the next call, not as unhandled. */
  private start(index: number, waitMs: number): Promise<number> {
    const reading = this.read(index, waitMs);
    reading.catch(() => undefined);
    return reading;
  }

  private async read(index: number, waitMs: number): Promise<number> {
    const reader = this.readers[index] as PartitionReader;
    const messages = await reader.read({ maxBytes: this.maxBytes, waitMs, signal: this.signal });
    this.arrived[index] = messages;
    this.pending[index] = undefined;
    return index;
  }
}
