import type { CaptureRecord, PipelineRecord, ServiceContext } from '@nanosync/core';
import { readRecord, stateKeys } from '@nanosync/core';

/** What capture has published under the pipeline's current anchor, or undefined before it began. */
export async function captureOf(ctx: ServiceContext, name: string, pipeline: PipelineRecord): Promise<CaptureRecord | undefined> {
  const record = (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(name)))?.value;
  return record?.anchor === pipeline.anchor?.id ? record : undefined;
}
