import type { PipelineRecord, ServiceContext, Source } from '@nanosync/core';

/** One open source per pipeline, shared by the slots of a worker. */
export class SourcePool implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private readonly sources = new Map<string, Promise<Source>>();

  constructor(ctx: ServiceContext) {
    this.ctx = ctx;
  }

  /** The source of this pipeline; opened on first use, tried again after a failure. */
  async of(pipeline: PipelineRecord): Promise<Source> {
    const { name, source } = pipeline.definition;
    const key = `${name}\n${JSON.stringify(source.connection)}`;
    let opening = this.sources.get(key);
    if (opening === undefined) {
      opening = this.ctx.openSource(source.connection);
      this.sources.set(key, opening);
      opening.catch(() => this.sources.delete(key));
    }
    return opening;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opening of this.sources.values()) await (await opening.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}
