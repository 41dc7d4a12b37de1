import type { PipelineRecord, ServiceContext } from '@nanosync/core';
import { abortWhen, isMoving, readRecord, stateKeys } from '@nanosync/core';

/** How often it is looked whether the pipeline is still to move, in milliseconds. */
const LOOK_EVERY_MS = 250;

/**
 * Runs work that waits for others; its signal aborts once somebody wants the pipeline paused or gone, or its copies stopped, and what it ends with then is of no
 * interest.
 */
export async function whileMoving(ctx: ServiceContext, pipeline: string, work: (ctx: ServiceContext) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  const watching = abortWhen({ clock: ctx.clock, everyMs: LOOK_EVERY_MS, ending }, async () => {
    const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline)))?.value;
    return now === undefined || !isMoving(now) || now.copyStopped === true;
  });
  watching.catch(() => undefined); // Thrown below; not unhandled until then.
  try {
    await work({ ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) });
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    ending.abort();
    await watching;
  }
}
