import type { TroubleRecord } from '@nanosync/core';

/** A service that has not worked for so long needs somebody, whatever its trouble is, in seconds. */
const PATIENCE_SECONDS = 60;

/** What keeps a service from working on a pipeline now; it tries again by itself. */
export interface Trouble {
  readonly service: string;
  /** What is wrong and its cure. */
  readonly reason: string;
  /** It will not pass by itself. */
  readonly manual: boolean;
  /** Only part of the pipeline stands still (tables that cannot be added); the rest goes on. */
  readonly partial: boolean;
  /** For how long the service has not worked, for this reason or for others; null when an older nanosync told it. */
  readonly seconds: number | null;
}

/** The stored troubles as status shows them (pure). */
export function troublesOf(records: readonly TroubleRecord[], nowMs: number): readonly Trouble[] {
  return records.map(({ service, reason, manual, partial, sinceMs }) => ({
    ...{ service, reason, manual, partial: partial === true },
    seconds: sinceMs === undefined ? null : Math.max(0, Math.floor((nowMs - sinceMs) / 1000)),
  }));
}

/** True for what a person must look at: what does not pass by itself, or has not passed for a minute. */
export function needsPerson({ manual, seconds }: Trouble): boolean {
  return manual || (seconds ?? 0) >= PATIENCE_SECONDS;
}
