import type { SourceView } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { destroy, queryJson, quoteLiteral } from './connection.ts';
import { parseLsn, positionOfLsn } from './position.ts';
import { codeOf } from './postgres-error.ts';

interface Exported {
  readonly name: string;
  readonly moment: string;
}

/** What a snapshot sees, as text that two snapshots share only when they see the same; hashed, as it names every transaction that runs. */
const MOMENT = "encode(sha256(convert_to(pg_current_snapshot()::text, 'UTF8')), 'hex')";

const LOG_END = 'SELECT to_json(pg_current_wal_lsn())';
const EXPORT = `SELECT json_build_object('name', pg_export_snapshot(), 'moment', ${MOMENT})`;

/** A server that ends idle transactions, or long ones, would end the view. The second setting exists since PostgreSQL 17. */
const NO_TIMEOUT = `SELECT set_config(name, '0', false) FROM pg_settings
  WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout', 'statement_timeout')`;

/**
 * Holds a moment open by a transaction whose snapshot is exported. The server gives exported snapshots names that come again after a restart, so
 * the view's name holds what it sees as well: whoever imports one that sees anything else refuses it.
 */
export async function openView(connect: Connect): Promise<SourceView> {
  const client = await connect.open('view');
  try {
    await client.query(NO_TIMEOUT);
    const end = parseLsn(await queryJson<string>(client, LOG_END));
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { name, moment } = await queryJson<Exported>(client, EXPORT);
    return {
      id: `${name} ${moment}`,
      position: positionOfLsn(end),
      check: async () => {
        await client.query('SELECT 1').catch((error: unknown) => {
          throw connect.explain(error);
        });
      },
      [Symbol.asyncDispose]: () => client.end().catch(() => {}),
    };
  } catch (error) {
    destroy(client);
    throw connect.explain(error);
  }
}

/** What a transaction begins with that reads in a view. */
export function importSql(view: string): string {
  return `SET TRANSACTION SNAPSHOT ${quoteLiteral(view.split(' ')[0] ?? '')}`;
}

/** SQLSTATEs of a snapshot that is not there, and of one whose holder is just gone. */
const LOST = new Set(['22023', '42704', '55000']);

/** True for an error of {@link importSql} that says that there is no such snapshot any more. */
export function isViewLost(error: unknown): boolean {
  return LOST.has(codeOf(error) ?? '');
}

/** True for an error of a read whose snapshot the server gave up on its own (`old_snapshot_threshold`). */
export function isViewTooOld(error: unknown): boolean {
  return codeOf(error) === '72000';
}

/** True when the transaction sees exactly what the view does. */
export async function seesView(client: Client, view: string): Promise<boolean> {
  return (await queryJson<string>(client, `SELECT to_json(${MOMENT})`)) === view.split(' ')[1];
}
