import { zstdDecompressSync } from 'node:zlib';
import type { Cell, QuerySource, RangeOutput } from '@nanosync/core';
import { AvroReader, isKind, readCell, readRowOrigin, rowOrigin } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Connect } from './connection.ts';
import { connectTo } from './connection.ts';
import { querySource } from './query-reader.ts';

let server: PostgresServer;
let connect: Connect;
let admin: Client;
let queries: QuerySource;
beforeAll(async () => {
  server = await startPostgres();
  connect = connectTo(server.dsn(), 'nanosync');
  admin = await connect.open('test', { lockTimeoutMs: 0 });
  queries = querySource(connect);
  await admin.query('CREATE TABLE public.orders (id int PRIMARY KEY, day date, total numeric(10,2), note text)');
  await admin.query("INSERT INTO public.orders SELECT i, '2026-01-01'::date + i % 3, i, 'secret-' || i FROM generate_series(1, 9) i");
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

const describe = async (statement: string) => queries.describe(statement);

async function read(statement: string, timeoutMs: number | null = null): Promise<readonly (readonly Cell[])[]> {
  const { columns, storage } = await describe(statement);
  const origin = rowOrigin(0, 'a');
  const rows: Cell[][] = [];
  const options = { targetBytes: 100_000, origin, signal: new AbortController().signal };
  for await (const output of queries.read({ statement, storage, timeoutMs }, options) as AsyncIterable<RangeOutput>) {
    if (output.kind === 'rejected') throw new Error(output.row.reason);
    const reader = new AvroReader(zstdDecompressSync(output.block.block));
    for (let row = 0; row < output.block.rows; row++) {
      readRowOrigin(reader);
      rows.push(columns.map(({ type }) => readCell(reader, type)));
    }
  }
  return rows;
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isKind(error, 'prerequisite', 'table-changed')) throw new Error(`no refusal: ${String(error)}`);
  return `${error.message} ${error.hint}`;
}

test('a query has the columns that PostgreSQL says, as the type map knows them, and is not run for that', async () => {
  const { columns } = await describe(
    'SELECT day, sum(total)::numeric(12,2) AS total, count(*) AS orders, ARRAY[1] AS list, sum(total) AS exact, pg_sleep(100) IS NULL AS slow FROM orders GROUP BY day -- by day',
  );
  expect(columns).toEqual([
    { name: 'day', type: { kind: 'date' } },
    { name: 'total', type: { kind: 'decimal', precision: 12, scale: 2 } },
    { name: 'orders', type: { kind: 'int64' } },
    { name: 'list', type: { kind: 'text' } },
    { name: 'exact', type: { kind: 'text' } },
    { name: 'slow', type: { kind: 'bool' } },
  ]);
});

test('reads the rows of a SELECT, a WITH, a VALUES and a TABLE, with a comment or a semicolon at its end', async () => {
  expect(await read('SELECT id, total, NULL AS nothing, ARRAY[id] AS list FROM orders WHERE id <= 2 ORDER BY id; ')).toEqual([
    [1, 100n, null, '{1}'],
    [2, 200n, null, '{2}'],
  ]);
  expect(await read('WITH few AS (SELECT id FROM orders WHERE id = 3) SELECT * FROM few -- ; three')).toEqual([[3]]);
  expect(await read("VALUES (1, 'a'), (2, 'b')")).toEqual([
    [1, 'a'],
    [2, 'b'],
  ]);
  expect(await read('TABLE orders')).toHaveLength(9);
  expect(await read('SELECT id FROM orders WHERE false')).toEqual([]);
});

test.each([
  ['no statement', 'SELEKT 1', '42601'],
  ['two statements', 'SELECT 1 AS a; SELECT 2 AS a', '42601'],
  ['what would end our own text', 'SELECT 1 AS a) TO STDOUT; COMMIT; DELETE FROM orders; COPY (SELECT 1 AS a', '42601'],
  ['a change', 'DELETE FROM orders', '42601'],
  ['a change that yields rows', 'DELETE FROM orders RETURNING id', '42601'],
  ['a change inside a query', 'WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone', '0A000'],
  ['what is no query', 'EXPLAIN SELECT 1', '42601'],
  ['a table that is not there', 'SELECT * FROM nowhere', '42P01'],
  ['parameters', 'SELECT $1::int AS a', 'parameters'],
  ['no column', 'SELECT FROM orders', 'no column'],
  ['a column without a name', 'SELECT 1', 'AS name'],
  ['two columns of one name', 'SELECT id, id FROM orders', 'Two columns of the query are named id. Give each a name of its own: AS name.'],
])('refuses %s', async (_, statement, says) => {
  expect(await refusalOf(describe(statement))).toContain(says);
  expect((await admin.query('SELECT count(*) AS n FROM public.orders')).rows[0]).toEqual({ n: '9' });
});

test('cannot change anything, also by a function that it calls', async () => {
  await admin.query(`CREATE FUNCTION public.spoil() RETURNS int LANGUAGE sql VOLATILE AS 'DELETE FROM public.orders RETURNING 1'`);
  expect(await refusalOf(read('SELECT spoil() AS one'))).toContain('may only read');
  expect(await refusalOf(read('SELECT id FROM orders FOR UPDATE'))).toContain('may only read');
  expect((await admin.query('SELECT count(*) AS n FROM public.orders')).rows[0]).toEqual({ n: '9' });
});

test('says no value of a row that PostgreSQL names in its message', async () => {
  const refused = await refusalOf(read('SELECT note::int AS note FROM orders'));
  expect(refused).toContain('22P02');
  expect(refused).not.toContain('secret');
});

test('gives up after the timeout, and says so', async () => {
  expect(await refusalOf(read('SELECT pg_sleep(10)::text AS slept', 100))).toContain('longer than 0.1 s');
});

test('does not read columns that are no longer those that were described', async () => {
  await admin.query('CREATE TABLE public.moving (a int)');
  const statement = 'SELECT * FROM moving';
  const { storage } = await describe(statement);
  await admin.query('ALTER TABLE public.moving ADD b int');
  const options = { targetBytes: 1000, origin: new Uint8Array(), signal: new AbortController().signal };
  const reading = queries.read({ statement, storage, timeoutMs: null }, options)[Symbol.asyncIterator]().next();
  expect(await refusalOf(reading)).toContain('columns of the query changed');
});
