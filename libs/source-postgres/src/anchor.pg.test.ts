import type { Anchor, TableId } from '@nanosync/core';
import { positionOf } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAnchor, dropAnchor, releaseAnchors, tidyAnchors, verifyAnchor } from './anchor.ts';
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
  await releaseAnchors(connect, realClock, PIPELINE, async () => true);
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
  expect(slot).toMatch(/^nanosync_slot_orders_pipeline_[0-9a-f]{8}_[0-9a-f]{16}$/);
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

/** Somebody streams from the anchor's slot; true once that was ended. */
async function streamed({ l0, origin }: Anchor): Promise<() => boolean> {
  const reader = await connect.open('reader', { replication: 'database' });
  let ended = false;
  reader
    .query(
      `START_REPLICATION SLOT ${origin.slot} LOGICAL ${formatLsn(lsnOf(l0))} (proto_version '1', publication_names '${origin.publication}')`,
    )
    .catch(() => {
      ended = true;
    });
  while ((await slotFacts(admin, origin.slot ?? ''))?.activePid === null);
  return () => ended;
}

const names = async (): Promise<string[]> =>
  (await admin.query<{ slot: string }>('SELECT slot_name::text AS slot FROM pg_replication_slots ORDER BY 1')).rows.map(({ slot }) => slot);

test('what an earlier try left is left alone and tidied, also while somebody streams from it', async () => {
  const first = await anchored('first');
  const ended = await streamed(first);
  await admin.query('INSERT INTO public.one VALUES (1)');
  const second = await anchored('second');
  expect(lsnOf(second.l0)).toBeGreaterThan(lsnOf(first.l0));
  await verifyAnchor(connect, PIPELINE, first, null);
  await verifyAnchor(connect, PIPELINE, second, null);
  const asked: string[][] = [];
  const tidy = (answer: boolean) => {
    const still = async () => {
      asked.push(await names());
      return answer;
    };
    return tidyAnchors(connect, realClock, { pipeline: PIPELINE, anchor: second, still });
  };
  await tidy(false);
  await verifyAnchor(connect, PIPELINE, first, null);
  expect(ended()).toBe(false);
  await tidy(true);
  expect(asked).toEqual([await names(), await names()].map((now) => [...now, first.origin.slot].toSorted()));
  expect(await names()).toEqual([second.origin.slot]);
  await verifyAnchor(connect, PIPELINE, second, null);
});

test('only slots of the pipeline are tidied, among them the one that all its anchors had once and one that is being made', async () => {
  const others = ['nanosync_slot_orders', 'nanosync_slot_orders_pipeline_2', 'shop'];
  for (const name of ['nanosync_slot_orders_pipeline_5076b226', ...others])
    await admin.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [name]);
  const anchor = await anchored('mine');
  const holder = await connect.open('batch');
  await holder.query('BEGIN; INSERT INTO public.one VALUES (77)');
  const zombie = anchored('late').catch((error: unknown) => error);
  while ((await names()).length < 6);
  await tidyAnchors(connect, realClock, { pipeline: PIPELINE, anchor, still: async () => true });
  expect(await zombie).toMatchObject({ kind: 'unavailable' });
  expect(await names()).toEqual([...others, anchor.origin.slot].toSorted());
  await holder.end();
  for (const name of others) await admin.query('SELECT pg_drop_replication_slot($1)', [name]);
});

test('an anchor that was stored under the one name that all had once goes on, and is dropped by its name', async () => {
  const made = await anchored('new');
  const slot = 'nanosync_slot_orders_pipeline_5076b226';
  await admin.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  const old = { ...made, origin: { ...made.origin, slot } };
  await tidyAnchors(connect, realClock, { pipeline: PIPELINE, anchor: old, still: async () => true });
  expect(await names()).toEqual([slot]);
  await streamed(old);
  await dropAnchor(connect, realClock, old);
  await dropAnchor(connect, realClock, old);
  expect(await names()).toEqual([]);
});

test('a slot of another database is refused, not dropped', async () => {
  await admin.query('CREATE DATABASE other');
  const elsewhere = connectTo(server.dsn('other'), 'nanosync');
  const anchor = await anchored();
  await expect(dropAnchor(elsewhere, realClock, anchor)).rejects.toMatchObject({
    kind: 'prerequisite',
    message: expect.stringContaining('belongs to database postgres'),
  });
  await tidyAnchors(elsewhere, realClock, { pipeline: PIPELINE, anchor: { ...anchor, origin: {} }, still: async () => true });
  await releaseAnchors(elsewhere, realClock, PIPELINE, async () => true);
  await verifyAnchor(connect, PIPELINE, anchor, null);
});

test('a publication that is there keeps its tables, gets those that it lacks or has in part, and our options', async () => {
  await admin.query('CREATE TABLE public.three (id int PRIMARY KEY, note text)');
  const publication = (await anchored('first')).origin.publication ?? '';
  await admin.query(`ALTER PUBLICATION ${publication} DROP TABLE public.one, public.two`);
  await admin.query(`ALTER PUBLICATION ${publication} ADD TABLE public.three, public.two WHERE (id > 5)`);
  await admin.query(`ALTER PUBLICATION ${publication} SET (publish = 'insert', publish_via_partition_root = true)`);
  const anchor = await anchored('second');
  await verifyAnchor(connect, PIPELINE, anchor, null);
  const { rows } = await admin.query('SELECT prrelid::regclass::text AS name, prqual AS filter FROM pg_publication_rel ORDER BY 1');
  expect(rows).toEqual(['public.one', 'public.three', 'public.two'].map((name) => ({ name, filter: null })));
  await admin.query('DROP TABLE public.three');
});

test('a publication of all tables is refused with the statement that takes it away', async () => {
  await admin.query('CREATE PUBLICATION nanosync_pub_orders_pipeline_5076b226 FOR ALL TABLES');
  await expect(anchored()).rejects.toMatchObject({
    kind: 'prerequisite',
    hint: 'Run: DROP PUBLICATION "nanosync_pub_orders_pipeline_5076b226";',
  });
});

test('when no slot is free that is said with what helps', async () => {
  await using small = await startPostgres({ settings: { max_replication_slots: '1' } });
  const there = connectTo(small.dsn(), 'nanosync');
  const client = await there.open('x');
  await client.query("CREATE TABLE public.one (id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('standby')");
  await client.end();
  const tables = ['public.one'] as TableId[];
  await expect(createAnchor(there, { clock: realClock, log: quiet }, { pipeline: PIPELINE, id: 'x', tables })).rejects.toMatchObject({
    kind: 'prerequisite',
    message: expect.stringMatching(/no free replication slot \(max_replication_slots is 1\)/),
    hint: expect.stringContaining("pg_drop_replication_slot('standby')"),
  });
});

test('release leaves nothing and may run again', async () => {
  await anchored();
  await releaseAnchors(connect, realClock, PIPELINE, async () => true);
  await releaseAnchors(connect, realClock, PIPELINE, async () => true);
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
