import type { FenceWait, Position, SourceEvent, TableId } from '@nanosync/core';
import { comparePositions } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Capture } from './changes-fixture.ts';
import { captureOf, clock, nextOf, PIPELINE, publicTable } from './changes-fixture.ts';
import { discoverTables } from './discovery.ts';
import { extendPublication } from './extension.ts';
import { publicationName } from './names.ts';
import { withdrawTables } from './publication.ts';

const ADDED = publicTable('added');
const SETUP = `CREATE TABLE first (id int PRIMARY KEY, v text); CREATE TABLE added (id int PRIMARY KEY, v text);
  INSERT INTO added SELECT i, 'old' FROM generate_series(1, 3) i`;
const forever = new AbortController().signal;

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ settings: { max_prepared_transactions: '5' } });
});
afterAll(() => server.stop());

function extend({ connect }: Capture, tables: readonly TableId[] = [ADDED], onWait: (waits: readonly FenceWait[]) => void = () => {}) {
  return extendPublication(connect, clock, { pipeline: PIPELINE, tables }, { signal: forever, onWait });
}

/** A stream from the beginning that knows both tables. */
async function both(capture: Capture, begun?: (table: TableId) => boolean) {
  const added = await discoverTables(capture.client, capture.connect, [ADDED]);
  return capture.open({ tables: [...capture.tables, ...added], ...(begun === undefined ? {} : { begun }) });
}

function changes(events: readonly SourceEvent[]): readonly string[] {
  return events.flatMap((event) => {
    if (event.kind === 'schema') return [`schema ${event.table}`];
    return event.kind === 'change' ? [`${event.table.slice('public.'.length)} ${(event.after ?? event.before)?.join(' ')}`] : [];
  });
}

async function running(client: Client, application: string): Promise<void> {
  const sql = `SELECT FROM pg_stat_activity WHERE application_name = '${application}' AND backend_xid IS NOT NULL`;
  while ((await client.query(sql)).rowCount === 0);
}

test('a table is streamed from then on, and what a repetition or two at once do is the same', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  const reader = await capture.open();
  await capture.sql("INSERT INTO added VALUES (4, 'before')");
  await Promise.all([extend(capture), extend(capture)]);
  await extend(capture);
  await capture.sql("INSERT INTO added VALUES (5, 'after'); INSERT INTO first VALUES (1, 'after')");
  // A stream that does not know the table goes on without it, and passes over nothing else.
  expect(changes(await capture.all(reader))).toEqual(['first 1 after']);
  await reader[Symbol.asyncDispose]();
  await using again = await both(capture);
  expect(changes(await capture.all(again))).toEqual(['added 5 after', 'first 1 after']);
});

test('it waits for every transaction that was open, prepared ones too, and names them', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  const other = await capture.connect.open('other');
  await other.query("BEGIN; INSERT INTO public.first VALUES (1, 'open')");
  await capture.sql("BEGIN; INSERT INTO first VALUES (2, 'prepared'); PREPARE TRANSACTION 'held'");
  const told = Promise.withResolvers<readonly FenceWait[]>();
  let returned = false;
  const extending = extend(capture, [ADDED], (waits) => waits.length === 2 && told.resolve(waits)).then(() => {
    returned = true;
  });
  const holders = (await told.promise).map(({ holder }) => holder);
  expect(holders.join()).toContain("prepared transaction 'held'");
  expect(holders.join()).toContain('of nanosync other');
  expect(returned).toBe(false);
  await other.query('COMMIT');
  await other.end();
  await capture.sql("COMMIT PREPARED 'held'");
  await extending;
});

test('of a transaction that was open meanwhile, all that comes after it is streamed, whatever was looked up before', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  const reader = await capture.open();
  const [early, late] = [await capture.connect.open('early'), await capture.connect.open('late')];
  // Both look the table up as it was before: it is not published then.
  await early.query("BEGIN; UPDATE public.added SET v = 'early' WHERE id = 1");
  const extending = extend(capture);
  const published = `SELECT FROM pg_publication_tables WHERE pubname = '${capture.publication}' AND tablename = 'added'`;
  while ((await capture.client.query(published)).rowCount === 0);
  await early.query("UPDATE public.added SET v = 'early still' WHERE id = 2; INSERT INTO public.first VALUES (1, 'early')");
  await late.query("BEGIN; UPDATE public.added SET v = 'late' WHERE id = 3");
  await running(capture.client, 'nanosync late');
  await early.query('COMMIT');
  // The one that began behind the addition may hold the wait up, or not.
  await late.query("COMMIT; UPDATE public.added SET v = 'later' WHERE id = 3");
  await extending;
  await capture.sql("UPDATE added SET v = 'after' WHERE id = 1");
  await reader[Symbol.asyncDispose]();
  for (const client of [early, late]) await client.end();
  await using again = await both(capture);
  const seen = changes(await capture.all(again));
  expect(seen).toContain('added 1 after');
  expect(seen).toContain('first 1 early');
  expect(seen).toContain('added 3 later');
});

test('other columns before its generation event are nothing to a table', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  await extend(capture);
  await capture.sql("INSERT INTO added VALUES (4, 'two'); ALTER TABLE added ADD COLUMN more int; INSERT INTO added VALUES (5, 'v', 1)");
  const begun = new Set<TableId>();
  await using reader = await both(capture, (table) => table !== ADDED || begun.has(table));
  expect(changes(await capture.all(reader))).toEqual([]);
  begun.add(ADDED);
  await capture.sql("INSERT INTO added VALUES (6, 'v', 1)");
  expect(changes(await capture.all(reader))).toEqual(['added 6 v 1']);
});

test('rows of a table that has not begun count in no position: which of them are streamed depends on where the stream began', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  await extend(capture);
  await capture.sql("BEGIN; INSERT INTO added VALUES (4, 'x'), (5, 'x'); INSERT INTO first VALUES (1, 'x'); TRUNCATE added; COMMIT");
  const positions: unknown[] = [];
  for (const open of [() => capture.open(), () => both(capture, (table) => table !== ADDED), () => both(capture)]) {
    await using reader = await open();
    const events = await capture.all(reader);
    positions.push(events.find((event) => event.kind === 'change' && event.table !== ADDED)?.position, events.at(-1)?.position);
    await capture.sql('DELETE FROM first'); // The next stream's end is behind this one's.
  }
  expect(positions[2]).toBe(positions[0]);
  expect(positions[4]).not.toBe(positions[0]);
});

test('a table begins at its generation event, also for a session that knows it from the start and begins before it', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  await extend(capture);
  await capture.sql("BEGIN; INSERT INTO added VALUES (4, 'two'); INSERT INTO first VALUES (1, 'x'); COMMIT");
  await capture.sql('ALTER TABLE added ADD COLUMN more int');
  const planned = await discoverTables(capture.client, capture.connect, [ADDED]);
  await capture.mark({ kind: 'generation', pipeline: PIPELINE, table: ADDED, epoch: 'e' });
  await capture.sql("BEGIN; INSERT INTO added VALUES (5, 'v', 1); INSERT INTO first VALUES (2, 'y'); COMMIT");
  let l0: Position | undefined;
  const begun = (table: TableId, position: Position) => table !== ADDED || (l0 !== undefined && comparePositions(l0, position) <= 0);
  const open = () => capture.open({ tables: [...capture.tables, ...planned], begun });
  const until = async (last: string) => {
    await using reader = await open();
    const seen: SourceEvent[] = [];
    while (!changes(seen).includes(last))
      for (const event of await nextOf(reader)) {
        if (event.kind === 'marker') l0 = event.position;
        if (event.kind !== 'idle') seen.push(event);
      }
    return seen.slice(0, 1 + seen.findLastIndex(({ kind }) => kind === 'change')); // Its commit may come with it, or later.
  };
  const first = await until('first 2 y');
  expect(changes(first)).toEqual(['first 1 x', 'added 5 v 1', 'first 2 y']);
  expect(await until('first 2 y')).toEqual(first);
});

test('other columns end the table in its generation; the next one begins at its marker, as it does for a later session', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  await using reader = await capture.open();
  await capture.sql("INSERT INTO first VALUES (1, 'x'); ALTER TABLE first ADD COLUMN more int; INSERT INTO first VALUES (2, 'x', 1)");
  await capture.sql("ALTER TABLE first DROP COLUMN more; INSERT INTO first VALUES (3, 'x')");
  await capture.mark({ kind: 'generation', pipeline: PIPELINE, table: publicTable('first'), epoch: 'e2' });
  await capture.sql("INSERT INTO first VALUES (4, 'x')");
  expect(changes(await capture.all(reader))).toEqual(['first 1 x', 'schema public.first', 'first 4 x']);
});

test('other columns that are still there behind its generation event end the table there', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  await extend(capture);
  const planned = await discoverTables(capture.client, capture.connect, [ADDED]);
  await capture.sql("ALTER TABLE added ADD COLUMN more int; INSERT INTO added VALUES (4, 'v', 1); INSERT INTO first VALUES (1, 'x')");
  const begun = new Set<TableId>();
  await using reader = await capture.open({
    tables: [...capture.tables, ...planned],
    begun: (table) => table !== ADDED || begun.has(table),
  });
  expect(changes(await capture.all(reader))).toEqual(['first 1 x']);
  begun.add(ADDED);
  await capture.sql("INSERT INTO added VALUES (5, 'v', 1), (6, 'v', 1); INSERT INTO first VALUES (2, 'y')");
  expect(changes(await capture.all(reader))).toEqual(['schema public.added', 'first 2 y']);
});

test('a table that stays locked or is gone fails the call, and is told apart from a server that is away', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  const { connect } = capture;
  const hurried: Capture['connect'] = { ...connect, open: (purpose, options) => connect.open(purpose, { ...options, lockTimeoutMs: 100 }) };
  const extended = (tables: readonly TableId[]) => extend({ ...capture, connect: hurried }, tables);
  const holder = await connect.open('holder');
  await holder.query('BEGIN; LOCK TABLE public.added IN SHARE ROW EXCLUSIVE MODE');
  await expect(extended([ADDED])).rejects.toMatchObject({ kind: 'conflict', hint: expect.stringContaining('pg_blocking_pids') });
  await expect(extended([publicTable('gone')])).rejects.toMatchObject({ kind: 'prerequisite' });
  await holder.query('ROLLBACK');
  await holder.end();
  await extended([ADDED]);
});

test('a table is withdrawn while it is still to go, and is streamed no more; the others are, and a repetition does nothing', async () => {
  await using capture = await captureOf(server, SETUP, ['first']);
  await extend(capture);
  await using reader = await both(capture);
  const publication = publicationName(PIPELINE);
  const withdraw = (still: boolean) => withdrawTables(capture.connect, publication, [ADDED], async () => still);
  await expect(withdraw(false)).rejects.toMatchObject({ kind: 'conflict' });
  await capture.sql("INSERT INTO added VALUES (5, 'kept')");
  await withdraw(true);
  await withdraw(true);
  await capture.sql("INSERT INTO added VALUES (6, 'gone'); INSERT INTO first VALUES (1, 'after')");
  expect(changes(await capture.all(reader))).toEqual(['added 5 kept', 'first 1 after']);
});
