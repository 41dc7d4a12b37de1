import type { Clock, Log, ServiceContext } from '@nanosync/core';
import { describeError, PipelineError } from '@nanosync/core';
import { backoffMs } from '@nanosync/runtime';
import type { Service } from './context.ts';
import type { Health } from './health.ts';
import { NO_HEALTH } from './health.ts';

/** A service that ran this long before it failed is restarted without counting its earlier failures. */
const STEADY_MS = 60_000;
/** An error that nobody foresaw may be a passing one of a driver; after so many in a row it ends the process. */
const MOST_UNEXPECTED = 3;
/** How long services may take to end their step. Cutting them off is safe, only work is repeated. */
const PATIENCE_MS = 20_000;

/** How serving ended: `failure` is the error that must not be retried, `late` names services that did not end in time. */
export interface Served {
  readonly failure: unknown;
  readonly late: readonly string[];
}

/**
 * Runs the services side by side until the context's signal aborts or one fails for good. A service that fails with an error
 * whose policy is not `never` is started again after a growing wait: everything it knows is in `state`, bus, sink and source.
 */
export async function serve(services: readonly Service[], ctx: ServiceContext, health: Health = NO_HEALTH): Promise<Served> {
  const ending = new AbortController();
  const end = () => ending.abort();
  ctx.signal.addEventListener('abort', end, { once: true });
  if (ctx.signal.aborted) end();
  const inner = { ...ctx, signal: ending.signal };
  const running = new Set(services.map((service) => service.name));
  let failure: unknown;
  const all = services.map(async (service) => {
    try {
      await supervise(service, { ...inner, log: inner.log.with({ service: service.name }) }, health);
    } catch (error) {
      failure ??= error;
      end();
    } finally {
      running.delete(service.name);
    }
  });
  await untilEnded(Promise.all(all), ending.signal, ctx.clock);
  ctx.signal.removeEventListener('abort', end);
  return { failure, late: [...running] };
}

async function supervise(service: Service, ctx: ServiceContext, health: Health): Promise<void> {
  const { clock, log, signal } = ctx;
  let failures = 0;
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs();
    health.set(service.name, null);
    const error = await outcome(service, ctx);
    failures = clock.monotonicMs() - startedMs > STEADY_MS ? 1 : failures + 1;
    if (isFinal(error, failures)) throw error;
    if (signal.aborted) return;
    health.set(service.name, describeError(error));
    await waitBeforeRestart({ service, error, failures, clock, log, signal });
  }
}

/** What ended the service. To return while nobody asked is as wrong as to throw. */
async function outcome(service: Service, ctx: ServiceContext): Promise<unknown> {
  try {
    await service.run(ctx);
    return new PipelineError('unavailable', `${service.name} ended by itself.`);
  } catch (error) {
    return error;
  }
}

function isFinal(error: unknown, failures: number): boolean {
  return error instanceof PipelineError ? error.retry === 'never' : failures >= MOST_UNEXPECTED;
}

async function waitBeforeRestart(restart: {
  readonly service: Service;
  readonly error: unknown;
  readonly failures: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { service, error, failures, clock, log, signal } = restart;
  const waitMs = backoffMs(failures);
  const kind = error instanceof PipelineError ? error.kind : 'unexpected';
  log.warn('service restarting', { service: service.name, kind, wait_ms: waitMs, err: describeError(error) });
  if (error instanceof Error && !(error instanceof PipelineError))
    log.debug('service failed at', { service: service.name, stack: error.stack });
  await clock.sleep(waitMs, signal);
}

/** Resolves when the services have ended, or some time after the signal aborted. */
async function untilEnded(ended: Promise<unknown>, signal: AbortSignal, clock: Clock): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const over = new AbortController();
  await Promise.race([ended, aborted.then(() => clock.sleep(PATIENCE_MS, over.signal))]);
  over.abort();
}
