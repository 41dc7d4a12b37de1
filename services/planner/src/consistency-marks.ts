import type { ServiceContext, Source, Stored, TableRecord } from '@nanosync/core';

/** An L1 that capture has not met for this long is asked for again, in milliseconds. */
const MARK_AGAIN_MS = 60_000;

/** Asks for the L1 of a pipeline's tables: markers in the source's log. */
export class ConsistencyMarks {
  private readonly ctx: ServiceContext;
  private readonly source: Source;
  private readonly pipeline: string;
  /** When an epoch's L1 was last asked for, by the monotonic clock. */
  private readonly markedMs = new Map<string, number>();

  constructor(ctx: ServiceContext, source: Source, pipeline: string) {
    this.ctx = ctx;
    this.source = source;
    this.pipeline = pipeline;
  }

  /** Every range that is to be read has been: a marker makes L1 a place in the stream. A second marker after a crash is ignored by capture. */
  async request(stored: Stored<TableRecord>): Promise<void> {
    const { table, epoch, partitions } = stored.value;
    await this.source.mark({ kind: 'consistency', pipeline: this.pipeline, table, epoch });
    this.markedMs.set(epoch, this.ctx.clock.monotonicMs());
    await this.ctx.state.put(stored.key, { ...stored.value, l1Requested: true }, stored.version);
    this.ctx.log.info('snapshot read', { table, partitions });
  }

  /**
   * Another planner that was stopped for long may have marked an epoch that was given up, behind this one's: capture then counts for
   * that one and L1 would never come. The sink goes by the first marker of an epoch, so to repeat one harms nothing.
   */
  async again({ table, epoch }: TableRecord, captured: string | undefined): Promise<void> {
    const nowMs = this.ctx.clock.monotonicMs();
    const markedMs = this.markedMs.get(epoch) ?? nowMs;
    this.markedMs.set(epoch, markedMs);
    if (captured === undefined || nowMs - markedMs < MARK_AGAIN_MS) return;
    this.markedMs.set(epoch, nowMs);
    const { pipeline } = this;
    if (captured !== epoch) await this.source.mark({ kind: 'generation', pipeline, table, epoch });
    await this.source.mark({ kind: 'consistency', pipeline, table, epoch });
    this.ctx.log.warn('consistency position asked for again', { table, epoch });
  }
}
