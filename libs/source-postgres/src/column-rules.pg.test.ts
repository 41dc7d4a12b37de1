import { createHmac } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import type { Cell, Row, Source, SourceEvent, SourceTable, TableColumnRules, TableId } from '@nanosync/core';
import { AvroReader, readCell } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTo, withConnection } from './connection.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';

const HASH_KEY = 'a key that nobody guesses';
const hashed = (text: string) => createHmac('sha256', HASH_KEY).update(text).digest('hex');

let server: PostgresServer;
let source: Source;
beforeAll(async () => {
  server = await startPostgres();
  source = await openSource(HASH_KEY);
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await server.stop();
});

function openSource(hashKey: string): Promise<Source> {
  return openPostgresSource({ dsn: server.dsn(), hashKey, applicationName: 'nanosync', log: quiet, clock: realClock });
}

const sql = (text: string) => withConnection(connectTo(server.dsn(), 'test'), 'sql', (client) => client.query(text));

/** Bytes of the rows as the bus gets them, decoded and as they are. */
async function snapshot(
  table: SourceTable,
  by = source,
): Promise<{ readonly rows: Row[]; readonly bytes: Buffer; readonly rejected: number }> {
  const rows: Row[] = [];
  const bytes: Uint8Array[] = [];
  let rejected = 0;
  const options = { targetBytes: 4096, origin: new Uint8Array(0), signal: new AbortController().signal };
  for await (const output of by.readRange(table, '0:', options)) {
    if (output.kind === 'rejected') {
      rejected++;
      bytes.push(output.row.payload);
      continue;
    }
    const block = zstdDecompressSync(output.block.block);
    bytes.push(block);
    const reader = new AvroReader(block);
    while (!reader.done) rows.push(table.schema.columns.map((column) => readCell(reader, column.type)));
  }
  return { rows, bytes: Buffer.concat(bytes), rejected };
}

/** The events of the stream up to the first that has this key. */
async function streamed(table: SourceTable, anchor: Awaited<ReturnType<Source['anchor']>>, last: number): Promise<SourceEvent[]> {
  const ending = new AbortController();
  const { schema, storage } = table;
  const tables = [{ schema, storage }];
  const options = { pipeline: 'rules', anchor, from: anchor.l0, tables, complete: () => true, signal: ending.signal };
  await using reader = await source.changes(options);
  const events: SourceEvent[] = [];
  for (;;)
    for (const event of (await reader.next()) ?? []) {
      if (event.kind === 'change' && event.after?.includes(last)) {
        ending.abort();
        return events;
      }
      events.push(event);
    }
}

const RULES = { exclude: ['secret', 'big_secret'], hash: ['email', 'phone', 'big_email'] };
const COLUMNS = `secret text, id int PRIMARY KEY, email text, phone bigint, big_secret text, big_email text, amount numeric(10,2), note text`;
/** A text that PostgreSQL stores outside of the row. */
const large = (mark: string) => `(SELECT string_agg('${mark}' || md5(n::text), '') FROM generate_series(1, 200) n)`;

describe.each(['DEFAULT', 'FULL'])('columns that are kept back, REPLICA IDENTITY %s', (identity) => {
  it('are in neither rows nor changes, and hashes are the same in both', async () => {
    const name = `public.people_${identity.toLowerCase()}`;
    const columns: TableColumnRules = { [name]: RULES };
    await sql(`CREATE TABLE ${name} (${COLUMNS})`);
    await sql(
      `ALTER TABLE ${name} ALTER big_secret SET STORAGE EXTERNAL, ALTER big_email SET STORAGE EXTERNAL, REPLICA IDENTITY ${identity}`,
    );
    expect(await source.check('rules', [name], { columns })).toEqual([]);
    const anchor = await source.anchor('rules', identity.toLowerCase(), [name as TableId]);
    await sql(`INSERT INTO ${name} VALUES
      ('planted-1', 1, 'planted@one', 4711, ${large('planted')}, ${large('planted')}, 1.10, 'n'), ('planted-2', 2, NULL, NULL, NULL, NULL, NULL, NULL)`);
    await sql(`UPDATE ${name} SET note = 'changed', secret = 'planted-3' WHERE id = 1`);
    await sql(`UPDATE ${name} SET id = 3 WHERE id = 1`);
    await sql(`DELETE FROM ${name} WHERE id = 2`);
    await sql(`INSERT INTO ${name} VALUES ('planted-4', 4, 'planted@four', 0, NULL, NULL, 'NaN', NULL)`);
    await sql(`INSERT INTO ${name} (id) VALUES (99)`);
    const [table] = (await source.discover([name], columns)) as [SourceTable];
    expect(table.schema.columns.map((column) => column.name)).toEqual(['id', 'email', 'phone', 'big_email', 'amount', 'note']);
    const events = await streamed(table, anchor, 99);
    const { rows, bytes, rejected } = await snapshot(table);

    const { rows: found } = await sql(`SELECT big_email FROM ${name} WHERE id = 3`);
    const person = [3, hashed('planted@one'), hashed('4711'), hashed(found[0].big_email), 110n, 'changed'];
    expect(rows).toEqual([person, [99, null, null, null, null, null]]);
    const changes = events.filter((event) => event.kind === 'change');
    expect(changes.map(({ op }) => op)).toEqual(['c', 'c', 'u', 'd', 'c', 'd']);
    expect(changes[4]?.after).toEqual(person);
    // A value that the column cannot hold: the row is put aside, and not as the source sent it.
    expect([rejected, events.filter((event) => event.kind === 'rejected').length]).toEqual([1, 1]);
    const everything = JSON.stringify(events, (_, value: Cell) => (typeof value === 'bigint' ? String(value) : value));
    expect(everything + bytes.toString('latin1')).not.toMatch(/planted|4711/);
    expect(Buffer.concat(events.flatMap((event) => (event.kind === 'rejected' ? [event.payload] : []))).length).toBe(0);
    await source.release('rules', async () => true);
  });
});

it.each<[string, { exclude?: string[]; hash?: string[] }, RegExp]>([
  ['a key column excluded', { exclude: ['id'] }, /Column id is part of the key/],
  ['a key column hashed', { hash: ['id'] }, /Column id is part of the key/],
  ['a column that is not there', { hash: ['emial'] }, /no column emial/],
])('refuses %s with one sentence, from check and from discover', async (_, { exclude = [], hash = [] }, what) => {
  await sql('CREATE TABLE IF NOT EXISTS public.ruled (id int PRIMARY KEY, email text)');
  const columns = { 'public.ruled': { exclude, hash } };
  expect(await source.check('rules', ['public.ruled'], { columns })).toEqual([
    { what: expect.stringMatching(what), cure: expect.any(String) },
  ]);
  await expect(source.discover(['public.ruled'], columns)).rejects.toMatchObject({ kind: 'config', message: expect.stringMatching(what) });
});

it('reads nothing on under another hash key than the table was planned with', async () => {
  await sql('CREATE TABLE public.keyed (id int PRIMARY KEY, email text)');
  const columns = { 'public.keyed': { exclude: [], hash: ['email'] } };
  const anchor = await source.anchor('keyed', 'a', ['public.keyed' as TableId]);
  const [table] = (await source.discover(['public.keyed'], columns)) as [SourceTable];
  await using other = await openSource('another key');
  const another = { kind: 'table-changed', message: expect.stringMatching(/hash_key/) };
  await expect(snapshot(table, other)).rejects.toMatchObject(another);
  expect(await source.drift('keyed', [table])).toEqual([]);
  expect(await other.drift('keyed', [table])).toEqual([{ table: 'public.keyed', reason: expect.stringMatching(/hash_key/) }]);
  const options = {
    pipeline: 'keyed',
    anchor,
    from: anchor.l0,
    tables: [table],
    complete: () => true,
    signal: new AbortController().signal,
  };
  await expect(other.changes(options)).rejects.toMatchObject(another);
  await source.release('keyed', async () => true);
});
