import type { TableId } from '@nanosync/core';
import { PipelineError, splitTableId } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { queryJson, quoteIdent, withConnection } from './connection.ts';
import { codeOf } from './postgres-error.ts';

/** What a publication of ours publishes: everything, and leaves under their own names. */
const OPTIONS = "publish = 'insert, update, delete, truncate', publish_via_partition_root = false";

/**
 * Makes the publication if there is none, and else brings it to our options and adds the tables that it lacks or has only in part. It takes no
 * table out: who calls may be late, and a table that another one added is in a stream by now.
 */
export async function publishTables(connect: Connect, publication: string, tables: readonly TableId[]): Promise<void> {
  await alone(connect, publication, async (client) => {
    const found = await factsOf(client, publication);
    if (found === null)
      return void (await client.query(`CREATE PUBLICATION ${quoteIdent(publication)} FOR TABLE ${only(tables)} WITH (${OPTIONS})`));
    if (found.all) throw allTables(publication);
    if (!found.options) await setOptions(client, publication);
    await addMissing(client, publication, tables, found);
  });
}

/** Adds tables to the publication, which is there. Throws `conflict` when a table stays locked: that says nothing of the others. */
export async function addTables(connect: Connect, publication: string, tables: readonly TableId[]): Promise<void> {
  await unlessLocked(() =>
    alone(connect, publication, async (client) =>
      addMissing(client, publication, tables, (await factsOf(client, publication)) ?? { whole: [], partly: [] }),
    ),
  );
}

/** Takes tables out of the publication. `still` is asked while the lock on it is held, so nobody can have added them since. */
export async function withdrawTables(
  connect: Connect,
  publication: string,
  tables: readonly TableId[],
  still: () => Promise<boolean>,
): Promise<void> {
  await unlessLocked(() =>
    alone(connect, publication, async (client) => {
      const { whole, partly }: PublishedTables = (await factsOf(client, publication)) ?? { whole: [], partly: [] };
      const there = tables.filter((table) => whole.includes(table) || partly.includes(table));
      if (there.length === 0) return;
      await client.query(`ALTER PUBLICATION ${quoteIdent(publication)} DROP TABLE ${only(there)}`);
      if (!(await still())) throw new PipelineError('conflict', `${there.join(', ')} is followed again meanwhile.`); // Nothing is committed.
    }),
  );
}

/** Drops the publication, if there is one. `still` is asked while nobody else can make it or change it. */
export async function dropPublication(connect: Connect, publication: string, still: () => Promise<boolean>): Promise<void> {
  await alone(connect, publication, async (client) => {
    if ((await factsOf(client, publication)) === null) return;
    await client.query(`DROP PUBLICATION ${quoteIdent(publication)}`);
    if (!(await still())) throw new PipelineError('conflict', `Publication ${publication} is wanted again meanwhile.`); // Nothing is committed.
  });
}

async function unlessLocked(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof PipelineError) || codeOf(error.cause) !== '55P03') throw error;
    const { message, hint = 'Wait.', cause } = error;
    throw new PipelineError('conflict', message, { hint, cause });
  }
}

/** Changes the publication to what it is, which makes every stream look its tables up again. */
export async function touchPublication(connect: Connect, publication: string): Promise<void> {
  await alone(connect, publication, (client) => setOptions(client, publication));
}

/** In a transaction that no other one of ours runs beside: the server refuses to alter a publication twice at once ("tuple concurrently updated"). */
async function alone(connect: Connect, publication: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  await withConnection(connect, 'publication', async (client) => {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [publication]);
    await work(client);
    await client.query('COMMIT');
  });
}

interface PublishedTables {
  readonly whole: readonly string[];
  /** With a row filter or a column list. */
  readonly partly: readonly string[];
}

interface PublicationFacts extends PublishedTables {
  readonly all: boolean;
  readonly options: boolean;
}

// By way of JSON because older servers have no filters and lists.
const FACTS = `SELECT COALESCE((SELECT json_build_object('all', p.puballtables,
  'options', p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT p.pubviaroot,
  'whole', COALESCE((SELECT json_agg(t.name) FROM tables t WHERE t.whole), '[]'),
  'partly', COALESCE((SELECT json_agg(t.name) FROM tables t WHERE NOT t.whole), '[]'))
  FROM pg_publication p WHERE p.pubname = $1), 'null'::json)`;
const TABLES = `SELECT n.nspname || '.' || c.relname AS name, to_jsonb(r) ->> 'prqual' IS NULL AND to_jsonb(r) ->> 'prattrs' IS NULL AS whole
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE p.pubname = $1`;

function factsOf(client: Client, publication: string): Promise<PublicationFacts | null> {
  return queryJson<PublicationFacts | null>(client, `WITH tables AS (${TABLES}) ${FACTS}`, [publication]);
}

async function addMissing(
  client: Client,
  publication: string,
  tables: readonly TableId[],
  { whole, partly }: PublishedTables,
): Promise<void> {
  const missing = tables.filter((table) => !whole.includes(table));
  const again = missing.filter((table) => partly.includes(table));
  if (again.length > 0) await client.query(`ALTER PUBLICATION ${quoteIdent(publication)} DROP TABLE ${only(again)}`);
  if (missing.length > 0) await client.query(`ALTER PUBLICATION ${quoteIdent(publication)} ADD TABLE ${only(missing)}`);
}

async function setOptions(client: Client, publication: string): Promise<void> {
  await client.query(`ALTER PUBLICATION ${quoteIdent(publication)} SET (${OPTIONS})`);
}

function only(tables: readonly TableId[]): string {
  const names = tables.map((table) => {
    const { schema, name } = splitTableId(table);
    return `ONLY ${quoteIdent(schema)}.${quoteIdent(name)}`;
  });
  return names.join(', ');
}

function allTables(publication: string): PipelineError {
  return new PipelineError('prerequisite', `Publication ${publication} is FOR ALL TABLES, so no table can be added to it.`, {
    hint: `Run: DROP PUBLICATION ${quoteIdent(publication)};`,
  });
}
