import { PipelineError } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';

/** What the stream of a pipeline goes through, and the tables that must come out of it, by OID. */
export interface StreamNames {
  readonly pipeline: string;
  readonly slot: string;
  readonly publication: string;
  readonly tables: readonly { readonly oid: number; readonly name: string }[];
}

interface Found {
  readonly timeoutMs: number;
  /** Null: no such publication. */
  readonly whole: boolean | null;
  readonly tables: readonly number[] | null;
}

// By the catalog itself: pg_get_publication_tables waits for locks, and a long ALTER TABLE would keep the stream from starting.
const FACTS = `SELECT json_build_object(
  'timeoutMs', (SELECT setting::int8 FROM pg_settings WHERE name = 'wal_sender_timeout'),
  'whole', (SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = $1),
  'tables', (SELECT json_agg(r.prrelid::int8) FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $1))`;

/**
 * Checks, before the stream starts, that the publication still publishes every table: since PostgreSQL 18 one that is missing is
 * skipped with a warning, and its changes with it. Returns the server's `wal_sender_timeout`, 0 for none.
 */
export async function checkStream(connect: Connect, names: StreamNames): Promise<number> {
  const { pipeline, publication, tables } = names;
  const found = await withConnection(connect, 'changes check', (client) => queryJson<Found>(client, FACTS, [publication]));
  const gap = (reason: string) => new PipelineError('gap', reason, { hint: `Run: nanosync pipeline resnapshot ${pipeline}` });
  // Invariant 'no-silent-gap': the server skips what is not published without an error.
  if (found.whole === null) throw gap(`The publication ${publication} does not exist any more.`);
  if (!found.whole) throw gap(`The publication ${publication} does not publish inserts, updates, deletes and truncates alike.`);
  const missing = tables.find((table) => !found.tables?.includes(table.oid));
  if (missing !== undefined) throw gap(`The publication ${publication} does not publish the table ${missing.name} any more.`);
  return found.timeoutMs;
}
