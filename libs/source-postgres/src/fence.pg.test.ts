import type { FenceWait, TableId } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAnchor } from './anchor.ts';
import type { Connect } from './connection.ts';
import { connectTo } from './connection.ts';
import { passFence } from './fence.ts';
import { quiet, realClock } from './test-context.ts';

let server: PostgresServer;
let connect: Connect;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres();
  connect = connectTo(server.dsn(), 'nanosync');
  admin = await connect.open('admin');
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

/** Asks again until the query has a row. */
async function waitFor(sql: string): Promise<void> {
  for (let found = 0; found === 0; ) found = (await admin.query(sql)).rowCount ?? 0;
}

/** An application's session; `sync` makes its commits wait for the synchronous standby, as they do by default. */
async function application(name: string, sync = false): Promise<Client> {
  const client = await connect.open(name);
  if (sync) await client.query('SET synchronous_commit = on');
  return client;
}

async function requireStandby(name: string): Promise<void> {
  await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
  await admin.query('SELECT pg_reload_conf()');
  // Sessions that are open already must know it too; a new one starts with it once the postmaster does.
  await waitFor(`SELECT WHERE current_setting('synchronous_standby_names') = '${name}'`);
}

test('with nothing running the fence passes at once', async () => {
  const waits: (readonly FenceWait[])[] = [];
  await passFence(connect, realClock, { signal: new AbortController().signal, onWait: (wait) => waits.push(wait) });
  expect(waits).toEqual([]);
});

test('a row whose commit is below L0 but not yet visible holds the fence, and the read behind it has the row', async () => {
  await admin.query('CREATE TABLE public.rows (id text PRIMARY KEY)');
  await requireStandby('away');
  const [a, b, t] = [await application('A'), await application('B'), await application('T', true)];
  await a.query("BEGIN; INSERT INTO public.rows VALUES ('A')");
  const anchoring = createAnchor(
    connect,
    { clock: realClock, log: quiet },
    { pipeline: 'fenced', id: 'x', tables: ['public.rows' as TableId] },
  );
  const slotWaitsFor = (name: string) =>
    waitFor(`SELECT FROM pg_locks w JOIN pg_locks h ON h.transactionid = w.transactionid AND h.granted AND NOT w.granted
      JOIN pg_stat_activity s ON s.pid = h.pid WHERE s.application_name = 'nanosync ${name}'`);
  await slotWaitsFor('A');
  await b.query("BEGIN; INSERT INTO public.rows VALUES ('B')");
  await a.query('COMMIT');
  await slotWaitsFor('B');
  const hanging = t.query("INSERT INTO public.rows VALUES ('T')");
  await waitFor("SELECT FROM pg_stat_activity WHERE application_name = 'nanosync T' AND wait_event = 'SyncRep'");
  await b.query('COMMIT');
  const anchor = await anchoring;

  // The trap: a read now does not see T's row, and the slot never delivers it.
  expect((await admin.query("SELECT FROM public.rows WHERE id = 'T'")).rowCount).toBe(0);

  let waits: readonly FenceWait[] = [];
  const reported = Promise.withResolvers<void>();
  const passing = passFence(connect, realClock, {
    signal: new AbortController().signal,
    onWait: (now) => {
      waits = now;
      reported.resolve();
    },
  }).then(() => 'passed');
  expect(await Promise.race([passing, reported.promise.then(() => 'waiting')])).toBe('waiting');
  expect(waits).toEqual([
    {
      holder: expect.stringMatching(/^process \d+ of nanosync T, committing and waiting for a synchronous standby$/),
      ageSeconds: expect.any(Number),
      cure: expect.stringMatching(/^SELECT pg_terminate_backend\(\d+\);$/),
    },
  ]);
  expect(await Promise.race([passing, admin.query('SELECT 1').then(() => 'waiting')])).toBe('waiting');

  await requireStandby('');
  expect(await passing).toBe('passed');
  await hanging;
  expect((await admin.query('SELECT id FROM public.rows ORDER BY id')).rows).toEqual([{ id: 'A' }, { id: 'B' }, { id: 'T' }]);
  // Publishing an insert would show as a message of type I.
  const streamed = await admin.query(
    "SELECT FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2) WHERE get_byte(data, 0) = ascii('I')",
    [anchor.origin.slot, anchor.origin.publication],
  );
  expect(streamed.rowCount).toBe(0);
  for (const client of [a, b, t]) await client.end();
});

test('an open transaction is named until it ends', async () => {
  const holder = await application('batch');
  await holder.query('BEGIN; SELECT pg_current_xact_id()');
  const reported = Promise.withResolvers<readonly FenceWait[]>();
  const passing = passFence(connect, realClock, { signal: new AbortController().signal, onWait: reported.resolve });
  const [wait] = await reported.promise;
  expect(wait?.holder).toMatch(/^process \d+ of nanosync batch$/);
  await admin.query(wait?.cure ?? '');
  await passing;
});

test('an orphaned prepared transaction, which no process shows, is named and its cure works', async () => {
  await admin.query('CREATE TABLE public.prepared (id int); BEGIN; INSERT INTO public.prepared VALUES (1)');
  await admin.query("PREPARE TRANSACTION 'it''s lost'");
  const reported = Promise.withResolvers<readonly FenceWait[]>();
  const passing = passFence(connect, realClock, { signal: new AbortController().signal, onWait: reported.resolve });
  const [wait] = await reported.promise;
  expect(wait).toMatchObject({
    holder: `prepared transaction 'it''s lost' in database "postgres"`,
    cure: "ROLLBACK PREPARED 'it''s lost';",
  });
  await admin.query(wait?.cure ?? '');
  await passing;
});

test('a transaction that begins after the fence does not hold it', async () => {
  const first = await application('first');
  await first.query('BEGIN; SELECT pg_current_xact_id()');
  const reported = Promise.withResolvers<readonly FenceWait[]>();
  const passing = passFence(connect, realClock, { signal: new AbortController().signal, onWait: reported.resolve });
  await reported.promise;
  const later = await application('later');
  await later.query('BEGIN; SELECT pg_current_xact_id()');
  await first.query('COMMIT');
  await passing;
  await Promise.all([first.end(), later.end()]);
});

test('an abort ends the wait', async () => {
  const holder = await application('batch');
  await holder.query('BEGIN; SELECT pg_current_xact_id()');
  const controller = new AbortController();
  const passing = passFence(connect, realClock, { signal: controller.signal, onWait: () => controller.abort() });
  await expect(passing).rejects.toMatchObject({ name: 'AbortError' });
  await holder.end();
});
