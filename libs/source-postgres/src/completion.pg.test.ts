import type { Cell, ChangeReader, SourceEvent } from '@nanosync/core';
import { UNCHANGED } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Capture } from './changes-fixture.ts';
import { captureOf, nextOf } from './changes-fixture.ts';

let server: PostgresServer;
beforeAll(async () => {
  // The standby is never there; only who asks for it waits.
  server = await startPostgres({ settings: { synchronous_standby_names: 'away', synchronous_commit: 'local' } });
});
afterAll(() => server.stop());

type Change = Extract<SourceEvent, { kind: 'change' }>;

const TABLE =
  'CREATE TABLE t (id int PRIMARY KEY, n int, v text, w text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL, ALTER w SET STORAGE EXTERNAL';
const complete = () => true;

/** A value that is stored out of line, told apart by its first characters. */
const large = (mark: string) => `rpad('${mark}', 4000, '.')`;
const short = (cell: Cell | undefined) => (typeof cell === 'string' ? cell.replace(/\.+$/, '') : cell);

async function changes(capture: Capture, reader: ChangeReader): Promise<Change[]> {
  return (await capture.all(reader)).filter((event) => event.kind === 'change');
}

function shown(change: Change): unknown[] {
  return [change.op, change.completed, change.rowless, ...(change.after ?? change.before ?? []).map(short)];
}

test('what an update left out is read from the table, a newer value as well', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('a')}, NULL), (2, 1, ${large('b')}, ${large('c')})`);
  await capture.sql('UPDATE t SET n = 2');
  await capture.sql(`UPDATE t SET v = ${large('newer')} WHERE id = 2`);
  const events = await changes(capture, await capture.open({ complete }));
  expect(events.slice(2).map(shown)).toEqual([
    ['u', true, false, 1, 2, 'a', null],
    ['u', true, false, 2, 2, 'newer', 'c'],
    ['u', true, false, 2, 2, 'newer', 'c'],
  ]);
});

test('a row that is gone by now: an update says so, a key change is its delete half', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('a')}, NULL), (2, 1, ${large('b')}, NULL), (3, 1, ${large('c')}, NULL)`);
  await capture.sql('BEGIN; UPDATE t SET n = 2 WHERE id = 1; UPDATE t SET id = 20 WHERE id = 2; UPDATE t SET id = 30 WHERE id = 3; COMMIT');
  await capture.sql('DELETE FROM t WHERE id IN (1, 20)');
  const reader = await capture.open({ complete: () => true });
  expect((await changes(capture, reader)).slice(3).map(shown)).toEqual([
    ['u', false, true, 1, 2, UNCHANGED, null],
    ['d', false, false, 2, null, null, null],
    ['d', false, false, 3, null, null, null],
    ['c', true, false, 30, 1, 'c', null],
    ['d', false, false, 1, null, null, null],
    ['d', false, false, 20, null, null, null],
  ]);
  await reader[Symbol.asyncDispose]();
  // Outside the overlap updates stay as the log has them; key changes are completed always.
  expect((await changes(capture, await capture.open())).slice(3, 7).map(shown)).toEqual([
    ['u', false, false, 1, 2, UNCHANGED, null],
    ['d', false, false, 2, null, null, null],
    ['d', false, false, 3, null, null, null],
    ['c', true, false, 30, 1, 'c', null],
  ]);
});

test('a row that a key change lost to a later delete takes its further updates along', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('a')}, NULL), (2, 1, ${large('b')}, NULL)`);
  await capture.sql('UPDATE t SET id = 10 WHERE id = 1');
  const fromHere = await capture.open();
  await capture.sql('UPDATE t SET n = 2 WHERE id = 10');
  await capture.sql('UPDATE t SET n = 2 WHERE id = 2');
  await capture.sql('DELETE FROM t WHERE id = 10');
  const all = [
    ['d', false, false, 1, null, null, null],
    // The insert half has gone with its row. Below the end of the log at that time an update of what is gone says so.
    ['u', false, true, 10, 2, UNCHANGED, null],
    ['u', true, false, 2, 2, 'b', null],
    ['d', false, false, 10, null, null, null],
    // Above it the log is enough again.
    ['u', false, false, 2, 3, UNCHANGED, null],
  ];
  const events: SourceEvent[] = await capture.all(fromHere);
  await capture.sql('UPDATE t SET n = 3 WHERE id = 2');
  events.push(...(await capture.all(fromHere)));
  expect(
    events
      .filter((event) => event.kind === 'change')
      .slice(2)
      .map(shown),
  ).toEqual(all);
  // A stream that goes on behind the key change does not know what the one before found gone.
  const keyChange = events.filter((event) => event.kind === 'commit')[1];
  await fromHere[Symbol.asyncDispose]();
  const later = await changes(capture, await capture.open({ from: keyChange?.acknowledge ?? capture.l0 }));
  expect(later.map(shown).slice(0, 4)).toEqual(all.slice(0, 4));
});

test('an older value that is still visible when the commit is streamed is not taken', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('old')}, NULL)`);
  const reader = await capture.open({ complete });
  const writer = await capture.connect.open('writer');
  const { rows } = await writer.query<{ pid: string }>("SELECT pg_backend_pid() AS pid, set_config('synchronous_commit', 'on', false)");
  await writer.query('BEGIN');
  await writer.query(`UPDATE public.t SET v = ${large('new')}`);
  await writer.query('UPDATE public.t SET n = 2');
  // It hangs until the standby answers: streamed by now, and invisible.
  const committed = writer.query('COMMIT');
  const seen: unknown[] = [];
  while (seen.length < 2) for (const event of await nextOf(reader)) if (event.kind === 'change') seen.push(shown(event));
  expect(seen).toEqual([
    ['c', false, false, 1, 1, 'old', null],
    // The first update carries the value itself and needs no completion.
    ['u', false, false, 1, 1, 'new', null],
  ]);
  let later: readonly SourceEvent[] | undefined;
  const next = nextOf(reader).then((events) => {
    later = events;
  });
  const reads = () =>
    capture.cell(
      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_visible_in_snapshot%' AND application_name LIKE '%completion%'",
    );
  await vi.waitFor(async () => expect(await reads()).toBe('1'));
  // This is what a read without the check gives.
  expect(await capture.cell("SELECT rtrim(v, '.') FROM t")).toBe('old');
  expect(later).toBeUndefined();
  // Ends the wait, not the transaction, which is committed.
  await capture.sql(`SELECT pg_cancel_backend(${rows[0]?.pid})`);
  await committed;
  await next;
  expect(later?.filter((event) => event.kind === 'change').map(shown)).toEqual([['u', true, false, 1, 2, 'new', null]]);
  await writer.end();
});

test('with 16 writers no completion takes a value older than the event', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t SELECT g, 0, ${large('0')}, NULL FROM generate_series(1, 16) g`);
  const writers = await Promise.all(Array.from({ length: 16 }, () => capture.connect.open('writer')));
  const reader = await capture.open({ complete });
  let older = 0;
  let compared = 0;
  const writing = Promise.all(writers.map((writer, index) => count(writer, index + 1)));
  let running = true;
  const end = writing.then(() => {
    running = false;
  });
  while (running || compared < 16 * 60)
    for (const event of await nextOf(reader)) {
      if (event.kind === 'commit') reader.acknowledge(event.acknowledge);
      if (event.kind !== 'change' || event.op !== 'u' || !event.completed) continue;
      compared++;
      // Every transaction writes its number into both columns, the small one last and alone.
      if (Number(short(event.after?.[2])) < Number(event.after?.[1])) older++;
    }
  await end;
  await Promise.all(writers.map((writer) => writer.end()));
  expect(compared).toBe(16 * 60);
  expect(older).toBe(0);
});

async function count(writer: Client, id: number): Promise<void> {
  for (let round = 1; round <= 60; round++) {
    await writer.query('BEGIN');
    await writer.query(`UPDATE public.t SET v = ${large(String(round))} WHERE id = ${id}`);
    await writer.query(`UPDATE public.t SET n = ${round} WHERE id = ${id}`);
    await writer.query('COMMIT');
  }
}

test('columns are found by their number: renamed, swapped and dropped ones', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('a')}, ${large('b')})`);
  const reader = await capture.open({ complete });
  expect((await changes(capture, reader)).length).toBe(1);
  await capture.sql('UPDATE t SET n = 2');
  expect((await changes(capture, reader)).map(shown)).toEqual([['u', true, false, 1, 2, 'a', 'b']]);
  // The reader has looked the table up; now its names mean something else.
  await capture.sql(
    'BEGIN; UPDATE t SET n = 3; ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v; ALTER TABLE t RENAME x TO w; COMMIT',
  );
  expect((await changes(capture, reader)).map(shown)).toEqual([['u', true, false, 1, 3, 'a', 'b']]);
  await reader[Symbol.asyncDispose]();
});

test('a column, a key or a table that is gone by now leaves the event as the log has it', async () => {
  for (const [statement, expected] of [
    ['ALTER TABLE t DROP COLUMN v', ['u', true, false, 1, 2, UNCHANGED, 'b']],
    ['ALTER TABLE t DROP COLUMN id', ['u', false, false, 1, 2, UNCHANGED, UNCHANGED]],
    ['ALTER TABLE t ALTER v TYPE bytea USING NULL', ['u', true, false, 1, 2, UNCHANGED, 'b']],
    ['ALTER TABLE t RENAME TO u', ['u', true, false, 1, 2, 'a', 'b']],
    ['ALTER TABLE t SET SCHEMA elsewhere', ['u', true, false, 1, 2, 'a', 'b']],
    ['TRUNCATE t', ['u', false, true, 1, 2, UNCHANGED, UNCHANGED]],
  ] as const) {
    await using capture = await captureOf(server, `${TABLE}; CREATE SCHEMA elsewhere`, ['t']);
    await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('a')}, ${large('b')})`);
    await capture.sql('UPDATE t SET n = 2');
    await capture.sql(statement);
    const events = await changes(capture, await capture.open({ complete }));
    expect(events.slice(1).map(shown), statement).toEqual([expected]);
  }
});

test('a dropped table is met while reading, too', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql(`INSERT INTO t VALUES (1, 1, ${large('a')}, NULL)`);
  await capture.sql('UPDATE t SET n = 2');
  const reader = await capture.open({ complete });
  await capture.sql('DROP TABLE t');
  expect((await changes(capture, reader)).slice(1).map(shown)).toEqual([['u', false, true, 1, 2, UNCHANGED, null]]);
});

test('keys of every kind are found as the log spells them', async () => {
  const key = `a bigint, b numeric(10,2), c timestamptz, d text, e bytea, f uuid, g date, h bpchar(5), i mood, j float8, k posint, l boolean, m int[]`;
  const setup = `CREATE TYPE mood AS ENUM ('it''s "ok"', 'no'); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
    CREATE TABLE t (${key}, n int, v text, PRIMARY KEY (a, b, c, d, e, f, g, h, i, j, k, l, m)); ALTER TABLE t ALTER v SET STORAGE EXTERNAL`;
  await using capture = await captureOf(server, setup, ['t']);
  await capture.sql(`INSERT INTO t VALUES (9007199254740993, 1.10, '2024-02-29 12:00:00.123456+02', 'it''s {"a",\\}', '\\x00ff',
    '2f1d3c9e-0000-4000-8000-000000000001', '0044-03-15 BC', 'ab', 'it''s "ok"', 'NaN', 7, true, '{1,NULL,3}', 1, ${large('x')})`);
  await capture.sql('UPDATE t SET n = 2');
  const [, event] = await changes(capture, await capture.open({ complete }));
  expect(event).toMatchObject({ completed: true, rowless: false });
  expect(short(event?.after?.[14])).toBe('x');
});

test('gigabytes that a chunk lacks are read and delivered in parts', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql("INSERT INTO t SELECT g, 1, repeat('x', 1000000) FROM generate_series(1, 60) g");
  await capture.sql('UPDATE t SET n = 2');
  const reader = await capture.open({ complete });
  let seen = 0;
  let most = 0;
  while (seen < 120) {
    const events = (await nextOf(reader)).filter((event) => event.kind === 'change');
    expect(events.every((event) => (event.after?.[2] as string).length === 1_000_000)).toBe(true);
    most = Math.max(most, events.filter((event) => event.op === 'u').length);
    seen += events.length;
  }
  expect(most).toBeLessThan(40);
});
