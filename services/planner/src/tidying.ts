import type { Anchor, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { describeError, PipelineError, readRecord, stateKeys } from '@nanosync/core';

/** How long the source is left alone after it could not be tidied, or was not to be, in milliseconds. */
const AGAIN_MS = 5000;
/** How often it is looked for slots that a planner made which was late: each keeps the source's log. In milliseconds. */
const EVERY_MS = 300_000;

/** Drops, now and again, what other anchors of a pipeline left at the source: planners that died or were stopped while they anchored. */
export class Tidying {
  private readonly ctx: ServiceContext;
  private readonly pipeline: string;
  private nextMs = 0;
  /** The error that was warned of last. */
  private warned: string | undefined;

  constructor(ctx: ServiceContext, pipeline: string) {
    this.ctx = ctx;
    this.pipeline = pipeline;
  }

  /** Call with the stored anchor. Nothing depends on it, so an error only means that it is tried again later. */
  async step(source: Source, anchor: Anchor): Promise<void> {
    const { ctx, pipeline } = this;
    if (ctx.clock.monotonicMs() < this.nextMs) return;
    this.nextMs = ctx.clock.monotonicMs() + AGAIN_MS;
    let decided = true;
    try {
      await source.tidy(pipeline, anchor, async () => {
        decided = await this.isStored(anchor);
        return decided;
      });
      this.warned = undefined;
      if (decided) this.nextMs = ctx.clock.monotonicMs() + EVERY_MS;
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      this.warnOnce(describeError(error));
    }
  }

  private warnOnce(err: string): void {
    if (err !== this.warned) this.ctx.log.warn('slots of other anchors cannot be dropped yet', { pipeline: this.pipeline, err });
    this.warned = err;
  }

  private async isStored({ id }: Anchor): Promise<boolean> {
    const record = (await readRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.pipeline)))?.value;
    return record?.anchor?.id === id && record.request === null;
  }
}
