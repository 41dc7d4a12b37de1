import type { Marker, Row, TableId } from '@nanosync/core';

/** One write of a transaction as the log has it. */
export interface LoggedWrite {
  readonly kind: 'insert' | 'update' | 'delete' | 'truncate';
  readonly table: TableId;
  readonly before: Row | null;
  readonly after: Row | null;
  /** Where it was written. */
  readonly lsn: bigint;
  /** The table was in the publication when this was written. */
  readonly published: boolean;
}

/** One committed transaction of the model's log. */
export interface Logged {
  /** Where its commit record begins, and where it ends; the next one can begin exactly there. */
  readonly lsn: bigint;
  readonly endLsn: bigint;
  readonly xid: number;
  /** Where the first record of it is, also of a statement that was taken back. */
  readonly began: bigint;
  readonly commitMs: number;
  readonly writes: readonly LoggedWrite[];
  readonly marker: Marker | null;
}

/** What a transaction says when it commits. */
export type Commit = Pick<Logged, 'xid' | 'writes' | 'marker'> & { readonly began?: bigint };
