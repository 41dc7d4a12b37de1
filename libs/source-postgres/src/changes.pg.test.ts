import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureOf } from './changes-fixture.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

test('inserts, updates and deletes arrive in commit order with their positions', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY, a text)', ['t']);
  await capture.sql("INSERT INTO t VALUES (1, 'x'), (2, NULL)");
  await capture.sql("BEGIN; UPDATE t SET a = 'y' WHERE id = 1; DELETE FROM t WHERE id = 2; COMMIT");
  const reader = await capture.open();
  const events = await capture.commits(reader, 2);
  expect(events.map((e) => (e.kind === 'change' ? [e.op, e.before, e.after] : e.kind))).toEqual([
    ['c', null, [1, 'x']],
    ['c', null, [2, null]],
    'commit',
    ['u', null, [1, 'y']],
    ['d', [2, null], null],
    'commit',
  ]);
});
