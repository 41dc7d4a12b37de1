import { PipelineError } from '@nanosync/core';
import type { Session } from './duckdb-file.ts';
import { META, query, run, text } from './sql.ts';

/** The version of the tables below and of what stands in them. A file with a newer one is refused. */
const META_VERSION = 2;

/** What makes a file of each older version one of the next. The states `merged` and `kept` came with 2: who does not know them would show or drop other rows. */
const UPGRADES: Readonly<Record<number, readonly string[]>> = { 1: [] };

/**
 * What the sink keeps about itself, in the file it is about, so that both are durable in one transaction.
 *
 * - `rows_progress`: the loader's next offset on each bus partition of the rows topic, and its owner.
 * - `stages`: the staging table of an epoch; `staged_batches`, `staged_ends`: what it holds; `rejected_rows`: what it could not.
 * - `complete_partitions`: the attempts a generation was built from; they take the place of the ledger. Without an attempt: a partition that it was built without.
 * - `generations`: the physical tables; `state` is `built`, `merged` (its rows were written over those of the current one), `kept` (users see it, and its pipeline was deleted), or `gone` (discarded,
 *   or dropped by a switch) and then only a reminder to ignore what still arrives.
 * - `progress`: of each generation on each bus partition of its change topic; `prior_position` is `last_position` before the last move.
 */
const TABLES = [
  'rows_progress (pipeline VARCHAR, bus_partition INTEGER, next BIGINT, owner VARCHAR, topic_id VARCHAR)',
  'stages (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, name VARCHAR, row_schema VARCHAR)',
  'staged_batches (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, part INTEGER, attempt VARCHAR, batch INTEGER, row_count BIGINT, rejected BIGINT)',
  'staged_ends (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, part INTEGER, attempt VARCHAR, batches INTEGER, row_count BIGINT, quarantined BIGINT, seq BIGINT)',
  'complete_partitions (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, part INTEGER, attempt VARCHAR, row_count BIGINT, quarantined BIGINT)',
  'rejected_rows (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, part INTEGER, attempt VARCHAR, batch INTEGER, row_number INTEGER, column_name VARCHAR, reason VARCHAR, payload BLOB)',
  'generations (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, state VARCHAR, anchor VARCHAR, physical VARCHAR, row_schema VARCHAR, l0 VARCHAR, rows_built BIGINT, topic_id VARCHAR, is_current BOOLEAN, changes_applied BIGINT, quarantined BIGINT, defects BIGINT)',
  'progress (pipeline VARCHAR, tbl VARCHAR, epoch VARCHAR, bus_partition INTEGER, next BIGINT, owner VARCHAR, session BIGINT, last_position VARCHAR, prior_position VARCHAR, floor_position VARCHAR)',
];

/** The version of our tables, 0 where there are none, and whether it is today's; refuses a file of a newer nanosync. Changes nothing. */
export async function checkVersion({ connection, catalog, meta }: Session, path: string): Promise<{ version: number; isToday: boolean }> {
  const [table] = await query(
    connection,
    `SELECT 1 FROM duckdb_tables() WHERE database_name = ${text(catalog)} AND schema_name = ${text(META)} AND table_name = 'meta'`,
  );
  if (table === undefined) return { version: 0, isToday: false };
  const version = Number((await query(connection, `SELECT max(version) AS version FROM ${meta}.meta`))[0]?.version);
  if (version > META_VERSION)
    throw new PipelineError(
      'newer-version',
      `${path} was written by a newer nanosync (version ${version}, this one knows ${META_VERSION}).`,
      {
        hint: 'Use that nanosync, or another file.',
      },
    );
  return { version, isToday: version === META_VERSION };
}

/** Makes our tables, or today's of older ones: all or none. */
export async function prepareMeta(session: Session, path: string): Promise<void> {
  const { connection, meta } = session;
  const { version, isToday } = await checkVersion(session, path);
  if (isToday) return;
  await run(connection, 'BEGIN TRANSACTION');
  try {
    if (version === 0) await makeTables(session);
    else {
      for (let from = version; from < META_VERSION; from++) for (const step of UPGRADES[from] ?? []) await run(connection, step);
      await run(connection, `UPDATE ${meta}.meta SET version = ${META_VERSION}`);
    }
    await run(connection, 'COMMIT');
  } catch (error) {
    await run(connection, 'ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function makeTables({ connection, meta }: Session): Promise<void> {
  await run(connection, `CREATE SCHEMA IF NOT EXISTS ${meta}`);
  for (const table of ['meta (version INTEGER)', ...TABLES]) await run(connection, `CREATE TABLE ${meta}.${table}`);
  await run(connection, `INSERT INTO ${meta}.meta VALUES (${META_VERSION})`);
}
