import type { Source, SourceTable, TableId } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTo } from './connection.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';

let server: PostgresServer;
let source: Source;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres();
  source = await openPostgresSource({ dsn: server.dsn(), applicationName: 'nanosync', log: quiet, clock: realClock });
  admin = await connectTo(server.dsn(), 'admin').open('test');
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await admin.end();
  await server.stop();
});

async function anchored(table: string): Promise<{ readonly planned: SourceTable; readonly look: () => Promise<readonly string[]> }> {
  await admin.query(`CREATE TABLE public.${table} (id int PRIMARY KEY, n int NOT NULL, t text)`);
  const [planned] = await source.discover([`public.${table}`]);
  await source.anchor(table, 'a1', [`public.${table}` as TableId]);
  if (planned === undefined) throw new Error('not discovered');
  return { planned, look: async () => (await source.drift(table, [planned])).map(({ reason }) => reason) };
}

test('a table that was rewritten or truncated has not drifted', async () => {
  const { look } = await anchored('still');
  await admin.query('INSERT INTO public.still SELECT i, i FROM generate_series(1, 100) i');
  await admin.query('VACUUM FULL public.still');
  await admin.query('TRUNCATE public.still');
  expect(await look()).toEqual([]);
  await source.release('still', async () => true);
});

test.each([
  ['ALTER TABLE public.$ ADD COLUMN u uuid DEFAULT gen_random_uuid()', 'The columns of public.$ changed.'],
  ['ALTER TABLE public.$ ALTER COLUMN n TYPE bigint', 'The columns of public.$ changed.'],
  ['ALTER TABLE public.$ RENAME COLUMN t TO u', 'The columns of public.$ changed.'],
  ['DROP TABLE public.$', 'Table public.$ is gone.'],
  ['DROP TABLE public.$; CREATE TABLE public.$ (id int PRIMARY KEY, n int NOT NULL, t text)', 'Table public.$ was dropped and made again.'],
  ['ALTER TABLE public.$ REPLICA IDENTITY FULL', 'The replica identity of public.$ changed.'],
  ['ALTER TABLE public.$ DROP CONSTRAINT $_pkey; ALTER TABLE public.$ ADD PRIMARY KEY (n)', 'The key of public.$ changed.'],
  ['ALTER PUBLICATION nanosync_pub_$ DROP TABLE public.$', 'Table public.$ is no longer published as a whole.'],
  ["ALTER PUBLICATION nanosync_pub_$ SET (publish = 'insert')", 'Table public.$ is no longer published as a whole.'],
  ['ALTER PUBLICATION nanosync_pub_$ SET TABLE public.$ WHERE (id > 3)', 'Table public.$ is no longer published as a whole.'],
])('%s is drift', async (statement, reason) => {
  const name = `t${Math.abs(hash(statement))}`;
  const { look } = await anchored(name);
  expect(await look()).toEqual([]);
  await admin.query(statement.replaceAll('$', name));
  expect(await look()).toEqual([reason.replaceAll('$', name)]);
  await source.release(name, async () => true);
});

function hash(text: string): number {
  return [...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) | 0, 7);
}
