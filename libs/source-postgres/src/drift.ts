import type { TableId, TableSchema } from '@nanosync/core';
import type { Client } from 'pg';
import { keyDifference } from './column-rules.ts';
import { queryJson } from './connection.ts';
import { nameParts } from './discovery.ts';
import type { Hasher } from './hasher.ts';
import { UNKEYED } from './hasher.ts';
import { publicationName } from './names.ts';
import { parseStorage, sameColumns } from './storage.ts';
import { replicatedColumns, tableFacts } from './table-facts.ts';
import { keyOf } from './table-fitness.ts';

/** A table that is no longer what was planned. */
export interface Drift {
  readonly table: TableId;
  readonly reason: string;
}

interface Planned {
  readonly schema: TableSchema;
  readonly storage: string;
}

/**
 * The tables whose identity, columns, key or publication differ from the plan. Some such changes send no event at all (a new
 * column with a default, a type change that rewrites every row), so somebody has to look. A new filenode alone is no drift: VACUUM
 * FULL and CLUSTER move rows and change none.
 */
export async function driftOf(client: Client, pipeline: string, tables: readonly Planned[], hasher: Hasher = UNKEYED): Promise<Drift[]> {
  const published = await publishedTables(client, pipeline);
  const drifts: Drift[] = [];
  for (const { schema, storage } of tables) {
    const other = keyDifference(parseStorage(storage).columns, hasher);
    const reason = other === undefined ? await reasonOf(client, schema.table, storage, published) : `Of ${schema.table} ${other}.`;
    if (reason !== undefined) drifts.push({ table: schema.table, reason });
  }
  return drifts;
}

async function reasonOf(client: Client, table: TableId, storage: string, published: ReadonlySet<string>): Promise<string | undefined> {
  const planned = parseStorage(storage);
  const { schema, name } = nameParts(table);
  const facts = await tableFacts(client, schema, name);
  if (facts === undefined) return `Table ${table} is gone.`;
  // Invariant 'no-silent-gap': some of these changes send no event.
  if (facts.oid !== planned.oid) return `Table ${table} was dropped and made again.`;
  if (!sameColumns(replicatedColumns(facts.columns), planned.columns)) return `The columns of ${table} changed.`;
  if (facts.replicaIdentity !== planned.replicaIdentity) return `The replica identity of ${table} changed.`;
  if (JSON.stringify(keyOf(facts)) !== JSON.stringify(planned.key)) return `The key of ${table} changed.`;
  if (facts.persistence !== 'p') return `Table ${table} is no longer written to the log.`;
  if (!published.has(table)) return `Table ${table} is no longer published as a whole.`;
  return undefined;
}

/** From the catalog itself: the view pg_publication_tables waits for the lock of a table that is being altered. */
const PUBLISHED = `SELECT COALESCE(json_agg(n.nspname || '.' || c.relname), '[]'::json)
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.pubname = $1 AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
    AND to_jsonb(r) ->> 'prqual' IS NULL AND to_jsonb(r) ->> 'prattrs' IS NULL`;

async function publishedTables(client: Client, pipeline: string): Promise<ReadonlySet<string>> {
  return new Set(await queryJson<string[]>(client, PUBLISHED, [publicationName(pipeline)]));
}
