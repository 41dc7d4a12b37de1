import type { PipelinePhase, PipelineRecord, ServiceContext, Stored } from '@nanosync/core';
import { describeError, isKind, listRecords, readRecord, stateKeys, tellTrouble } from '@nanosync/core';
import { hasFailed, reportFailure } from './capture-record.ts';
import { runCaptureSession } from './capture-session.ts';

/** How often capture looks for pipelines to follow, in milliseconds. */
const LOOK_EVERY_MS = 250;
const FOLLOWED: readonly PipelinePhase[] = ['anchored', 'snapshotting', 'streaming'];

/**
 * Runs cdc-capture: for each anchored pipeline it publishes the source's changes from L0 on, one gapless session after another,
 * until the context's signal aborts. PostgreSQL's slot lets in one reader at a time, so a second capture waits its turn.
 */
export async function runCapture(ctx: ServiceContext): Promise<void> {
  const running = new Map<string, Promise<void>>();
  let defect: unknown;
  while (!ctx.signal.aborted && defect === undefined) {
    for (const stored of await listRecords<PipelineRecord>(ctx.state, stateKeys.pipelines)) {
      const { name } = stored.value.definition;
      if (running.has(name) || !isFollowed(stored)) continue;
      const loop = follow(ctx, name)
        .catch((error: unknown) => {
          defect = error;
        })
        .finally(() => running.delete(name));
      running.set(name, loop);
    }
    await ctx.clock.sleep(LOOK_EVERY_MS, ctx.signal);
  }
  await Promise.all(running.values());
  if (defect !== undefined) throw defect;
}

/** Session after session while the pipeline keeps its anchor; a break begins a new one at the acknowledged position. */
async function follow(ctx: ServiceContext, name: string): Promise<void> {
  for (let failures = 0; !ctx.signal.aborted; ) {
    const stored = await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name));
    if (stored === undefined || !isFollowed(stored) || (await hasFailed(ctx, stored.value))) return;
    try {
      await runWhileAnchored(ctx, stored.value);
      failures = 0;
    } catch (error) {
      if (ctx.signal.aborted) return;
      if (isKind(error, 'gap', 'table-changed')) {
        await reportFailure(ctx, stored.value, { reason: error.message, cure: error.hint ?? `Run: nanosync pipeline resnapshot ${name}` });
        return;
      }
      if (!isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config')) throw error;
      ctx.log.warn('capture begins again', { pipeline: name, err: describeError(error) });
      await tellTrouble(ctx.state, name, 'cdc-capture', error);
      await ctx.clock.sleep(Math.min(10_000, 250 * 2 ** failures++), ctx.signal);
    }
  }
}

/** One session that also ends when the pipeline leaves its phase or gets another anchor. */
async function runWhileAnchored(ctx: ServiceContext, pipeline: PipelineRecord): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([ctx.signal, ending.signal]);
  const watch = (async () => {
    while (!signal.aborted) {
      await ctx.clock.sleep(LOOK_EVERY_MS, signal);
      const now = await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline.definition.name));
      if (now === undefined || !isFollowed(now) || now.value.anchor?.id !== pipeline.anchor?.id) ending.abort();
    }
  })();
  try {
    await runCaptureSession({ ...ctx, signal }, pipeline);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    ending.abort();
    await watch;
  }
}

function isFollowed({ value }: Stored<PipelineRecord>): boolean {
  return FOLLOWED.includes(value.phase) && value.anchor !== null && value.request === null;
}
