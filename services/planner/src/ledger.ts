import type { PartitionRecord, ServiceContext, Stored, TableRecord } from '@nanosync/core';
import { listRecords, PipelineError, readRecord, stateKeys } from '@nanosync/core';

/**
 * The planner's view of one epoch's partitions: loaded once, then only those that are on their way are read again, so that a
 * table of many thousand partitions costs a few reads a round.
 */
export class Ledger {
  private readonly ctx: ServiceContext;
  private readonly partitions: Stored<PartitionRecord>[];
  /** Indexes of partitions whose task is out and that are not durable yet. */
  private readonly moving = new Set<number>();
  /** When each of these was last seen to change, by the monotonic clock. */
  private readonly movedMs = new Map<number, number>();
  private next = 0;

  private constructor(ctx: ServiceContext, partitions: readonly Stored<PartitionRecord>[]) {
    this.ctx = ctx;
    this.partitions = [...partitions];
    for (const [index, { value }] of this.partitions.entries()) if (isMoving(value)) this.moving.add(index);
  }

  static async load(ctx: ServiceContext, pipeline: string, table: TableRecord): Promise<Ledger> {
    const records = await listRecords<PartitionRecord>(ctx.state, stateKeys.partitions(pipeline, table.table, table.epoch));
    if (records.length !== table.partitions)
      throw new PipelineError('gap', `The state store has ${records.length} of ${table.partitions} partitions of ${table.table}.`, {
        hint: `Run: nanosync pipeline resnapshot ${pipeline}`,
      });
    return new Ledger(ctx, records);
  }

  /** Partitions of which one attempt is published, or more. */
  get completed(): number {
    return this.partitions.filter(({ value }) => value.phase === 'read' || value.phase === 'durable').length;
  }

  get allRead(): boolean {
    return this.completed === this.partitions.length;
  }

  /** The numbers of the other partitions. */
  unread(): readonly number[] {
    return this.partitions
      .filter(({ value }) => value.phase === 'planned' || value.phase === 'reading')
      .map(({ value }) => value.partition);
  }

  /** Tasks that are out and not yet read. */
  get inFlight(): number {
    return [...this.moving].filter((index) => this.isInFlight(index)).length;
  }

  /** True while this partition's task is out and it is not yet read. */
  isInFlight(partition: number): boolean {
    return this.moving.has(partition) && ['planned', 'reading'].includes(this.at(partition).value.phase);
  }

  /** The worker that last took this partition, or null. */
  readerOf(partition: number): string | null {
    return this.at(partition).value.reader;
  }

  /** Bytes that are published and not yet durable at the sink. */
  get undurableBytes(): number {
    let bytes = 0;
    for (const index of this.moving) if (this.at(index).value.phase === 'read') bytes += this.at(index).value.bytes;
    return bytes;
  }

  /** Why the plan is void, or undefined. */
  voided(): string | undefined {
    return this.partitions.find(({ value }) => value.voided !== null)?.value.voided ?? undefined;
  }

  /** Reads again what is on its way. */
  async refresh(): Promise<void> {
    for (const index of [...this.moving]) {
      const now = await readRecord<PartitionRecord>(this.ctx.state, this.at(index).key);
      if (now === undefined) throw vanished(this.at(index));
      if (now.version !== this.at(index).version || !this.movedMs.has(index)) this.movedMs.set(index, this.ctx.clock.monotonicMs());
      this.partitions[index] = now;
      if (!isMoving(now.value)) this.moving.delete(index);
      if (isToSend(now.value)) this.next = Math.min(this.next, index);
    }
  }

  /** The next partition whose task was never published, or was given back by a worker, or undefined. */
  peek(): Stored<PartitionRecord> | undefined {
    while (this.next < this.partitions.length) {
      if (isToSend(this.at(this.next).value)) return this.at(this.next);
      this.next++;
    }
    return undefined;
  }

  /**
   * Partitions in flight whose record has not moved for so long: their task, or the worker that had it, is gone. Each is returned
   * once per `patienceMs`.
   */
  stuck(patienceMs: number): readonly Stored<PartitionRecord>[] {
    const nowMs = this.ctx.clock.monotonicMs();
    const stuck = [...this.moving].filter((index) => {
      return this.isInFlight(index) && nowMs - (this.movedMs.get(index) ?? nowMs) > patienceMs;
    });
    for (const index of stuck) this.movedMs.set(index, nowMs);
    return stuck.map((index) => this.at(index));
  }

  /** Stores that the task of this partition is on the bus. Repeated after a crash: a worker drops what is already read. */
  async markEmitted(stored: Stored<PartitionRecord>): Promise<void> {
    const index = stored.value.partition;
    this.moving.add(index);
    for (;;) {
      const now = await readRecord<PartitionRecord>(this.ctx.state, stored.key);
      if (now === undefined) throw vanished(stored);
      const value = { ...now.value, emitted: true };
      const version = await this.ctx.state.put(now.key, value, now.version);
      if (version === undefined) continue;
      this.partitions[index] = { key: now.key, value, version };
      return;
    }
  }

  private at(index: number): Stored<PartitionRecord> {
    return this.partitions[index] as Stored<PartitionRecord>;
  }
}

/** Its task is out, or what was read is on its way to the sink. */
function isMoving({ emitted, phase }: PartitionRecord): boolean {
  return phase === 'read' || (emitted && phase !== 'durable');
}

/**
 * A worker may be reading a task whose planner died before it stored that the task is out: sent again it waits until that one has read. Where the
 * worker gave it back, because the pipeline was paused, nobody reads.
 */
function isToSend({ emitted, phase, voided }: PartitionRecord): boolean {
  return !emitted && voided === null && (phase === 'planned' || phase === 'reading');
}

/** The state store has lost its newest writes: what this planner knows is read anew. */
function vanished({ key }: Stored<PartitionRecord>): PipelineError {
  return new PipelineError('conflict', `The partition record ${key} is no longer in the state store.`);
}
