import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';
import type { Lsn } from './position.ts';
import { parseLsn } from './position.ts';
import type { TablePlan } from './table-plan.ts';

/**
 * How far in the log updates must be completed although their table is past its L1.
 *
 * A row that was gone when an event of it was to be completed has no row at the sink: the event was dropped or marked rowless.
 * Further updates of it may come before the one that removed it, and what the log left out of them is nowhere. All of that lies
 * below the end of the log at the time of the read. What an earlier stream of the slot found gone is not known to this one, so
 * a stream that goes on begins with the end of the log as its horizon.
 */
export class Horizon {
  private readonly first: Lsn;
  private readonly tables = new Map<TablePlan, Lsn>();

  constructor(first: Lsn) {
    this.first = first;
  }

  /** True for a commit that lies below the horizon of this table. */
  covers(plan: TablePlan, commitLsn: Lsn): boolean {
    // Invariant 'complete-images': a row that was gone may have updates up to here, and no base row at the sink.
    return commitLsn < this.first || commitLsn < (this.tables.get(plan) ?? 0n);
  }

  /** A row of the table was gone while the log ended here. */
  extend(plan: TablePlan, end: Lsn): void {
    this.tables.set(plan, end);
  }
}

/** Where the next record of the log will be written: above every commit that a read before can have seen. */
export const INSERT_END =
  'SELECT to_json(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_insert_lsn() END)';

/** The horizon of a stream that begins here. `fresh`: no stream of the slot has delivered anything before. */
export async function horizonOf(connect: Connect, fresh: boolean): Promise<Horizon> {
  if (fresh) return new Horizon(0n);
  return new Horizon(parseLsn(await withConnection(connect, 'changes end', (client) => queryJson<string>(client, INSERT_END))));
}
