import type { PipelineError, PipelineRecord, ServiceContext, TableRecord } from '@nanosync/core';
import {
  abortWhen,
  describeError,
  endTrouble,
  followPipelines,
  isKind,
  isWrittenTo,
  listRecords,
  readRecord,
  recordedTables,
  Share,
  sameConnection,
  stateKeys,
  tellTrouble,
} from '@nanosync/core';
import { runResultWriter } from './result-writer.ts';
import { runRowLoader } from './row-loader.ts';
import { reportFailure, TableReport } from './table-report.ts';
import type { TableWork } from './table-writer.ts';
import { runTableWriter } from './table-writer.ts';

/** How often the sink-writer looks whether a pipeline still goes on, in milliseconds. */
const LOOK_EVERY_MS = 250;
/** A pipeline whose loops have run this long, and twice as long as until they broke last, is past what kept it from being written ... */
const STEADY_MS = 5000;
/** ... or this long, however long they had run. */
const SURELY_STEADY_MS = 60_000;
/** The longest wait before a pipeline that could not be written is tried again. */
const LONGEST_WAIT_MS = 10_000;
/** How often a table that stands still says why. */
const SAY_AGAIN_MS = 5000;
const SERVICE = 'sink-writer';

/**
 * Runs the sink-writer: for each pipeline one row loader, which stages row batches, and one writer per table, which builds the
 * table's generation when its staging is complete and then applies its changes. Several sink-writers share loaders and tables. What is done is known from the sink alone; the
 * state store is only told.
 */
export async function runSinkWriter(ctx: ServiceContext): Promise<void> {
  const ending = new AbortController();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) };
  const share = new Share(inner, SERVICE);
  const keeping = share.keep().finally(() => ending.abort());
  keeping.catch(() => undefined); // Awaited below.
  const failures = new Map<string, Failures>();
  try {
    await followPipelines(inner, isWrittenTo, (context, pipeline) => runPipeline(context, { pipeline, share, failures }));
  } finally {
    ending.abort();
    await keeping;
  }
}

/** What the loops of a pipeline are run with. */
interface PipelineWork {
  readonly pipeline: PipelineRecord;
  readonly share: Share;
  /** How often in a row each pipeline's loops have broken. */
  readonly failures: Map<string, Failures>;
}

/** How often in a row a pipeline's loops have broken, and how long they had run the last time. */
interface Failures {
  readonly count: number;
  readonly ranMs: number;
}

/**
 * All loops of one pipeline under one anchor; the first that breaks ends them all, and they begin again from the sink's progress. A table that
 * is taken in meanwhile gets a writer beside the others.
 */
async function runPipeline(ctx: ServiceContext, { pipeline, share, failures }: PipelineWork): Promise<void> {
  const { name, sink: sinkDefinition } = pipeline.definition;
  const ending = new AbortController();
  const beganMs = ctx.clock.monotonicMs();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) };
  const end = () => ending.abort();
  ctx.signal.addEventListener('abort', end, { once: true });
  let join: (tables: readonly string[]) => void = () => {};
  const watching = abortWhen({ clock: ctx.clock, everyMs: LOOK_EVERY_MS, ending }, async () => {
    const now = (await readRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(name)))?.value;
    if (now === undefined || isOver(now, pipeline)) return true;
    join(await writtenTables(ctx, now));
    return false;
  });
  watching.catch(() => undefined); // One of the loops below; not unhandled until then.
  const steady = whenSteady(inner, name, failures);
  steady.catch(() => undefined); // Awaited below.
  // The first in time: what a loop meets when the others are ending, such as a warehouse that was just lost, is for the next round to judge.
  let failed: { readonly reason: unknown } | undefined;
  const broken = (reason: unknown) => {
    failed ??= { reason };
    end();
  };
  try {
    await using sink = await ctx.openSink(sinkDefinition.connection);
    const loops: Promise<void>[] = [];
    const add = (loop: Promise<void>, isToEnd = () => false) => loops.push(loop.then(() => (isToEnd() ? undefined : end()), broken));
    const written = new Map<string, AbortController>();
    const run = pipeline.definition.query === undefined ? runTable : runResult;
    join = (tables) => {
      if (pipeline.definition.query === undefined) leave(written, tables);
      for (const table of tables) {
        if (written.has(table)) continue;
        const leaving = new AbortController();
        written.set(table, leaving);
        const own = { ...inner, signal: AbortSignal.any([inner.signal, leaving.signal]) };
        const work = { ctx: own, pipeline, sink, table, wanted: () => share.owns(`${name}/${table}`) };
        add(
          again(own, () => run(work)),
          () => leaving.signal.aborted,
        );
      }
    };
    add(again(inner, () => believedTwice(inner, () => runRowLoader(inner, pipeline, sink, () => share.owns(`${name}/rows`)))));
    join(await writtenTables(ctx, pipeline));
    add(watching);
    for (const loop of loops) await loop; // Also those that come while the others run.
    if (failed !== undefined) throw failed.reason;
  } catch (error) {
    if (ctx.signal.aborted) return;
    end();
    await steady;
    const count = failures.get(name)?.count ?? 0;
    failures.set(name, { count: count + 1, ranMs: ctx.clock.monotonicMs() - beganMs });
    await beginAgain(ctx, pipeline, error, count);
  } finally {
    end();
    ctx.signal.removeEventListener('abort', end);
    await steady;
  }
}

/** Ends the writers of tables that were taken out; one that is added again gets another. */
function leave(written: Map<string, AbortController>, tables: readonly string[]): void {
  for (const [table, leaving] of written) {
    if (tables.includes(table)) continue;
    written.delete(table);
    leaving.abort();
  }
}

/** The tables that have a writer. A run of a query may still be under way whose table the definition no longer names. */
async function writtenTables(ctx: ServiceContext, pipeline: PipelineRecord): Promise<readonly string[]> {
  const { name, query } = pipeline.definition;
  if (query === undefined) return recordedTables(pipeline);
  const known = await listRecords<TableRecord>(ctx.state, stateKeys.tables(name));
  return [query.table, ...known.map(({ value }) => value.table)];
}

/** Says what broke the pipeline's loops and waits, longer each time, before they begin again; throws what must not be retried. */
async function beginAgain(ctx: ServiceContext, pipeline: PipelineRecord, error: unknown, count: number): Promise<void> {
  const { name } = pipeline.definition;
  if (isKind(error, 'gap', 'table-changed')) await reportBroken(ctx, pipeline, error);
  else if (isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config'))
    await tellTrouble(ctx.state, name, SERVICE, error, { nowMs: ctx.clock.nowMs() });
  else throw error;
  ctx.log.warn('sink writer begins again', { pipeline: name, err: describeError(error) });
  await ctx.clock.sleep(Math.min(LONGEST_WAIT_MS, 1000 * 2 ** count), ctx.signal);
}

/** The rows of a pipeline can no longer be staged: said at each of its tables, for the planner to act on. */
async function reportBroken(ctx: ServiceContext, pipeline: PipelineRecord, error: PipelineError): Promise<void> {
  const { name } = pipeline.definition;
  for (const { value } of await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))) {
    if (value.anchor !== pipeline.anchor?.id) continue;
    const failure = { reason: error.message, cure: error.hint ?? `Run: nanosync pipeline resnapshot ${name}` };
    await reportFailure(ctx, { pipeline: name, table: value.table, epoch: value.epoch }, failure);
  }
}

/** Ends the pipeline's trouble once its loops have run for a while. */
async function whenSteady(ctx: ServiceContext, pipeline: string, failures: Map<string, Failures>): Promise<void> {
  // A sink that hangs for a while before each refusal has not recovered meanwhile.
  const steadyMs = Math.max(STEADY_MS, Math.min(SURELY_STEADY_MS, 2 * (failures.get(pipeline)?.ranMs ?? 0)));
  await ctx.clock.sleep(steadyMs, ctx.signal);
  if (ctx.signal.aborted) return;
  failures.delete(pipeline);
  await endTrouble(ctx.state, pipeline, SERVICE);
}

/**
 * A table's writer; what a person must repair stops this table alone until the pipeline ends. It is said again and again: the state store may
 * lose it before the planner has seen it.
 */
async function runTable(work: Omit<TableWork, 'report'>): Promise<void> {
  const { ctx, pipeline, table } = work;
  const report = new TableReport(ctx, pipeline.definition.name, table);
  try {
    await believedTwice(ctx, () => runTableWriter({ ...work, report }));
  } catch (error) {
    if (ctx.signal.aborted) return;
    if (!isKind(error, 'gap', 'table-changed')) throw error;
    const failure = { reason: error.message, cure: error.hint ?? `Run: nanosync pipeline resnapshot ${pipeline.definition.name}` };
    for (; !ctx.signal.aborted; await ctx.clock.sleep(SAY_AGAIN_MS, ctx.signal)) await report.fail(failure);
  }
}

/** The writer of a query's table. What keeps a result from being written ends its run, and not the writer. */
async function runResult(work: Omit<TableWork, 'report'>): Promise<void> {
  const report = new TableReport(work.ctx, work.pipeline.definition.name, work.table);
  await believedTwice(work.ctx, () => runResultWriter({ ...work, report }));
}

/** Work that ended because it is another process's share now, or its lease was lost, is waited for again. */
async function again(ctx: ServiceContext, work: () => Promise<void>): Promise<void> {
  while (!ctx.signal.aborted) await work();
}

/**
 * What needs a person is believed when it is met again after a new claim. A writer that was stopped for long may find that messages are
 * gone only because another one has applied and trimmed them meanwhile.
 */
async function believedTwice(ctx: ServiceContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isKind(error, 'gap', 'table-changed') || ctx.signal.aborted) throw error;
    ctx.log.debug('looks again', { err: describeError(error) });
    await work();
  }
}

/** True once the pipeline's sink is paused, or is not to be written for another reason, or the pipeline got another anchor. */
function isOver(now: PipelineRecord, pipeline: PipelineRecord): boolean {
  const isOpen = sameConnection(now.definition.sink.connection, pipeline.definition.sink.connection);
  return !isWrittenTo(now) || now.anchor?.id !== pipeline.anchor?.id || !isOpen;
}
