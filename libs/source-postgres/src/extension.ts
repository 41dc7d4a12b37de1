import type { Clock, FenceOptions, TableId } from '@nanosync/core';
import { splitTableId } from '@nanosync/core';
import type { Client } from 'pg';
import { PUBLISHED_ACTIONS } from './anchor.ts';
import type { Connect } from './connection.ts';
import { queryJson, quoteIdent, withConnection } from './connection.ts';
import { passFence } from './fence.ts';
import { publicationName } from './names.ts';

/**
 * Adds tables to the publication so that each transaction that commits from now on is streamed with all its changes of them.
 *
 * The publication is looked up as it was at the place of a change, and what was found is kept until something of it changes. A transaction
 * that was open while the tables were added can have looked before; servers before 14.18, 15.13, 16.9 and 17.5 then keep "not published" for
 * those that follow too. So: wait until all that were open are over, and change the publication once more, which makes the server forget.
 */
export async function extendPublication(
  connect: Connect,
  clock: Clock,
  request: { readonly pipeline: string; readonly tables: readonly TableId[] },
  options: FenceOptions,
): Promise<void> {
  const publication = publicationName(request.pipeline);
  await alone(connect, publication, async (client) => {
    const missing = await missingOf(client, publication, request.tables);
    const names = missing.map((table) => {
      const { schema, name } = splitTableId(table);
      return `ONLY ${quoteIdent(schema)}.${quoteIdent(name)}`;
    });
    if (names.length > 0) await client.query(`ALTER PUBLICATION ${quoteIdent(publication)} ADD TABLE ${names.join(', ')}`);
  });
  await passFence(connect, clock, options);
  await alone(connect, publication, (client) =>
    client.query(`ALTER PUBLICATION ${quoteIdent(publication)} SET (publish = '${PUBLISHED_ACTIONS}')`),
  );
}

/** In a transaction that no other one of ours runs beside: the server refuses to alter a publication twice at once ("tuple concurrently updated"). */
async function alone(connect: Connect, publication: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  await withConnection(connect, 'extension', async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [publication]);
    await work(client);
    await client.query('COMMIT');
  });
}

const PUBLISHED = `SELECT COALESCE(json_agg(n.nspname || '.' || c.relname), '[]'::json)
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.pubname = $1`;

async function missingOf(client: Client, publication: string, tables: readonly TableId[]): Promise<readonly TableId[]> {
  const published = new Set(await queryJson<string[]>(client, PUBLISHED, [publication]));
  return tables.filter((table) => !published.has(table));
}
