import type { ServiceContext } from '@nanosync/core';

/** How long a lease lasts; it only keeps writers from trying in vain, the fence is the owner token in the sink. */
const LEASE_MS = 3000;

/** Runs `work` while this token holds the lease; waits for it first. The token is what `work` claims the sink with. */
export async function withLease(ctx: ServiceContext, name: string, work: (token: string) => Promise<void>): Promise<void> {
  const token = ctx.ids.next();
  while (!(await ctx.state.lease(name, token, LEASE_MS))) {
    await ctx.clock.sleep(LEASE_MS / 6, ctx.signal);
    if (ctx.signal.aborted) return;
  }
  const ending = new AbortController();
  const renewing = renew({ ...ctx, signal: AbortSignal.any([ctx.signal, ending.signal]) }, name, token);
  try {
    await work(token);
  } finally {
    ending.abort();
    await renewing;
    await ctx.state.release(name, token);
  }
}

async function renew(ctx: ServiceContext, name: string, token: string): Promise<void> {
  while (!ctx.signal.aborted) {
    await ctx.clock.sleep(LEASE_MS / 3, ctx.signal);
    if (!ctx.signal.aborted) await ctx.state.lease(name, token, LEASE_MS);
  }
}
