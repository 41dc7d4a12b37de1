import type { Anchor, PipelineRecord, ServiceContext, Source } from '@nanosync/core';
import { describeError, PipelineError, readRecord, stateKeys } from '@nanosync/core';

/** How long the source is left alone after it could not be tidied, in milliseconds. */
const AGAIN_MS = 5000;

/** Drops, once, what other anchors of a pipeline left at the source: planners that died or were stopped while they anchored. */
export class Tidying {
  private readonly ctx: ServiceContext;
  private readonly pipeline: string;
  private done = false;
  private nextMs = 0;

  constructor(ctx: ServiceContext, pipeline: string) {
    this.ctx = ctx;
    this.pipeline = pipeline;
  }

  /** Call with the stored anchor. Nothing depends on it, so an error only means that it is tried again later. */
  async step(source: Source, anchor: Anchor): Promise<void> {
    const { ctx, pipeline } = this;
    if (this.done || ctx.clock.monotonicMs() < this.nextMs) return;
    this.nextMs = ctx.clock.monotonicMs() + AGAIN_MS;
    try {
      await source.tidy(pipeline, anchor, () => this.isStored(anchor));
      this.done = true;
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      ctx.log.debug('source is tidied later', { pipeline, err: describeError(error) });
    }
  }

  private async isStored({ id }: Anchor): Promise<boolean> {
    const record = (await readRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.pipeline)))?.value;
    return record?.anchor?.id === id && record.request === null;
  }
}
