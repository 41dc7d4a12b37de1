import type { Anchor, TableId } from '@nanosync/core';
import { positionOf } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAnchor, releaseAnchor, verifyAnchor } from './anchor.ts';
import type { Connect } from './connection.ts';
import { connectTo } from './connection.ts';
import { formatLsn, lsnOf, parseLsn, positionOfLsn } from './position.ts';
import { slotFacts } from './slot.ts';
import { quiet, realClock } from './test-context.ts';

const PIPELINE = 'orders-pipeline';
const TABLES = ['public.one', 'public.two'] as TableId[];

let server: PostgresServer;
let connect: Connect;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres();
  connect = connectTo(server.dsn(), 'nanosync');
});
afterAll(() => server.stop());
beforeEach(async () => {
  admin = await connect.open('admin');
  await admin.query(
    'CREATE TABLE IF NOT EXISTS public.one (id int PRIMARY KEY); CREATE TABLE IF NOT EXISTS public.two (id int PRIMARY KEY)',
  );
});
afterEach(async () => {
  await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin IS NULL');
  await releaseAnchor(connect, realClock, PIPELINE);
  await admin.end();
});

const anchored = (id = 'id'): Promise<Anchor> =>
  createAnchor(connect, { clock: realClock, log: quiet }, { pipeline: PIPELINE, id, tables: TABLES });

async function scalar(sql: string): Promise<string> {
  return Object.values((await admin.query(sql)).rows[0] ?? {})[0] as string;
}

test('an anchor is a publication and a slot at its consistent point', async () => {
  const anchor = await anchored();
  const { slot = '', publication } = anchor.origin;
  expect(slot).toMatch(/^nanosync_slot_orders_pipeline_[0-9a-f]{8}$/);
  const facts = await slotFacts(admin, slot);
  expect(lsnOf(anchor.l0)).toBe(parseLsn(facts?.confirmedFlushLsn ?? ''));
  expect(anchor.l0).toBe(positionOfLsn(lsnOf(anchor.l0), 0n));
  expect(anchor.origin).toMatchObject({
    database: 'postgres',
    timeline: '1',
    system: await scalar('SELECT system_identifier FROM pg_control_system()'),
  });
  const { rows } = await admin.query(
    `SELECT pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot FROM pg_publication`,
  );
  expect(rows).toEqual([
    { pubname: publication, puballtables: 'f', pubinsert: 't', pubupdate: 't', pubdelete: 't', pubtruncate: 't', pubviaroot: 'f' },
  ]);
  expect(await scalar('SELECT string_agg(tablename, $$,$$ ORDER BY tablename) FROM pg_publication_tables')).toBe('one,two');
  await verifyAnchor(connect, PIPELINE, anchor, null);
  await verifyAnchor(connect, PIPELINE, anchor, anchor.l0);
});

test('what an earlier try left is replaced, also while somebody streams from it', async () => {
  const first = await anchored('first');
  const slot = first.origin.slot ?? '';
  const zombie = await connect.open('zombie', { replication: 'database' });
  const streaming = zombie.query(
    `START_REPLICATION SLOT ${slot} LOGICAL ${formatLsn(lsnOf(first.l0))} (proto_version '1', publication_names '${first.origin.publication}')`,
  );
  streaming.catch(() => {});
  while ((await slotFacts(admin, slot))?.activePid === null);
  await admin.query('INSERT INTO public.one VALUES (1)');
  const second = await anchored('second');
  expect(lsnOf(second.l0)).toBeGreaterThan(lsnOf(first.l0));
  await verifyAnchor(connect, PIPELINE, second, null);
});

test('a slot of another database is refused, not dropped', async () => {
  await admin.query('CREATE DATABASE other');
  const elsewhere = connectTo(server.dsn('other'), 'nanosync');
  const anchor = await anchored();
  const there = createAnchor(elsewhere, { clock: realClock, log: quiet }, { pipeline: PIPELINE, id: 'x', tables: [] });
  await expect(there).rejects.toMatchObject({ kind: 'prerequisite', message: expect.stringContaining('belongs to database postgres') });
  await verifyAnchor(connect, PIPELINE, anchor, null);
});

test('release leaves nothing and may run again', async () => {
  await anchored();
  await releaseAnchor(connect, realClock, PIPELINE);
  await releaseAnchor(connect, realClock, PIPELINE);
  expect(await scalar('SELECT (SELECT count(*) FROM pg_replication_slots) + (SELECT count(*) FROM pg_publication)')).toBe('0');
});

test('a published position between slot and log end fits', async () => {
  const anchor = await anchored();
  await admin.query('INSERT INTO public.one SELECT i FROM generate_series(10, 20) i');
  const end = parseLsn(await scalar('SELECT pg_current_wal_lsn()'));
  await verifyAnchor(connect, PIPELINE, anchor, positionOf(end, 7n));
  await verifyAnchor(connect, PIPELINE, anchor, positionOf(lsnOf(anchor.l0), 4n));
});

const gaps: [string, (anchor: Anchor) => Promise<[Anchor, bigint | null]>, RegExp][] = [
  ['another system', async (anchor) => [{ ...anchor, origin: { ...anchor.origin, system: '1' } }, null], /Another database system/],
  [
    'another timeline',
    async (anchor) => [{ ...anchor, origin: { ...anchor.origin, timeline: '7' } }, null],
    /timeline 1, the pipeline began on 7/,
  ],
  [
    'a dropped slot',
    async (anchor) => {
      await admin.query('SELECT pg_drop_replication_slot($1)', [anchor.origin.slot]);
      return [anchor, null];
    },
    /no longer exists/,
  ],
  [
    'a slot that was made again with another plugin',
    async (anchor) => {
      await admin.query('SELECT pg_drop_replication_slot($1)', [anchor.origin.slot]);
      await admin.query('SELECT pg_create_physical_replication_slot($1)', [anchor.origin.slot]);
      return [anchor, null];
    },
    /not the one the pipeline made/,
  ],
  [
    'a dropped publication',
    async (anchor) => {
      await admin.query(`DROP PUBLICATION ${anchor.origin.publication}`);
      return [anchor, null];
    },
    /Publication nanosync_pub_\w+ no longer exists/,
  ],
  [
    'a slot that was moved beyond what is published',
    async (anchor) => {
      await admin.query('INSERT INTO public.two SELECT i FROM generate_series(1, 100) i');
      await admin.query('SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())', [anchor.origin.slot]);
      return [anchor, lsnOf(anchor.l0)];
    },
    /was moved to .* published only up to/,
  ],
  ['a log that ends below what is published', async (anchor) => [anchor, lsnOf(anchor.l0) + (1n << 40n)], /ends at .* published up to/],
];
test.each(gaps)('%s is a gap with the command that repairs it', async (_, spoil, reason) => {
  const [anchor, published] = await spoil(await anchored());
  await expect(verifyAnchor(connect, PIPELINE, anchor, published === null ? null : positionOfLsn(published))).rejects.toMatchObject({
    kind: 'gap',
    message: expect.stringMatching(reason),
    hint: `Run: nanosync pipeline resnapshot ${PIPELINE}`,
  });
  await admin.query('TRUNCATE public.one, public.two');
});

test('a slot whose log the server removed is a gap', async () => {
  const anchor = await anchored();
  await admin.query("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  await admin.query('SELECT pg_reload_conf()');
  for (
    let status: string | null = 'reserved';
    status !== 'lost';
    status = (await slotFacts(admin, anchor.origin.slot ?? ''))?.walStatus ?? null
  )
    await admin.query('SELECT pg_switch_wal()').then(() => admin.query('CHECKPOINT'));
  await expect(verifyAnchor(connect, PIPELINE, anchor, null)).rejects.toMatchObject({
    kind: 'gap',
    message: expect.stringContaining('invalidated'),
  });
  await admin.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
  await admin.query('SELECT pg_reload_conf()');
});

test('a slot that waits for a transaction is given up with the statement that ends it', async () => {
  const holder = await connect.open('batch');
  await holder.query('BEGIN; INSERT INTO public.one VALUES (99)');
  const impatient: Connect = {
    ...connect,
    open: (purpose, options = {}) =>
      connect.open(purpose, options.statementTimeoutMs === undefined ? options : { ...options, statementTimeoutMs: 300 }),
  };
  await expect(
    createAnchor(impatient, { clock: realClock, log: quiet }, { pipeline: PIPELINE, id: 'x', tables: TABLES }),
  ).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringMatching(/waits for process \d+ of nanosync batch/),
    hint: expect.stringMatching(/SELECT pg_terminate_backend\(\d+\);/),
  });
  expect(await scalar('SELECT count(*) FROM pg_replication_slots')).toBe('0');
  await holder.end();
});
