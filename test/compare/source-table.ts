import pg from 'pg';
import { quoteName } from './canonical.ts';
import type { KeyedRows } from './merge.ts';

/** A column of the source with the name of its type. */
export interface SourceColumn {
  readonly name: string;
  readonly type: string;
}

/** Opens a connection whose text forms do not depend on the server's settings. */
export async function connectSource(dsn: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: dsn, types: { getTypeParser: () => (text: string) => text } as never });
  client.on('error', () => undefined); // Its queries fail; that is enough.
  await client.connect();
  const settings = [
    "TimeZone = 'UTC'",
    "DateStyle = 'ISO, YMD'",
    "IntervalStyle = 'postgres'",
    'extra_float_digits = 1',
    "bytea_output = 'hex'",
    'row_security = off',
  ];
  for (const setting of settings) await client.query(`SET ${setting}`);
  return client;
}

/** Columns, without generated ones (they are not in the change stream), and primary key of a table. */
export async function describeSource(
  client: pg.Client,
  table: string,
): Promise<{ readonly columns: readonly SourceColumn[]; readonly key: readonly string[] }> {
  const regclass = table.split('.').map(quoteName).join('.');
  const columns = await client.query<[string, string]>({
    text: `SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum`,
    values: [regclass],
    rowMode: 'array',
  });
  const key = await client.query<[string]>({
    text: `SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
           WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.place`,
    values: [regclass],
    rowMode: 'array',
  });
  return { columns: columns.rows.map(([name, type]) => ({ name, type })), key: key.rows.map(([name]) => name) };
}

/** Rows of a query, through a cursor, the next fetch under way while a batch is looked at. */
export async function* sourceRows(client: pg.Client, query: string, signal?: AbortSignal): KeyedRows {
  await client.query('BEGIN TRANSACTION READ ONLY');
  try {
    await client.query(`DECLARE compared NO SCROLL CURSOR FOR ${query}`);
    const fetch = () => client.query<string[]>({ text: 'FETCH 5000 FROM compared', rowMode: 'array' });
    let pending = fetch();
    for (;;) {
      signal?.throwIfAborted();
      const { rows } = await pending;
      if (rows.length === 0) break;
      pending = fetch();
      yield rows;
    }
  } finally {
    await client.query('ROLLBACK');
  }
}
