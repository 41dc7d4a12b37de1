import type { Position } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Lsn } from './position.ts';
import { formatLsn, indexOf, lsnOf } from './position.ts';

/**
 * Which values may be acknowledged to the server, and which one was last. Only values that a delivered `commit` or `idle`
 * event named are taken: the server skips every commit that begins below the value, so that any other one, such as the end
 * of a commit plus a byte, loses a neighbour.
 */
export class Acknowledgements {
  /** Values offered and not yet acknowledged, ascending, from `head` on. */
  private offered: Lsn[] = [];
  private head = 0;
  /** The last delivered commit that waits for its acknowledgement. */
  private waiting: Lsn | undefined;
  private lastOffered: Lsn;
  private confirmedLsn: Lsn;

  /** `from` is where the stream begins: everything below it was acknowledged or is not part of it. */
  constructor(from: Lsn) {
    this.confirmedLsn = from;
    this.lastOffered = from;
  }

  /** The value that the server is told, now and again and again. */
  get confirmed(): Lsn {
    return this.confirmedLsn;
  }

  /** The greatest value offered so far. */
  get last(): Lsn {
    return this.lastOffered;
  }

  /** True when no delivered commit waits for its acknowledgement. */
  get settled(): boolean {
    return this.waiting === undefined;
  }

  /** Notes the value of an event that is about to be delivered. */
  offer(kind: 'commit' | 'idle', lsn: Lsn): void {
    if (lsn < this.lastOffered) throw new PipelineError('defect', 'the stream went back');
    this.offered.push(lsn);
    this.lastOffered = lsn;
    if (kind === 'commit') this.waiting = lsn;
  }

  /** Takes a value; false when it is older than the confirmed one, which stays. Throws `defect` for one that no event named. */
  acknowledge(position: Position): boolean {
    const lsn = lsnOf(position);
    if (lsn < this.confirmedLsn) return false;
    if (lsn > this.confirmedLsn || indexOf(position) !== 0n) this.consume(position, lsn);
    this.confirmedLsn = lsn;
    if (this.waiting !== undefined && this.waiting <= lsn) this.waiting = undefined;
    return true;
  }

  private consume(position: Position, lsn: Lsn): void {
    let at = this.head;
    while (at < this.offered.length && (this.offered[at] as Lsn) < lsn) at++;
    // Invariant 'publish-then-acknowledge': any other value skips a neighbour.
    if (indexOf(position) !== 0n || this.offered[at] !== lsn)
      throw new PipelineError('defect', 'a position was acknowledged that no commit or idle event of this stream named');
    this.head = at + 1;
    if (this.head > 1024) {
      this.offered = this.offered.slice(this.head);
      this.head = 0;
    }
  }
}

/** The driver adds one to the LSN that it is told to acknowledge; this is what to tell it so that the server gets this LSN. */
export function driverLsn(lsn: Lsn): string {
  // Invariant 'publish-then-acknowledge': the server gets the value itself.
  return formatLsn(lsn - 1n);
}
