import type { Clock, PipelineRecord } from '@nanosync/core';

/** Keeps the reads of a worker process below the rate that each pipeline allows, over all its slots. */
export class ReadLimits {
  private readonly clock: Clock;
  /** When the next rows of a pipeline may be read, by the monotonic clock. */
  private readonly freeMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Counts rows that were read, and waits until their time is over. Rows of several readers wait one after the other. */
  async take({ definition: { name, snapshot } }: PipelineRecord, rows: number, signal: AbortSignal): Promise<void> {
    if (snapshot.maxRowsPerSecond === null) return;
    const nowMs = this.clock.monotonicMs();
    const freeMs = Math.max(nowMs, this.freeMs.get(name) ?? nowMs) + (rows * 1000) / snapshot.maxRowsPerSecond;
    this.freeMs.set(name, freeMs);
    await this.clock.sleep(freeMs - nowMs, signal);
  }
}
