import type { Anchor, TableId } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAnchor, verifyAnchor } from './anchor.ts';
import type { Connect } from './connection.ts';
import { connectTo } from './connection.ts';
import { retentionFrom, retentionOf } from './retention.ts';
import { quiet, realClock } from './test-context.ts';

const MB = 1024 * 1024;

let server: PostgresServer;
let connect: Connect;
let admin: Client;
let anchor: Anchor;
beforeAll(async () => {
  server = await startPostgres({ settings: { max_wal_size: '32MB', min_wal_size: '32MB', wal_keep_size: '0' } });
  connect = connectTo(server.dsn(), 'nanosync');
  admin = await connect.open('admin');
  await admin.query('CREATE TABLE public.one (id int PRIMARY KEY)');
  anchor = await createAnchor(connect, { clock: realClock, log: quiet }, { pipeline: 'p', id: 'id', tables: ['public.one' as TableId] });
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

/** Writes so many bytes of log that nobody needs. */
async function write(megabytes: number): Promise<void> {
  for (let written = 0; written < megabytes; written++)
    await admin.query(`SELECT pg_logical_emit_message(false, 'filler', repeat('x', ${MB}))`);
}

async function limit(size: string): Promise<void> {
  await admin.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '${size}'`);
  await admin.query('SELECT pg_reload_conf()');
  for (;;) if ((await retentionOf(connect, anchor)).limitBytes === (size === '-1' ? null : Number.parseInt(size, 10) * MB)) return;
}

test('without a limit what is kept grows with the log, and nothing bounds it', async () => {
  const before = await retentionOf(connect, anchor);
  expect(before).toMatchObject({ state: 'unlimited', limitBytes: null, leftBytes: null, setting: 'max_slot_wal_keep_size' });
  await write(3);
  const after = await retentionOf(connect, anchor);
  expect(after.keptBytes - before.keptBytes).toBeGreaterThan(3 * MB);
  expect(after.end > before.end).toBe(true);
});

test('with a limit what is left falls until the server drops the log, which is said with the cure', async () => {
  await limit('64MB');
  const before = await retentionOf(connect, anchor);
  expect(before).toMatchObject({ state: 'safe', limitBytes: 64 * MB });
  expect(before.leftBytes).toBeGreaterThan(16 * MB);
  await write(20);
  const after = await retentionOf(connect, anchor);
  expect((before.leftBytes ?? 0) - (after.leftBytes ?? 0)).toBeGreaterThan(19 * MB);
  expect(after.keptBytes).toBeGreaterThan(20 * MB);
  await write(100);
  await admin.query('CHECKPOINT');
  expect(await retentionOf(connect, anchor)).toMatchObject({ state: 'lost', keptBytes: 0, leftBytes: 0 });
  await expect(verifyAnchor(connect, 'p', anchor, null)).rejects.toMatchObject({
    kind: 'gap',
    hint: 'Run: nanosync pipeline resnapshot p',
  });
});

test('a slot that is gone has lost its log; an anchor without a slot needs none', async () => {
  const gone = { ...anchor, origin: { ...anchor.origin, slot: 'nobody' } };
  expect(await retentionOf(connect, gone)).toMatchObject({ state: 'lost', keptBytes: 0, leftBytes: 0 });
  const { slot: _, ...origin } = anchor.origin;
  expect(await retentionOf(connect, { ...anchor, origin })).toMatchObject({ state: 'none', keptBytes: 0, leftBytes: null });
});

test('a slot whose log may go at the next checkpoint is at risk', () => {
  const facts = { end: '0/5000000', limit: '64', found: true, restart: '0/1000000', status: 'unreserved', safe: '-100' };
  expect(retentionFrom(facts)).toMatchObject({ state: 'at risk', keptBytes: 64 * MB, leftBytes: 0 });
  expect(retentionFrom({ ...facts, status: 'extended', safe: '1000' })).toMatchObject({ state: 'safe', leftBytes: 1000 });
});
