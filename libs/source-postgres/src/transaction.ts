import type { Position } from '@nanosync/core';
import { positionOfLsn } from './position.ts';

const LOW_DIGITS = 3;
const LOW_COUNT = 16 ** LOW_DIGITS;
const LOW = Array.from({ length: LOW_COUNT }, (_, value) => value.toString(16).toUpperCase().padStart(LOW_DIGITS, '0'));

/**
 * One transaction of the stream while it is open: numbers its messages, those of a table from its generation event on, and makes their positions.
 * Position text is built from parts that are computed once: a position is needed for every event.
 */
export class Transaction {
  readonly commitLsn: bigint;
  readonly commitMs: number;
  readonly xid: number;
  /** Before all its events. */
  readonly start: Position;
  private ordinal = 0;
  private readonly prefix: string;
  private high = 0;
  private highText: string;

  constructor(begin: { readonly commitLsn: bigint; readonly commitMs: number; readonly xid: number }) {
    this.commitLsn = begin.commitLsn;
    this.commitMs = begin.commitMs;
    this.xid = begin.xid;
    this.start = positionOfLsn(begin.commitLsn);
    this.prefix = this.start.slice(0, this.start.indexOf('/') + 1);
    this.highText = this.start.slice(0, -LOW_DIGITS);
  }

  /** Counts the next row, truncate or logical message; the first is 1. */
  count(): void {
    this.ordinal++;
  }

  /** The position of the counted message: `sub` 1 for a change or the delete half of a key change, 2 for its insert half. */
  position(sub: 1 | 2): Position {
    return this.at(this.ordinal * 4 + sub);
  }

  /** The position of something that stands before the message that is counted next. */
  beforeNext(): Position {
    return this.at((this.ordinal + 1) * 4);
  }

  /** The last position of the transaction so far, at or above every event's. */
  last(): Position {
    return this.at(this.ordinal === 0 ? 0 : this.ordinal * 4 + 2);
  }

  private at(index: number): Position {
    const high = Math.floor(index / LOW_COUNT);
    if (high !== this.high) {
      this.high = high;
      this.highText =
        this.prefix +
        high
          .toString(16)
          .toUpperCase()
          .padStart(16 - LOW_DIGITS, '0');
    }
    return (this.highText + LOW[index % LOW_COUNT]) as Position;
  }
}
