import type { Clock, FenceWait, Log } from '@nanosync/core';

/** How often a wait that does not change is logged, in milliseconds. */
const SAY_AGAIN_MS = 60_000;

/** Who is waited for, since when, and what ends each wait, in one line. */
export function waitText(waits: readonly FenceWait[]): string {
  return waits.map((wait) => `${wait.holder}, ${Math.round(wait.ageSeconds)} s; to end it: ${wait.cure}`).join('; ');
}

/** Logs a wait when it begins, when others are waited for, and each minute: who waits is asked a few times a second. */
export class WaitLog {
  private readonly log: Log;
  private readonly clock: Clock;
  private said: { readonly holders: string; readonly atMs: number } | undefined;

  constructor({ log, clock }: { readonly log: Log; readonly clock: Clock }) {
    this.log = log;
    this.clock = clock;
  }

  warn(message: string, fields: { readonly pipeline: string; readonly table: string }, waits: readonly FenceWait[]): void {
    const holders = waits.map(({ holder }) => holder).join();
    const atMs = this.clock.monotonicMs();
    if (this.said?.holders === holders && atMs - this.said.atMs < SAY_AGAIN_MS) return;
    this.said = { holders, atMs };
    this.log.warn(message, { ...fields, waits: waitText(waits) });
  }
}
