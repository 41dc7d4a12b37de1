import type { Anchor, PipelineRecord, ServiceContext, Source, Stored } from '@nanosync/core';
import { describeError, PipelineError } from '@nanosync/core';

interface Loose {
  readonly anchor: Anchor;
  /** The version of the pipeline's record that a write waits for which decides about the anchor. */
  readonly version: number;
}

/**
 * Anchors of one pipeline of which this planner does not know whether they are stored: one that it made, one that it replaced. Their slots keep
 * the source's log, so those that turn out not to be stored are dropped. What a planner leaves that dies is tidied by the next.
 */
export class LooseAnchors {
  private readonly ctx: ServiceContext;
  private readonly pipeline: string;
  private loose: readonly Loose[] = [];
  /** The error that was warned of last, by anchor. */
  private readonly warned = new Map<string, string>();

  constructor(ctx: ServiceContext, pipeline: string) {
    this.ctx = ctx;
    this.pipeline = pipeline;
  }

  /** Call before the write that stores the anchor, or takes it out, at this version of the record. */
  add(anchor: Anchor, version: number): void {
    this.loose = [...this.loose.filter((one) => one.anchor.id !== anchor.id), { anchor, version }];
  }

  /** The write said that the anchor is stored. */
  stored({ id }: Anchor): void {
    this.loose = this.loose.filter(({ anchor }) => anchor.id !== id);
  }

  /**
   * Drops what the record, read after the write, does not have, as far as the source answers. A write whose answer was lost may still be on its
   * way: a record at its version is written anew first, as it is, so that it comes too late. True: that was done, and the record is to be read again.
   */
  async settle(record: Stored<PipelineRecord>, source: () => Promise<Source>): Promise<boolean> {
    if (record.value.anchor !== null) this.stored(record.value.anchor);
    if (this.loose.some(({ version }) => version === record.version)) {
      if ((await this.ctx.state.put(record.key, record.value, record.version)) === undefined)
        throw new PipelineError('conflict', `Another planner changed pipeline ${this.pipeline} meanwhile.`);
      return true;
    }
    await this.dropEach(source);
    return false;
  }

  /** Drops all of them: the pipeline has no record any more, so none can be stored. */
  async dropAll(source: Source): Promise<void> {
    await this.dropEach(async () => source);
  }

  private async dropEach(source: () => Promise<Source>): Promise<void> {
    for (const one of this.loose) {
      try {
        await (await source()).drop(one.anchor);
        this.loose = this.loose.filter((other) => other !== one);
      } catch (error) {
        if (!(error instanceof PipelineError)) throw error;
        this.warnOnce(one.anchor, describeError(error));
      }
    }
  }

  /** Every step tries again, and says only what is new. */
  private warnOnce({ id, origin: { slot } }: Anchor, err: string): void {
    if (this.warned.get(id) !== err) this.ctx.log.warn('slot cannot be dropped yet', { pipeline: this.pipeline, slot, err });
    this.warned.set(id, err);
  }
}
