import type { PipelineRecord, ServiceContext } from '@nanosync/core';
import {
  abortWhen,
  describeError,
  followPipelines,
  followsChanges,
  isKind,
  isReadFrom,
  leaseNames,
  leavingTables,
  readRecord,
  recordedTables,
  sameConnection,
  stateKeys,
  tellTrouble,
  withLease,
} from '@nanosync/core';
import { hasFailed, reportFailure } from './capture-record.ts';
import type { KnownRecord } from './capture-session.ts';
import { runCaptureSession } from './capture-session.ts';

/** How often a session looks whether its pipeline still goes on, in milliseconds. */
const LOOK_EVERY_MS = 250;
/** After a session of this length the next failure counts as the first. */
const STEADY_MS = 60_000;

/**
 * Runs cdc-capture: for each anchored pipeline it publishes the source's changes from L0 on, one gapless session after another,
 * until the context's signal aborts. PostgreSQL's slot lets in one reader at a time: it alone decides who publishes. The lease before it only
 * keeps a second capture from knocking at the slot again and again; it waits there without a word, and takes over when the first is gone.
 */
export async function runCapture(ctx: ServiceContext): Promise<void> {
  await followPipelines(ctx, isCaptured, (inner, { definition: { name } }) =>
    withLease(inner, leaseNames.capture(name), (_, signal) => follow({ ...inner, signal }, name)),
  );
}

/** Session after session while the pipeline keeps its anchor; a break begins a new one at the acknowledged position. */
async function follow(ctx: ServiceContext, name: string): Promise<void> {
  const next = new Set<string>();
  for (let failures = 0; !ctx.signal.aborted; ) {
    const stored = await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name));
    if (stored === undefined || !isCaptured(stored.value) || (await hasFailed(ctx, stored.value))) return;
    const known: KnownRecord = { version: () => undefined, next };
    const startedMs = ctx.clock.monotonicMs();
    try {
      await runWhileAnchored(ctx, stored.value, known);
      failures = 0;
    } catch (error) {
      if (ctx.signal.aborted) return;
      if (isKind(error, 'gap', 'table-changed')) {
        const failure = { reason: error.message, cure: error.hint ?? `Run: nanosync pipeline resnapshot ${name}` };
        if (await reportFailure(ctx, stored.value, failure, known.version())) return;
      }
      if (ctx.clock.monotonicMs() - startedMs > STEADY_MS) failures = 0;
      if (!isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config', 'gap', 'table-changed')) throw error;
      ctx.log.warn('capture begins again', { pipeline: name, err: describeError(error) });
      // One capture of two waits its turn: that is no trouble of the pipeline.
      if (!isKind(error, 'conflict')) await tellTrouble(ctx.state, name, 'cdc-capture', error, { nowMs: ctx.clock.nowMs() });
      await ctx.clock.sleep(Math.min(10_000, 250 * 2 ** failures++), ctx.signal);
    }
  }
}

/** One session that also ends, and gives the slot up, when the pipeline is no longer to be read (paused, or in another phase), gets another anchor, a further table, or another connection to its source. */
async function runWhileAnchored(ctx: ServiceContext, pipeline: PipelineRecord, known: KnownRecord): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([ctx.signal, ending.signal]);
  const watch = abortWhen({ clock: ctx.clock, everyMs: LOOK_EVERY_MS, ending }, async () => {
    const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline.definition.name)))?.value;
    return (
      now === undefined ||
      !isCaptured(now) ||
      now.anchor?.id !== pipeline.anchor?.id ||
      !sameTask(now, pipeline) ||
      !sameSource(now, pipeline)
    );
  });
  watch.catch(() => undefined); // Thrown below; not unhandled until then.
  try {
    await runCaptureSession({ ...ctx, signal }, pipeline, known);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    ending.abort();
    await watch;
  }
}

function sameSource(a: PipelineRecord, b: PipelineRecord): boolean {
  return sameConnection(a.definition.source.connection, b.definition.source.connection);
}

function sameTask(a: PipelineRecord, b: PipelineRecord): boolean {
  if (a.definition.replicationType !== b.definition.replicationType) return false; // What is completed depends on it.
  return recordedTables(a).join() === recordedTables(b).join() && leavingTables(a).join() === leavingTables(b).join();
}

function isCaptured(pipeline: PipelineRecord): boolean {
  return followsChanges(pipeline.definition) && isReadFrom(pipeline);
}
