import type { Anchor, SourceRetention } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';
import type { Lsn } from './position.ts';
import { parseLsn, positionOfLsn } from './position.ts';

/** The limit's name on PostgreSQL. */
const SETTING = 'max_slot_wal_keep_size';
/** A question for display must not stay behind on a server that is stuck. */
const TIMEOUT_MS = 5000;

interface Facts {
  readonly end: string;
  /** In megabytes, -1 without a limit. */
  readonly limit: string;
  readonly found: boolean;
  readonly restart: string | null;
  readonly status: string | null;
  readonly safe: string | null;
}

const FACTS = `SELECT json_build_object('end', pg_current_wal_lsn()::text, 'limit', (SELECT setting FROM pg_settings WHERE name = '${SETTING}'),
  'found', s.slot_name IS NOT NULL, 'restart', s.restart_lsn::text, 'status', s.wal_status, 'safe', s.safe_wal_size::text)
  FROM (SELECT 1) AS one LEFT JOIN pg_replication_slots s ON s.slot_name = $1`;

/** What the server says of the anchor's slot: the log from its restart position on is kept for it. */
export async function retentionOf(connect: Connect, anchor: Anchor): Promise<SourceRetention> {
  const facts = await withConnection(connect, 'retention', (client) => queryJson<Facts>(client, FACTS, [anchor.origin.slot ?? '']), {
    statementTimeoutMs: TIMEOUT_MS,
  });
  return retentionFrom(facts, anchor.origin.slot !== undefined);
}

/** The answer in the port's words (pure). A server that has dropped what was needed no longer knows from where. */
export function retentionFrom({ end, limit, found, restart, status, safe }: Facts, hasSlot = true): SourceRetention {
  const megabytes = Number(limit);
  const limitBytes = megabytes < 0 ? null : megabytes * 1024 * 1024;
  const at = parseLsn(end);
  const place = { end: positionOfLsn(at), limitBytes, setting: SETTING };
  if (!hasSlot) return { ...place, state: 'none', keptBytes: 0, leftBytes: null };
  if (!found || status === 'lost' || restart === null) return { ...place, state: 'lost', keptBytes: 0, leftBytes: 0 };
  const keptBytes = bytesBetween(parseLsn(restart), at);
  if (limitBytes === null) return { ...place, state: 'unlimited', keptBytes, leftBytes: null };
  // The server's own figure; it goes below zero until the next checkpoint drops the log.
  const leftBytes = Math.max(0, safe === null ? limitBytes - keptBytes : Number(safe));
  return { ...place, state: status === 'unreserved' || leftBytes === 0 ? 'at risk' : 'safe', keptBytes, leftBytes };
}

function bytesBetween(from: Lsn, to: Lsn): number {
  return to > from ? Number(to - from) : 0;
}
