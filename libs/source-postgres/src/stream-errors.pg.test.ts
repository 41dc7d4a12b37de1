import type { AddressInfo, Socket } from 'node:net';
import { createConnection, createServer } from 'node:net';
import type { SourceEvent } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openChanges } from './change-reader.ts';
import { captureOf, clock, nextOf, PIPELINE } from './changes-fixture.ts';
import { connectTo } from './connection.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const TABLE = 'CREATE TABLE t (id int PRIMARY KEY, n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL';
const kind = (name: string, message: RegExp, hint?: RegExp) =>
  expect.objectContaining({ kind: name, message: expect.stringMatching(message), ...(hint && { hint: expect.stringMatching(hint) }) });

test('a slot that is gone, and a publication that lacks something, are gaps with a cure', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  const cure = /nanosync pipeline resnapshot p/;
  await capture.sql("ALTER PUBLICATION nanosync_pub_p SET (publish = 'insert')");
  await expect(capture.open()).rejects.toThrow(kind('gap', /does not publish inserts, updates/, cure));
  await capture.sql("ALTER PUBLICATION nanosync_pub_p SET (publish = 'insert, update, delete, truncate')");
  await capture.sql('ALTER PUBLICATION nanosync_pub_p DROP TABLE t');
  await expect(capture.open()).rejects.toThrow(kind('gap', /does not publish the table public\.t/, cure));
  await capture.sql('DROP PUBLICATION nanosync_pub_p');
  await expect(capture.open()).rejects.toThrow(kind('gap', /publication nanosync_pub_p does not exist/, cure));
  await capture.sql('CREATE PUBLICATION nanosync_pub_p FOR TABLE t');
  await capture.sql(`SELECT pg_drop_replication_slot('${capture.slot}')`);
  await expect(capture.open()).rejects.toThrow(kind('gap', /slot .* does not exist/, cure));
});

test('a publication that is dropped while the stream runs ends it: nothing is skipped in silence', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  const reader = await capture.open();
  await capture.sql('INSERT INTO t VALUES (1)');
  expect((await capture.all(reader)).length).toBe(2);
  await capture.sql('DROP PUBLICATION nanosync_pub_p');
  await capture.sql('INSERT INTO t VALUES (2)');
  await expect(capture.all(reader)).rejects.toThrow(kind('gap', /publication nanosync_pub_p/));
});

/** Passes everything on, but follows the welcome of a replication connection with the word of a server that shuts down, in one piece. */
async function partingProxy(): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const proxy = createServer((ours) => {
    const theirs = createConnection(server.port, server.host);
    let replicates = false;
    for (const socket of [ours, theirs]) sockets.add(socket.on('error', () => {}));
    ours.on('data', (chunk) => {
      replicates ||= chunk.includes('replication\0');
      theirs.write(chunk);
    });
    theirs.on('data', (chunk) => {
      if (replicates && chunk.subarray(-6).equals(READY)) ours.end(Buffer.concat([chunk, SHUTDOWN]));
      else ours.write(chunk);
    });
    ours.on('close', () => theirs.destroy());
    theirs.on('close', () => ours.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    port: (proxy.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

const READY = Buffer.from('Z\0\0\0\u0005I', 'latin1');
const FIELDS = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0';
const SHUTDOWN = Buffer.concat([Buffer.from('E'), Buffer.from([0, 0, 0, FIELDS.length + 4]), Buffer.from(FIELDS)]);

test('a server that shuts down as soon as it has let the stream in does not end the process', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await using proxy = await partingProxy();
  const database = await capture.cell('SELECT current_database()');
  const connect = connectTo(server.dsn(database).replace(`:${server.port}/`, `:${proxy.port}/`), 'nanosync');
  const options = {
    ...{ pipeline: PIPELINE, from: capture.l0, tables: capture.tables, complete: () => false, signal: new AbortController().signal },
    anchor: { id: 'a', l0: capture.l0, origin: { slot: capture.slot, publication: capture.publication } },
  };
  await expect(openChanges(connect, options, { clock })).rejects.toThrow(kind('unavailable', /./));
});

test('a slot that another process streams from is a conflict that names it', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.open();
  let ms = 0;
  const hurried = { ...clock, sleep: async () => {}, monotonicMs: () => (ms += 1000) };
  await expect(capture.open({}, hurried)).rejects.toThrow(kind('conflict', /is in use.*PID \d+/, /pg_terminate_backend/));
});

test('a slot that its last holder is just leaving is waited for', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  const first = await capture.open();
  const waits: PromiseLike<void>[] = [];
  const leaving = {
    ...clock,
    sleep: async (ms: number, signal?: AbortSignal) => {
      waits.push(first[Symbol.asyncDispose]());
      await clock.sleep(ms, signal);
    },
  };
  await capture.open({}, leaving);
  expect(waits.length).toBeGreaterThan(0);
  await Promise.all(waits);
});

test('an abort ends a reader that waits, whatever it waits for, and its connections', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  const connections = () => capture.cell("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'nanosync c%'");
  const idle = new AbortController();
  const reader = await capture.open({ signal: idle.signal });
  const waiting = reader.next();
  idle.abort();
  expect(await waiting).toBeUndefined();
  expect(await reader.next()).toBeUndefined();
  await vi.waitFor(async () => expect(await connections()).toBe('0'));

  await capture.sql("INSERT INTO t VALUES (1, 1, repeat('x', 5000))");
  await capture.sql('UPDATE t SET n = 2');
  const locker = await capture.connect.open('locker');
  await locker.query('BEGIN');
  await locker.query('LOCK TABLE public.t');
  const completing = new AbortController();
  const other = await capture.open({ signal: completing.signal, complete: () => true });
  const result = (async () => {
    while ((await other.next()) !== undefined);
  })();
  await vi.waitFor(async () => expect(await capture.cell('SELECT count(*) FROM pg_locks WHERE NOT granted')).toBe('1'));
  completing.abort();
  await result;
  await locker.end();
  await vi.waitFor(async () => expect(await connections()).toBe('0'));
});

test('an abort before the stream began is an error at once', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await expect(capture.open({ signal: AbortSignal.abort() })).rejects.toThrow(kind('unavailable', /given up/));
});

test('a server that goes away is unavailable, and the next reader goes on', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  await capture.sql('INSERT INTO t VALUES (1)');
  const reader = await capture.open();
  const [, commit] = await capture.all(reader);
  if (commit?.kind === 'commit') reader.acknowledge(commit.acknowledge);
  const waiting = (async () => {
    for (;;) await nextOf(reader);
  })();
  waiting.catch(() => {});
  capture.client.on('error', () => {});
  await server.restart('immediate');
  await expect(waiting).rejects.toThrow(kind('unavailable', /./));
  await expect(reader.next()).rejects.toThrow(kind('unavailable', /./));
  const again = await capture.open({ from: capture.l0 });
  const events = await nextOf(again);
  expect(events[0]).toMatchObject({ kind: 'change', after: [1, null, null] });
});

test('a server can shut down although what it sent cannot be published', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  capture.client.on('error', () => {});
  let ms = 0;
  const reader = await capture.open({}, { ...clock, monotonicMs: () => (ms += 50) });
  await capture.sql('INSERT INTO t VALUES (1)');
  expect((await capture.all(reader)).length).toBe(2);
  const failed = expect(reader.next()).rejects.toThrow(kind('unavailable', /shuts down/));
  await server.restart('fast');
  await failed;
});

test('a server that shuts down is given what it waits for while changes are published', async () => {
  await using capture = await captureOf(server, TABLE, ['t']);
  capture.client.on('error', () => {});
  const reader = await capture.open();
  await capture.sql('INSERT INTO t VALUES (1)');
  let last: SourceEvent | undefined;
  const reading = (async () => {
    for (;;)
      for (const event of await nextOf(reader)) {
        if (event.kind === 'commit') reader.acknowledge(event.acknowledge);
        if (event.kind === 'idle') reader.acknowledge(event.position);
        if (event.kind === 'change') last = event;
      }
  })();
  const ended = expect(reading).rejects.toThrow(kind('unavailable', /./));
  await server.restart('fast');
  await ended;
  expect(last).toMatchObject({ after: [1, null, null] });
});
