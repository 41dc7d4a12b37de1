import type { Clock, PipelineRecord } from '@nanosync/core';

/** How long a wait goes on before the one who waits is asked to say that it lives, in milliseconds. */
const SLICE_MS = 5000;

/** Keeps the reads of a worker process below the rate that each pipeline allows, over all its slots. */
export class ReadLimits {
  private readonly clock: Clock;
  /** When the next rows of a pipeline may be read, by the monotonic clock. */
  private readonly freeMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /**
   * Counts rows that were read, and waits until their time is over. Rows of several readers wait one after the other. A low rate makes a
   * long wait: `waiting` is called every few seconds of it, so that nobody takes the reader for dead.
   */
  async take(
    { definition: { name, snapshot } }: PipelineRecord,
    rows: number,
    signal: AbortSignal,
    waiting: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    if (snapshot.maxRowsPerSecond === null) return;
    const nowMs = this.clock.monotonicMs();
    const freeMs = Math.max(nowMs, this.freeMs.get(name) ?? nowMs) + (rows * 1000) / snapshot.maxRowsPerSecond;
    this.freeMs.set(name, freeMs);
    for (let left = freeMs - nowMs; left > 0 && !signal.aborted; left -= SLICE_MS) {
      await this.clock.sleep(Math.min(left, SLICE_MS), signal);
      if (left > SLICE_MS && !signal.aborted) await waiting();
    }
  }
}
