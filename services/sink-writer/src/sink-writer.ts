import type { PipelinePhase, PipelineRecord, ServiceContext, Sink } from '@nanosync/core';
import { describeError, endTrouble, isKind, listRecords, readRecord, stateKeys, tellTrouble } from '@nanosync/core';
import { runRowLoader } from './row-loader.ts';
import { TableReport } from './table-report.ts';
import { runTableWriter } from './table-writer.ts';

/** How often the sink-writer looks for pipelines and whether one still runs, in milliseconds. */
const LOOK_EVERY_MS = 250;
/** A pipeline whose loops have run this long is past what kept it from being written. */
const STEADY_MS = 5000;
/** The longest wait before a pipeline that could not be written is tried again. */
const LONGEST_WAIT_MS = 10_000;
const SERVICE = 'sink-writer';
const WRITTEN: readonly PipelinePhase[] = ['anchored', 'snapshotting', 'streaming'];

/**
 * Runs the sink-writer: for each pipeline one row loader, which stages row batches, and one writer per table, which builds the
 * table's generation when its staging is complete and then applies its changes. What is done is known from the sink alone; the
 * state store is only told.
 */
export async function runSinkWriter(ctx: ServiceContext): Promise<void> {
  const running = new Map<string, Promise<void>>();
  const failures = new Map<string, number>();
  let defect: unknown;
  while (!ctx.signal.aborted && defect === undefined) {
    for (const { value } of await listRecords<PipelineRecord>(ctx.state, stateKeys.pipelines)) {
      const { name } = value.definition;
      if (running.has(name) || !isWritten(value)) continue;
      const loop = runPipeline(ctx, value, failures)
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

/** All loops of one pipeline under one anchor; the first that breaks ends them all, and they begin again from the sink's progress. */
async function runPipeline(ctx: ServiceContext, pipeline: PipelineRecord, failures: Map<string, number>): Promise<void> {
  const { name, sink: sinkDefinition, source } = pipeline.definition;
  const ending = new AbortController();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) };
  const watching = endWithAnchor(inner, pipeline, ending);
  const steady = whenSteady(inner, name, failures);
  try {
    await using sink = await ctx.openSink(sinkDefinition.connection);
    const loops = [
      runRowLoader(inner, pipeline, sink),
      ...source.tables.map((table) => runTable(inner, pipeline, sink, table)),
      watching,
    ].map((loop) => loop.finally(() => ending.abort()));
    const failed = (await Promise.allSettled(loops)).find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  } catch (error) {
    if (ctx.signal.aborted) return;
    if (!isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config')) throw error;
    ctx.log.warn('sink writer begins again', { pipeline: name, err: describeError(error) });
    ending.abort();
    await steady;
    await tellTrouble(ctx.state, name, SERVICE, error);
    const count = failures.get(name) ?? 0;
    failures.set(name, count + 1);
    await ctx.clock.sleep(Math.min(LONGEST_WAIT_MS, 1000 * 2 ** count), ctx.signal);
  } finally {
    ending.abort();
    await watching;
    await steady;
  }
}

/** Ends the pipeline's trouble once its loops have run for a while. */
async function whenSteady(ctx: ServiceContext, pipeline: string, failures: Map<string, number>): Promise<void> {
  await ctx.clock.sleep(STEADY_MS, ctx.signal);
  if (ctx.signal.aborted) return;
  failures.delete(pipeline);
  await endTrouble(ctx.state, pipeline, SERVICE);
}

/** A table's writer; what a person must repair is reported and stops this table alone until the pipeline ends. */
async function runTable(ctx: ServiceContext, pipeline: PipelineRecord, sink: Sink, table: string): Promise<void> {
  const report = new TableReport(ctx, pipeline.definition.name, table);
  try {
    await runTableWriter({ ctx, pipeline, sink, table, report });
  } catch (error) {
    if (ctx.signal.aborted) return;
    if (!isKind(error, 'gap', 'table-changed')) throw error;
    await report.fail({ reason: error.message, cure: error.hint ?? `Run: nanosync pipeline resnapshot ${pipeline.definition.name}` });
    await new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}

async function endWithAnchor(ctx: ServiceContext, pipeline: PipelineRecord, ending: AbortController): Promise<void> {
  while (!ctx.signal.aborted) {
    await ctx.clock.sleep(LOOK_EVERY_MS, ctx.signal);
    const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline.definition.name)))?.value;
    if (now === undefined || !isWritten(now) || now.anchor?.id !== pipeline.anchor?.id) ending.abort();
  }
}

function isWritten(pipeline: PipelineRecord): boolean {
  return WRITTEN.includes(pipeline.phase) && pipeline.anchor !== null && pipeline.request === null;
}
