import { setTimeout as pause } from 'node:timers/promises';
import { startPostgres } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { connect } from './connect.ts';
import { fillTable, SHOP } from './shop.ts';
import { startWriters } from './writers.ts';

test('writers change every table of the shop in every way, and end after their transaction', async () => {
  await using server = await startPostgres();
  const client = await connect(server.dsn());
  for (const table of SHOP) expect(await fillTable(client, table, 2000)).toBe(table.rows(2000));
  const writers = await startWriters(server.dsn(), 3, 2000);
  while (writers.written.transactions < 150) await pause(20);
  await writers.stop();
  expect([...writers.written.byTable.keys()].sort()).toEqual(SHOP.map(({ name }) => name).sort());
  const { rows } = await client.query<{ relname: string; kinds: boolean }>(
    `SELECT relname, (n_tup_ins > 0 OR relname = 'countries') AND n_tup_upd > 0 AND (n_tup_del > 0 OR relname = 'countries') AS kinds
     FROM (SELECT pg_stat_force_next_flush()) AS flushed, pg_stat_user_tables`,
  );
  expect(rows).toHaveLength(SHOP.length);
  expect(rows.filter(({ kinds }) => !kinds)).toEqual([]);
  await client.end();
});
