import type {
  Anchor,
  ConnectionDefinition,
  PipelineRecord,
  ServiceContext,
  SinkReport,
  Source,
  TableId,
  WatchRecord,
} from '@nanosync/core';
import {
  describeError,
  followsChanges,
  listRecords,
  PipelineError,
  readRecord,
  recordedTables,
  sameConnection,
  stateKeys,
} from '@nanosync/core';
import { captureOf } from './capture-view.ts';
import type { Answer } from './watch-record.ts';
import { watched } from './watch-record.ts';

/** How often the source is asked and the counters are looked at, in milliseconds. */
const LOOK_EVERY_MS = 3000;
/** How long a look waits for the source; an answer that comes later goes into the next one. */
const PATIENCE_MS = 2000;

/**
 * Looks at a pipeline beside the planner's steps, for status alone, until the signal aborts: how far the source's log is, what it keeps of it, and
 * the counters of which rates are made. It has connections of its own and holds nothing up: a source that is away only makes
 * the figures old, and a state store that is away keeps the older ones.
 */
export async function watchPipeline(ctx: ServiceContext, name: string): Promise<void> {
  const look = new Look(ctx, name);
  try {
    for (; !ctx.signal.aborted; await ctx.clock.sleep(LOOK_EVERY_MS, ctx.signal)) {
      try {
        await look.once();
      } catch (error) {
        if (!(error instanceof PipelineError)) throw error;
        ctx.log.debug('figures of the pipeline are not stored', { pipeline: name, err: describeError(error) });
      }
    }
  } finally {
    await look.close();
  }
}

class Look {
  private readonly ctx: ServiceContext;
  private readonly name: string;
  private source: Source | undefined;
  /** By what it is open. */
  private connected: ConnectionDefinition | undefined;
  private asking: Promise<void> | undefined;
  private heard: { readonly anchor: string; readonly answer: Answer } | undefined;

  constructor(ctx: ServiceContext, name: string) {
    this.ctx = ctx;
    this.name = name;
  }

  async once(): Promise<void> {
    const { ctx } = this;
    const pipeline = (await readRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.name)))?.value;
    const anchor = pipeline?.anchor ?? null;
    if (pipeline === undefined || anchor === null || pipeline.intent.deletion !== null || pipeline.phase === 'completed') return;
    // Without a slot the source keeps no log for the pipeline, and nothing lags.
    if (followsChanges(pipeline.definition)) {
      this.asking ??= this.ask(pipeline, anchor).finally(() => {
        this.asking = undefined;
      });
      await patiently(ctx, this.asking);
    }
    if (!ctx.signal.aborted) await this.store(pipeline, anchor);
  }

  async close(): Promise<void> {
    const { source } = this;
    this.source = undefined;
    await source?.[Symbol.asyncDispose]();
  }

  private async ask({ definition }: PipelineRecord, anchor: Anchor): Promise<void> {
    const { ctx } = this;
    // Before the question: all that the answer's end is behind had been written by then, or just after.
    const askedMs = ctx.clock.nowMs();
    const heard = (answer: Answer) => {
      this.heard = { anchor: anchor.id, answer };
    };
    try {
      const { connection } = definition.source;
      if (this.connected !== undefined && !sameConnection(this.connected, connection)) await this.close();
      this.connected = connection;
      this.source ??= await ctx.openSource(connection);
      const { source } = this;
      const retention = await source.retention(anchor);
      heard({ askedMs, retention, distance: (from, to) => source.distance(from, to) });
    } catch (error) {
      heard({ askedMs, failure: describeError(error) });
      await this.close().catch(() => undefined); // The connection may be another one by now: it is opened anew.
    }
  }

  private async store(pipeline: PipelineRecord, anchor: Anchor): Promise<void> {
    const { ctx, name } = this;
    const key = stateKeys.watch(name);
    const before = await readRecord<WatchRecord>(ctx.state, key);
    const capture = await captureOf(ctx, name, pipeline);
    const stored = new Map((await listRecords<SinkReport>(ctx.state, stateKeys.sinkReports(name))).map((one) => [one.key, one.value]));
    const tables = recordedTables(pipeline) as readonly TableId[];
    const reports = tables.map((table) => ({ table, report: stored.get(stateKeys.sinkReport(name, table)) }));
    const answer = this.heard?.anchor === anchor.id ? this.heard.answer : undefined;
    const next = watched(before?.value, { nowMs: ctx.clock.nowMs(), anchor: anchor.id, capture, reports }, answer);
    // Beaten: another planner looks at it too, which is as good.
    await ctx.state.put(key, next, before?.version ?? 0);
    // Deleted meanwhile: nothing of it stays behind.
    if (before === undefined && (await ctx.state.get(stateKeys.pipeline(name))) === undefined) await ctx.state.remove(key);
  }
}

/** Waits for the source, but not for long. */
async function patiently(ctx: ServiceContext, asking: Promise<void>): Promise<void> {
  const enough = new AbortController();
  const waited = ctx.clock.sleep(PATIENCE_MS, AbortSignal.any([ctx.signal, enough.signal]));
  await Promise.race([asking, waited]);
  enough.abort();
}
