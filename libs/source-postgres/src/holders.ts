import type { FenceWait } from '@nanosync/core';
import type { Client } from 'pg';
import { queryJson, quoteIdent, quoteLiteral } from './connection.ts';

interface Holder {
  readonly pid: number | null;
  readonly gid: string | null;
  readonly database: string | null;
  readonly application: string | null;
  readonly syncRep: boolean;
  readonly seconds: number | null;
}

/**
 * Who holds a transaction id at or below `$1`. From pg_locks, which shows every transaction to every user; an orphaned prepared
 * transaction is there without a process, and pg_stat_activity does not know it.
 */
const HOLDERS = `
  SELECT COALESCE(json_agg(h ORDER BY h.held DESC), '[]'::json) FROM (
    SELECT l.pid, p.gid, COALESCE(a.datname, p.database) AS database, a.application_name AS application,
      COALESCE(a.wait_event = 'SyncRep', false) AS "syncRep", EXTRACT(epoch FROM clock_timestamp() - COALESCE(a.xact_start, p.prepared)) AS seconds,
      max(age(l.transactionid)) AS held
    FROM pg_locks l
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN pg_prepared_xacts p ON p.transaction = l.transactionid
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND (l.pid IS NOT NULL OR p.gid IS NOT NULL)
      AND l.pid IS DISTINCT FROM pg_backend_pid() AND age(l.transactionid) >= age($1::xid8::xid)
    GROUP BY l.pid, p.gid, a.datname, p.database, a.application_name, a.wait_event, a.xact_start, p.prepared) h`;

/** The transactions that began at or before this transaction id and are still not over, oldest first, with what ends each. */
export async function holdersUpTo(client: Client, xid: string): Promise<FenceWait[]> {
  return (await queryJson<Holder[]>(client, HOLDERS, [xid])).map(describe);
}

/** The transactions that are running now, oldest first. */
export async function holdersNow(client: Client): Promise<FenceWait[]> {
  // Assigns no transaction id of its own: the snapshot's upper bound is the next one to be given out.
  const next = await queryJson<string>(client, 'SELECT to_json(pg_snapshot_xmax(pg_current_snapshot())::text)');
  return holdersUpTo(client, next);
}

function describe({ pid, gid, database, application, syncRep, seconds }: Holder): FenceWait {
  const ageSeconds = Math.max(0, Math.round(seconds ?? 0));
  if (gid !== null) {
    const where = database === null ? '' : ` in database ${quoteIdent(database)}`;
    return { holder: `prepared transaction ${quoteLiteral(gid)}${where}`, ageSeconds, cure: `ROLLBACK PREPARED ${quoteLiteral(gid)};` };
  }
  const of = application ? ` of ${application}` : '';
  const why = syncRep ? ', committing and waiting for a synchronous standby' : '';
  return { holder: `process ${pid}${of}${why}`, ageSeconds, cure: `SELECT pg_terminate_backend(${pid});` };
}
