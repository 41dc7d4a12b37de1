import type { SourceEvent } from '@nanosync/core';
import { comparePositions, UNCHANGED } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureOf, nextOf, publicTable } from './changes-fixture.ts';
import { indexOf, lsnOf } from './position.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ settings: { max_replication_slots: '40' } });
});
afterAll(() => server.stop());

/** What an event says, without its place. */
function plain(event: SourceEvent): unknown {
  if (event.kind === 'change')
    return [event.keyChange ? `${event.op} of a key change` : event.op, event.table.slice(7), event.before, event.after];
  return 'table' in event ? [event.kind, event.table.slice(7)] : event.kind;
}

test('inserts, updates and deletes arrive in commit order, counted whatever becomes of them', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE other (id int PRIMARY KEY)', [
    't',
    'other',
  ]);
  await capture.sql("INSERT INTO t VALUES (1, 'x'), (2, NULL)");
  await capture.sql(`BEGIN; INSERT INTO other VALUES (1); SELECT pg_logical_emit_message(true, 'theirs', 'x');
    SELECT pg_logical_emit_message(false, 'theirs', 'x'); UPDATE t SET a = 'y' WHERE id = 1; TRUNCATE other; DELETE FROM t WHERE id = 2; COMMIT`);
  const reader = await capture.open({ tables: capture.tables.slice(0, 1) });
  const events = await capture.all(reader);
  expect(events.map(plain)).toEqual([
    ['c', 't', null, [1, 'x']],
    ['c', 't', null, [2, null]],
    'commit',
    ['u', 't', null, [1, 'y']],
    ['d', 't', [2, null], null],
    'commit',
  ]);
  expect(events.map((event) => Number(indexOf(event.position)))).toEqual([5, 9, 10, 9, 13, 14]);
  const [first, second] = events.filter((event) => event.kind === 'commit');
  expect(lsnOf(second!.acknowledge)).toBeGreaterThan(lsnOf(first!.acknowledge));
  expect(new Set(events.slice(3).map((event) => lsnOf(event.position)))).toEqual(new Set([lsnOf(second!.acknowledge)]));
  expect(indexOf(second!.acknowledge)).toBe(0n);
  expect(events[0]).toMatchObject({ txId: Number(await capture.cell('SELECT xmin FROM t WHERE id = 1')) - 1 });
});

test('a second reader from the same place gives the same events and positions', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY, a text)', ['t']);
  await capture.sql('INSERT INTO t SELECT g FROM generate_series(1, 50) g');
  await capture.sql('UPDATE t SET id = id + 100');
  const first = await capture.open();
  const events = await capture.all(first);
  await first[Symbol.asyncDispose]();
  expect(await capture.all(await capture.open())).toEqual(events);
});

test('a change of the key is a delete and an insert, whatever identifies a row', async () => {
  const setup = `CREATE TABLE a (id int PRIMARY KEY, v text);
    CREATE TABLE b (id int PRIMARY KEY, email text NOT NULL UNIQUE, v text); ALTER TABLE b REPLICA IDENTITY USING INDEX b_email_key;
    CREATE TABLE c (id numeric(10,2) PRIMARY KEY, v text); ALTER TABLE c REPLICA IDENTITY FULL`;
  await using capture = await captureOf(server, setup, ['a', 'b', 'c']);
  await capture.sql("INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 'e', 'x'); INSERT INTO c VALUES (1, 'x')");
  await capture.sql('UPDATE a SET id = 2');
  await capture.sql("UPDATE b SET id = 2; UPDATE b SET email = 'f'");
  await capture.sql("UPDATE c SET v = 'y'; UPDATE c SET id = 1.00; UPDATE c SET id = 2");
  await capture.sql('DELETE FROM c');
  const events = await capture.all(await capture.open());
  expect(events.filter((event) => event.kind !== 'commit').map(plain)).toEqual([
    ['c', 'a', null, [1, 'x']],
    ['c', 'b', null, [1, 'e', 'x']],
    ['c', 'c', null, [100n, 'x']],
    ['d of a key change', 'a', [1, null], null],
    ['c of a key change', 'a', null, [2, 'x']],
    ['u', 'b', null, [2, 'e', 'x']],
    ['d of a key change', 'b', [null, 'e', null], null],
    ['c of a key change', 'b', null, [2, 'f', 'x']],
    ['u', 'c', [100n, 'x'], [100n, 'y']],
    ['u', 'c', [100n, 'y'], [100n, 'y']],
    ['d of a key change', 'c', [100n, 'y'], null],
    ['c of a key change', 'c', null, [200n, 'y']],
    ['d', 'c', [200n, 'y'], null],
  ]);
  const [before, after] = events.filter((event) => event.kind === 'change' && event.keyChange);
  expect(indexOf(before!.position)).toBe(5n);
  expect(indexOf(after!.position)).toBe(6n);
});

test('large text that an update leaves alone is unchanged, or filled from a full old row', async () => {
  const setup = `CREATE TABLE a (id int PRIMARY KEY, n int, v text); ALTER TABLE a ALTER v SET STORAGE EXTERNAL;
    CREATE TABLE f (id int PRIMARY KEY, n int, v text); ALTER TABLE f ALTER v SET STORAGE EXTERNAL; ALTER TABLE f REPLICA IDENTITY FULL;
    CREATE TABLE k (id text PRIMARY KEY, n int); ALTER TABLE k ALTER id SET STORAGE EXTERNAL`;
  await using capture = await captureOf(server, setup, ['a', 'f', 'k']);
  const large = 'x'.repeat(10_000);
  const key = 'k'.repeat(2_200);
  await capture.sql(`INSERT INTO a VALUES (1, 1, '${large}'); INSERT INTO f VALUES (1, 1, '${large}'); INSERT INTO k VALUES ('${key}', 1)`);
  await capture.sql('BEGIN; UPDATE a SET n = 2; UPDATE f SET n = 2; UPDATE k SET n = 2; COMMIT');
  const events = (await capture.all(await capture.open())).slice(-4, -1);
  expect(events.map(plain)).toEqual([
    ['u', 'a', null, [1, 2, UNCHANGED]],
    ['u', 'f', [1, 1, large], [1, 2, large]],
    // The large key is left out of the new row, and then the log repeats it as the old key.
    ['u', 'k', [key, null], [key, 2]],
  ]);
});

test('a truncation of several tables is one event for each that was asked for, at one position', async () => {
  const setup = 'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)';
  await using capture = await captureOf(server, setup, ['a', 'b', 'c']);
  await capture.sql('TRUNCATE a, b, c');
  const events = await capture.all(await capture.open({ tables: capture.tables.slice(0, 2) }));
  expect(events.slice(0, -1).map(plain)).toEqual([
    ['truncate', 'a'],
    ['truncate', 'b'],
  ]);
  expect(events[0]?.position).toBe(events[1]?.position);
});

test.each([
  ['ALTER TABLE t ADD COLUMN b int', /b was added/],
  ['ALTER TABLE t DROP COLUMN a', /a was dropped/],
  ['ALTER TABLE t RENAME COLUMN a TO b', /a was dropped, renamed/],
  ['ALTER TABLE t ALTER a TYPE varchar(20)', /type of column a/],
  ['ALTER TABLE t ALTER n TYPE numeric(12,3)', /type of column n/],
  ['ALTER TABLE t REPLICA IDENTITY FULL', /from DEFAULT to FULL/],
  ['ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id, n)', /column n became part of the key/],
  ['ALTER TABLE t RENAME TO u', /renamed to public.u/],
])('after %s the table has a schema event and no more changes', async (statement, reason) => {
  const setup = 'CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2) NOT NULL, a text); CREATE TABLE other (id int PRIMARY KEY)';
  await using capture = await captureOf(server, setup, ['t', 'other']);
  await capture.sql('INSERT INTO t VALUES (1, 1)');
  await capture.sql(statement);
  const name = statement.includes('TO u') ? 'u' : 't';
  await capture.sql(`BEGIN; INSERT INTO other VALUES (1); INSERT INTO ${name} VALUES (2, 1); INSERT INTO ${name} VALUES (3, 1);
    INSERT INTO other VALUES (2); COMMIT`);
  await capture.sql(`INSERT INTO ${name} VALUES (4, 1); TRUNCATE ${name}`);
  const events = await capture.all(await capture.open());
  expect(events.map(plain)).toEqual([
    ['c', 't', null, [1, 100n, null]],
    'commit',
    ['c', 'other', null, [1]],
    ['schema', 't'],
    ['c', 'other', null, [2]],
    'commit',
    'commit',
  ]);
  expect(events[3]).toMatchObject({ reason: expect.stringMatching(reason) });
  expect(events.slice(2, 5).map((event) => Number(indexOf(event.position)))).toEqual([5, 8, 17]);
});

test('what leaves the columns alone is no schema event', async () => {
  await using capture = await captureOf(
    server,
    'CREATE TABLE t (id int PRIMARY KEY, a text, g int GENERATED ALWAYS AS (id * 2) STORED, gone int); ALTER TABLE t DROP COLUMN gone',
    ['t'],
  );
  await capture.sql("INSERT INTO t VALUES (1, 'x')");
  await capture.sql('ALTER TABLE t ALTER a SET STORAGE EXTERNAL; ALTER TABLE t ADD CHECK (id > 0); CREATE INDEX ON t (a); ANALYZE t');
  await capture.sql("INSERT INTO t VALUES (2, 'y')");
  const events = await capture.all(await capture.open());
  expect(events.filter((event) => event.kind !== 'commit').map(plain)).toEqual([
    ['c', 't', null, [1, 'x']],
    ['c', 't', null, [2, 'y']],
  ]);
});

test('a table that was dropped and made again is not taken for the planned one', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY)', ['t']);
  const reader = await capture.open();
  await capture.sql('DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)');
  await capture.sql('ALTER PUBLICATION nanosync_pub_p ADD TABLE t');
  await capture.sql('INSERT INTO t VALUES (1)');
  expect((await capture.all(reader)).map(plain)).toEqual([['schema', 't'], 'commit']);
});

test('rows that cannot be held are rejected with their bytes and leave the others alone', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2), at timestamp)', ['t']);
  await capture.sql("INSERT INTO t VALUES (1, 'NaN', now()), (2, 1, 'infinity'), (3, 1, '294276-12-31')");
  await capture.sql("UPDATE t SET n = 'NaN', id = 4 WHERE id = 2");
  const events = await capture.all(await capture.open());
  expect(events.map(plain)).toMatchObject([
    ['rejected', 't'],
    ['c', 't', null, [2, 100n, 9_223_372_036_854_775_807n]],
    ['rejected', 't'],
    'commit',
    ['rejected', 't'],
    'commit',
  ]);
  expect(events[0]).toMatchObject({ reason: 'column n: a numeric that is no finite number' });
  expect(Buffer.from((events[0] as { payload: Uint8Array }).payload).toString('latin1')).toContain('NaN');
  expect(events[2]).toMatchObject({ reason: expect.stringMatching(/^column at: /) });
});

test('values are parsed alike whatever role and database are set to print', async () => {
  const setup = `CREATE TABLE t (id int PRIMARY KEY, at timestamptz, d date, b bytea, f float8, i interval);
    ALTER ROLE postgres SET datestyle = 'SQL, DMY'; ALTER ROLE postgres SET timezone = 'Asia/Kolkata'; ALTER ROLE postgres SET bytea_output = 'escape';
    ALTER ROLE postgres SET extra_float_digits = -5; ALTER ROLE postgres SET intervalstyle = 'iso_8601'`;
  await using capture = await captureOf(server, setup, ['t']);
  await capture.sql(
    "INSERT INTO t VALUES (1, '2024-02-29 12:00:00.123456+00', '2024-02-29', '\\x00ff', 0.1::float8 + 0.2::float8, '1 day')",
  );
  const [event] = await capture.all(await capture.open());
  await capture.sql('ALTER ROLE postgres RESET ALL');
  expect(event).toMatchObject({ after: [1, 1_709_208_000_123_456n, 19_782, Buffer.from([0, 255]), 0.1 + 0.2, '1 day'] });
});

test('markers of this pipeline are events, all other messages are not', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY)', ['t']);
  const marker = { kind: 'generation', pipeline: 'p', table: publicTable('t'), epoch: 'e' } as const;
  await capture.mark(marker);
  await capture.mark({ kind: 'watermark', pipeline: 'someone else' });
  await capture.sql("SELECT pg_logical_emit_message(true, 'nanosync', 'nonsense'), pg_logical_emit_message(false, 'nanosync', '{}')");
  const later = { kind: 'watermark', pipeline: 'p' } as const;
  await capture.mark(later);
  const events = await capture.all(await capture.open());
  expect(events.filter((event) => event.kind !== 'commit')).toMatchObject([
    { kind: 'marker', marker },
    { kind: 'marker', marker: later },
  ]);
  expect(indexOf(events[0]!.position)).toBe(5n);
});

test('what follows a marker is decoded only after the marker was delivered', async () => {
  await using capture = await captureOf(
    server,
    'CREATE TABLE t (id int PRIMARY KEY, n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL',
    ['t'],
  );
  await capture.sql("INSERT INTO t VALUES (1, 1, repeat('x', 10000))");
  await capture.sql('UPDATE t SET n = 2');
  await capture.mark({ kind: 'generation', pipeline: 'p', table: publicTable('t'), epoch: 'e' });
  await capture.sql('UPDATE t SET n = 3');
  let seen = false;
  const reader = await capture.open({ complete: () => seen });
  const completed: boolean[] = [];
  while (completed.length < 3)
    for (const event of await nextOf(reader)) {
      if (event.kind === 'marker') seen = true;
      if (event.kind === 'change') completed.push(event.completed);
    }
  expect(completed).toEqual([false, false, true]);
});

test('a large transaction comes in pieces, in order, with its commit at the end', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY, a text)', ['t']);
  await capture.sql("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 60000) g");
  const reader = await capture.open();
  let rows = 0;
  let last = capture.l0;
  for (let done = false; !done; ) {
    const events = await nextOf(reader);
    expect(events.length).toBeLessThanOrEqual(4096);
    for (const event of events) {
      expect(comparePositions(last, event.position)).toBeLessThanOrEqual(0);
      last = event.position;
      if (event.kind === 'change') expect(event.after?.[0]).toBe(++rows);
      done = event.kind === 'commit';
    }
  }
  expect(rows).toBe(60_000);
});

test('the server hears of an idle stream every second: a walsender that overslept a commit sends it then', {
  timeout: 10_000,
}, async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY)', ['t']);
  await capture.open();
  const replies = new Set<string>();
  while (replies.size < 5)
    replies.add(
      await capture.cell(`SELECT reply_time FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
        WHERE s.slot_name = '${capture.slot}'`),
    );
});
