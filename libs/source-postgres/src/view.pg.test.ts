import { zstdDecompressSync } from 'node:zlib';
import type { SourceTable, SourceView } from '@nanosync/core';
import { AvroReader, readCell, readRowOrigin, rowOrigin } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Connect } from './connection.ts';
import { connectTo } from './connection.ts';
import { discoverTables } from './discovery.ts';
import { IdleConnections } from './idle-connections.ts';
import { pageRanges } from './partitioner.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { readRange, WHOLE } from './snapshot-reader.ts';
import { tableSize } from './table-size.ts';
import { realClock } from './test-context.ts';
import { openView } from './view.ts';

let server: PostgresServer;
let connect: Connect;
let connections: IdleConnections;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres({ settings: { autovacuum: 'off', idle_in_transaction_session_timeout: '300ms' } });
  connect = connectTo(server.dsn(), 'nanosync');
  connections = new IdleConnections(connect, realClock, 'snapshot');
  admin = await connect.open('test', { lockTimeoutMs: 0 });
});
afterAll(async () => {
  await connections[Symbol.asyncDispose]();
  await admin.end();
  await server.stop();
});

/** A table of 3000 rows on some pages, with as much room behind them as they take. */
async function makeTable(name: string): Promise<SourceTable> {
  await admin.query(`CREATE TABLE public.${name} (id int PRIMARY KEY, amount int NOT NULL, filler text)`);
  await admin.query(`INSERT INTO public.${name} SELECT i, 100, repeat('x', 40) FROM generate_series(1, 3000) AS i`);
  await admin.query(`VACUUM (ANALYZE) public.${name}`);
  return (await discoverTables(admin, connect, [`public.${name}`]))[0] as SourceTable;
}

async function read(table: SourceTable, range: string, view: SourceView): Promise<Map<number, number>> {
  const signal = new AbortController().signal;
  const rows = new Map<number, number>();
  const request = { table, range, targetBytes: 100_000, origin: rowOrigin(0, 'a'), signal, view: view.id };
  for await (const output of readRange(connections, connect, request)) {
    if (output.kind === 'rejected') throw new Error(output.row.reason);
    const reader = new AvroReader(zstdDecompressSync(output.block.block));
    for (let row = 0; row < output.block.rows; row++) {
      readRowOrigin(reader);
      const [id, amount] = table.schema.columns.map(({ type }) => readCell(reader, type));
      rows.set(Number(id), Number(amount));
    }
  }
  return rows;
}

/** Reads a table range by range, with something done between each two. */
async function readAll(table: SourceTable, view: SourceView, between: () => Promise<unknown>): Promise<Map<number, number>> {
  const rows = new Map<number, number>();
  for (const range of pageRanges(await tableSize(admin, 'public', table.schema.table.split('.')[1] as string), 400)) {
    for (const [id, amount] of await read(table, range, view)) rows.set(id, amount);
    await between();
  }
  return rows;
}

const sum = (rows: Map<number, number>) => [...rows.values()].reduce((total, amount) => total + amount, 0);

/** Moves rows of the last pages to the first ones, and amounts with them; their sum stays. */
async function moveRows(name: string): Promise<void> {
  await admin.query(`DELETE FROM public.${name} WHERE id <= 200 AND id % 2 = 1`);
  await admin.query(`VACUUM public.${name}`);
  await admin.query(`UPDATE public.${name} SET amount = amount + 1 WHERE id > 2700`);
}

test('every range shows the moment of the view, whatever rows move between two reads', async () => {
  const table = await makeTable('moving');
  await using view = await openView(connect);
  const rows = await readAll(table, view, () => moveRows('moving'));
  expect(rows.size).toBe(3000);
  expect(sum(rows)).toBe(300_000);
});

test('two tables read in one view are of one moment', async () => {
  const [a, b] = [await makeTable('pair_a'), await makeTable('pair_b')];
  await using view = await openView(connect);
  await admin.query('BEGIN; UPDATE public.pair_a SET amount = 0; UPDATE public.pair_b SET amount = 200; COMMIT');
  expect(sum(await read(a, '0:', view)) + sum(await read(b, '0:', view))).toBe(600_000);
});

test('a view outlasts the time after which the server ends idle transactions', async () => {
  const table = await makeTable('idle');
  await using view = await openView(connect);
  await expect
    .poll(
      async () =>
        (await admin.query("SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND now() - state_change > '600ms'"))
          .rowCount,
      {
        timeout: 10_000,
      },
    )
    .toBe(1);
  await view.check();
  expect((await read(table, '0:', view)).size).toBe(3000);
});

test('a range is refused once the view is gone, and its holder says so', async () => {
  const table = await makeTable('lost');
  const view = await openView(connect);
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nanosync view'");
  await expect.poll(() => view.check().catch(({ kind }: { kind: string }) => kind)).toBe('unavailable');
  // The server says that the session ends a moment before the snapshot goes.
  const refusal = () => read(table, '0:', view).then(String, ({ kind, message }: Error & { kind: string }) => `${kind}: ${message}`);
  await expect.poll(refusal).toMatch(/^table-changed: .* no longer holds/);
  await view[Symbol.asyncDispose]();
});

test('a snapshot of the same name that sees anything else is refused', async () => {
  const table = await makeTable('renamed');
  await using view = await openView(connect);
  await admin.query('UPDATE public.renamed SET amount = 1 WHERE id = 1');
  await using later = await openView(connect);
  const mixed = { ...view, id: `${later.id.split(' ')[0]} ${view.id.split(' ')[1]}` };
  await expect(read(table, '0:', mixed)).rejects.toMatchObject({ kind: 'table-changed' });
});

test.for([
  ['a rewrite', 'VACUUM (FULL) public.$', '0:'],
  ['a truncation', 'TRUNCATE public.$', '0:'],
  ['a truncation, for one read of all', 'TRUNCATE public.$', WHOLE],
  ['a rewrite by other values', 'ALTER TABLE public.$ ALTER amount TYPE bigint', WHOLE],
  ['a column under another name', 'ALTER TABLE public.$ RENAME amount TO total', '0:'],
  ['a table that is gone', 'DROP TABLE public.$', '0:'],
] as const)('%s after the view was opened is noticed: the catalog is not read in the view', async ([what, statement, range]) => {
  const name = `ddl_${what.replaceAll(/\W+/g, '_')}`;
  const table = await makeTable(name);
  await using view = await openView(connect);
  await admin.query(statement.replace('$', name));
  await expect(read(table, range, view)).rejects.toMatchObject({ kind: 'table-changed' });
});

test('nothing is asked of the server that only a slot needs', async () => {
  await using plain = await startPostgres({ settings: { wal_level: 'replica', max_replication_slots: '0', max_wal_senders: '0' } });
  const place = connectTo(plain.dsn(), 'nanosync');
  const client = await place.open('test');
  await client.query('CREATE TABLE public.t (id int PRIMARY KEY)');
  await client.end();
  expect(await checkPrerequisites(place, 'p', ['public.t'], { use: 'copy' })).toEqual([]);
  expect((await checkPrerequisites(place, 'p', ['public.t'], { use: 'follow' })).length).toBeGreaterThan(0);
});
