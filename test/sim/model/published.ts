import type { TableId } from '@nanosync/core';
import type { Logged, LoggedWrite } from './log.ts';

/**
 * Which tables a stream takes for published. It looks a table up as of the place of a change, and keeps what it found until it passes
 * something that changed the publication. So what is streamed of a transaction that was open while a table was added depends on what the
 * stream decoded before: a row from before the addition comes if a row from behind it came first, and not in a stream that begins in between.
 */
export class Published {
  private readonly found = new Map<TableId, boolean>();
  private passed = 0;

  /** The writes of the next transaction that are streamed. `altered`: where the publication was changed so far. */
  of({ writes, lsn, began }: Logged, altered: readonly bigint[]): readonly LoggedWrite[] {
    this.forgetBehind(lsn, altered);
    let before = altered.length;
    const streamed: LoggedWrite[] = [];
    for (const [at, write] of writes.entries()) {
      const since = altered.filter((place) => place <= write.lsn).length;
      if (at > 0 && since > before) this.found.clear();
      before = since;
      const known = this.found.get(write.table) ?? write.published;
      this.found.set(write.table, known);
      if (known) streamed.push(write);
    }
    // What was looked up as of the middle of a transaction is not kept beyond it.
    if (altered.some((place) => began < place && place <= lsn)) this.found.clear();
    return streamed;
  }

  private forgetBehind(lsn: bigint, altered: readonly bigint[]): void {
    const passed = altered.filter((place) => place <= lsn).length;
    if (passed > this.passed) this.found.clear();
    this.passed = passed;
  }
}
