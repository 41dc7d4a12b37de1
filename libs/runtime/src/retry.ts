import type { Clock, Log } from '@nanosync/core';
import { describeError, PipelineError } from '@nanosync/core';

/** Waits between attempts, in milliseconds: doubling from `firstMs` to `maxMs`, each drawn from its upper half. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** What the rest of the system waits by default before it tries again. */
export const DEFAULT_BACKOFF: Backoff = { firstMs: 250, maxMs: 15_000 };

/** The wait before attempt `attempt` + 1 (counted from 1). Jitter keeps many workers from calling together. */
export function backoffMs(attempt: number, backoff: Backoff = DEFAULT_BACKOFF, random: () => number = Math.random): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random());
}

/** Settings of {@link retryTimed}. */
export interface RetryOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log?: Log;
  /** What is tried, for the log: a constant such as `open the source`. */
  readonly what?: string;
  readonly backoff?: Backoff;
  /** Attempts in all before the error is passed on; without a limit it goes on until the signal aborts. */
  readonly attempts?: number;
  readonly random?: () => number;
}

/**
 * Runs `operation`, again and again while it fails with a PipelineError whose policy is `timed`. Any other error, the last
 * attempt's error, and the current error once the signal aborts, are thrown.
 */
export async function retryTimed<T>(operation: () => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (error) {
      const timed = error instanceof PipelineError && error.retry === 'timed';
      if (!timed || options.signal.aborted || attempt === options.attempts) throw error;
      const waitMs = backoffMs(attempt, options.backoff, options.random);
      options.log?.warn('trying again', { what: options.what, attempt, wait_ms: waitMs, err: describeError(error) });
      await options.clock.sleep(waitMs, options.signal);
      if (options.signal.aborted) throw error;
    }
  }
}
