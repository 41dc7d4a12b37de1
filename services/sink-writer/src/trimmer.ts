import type { Bus, ServiceContext } from '@nanosync/core';

/** How often a topic is trimmed, in milliseconds. */
const TRIM_EVERY_MS = 60_000;

/**
 * Trims a topic below what is durable at the sink and older than `keep`; the last applied message always stays, as a proof that
 * the bus still has what was applied.
 */
export class Trimmer {
  private readonly ctx: ServiceContext;
  private readonly topic: string;
  private next: number;

  constructor(ctx: ServiceContext, topic: string) {
    this.ctx = ctx;
    this.topic = topic;
    this.next = ctx.clock.monotonicMs() + TRIM_EVERY_MS;
  }

  /** It is time to trim. */
  get isDue(): boolean {
    return this.ctx.clock.monotonicMs() >= this.next;
  }

  /** Trims when it is time; `offsets` are the next offset to apply of each bus partition, durable at the sink. */
  async trim(offsets: readonly number[]): Promise<void> {
    if (!this.isDue) return;
    this.next = this.ctx.clock.monotonicMs() + TRIM_EVERY_MS;
    const info = await this.ctx.bus.topic(this.topic);
    const youngest = this.ctx.clock.nowMs() - this.ctx.keepMs;
    for (const [partition, applied] of offsets.entries()) {
      const start = info?.partitions[partition]?.start ?? 0;
      // Invariant 'gate': what is not applied stays, and one message more.
      const before = await firstYounger(this.ctx.bus, this.topic, partition, { start, limit: applied - 1, youngest });
      if (before > start) await this.ctx.bus.trim(this.topic, partition, before);
    }
  }
}

/** The first offset in [start, limit] whose message is younger than `youngest`; found by halving, since time goes with offsets. */
async function firstYounger(
  bus: Bus,
  topic: string,
  partition: number,
  range: { readonly start: number; readonly limit: number; readonly youngest: number },
): Promise<number> {
  let [low, high] = [range.start, range.limit];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    await using reader = await bus.reader(topic, partition, middle);
    const [message] = await reader.read({ maxBytes: 1, waitMs: 1000 });
    if (message === undefined || message.timestampMs >= range.youngest) high = middle;
    else low = middle + 1;
  }
  return low;
}
