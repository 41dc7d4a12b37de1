import { abortWhen } from './follow-pipelines.ts';
import type { ServiceContext } from './ports/service.ts';

/** Names of the leases under which a pipeline's work is done. */
export const leaseNames = {
  planner: (pipeline: string) => `planner/${pipeline}`,
  capture: (pipeline: string) => `cdc-capture/${pipeline}`,
  rows: (pipeline: string) => `sink-writer/${pipeline}/rows`,
  table: (pipeline: string, table: string) => `sink-writer/${pipeline}/${table}`,
  /** Held by who reads the partition with this key in the state store. */
  partition: (key: string) => `snapshot-worker/${key}`,
  /** The numbered place of one of a service's processes, see `Share`; place 0 is held while there is any. */
  place: (service: string, place: number) => `${service}/place/${place}`,
} as const;

/** How long a lease lasts; it only keeps processes from trying in vain, fences stand elsewhere. */
const LEASE_MS = 3000;

/**
 * Runs `work` while this token holds the lease; waits for it first. A lease that another token has taken meanwhile, because this process
 * was stopped or cut off for long, ends the work's signal. The token is new for each call, so a sink can be claimed with it. While `wanted`
 * says no the lease is not asked for, and work that is no longer wanted is ended so that another process can have it: returns then.
 */
export async function withLease(
  ctx: ServiceContext,
  name: string,
  work: (token: string, signal: AbortSignal) => Promise<void>,
  wanted: () => boolean = () => true,
): Promise<void> {
  const token = ctx.ids.next();
  while (!wanted() || !(await ctx.state.lease(name, token, LEASE_MS))) {
    await ctx.clock.sleep(LEASE_MS / 6, ctx.signal);
    if (ctx.signal.aborted) return;
  }
  ctx.metrics?.lease(name, true);
  const ending = new AbortController();
  const end = () => ending.abort();
  ctx.signal.addEventListener('abort', end, { once: true });
  if (ctx.signal.aborted) end();
  const renewing = abortWhen(
    { clock: ctx.clock, everyMs: LEASE_MS / 3, ending },
    // Invariant 'one-owner': whoever lost the lease stops.
    async () => !wanted() || !(await ctx.state.lease(name, token, LEASE_MS)),
  );
  renewing.catch(() => undefined); // Thrown below; not unhandled until then.
  try {
    await work(token, ending.signal);
  } finally {
    ctx.metrics?.lease(name, false);
    ending.abort();
    ctx.signal.removeEventListener('abort', end);
    await renewing;
    await ctx.state.release(name, token).catch(() => undefined); // It runs out by itself.
  }
}
