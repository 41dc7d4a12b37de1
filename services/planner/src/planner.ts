import type { PipelineDefinition, ServiceContext } from '@nanosync/core';
import { describeError, followPipelines, isKind, leaseNames, withLease } from '@nanosync/core';
import { PipelinePlanner } from './pipeline-planner.ts';
import { QueryPlanner } from './query-planner.ts';
import { watchPipeline } from './watch.ts';

/** How often the planner looks for new or changed pipelines, in milliseconds. */
const LOOK_EVERY_MS = 250;
/** How often it looks at a snapshot that is under way. */
const SNAPSHOT_EVERY_MS = 10;
/** How long it waits after something was away or not set up. */
const RETRY_EVERY_MS = 2000;

/**
 * Runs the planner until the context's signal aborts: for each stored pipeline one loop that takes it from `created` to
 * `streaming`, and acts on requests. The planner alone writes pipeline and table phases. Everything it decides is stored
 * before it acts on it, so a restart goes on where the records say. A second planner waits for the pipeline's lease; one that lost it
 * while it was stopped is beaten by compare-and-set.
 */
export async function runPlanner(ctx: ServiceContext): Promise<void> {
  await followPipelines(
    ctx,
    () => true,
    (inner, { definition }) =>
      withLease(inner, leaseNames.planner(definition.name), (_, signal) => runKind({ ...inner, signal }, definition)),
  );
}

/** A query pipeline has no log of its source to be watched. */
async function runKind(ctx: ServiceContext, { name, query }: PipelineDefinition): Promise<void> {
  if (query === undefined) await runWatched(ctx, name);
  else await runPipeline(ctx, name, new QueryPlanner(ctx, name));
}

/** One pipeline, and beside it the figures for status. */
async function runWatched(ctx: ServiceContext, name: string): Promise<void> {
  const ending = new AbortController();
  const watching = watchPipeline({ ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) }, name);
  watching.catch(() => undefined); // Thrown below; not unhandled until then.
  try {
    await runPipeline(ctx, name, new PipelinePlanner(ctx, name));
  } finally {
    ending.abort();
    await watching;
  }
}

/** What takes a pipeline of one kind on, step by step. */
type Planner = Pick<PipelinePlanner, 'step' | 'fail' | 'waitFor'> & AsyncDisposable;

/** One pipeline until it is gone or the signal aborts. A database that is away is waited for; a defect ends the service. */
async function runPipeline(ctx: ServiceContext, name: string, planner: Planner): Promise<void> {
  let known = false;
  try {
    while (!ctx.signal.aborted) {
      const outcome = await attempt(ctx, planner, name);
      if (outcome === 'deleted') return;
      if (outcome === 'gone') {
        // Who waited for its lease while it was deleted never knew it.
        if (known && !ctx.signal.aborted)
          ctx.log.error('pipeline is gone from the state store', { pipeline: name, cure: cureOfLoss(name) });
        return;
      }
      known = true;
      await ctx.clock.sleep(outcome === 'busy' ? SNAPSHOT_EVERY_MS : LOOK_EVERY_MS, ctx.signal);
    }
  } finally {
    await planner[Symbol.asyncDispose]();
  }
}

/** A pipeline is deleted by its own planner: a store that no longer has one has lost it, while slot, topics and targets stay. */
function cureOfLoss(name: string): string {
  return `Run: nanosync apply -f pipelines.yaml, then: nanosync pipeline resnapshot ${name}`;
}

async function attempt(ctx: ServiceContext, planner: Planner, name: string): Promise<'busy' | 'idle' | 'gone' | 'deleted'> {
  try {
    return await planner.step();
  } catch (error) {
    if (ctx.signal.aborted) return 'gone';
    if (isKind(error, 'gap', 'table-changed')) {
      await planner.fail({ reason: error.message, cure: error.hint ?? `Run: nanosync pipeline resnapshot ${name}` });
      return 'idle';
    }
    if (!isKind(error, 'unavailable', 'conflict', 'prerequisite', 'config')) throw error;
    // What a person repairs outside (a right, a setting, a server) needs no new snapshot: say it and try again.
    ctx.log.warn('planner waits', { pipeline: name, err: describeError(error) });
    await planner.waitFor(error);
    await ctx.clock.sleep(RETRY_EVERY_MS, ctx.signal);
    return 'idle';
  }
}
