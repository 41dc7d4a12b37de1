import { describeError, PipelineError } from './errors.ts';
import type { Clock } from './ports/clock.ts';
import type { ServiceContext } from './ports/service.ts';
import type { PipelineRecord } from './records.ts';
import { stateKeys } from './records.ts';
import { listRecords } from './stored.ts';

/** How often a service looks for pipelines, in milliseconds. */
const LOOK_EVERY_MS = 250;

/**
 * Runs one loop per stored pipeline that is wanted, until the context's signal aborts, and starts it again when it has ended and is
 * still wanted. An error that time may cure, also of the state store itself, is waited out here. Any other error ends all loops
 * and is thrown only then: nothing of a service goes on after the service has ended, so it can be started again.
 */
export async function followPipelines(
  ctx: ServiceContext,
  wanted: (pipeline: PipelineRecord) => boolean,
  run: (ctx: ServiceContext, pipeline: PipelineRecord) => Promise<void>,
): Promise<void> {
  const running = new Map<string, Promise<void>>();
  const ending = new AbortController();
  const inner = { ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) };
  let failure: { readonly error: unknown } | undefined;
  const caught = (error: unknown) => {
    if (inner.signal.aborted) return;
    if (isTimed(error)) return ctx.log.warn('service waits', { err: describeError(error) });
    failure = { error };
    ending.abort();
  };
  let away: string | undefined;
  const list = async () => {
    try {
      const stored = await listRecords<PipelineRecord>(ctx.state, stateKeys.pipelines);
      if (away !== undefined) ctx.log.info('service goes on');
      away = undefined;
      return stored;
    } catch (error) {
      // A state store that is away is asked again and again, and named once.
      if (!isTimed(error) || describeError(error) !== away) caught(error);
      away = describeError(error);
      return [];
    }
  };
  while (!inner.signal.aborted) {
    for (const { value } of await list()) {
      const { name } = value.definition;
      if (running.has(name) || !wanted(value)) continue;
      const loop = run({ ...inner, log: inner.log.with({ pipeline: name }) }, value)
        .catch(caught)
        .finally(() => running.delete(name));
      running.set(name, loop);
    }
    await ctx.clock.sleep(LOOK_EVERY_MS, inner.signal);
  }
  await Promise.all(running.values());
  if (failure !== undefined) throw failure.error;
}

/**
 * Aborts `ending` once `over` says so, asking every `everyMs`; returns then, or when `ending` is aborted by others. As long as the
 * state store does not answer nothing is over. Any other error aborts too, and is thrown.
 */
export async function abortWhen(
  { clock, everyMs, ending }: { readonly clock: Clock; readonly everyMs: number; readonly ending: AbortController },
  over: () => Promise<boolean>,
): Promise<void> {
  while (!ending.signal.aborted) {
    await clock.sleep(everyMs, ending.signal);
    if (ending.signal.aborted) return;
    try {
      if (await over()) ending.abort();
    } catch (error) {
      if (isTimed(error)) continue;
      ending.abort();
      throw error;
    }
  }
}

function isTimed(error: unknown): boolean {
  return error instanceof PipelineError && error.retry === 'timed';
}
