import type { Row, Source, SourceTable } from '@nanosync/core';
import { keyIndexes } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo, withConnection } from './connection.ts';
import { rowsOf } from './rows-fixture.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';

let server: PostgresServer;
let source: Source;
const signal = new AbortController().signal;
const run = (sql: string) => withConnection(connectTo(server.dsn(), 'test'), 'setup', (client) => client.query(sql));
const discover = async (table: string) => (await source.discover([table]))[0] as SourceTable;

beforeAll(async () => {
  server = await startPostgres();
  source = await openPostgresSource({ dsn: server.dsn(), applicationName: 'nanosync', log: quiet, clock: realClock });
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await server.stop();
});

test('gives the rows of the keys in their order, undefined where there is none', async () => {
  await run("CREATE TABLE public.plain (id int PRIMARY KEY, word text); INSERT INTO public.plain VALUES (1, 'one'), (2, NULL)");
  const rows = await source.readRows(await discover('public.plain'), [[2], [3], [1]], signal);
  expect(rows.map((row) => row?.cells)).toEqual([[2, null], undefined, [1, 'one']]);
  expect(await source.readRows(await discover('public.plain'), [], signal)).toEqual([]);
});

/** Rows as they can be compared: drivers have classes of their own for bytes. */
const plain = (rows: readonly Row[]) =>
  rows.map((row) => row.map((cell) => (cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : cell)));

/** Keys of each kind that are hard to write down. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  int8: ["'-9223372036854775808'"],
  'numeric(38,7)': ["'-1234567890123456789012345678901.1234567'", "'0'"],
  numeric: ["'1.10'", "'NaN'"],
  float8: ["'-0'", "'NaN'", "'-Infinity'", "'5e-324'", "'0.1'"],
  text: ["''", "E'a\\nb''c\\\\d'", '\'{"x"}\''],
  'char(5)': ["'ab'"],
  bytea: ["'\\x00ff'", "''"],
  uuid: ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
  date: ["'0044-03-15 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'"],
  time: ["'24:00'", "'23:59:59.999999'"],
  timestamp: ["'4713-01-01 BC'", "'294246-12-31 23:59:59.999999'", "'infinity'"],
  timestamptz: ["'2024-02-29 12:34:56.789012+02'", "'-infinity'", "'0001-01-01 00:00:00+00 BC'"],
  inet: ["'10.0.0.1'"],
  bool: ["'t'"],
};

test.each(Object.entries(KEYS))('finds rows by keys of %s', async (type, values) => {
  const table = `public.k_${type.replace(/\W/g, '_')}`;
  await run(`CREATE TABLE ${table} (word text, k ${type}, part int, PRIMARY KEY (k, part));
    INSERT INTO ${table} VALUES ${values.map((value, index) => `('row ${index}', ${value}, ${index})`).join(', ')}`);
  const found = await discover(table);
  const keys: Row[] = [];
  const words = values.map((_, index) => `row ${index}`);
  const cells = await rowsOf(source, found);
  for (const row of cells) keys.push(keyIndexes(found.schema).map((at) => row[at] ?? null));
  const again = await source.readRows(found, keys, signal);
  expect(plain(again.map((row) => row?.cells ?? []))).toEqual(plain(cells));
  expect(cells.map((row) => row[0]).sort()).toEqual(words);
});

test('a version stays while the row is not written, and is another one afterwards, whatever was written', async () => {
  await run("CREATE TABLE public.versions (id int PRIMARY KEY, word text); INSERT INTO public.versions VALUES (1, 'a')");
  const table = await discover('public.versions');
  const version = async () => (await source.readRows(table, [[1]], signal))[0]?.version;
  const first = await version();
  await run('SELECT * FROM public.versions FOR UPDATE');
  await run('VACUUM FREEZE public.versions');
  expect(await version()).toBe(first);
  const seen = new Set([first]);
  for (const word of ['b', 'a', 'a']) {
    await run(`UPDATE public.versions SET word = '${word}'`);
    seen.add(await version());
    await run('VACUUM public.versions');
  }
  for (const sql of ['DELETE FROM public.versions', 'VACUUM public.versions', "INSERT INTO public.versions VALUES (1, 'a')"])
    await run(sql);
  seen.add(await version());
  expect(seen.size).toBe(5);
});

test('columns that are kept back are read as the snapshot reads them', async () => {
  await run("CREATE TABLE public.people (id int PRIMARY KEY, mail text, phone text); INSERT INTO public.people VALUES (1, 'a@b', '123')");
  const [table] = await source.discover(['public.people'], { 'public.people': { exclude: ['phone'], hash: ['mail'] } });
  const [row] = await source.readRows(table as SourceTable, [[1]], signal);
  expect(row?.cells).toEqual((await rowsOf(source, table as SourceTable))[0]);
  expect(row?.cells[1]).toMatch(/^[0-9a-f]{64}$/);
});

test('another shape of the table is said', async () => {
  await run('CREATE TABLE public.shaped (id int PRIMARY KEY, word text)');
  const table = await discover('public.shaped');
  await run('ALTER TABLE public.shaped ALTER COLUMN word TYPE varchar(10)');
  await expect(source.readRows(table, [[1]], signal)).rejects.toMatchObject({ kind: 'table-changed' });
  await run('DROP TABLE public.shaped');
  await expect(source.readRows(table, [[1]], signal)).rejects.toMatchObject({ kind: 'table-changed' });
});
