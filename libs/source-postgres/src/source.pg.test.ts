import type { Anchor, Source, SourceTable, TableId } from '@nanosync/core';
import { comparePositions } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo } from './connection.ts';
import { openPostgresSource } from './source.ts';
import { tableSize } from './table-size.ts';
import { quiet, realClock } from './test-context.ts';

let server: PostgresServer;
let source: Source;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres({ settings: { autovacuum: 'off' } });
  source = await openPostgresSource({ dsn: server.dsn(), applicationName: 'nanosync', log: quiet, clock: realClock });
  admin = await connectTo(server.dsn(), 'admin').open('test');
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await admin.end();
  await server.stop();
});

async function discover(name: string): Promise<SourceTable> {
  return (await source.discover([`public.${name}`]))[0] as SourceTable;
}

test('tables come back in the order asked for, with columns, key and an estimate', async () => {
  await admin.query(
    'CREATE TABLE public.b (id bigint PRIMARY KEY, total numeric(12,2)); CREATE TABLE public.a (x uuid, y date, PRIMARY KEY (y, x))',
  );
  await admin.query('INSERT INTO public.b SELECT i, i FROM generate_series(1, 1000) i; ANALYZE public.b');
  const [b, a] = await source.discover(['public.b', 'public.a']);
  expect(b?.schema).toEqual({
    table: 'public.b',
    columns: [
      { name: 'id', type: { kind: 'int64' } },
      { name: 'total', type: { kind: 'decimal', precision: 12, scale: 2 } },
    ],
    key: ['id'],
  });
  expect(b?.estimatedRows).toBe(1000);
  expect(a?.schema.key).toEqual(['y', 'x']);
  expect(a?.estimatedRows).toBe(0);
});

test.each([
  ['never analyzed', ''],
  ['analyzed when it was empty', 'ANALYZE public.$'],
])('a table %s is sized by a sample of its pages', async (label, before) => {
  const name = `sampled_${label.replaceAll(' ', '_')}`;
  await admin.query(`CREATE TABLE public.${name} (id int PRIMARY KEY, pad text DEFAULT repeat('p', 200))`);
  if (before !== '') await admin.query(before.replace('$', name));
  await admin.query(`INSERT INTO public.${name} SELECT i FROM generate_series(1, 20000) i`);
  const table = await discover(name);
  expect(table.estimatedRows).toBeGreaterThan(18_000);
  expect(table.estimatedRows).toBeLessThan(22_000);
  const ranges = await source.partition(table, { targetRows: 1000, whole: false });
  expect(ranges.length).toBeGreaterThan(17);
  expect(ranges.length).toBeLessThan(24);
});

test('an empty table is one open range, and so is a whole one', async () => {
  await admin.query('CREATE TABLE public.empty (id int PRIMARY KEY)');
  const table = await discover('empty');
  expect(await source.partition(table, { targetRows: 1000, whole: false })).toEqual(['0:']);
  expect(await source.partition(table, { targetRows: 1000, whole: true })).toEqual(['whole']);
});

test('the size of a table includes its out-of-line values', async () => {
  await admin.query(
    'CREATE TABLE public.toasted (id int PRIMARY KEY, body text); ALTER TABLE public.toasted ALTER body SET STORAGE EXTERNAL',
  );
  await admin.query("INSERT INTO public.toasted SELECT i, repeat('x', 1000000) FROM generate_series(1, 8) i; ANALYZE public.toasted");
  const size = await tableSize(admin, 'public', 'toasted');
  expect(size).toMatchObject({ pages: 1, rows: 8 });
  expect(size.bytes).toBeGreaterThan(8_000_000);
});

test('the order of the first start: anchor, fence, read, then the log goes on from L0', async () => {
  await admin.query(
    'CREATE TABLE public.ordered (id bigint PRIMARY KEY); INSERT INTO public.ordered SELECT i FROM generate_series(1, 1000) i',
  );
  const tables = ['public.ordered' as TableId];
  const anchor = await source.anchor('first', 'id', tables);
  await admin.query('INSERT INTO public.ordered VALUES (1001)');
  await source.verify('first', anchor, null);
  await source.fence({ signal: new AbortController().signal, onWait: () => {} });
  const table = await discover('ordered');
  let rows = 0;
  for (const range of await source.partition(table, { targetRows: 300, whole: false }))
    for await (const output of source.readRange(table, range, {
      targetBytes: 4096,
      origin: new Uint8Array(0),
      signal: new AbortController().signal,
    }))
      rows += output.kind === 'block' ? output.block.rows : 0;
  expect(rows).toBe(1001);
  await admin.query('INSERT INTO public.ordered VALUES (1002)');
  const end = await source.end();
  expect(comparePositions(end, anchor.l0)).toBe(1);
  expect(source.distance(anchor.l0, end)).toBeGreaterThan(0);
  // All that was committed since the anchor, whether the copy has it or not.
  expect(await insertedSince(anchor, table, 2)).toEqual([1001n, 1002n]);
  await source.release('first', async () => true);
  await expect(source.verify('first', anchor, null)).rejects.toMatchObject({ kind: 'gap' });
});

test('the publication is there before the slot: what is committed while both are being made is skipped by nobody', async () => {
  await admin.query('CREATE TABLE public.meanwhile (id bigint PRIMARY KEY)');
  const locker = await connectTo(server.dsn(), 'locker').open('test');
  // Whoever publishes a table waits for this lock, whoever writes it does not.
  await locker.query('BEGIN; LOCK TABLE public.meanwhile IN SHARE UPDATE EXCLUSIVE MODE');
  const anchoring = source.anchor('first', 'id', ['public.meanwhile' as TableId]);
  const publishing = "SELECT FROM pg_locks WHERE relation = 'public.meanwhile'::regclass AND NOT granted";
  for (let found = 0; found === 0; ) found = (await admin.query(publishing)).rowCount ?? 0;
  await admin.query('INSERT INTO public.meanwhile VALUES (1)');
  await locker.query('COMMIT');
  await locker.end();
  const anchor = await anchoring;
  await admin.query('INSERT INTO public.meanwhile VALUES (2)');
  // The first row lies below L0, where every read sees it.
  expect(await insertedSince(anchor, await discover('meanwhile'), 1)).toEqual([2n]);
  await source.release('first', async () => true);
});

/** The first keys that the log holds from the anchor on. */
async function insertedSince(anchor: Anchor, table: SourceTable, count: number): Promise<unknown[]> {
  const { signal } = new AbortController();
  const stream = { pipeline: 'first', anchor, from: anchor.l0, tables: [table], complete: () => false, signal };
  await using reader = await source.changes(stream);
  const keys: unknown[] = [];
  while (keys.length < count) for (const event of (await reader.next()) ?? []) if (event.kind === 'change') keys.push(event.after?.[0]);
  return keys;
}

test('an unreadable connection string is refused when the source is opened', async () => {
  const opening = openPostgresSource({ dsn: 'nonsense', applicationName: 'nanosync', log: quiet, clock: realClock });
  await expect(opening).rejects.toMatchObject({ kind: 'config' });
});
