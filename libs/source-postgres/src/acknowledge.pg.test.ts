import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ChangeReader, SourceEvent } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { Client } from 'pg';
import { LogicalReplicationService } from 'pg-logical-replication';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Capture } from './changes-fixture.ts';
import { captureOf, nextOf } from './changes-fixture.ts';
import { formatLsn, lsnOf, parseLsn, positionOfLsn } from './position.ts';
import { RawPgoutput } from './raw-pgoutput.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ settings: { wal_sender_timeout: '3s' } });
});
afterAll(() => server.stop());

type Commit = Extract<SourceEvent, { kind: 'commit' }>;

async function confirmed(capture: Capture): Promise<bigint> {
  return parseLsn(await capture.cell(`SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '${capture.slot}'`));
}

async function flushed(capture: Capture): Promise<string> {
  return capture.cell(`SELECT concat_ws(' ', write_lsn, flush_lsn, replay_lsn) FROM pg_stat_replication r
    JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = '${capture.slot}'`);
}

/** Ids of the changes delivered so far and their commits, until the change of this id was committed. */
async function until(reader: ChangeReader, id: number): Promise<{ readonly ids: number[]; readonly commits: Commit[] }> {
  const ids: number[] = [];
  const commits: Commit[] = [];
  for (;;)
    for (const event of await nextOf(reader)) {
      if (event.kind === 'change') ids.push(event.after?.[0] as number);
      if (event.kind !== 'commit') continue;
      commits.push(event);
      if (ids.includes(id)) return { ids, commits };
    }
}

async function untilIdle(reader: ChangeReader): Promise<bigint> {
  for (;;) for (const event of await nextOf(reader)) if (event.kind === 'idle') return lsnOf(event.position);
}

test('exactly the acknowledged value reaches the server, and nothing before it was acknowledged', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY)', ['t']);
  for (let id = 1; id <= 5; id++) await capture.sql(`INSERT INTO t VALUES (${id})`);
  const reader = await capture.open();
  const { commits } = await until(reader, 5);
  expect(await confirmed(capture)).toBe(lsnOf(capture.l0));
  for (const commit of [commits[1]!, commits[4]!]) {
    reader.acknowledge(commit.acknowledge);
    await vi.waitFor(async () => expect(await confirmed(capture)).toBe(lsnOf(commit.acknowledge)), { interval: 5 });
    const text = await capture.cell(`SELECT '${lsnOf(commit.acknowledge)}'::numeric + '0/0'::pg_lsn`);
    expect(await flushed(capture)).toBe(`${text} ${text} ${text}`);
  }
  reader.acknowledge(commits[0]!.acknowledge);
  expect(() => reader.acknowledge(positionOfLsn(lsnOf(commits[4]!.acknowledge) + 1n))).toThrow(expect.objectContaining({ kind: 'defect' }));
  // The server counts answers as replies; a value that went back would be seen by now.
  await reader[Symbol.asyncDispose]();
  expect(await confirmed(capture)).toBe(lsnOf(commits[4]!.acknowledge));
});

test('an acknowledged value is kept from the server for as long as asked, and for ever when the reader ends before', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY)', ['t']);
  const before = await confirmed(capture);
  const mayTell = async () => true;
  const first = await capture.open({ confirm: { afterMs: 60_000, mayTell } });
  await capture.sql('INSERT INTO t VALUES (1)');
  const commit = (await capture.all(first)).find((event) => event.kind === 'commit');
  first.acknowledge(commit!.acknowledge);
  await first[Symbol.asyncDispose]();
  // Nor by a reader that begins there.
  const there = await capture.open({ from: commit!.acknowledge, confirm: { afterMs: 60_000, mayTell } });
  await capture.all(there);
  await vi.waitFor(async () => expect(await flushed(capture)).not.toBe(''), { interval: 5 });
  expect(await confirmed(capture)).toBe(before);
  await there[Symbol.asyncDispose]();
  const second = await capture.open({ confirm: { afterMs: 200, mayTell } });
  const again = (await capture.all(second)).find((event) => event.kind === 'commit');
  expect(again!.acknowledge).toBe(commit!.acknowledge);
  expect(await confirmed(capture)).toBe(before);
  const told = performance.now();
  second.acknowledge(again!.acknowledge);
  await vi.waitFor(async () => expect(await confirmed(capture)).toBe(lsnOf(again!.acknowledge)), { interval: 5 });
  expect(performance.now() - told).toBeGreaterThan(199);
});

test('after a crash every transaction at or after the acknowledged commit comes again, neighbours included', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY)', ['t']);
  // Transactions that wait with nothing but their commits to write: each begins where the one before it ended.
  const writers: Client[] = [];
  for (let id = 0; id < 12; id++) {
    const writer = await capture.connect.open('writer');
    await writer.query('BEGIN');
    await writer.query(`INSERT INTO public.t VALUES (${id})`);
    writers.push(writer);
  }
  for (const writer of writers) await writer.query('COMMIT');
  await Promise.all(writers.map((writer) => writer.end()));
  await capture.sql('INSERT INTO t VALUES (-1)');
  const first = await capture.open();
  const { ids, commits } = await until(first, -1);
  expect(ids).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -1]);
  const gap = (at: number) => lsnOf(commits[at + 1]!.acknowledge) - lsnOf(commits[at]!.acknowledge);
  const at = [2, 3, 4, 5, 6, 7, 8].find((place) => gap(place) < 60n && gap(place + 1) < 60n) ?? -1;
  expect(at).toBeGreaterThan(0);
  await first[Symbol.asyncDispose]();
  for (const place of [at, at + 1]) {
    const reader = await capture.open({ from: commits[at]!.acknowledge });
    await until(reader, -1);
    reader.acknowledge(commits[place]!.acknowledge);
    await vi.waitFor(async () => expect(await confirmed(capture)).toBe(lsnOf(commits[place]!.acknowledge)), { interval: 5 });
    // The server forgets everything that was not confirmed.
    await capture.sql(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '${capture.slot}'`);
    await reader[Symbol.asyncDispose]();
    const again = await capture.open({ from: commits[place]!.acknowledge });
    expect((await until(again, -1)).ids).toEqual(ids.slice(place));
    await again[Symbol.asyncDispose]();
  }
  // What the driver does when it is left alone, one byte more, loses the commit that begins there.
  const service = new LogicalReplicationService(capture.connect.config('test', { replication: 'database' }) as never, {
    acknowledge: { auto: false, timeoutSeconds: 0 },
  });
  service.on('error', () => {});
  const lost = commits[at + 2]!;
  const plugin = new RawPgoutput({ publication: capture.publication }, { message: () => {}, skipped: () => {} });
  const ended = service.subscribe(plugin, capture.slot).catch(() => {});
  await new Promise<void>((resolve) => service.once('start', () => resolve()));
  await service.acknowledge(formatLsn(lsnOf(lost.acknowledge)));
  await vi.waitFor(async () => expect(await confirmed(capture)).toBe(lsnOf(lost.acknowledge) + 1n), { interval: 5 });
  plugin.close();
  await ended;
  expect((await until(await capture.open({ from: lost.acknowledge }), -1)).ids).toEqual(ids.slice(at + 3));
});

test('an idle database lets the slot advance, but only once nothing is unacknowledged', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)', ['t']);
  const reader = await capture.open();
  await capture.sql('INSERT INTO other VALUES (1)');
  const end = parseLsn(await capture.cell('SELECT pg_current_wal_flush_lsn()'));
  let idle = await untilIdle(reader);
  while (idle < end) idle = await untilIdle(reader);
  reader.acknowledge(positionOfLsn(idle));
  await vi.waitFor(async () => expect(await confirmed(capture)).toBe(idle), { interval: 5 });

  await capture.sql('INSERT INTO t VALUES (1)');
  const { commits } = await until(reader, 1);
  let told: readonly SourceEvent[] | undefined;
  const next = reader.next().then((events) => {
    told = events;
  });
  // Keepalives go on meanwhile: the server asks for a reply after half of its timeout.
  const before = await capture.cell(`SELECT max(reply_time) FROM pg_stat_replication`);
  await vi.waitFor(async () => expect(await capture.cell('SELECT max(reply_time) FROM pg_stat_replication')).not.toBe(before), {
    timeout: 5000,
  });
  expect(told).toBeUndefined();
  reader.acknowledge(commits.at(-1)!.acknowledge);
  await next;
  expect(told).toMatchObject([{ kind: 'idle' }]);
  expect(lsnOf(told![0]!.position)).toBeGreaterThan(lsnOf(commits.at(-1)!.acknowledge));
});

test('a reader that takes nothing for longer than the server waits keeps its stream, and its memory', async () => {
  await using capture = await captureOf(server, 'CREATE TABLE t (id int PRIMARY KEY, a text)', ['t']);
  await capture.sql('INSERT INTO t SELECT g, repeat(md5(g::text), 1000) FROM generate_series(1, 4000) g');
  const before = arrayBuffers();
  const reader = await capture.open();
  const pid = await capture.cell(`SELECT active_pid FROM pg_replication_slots WHERE slot_name = '${capture.slot}'`);
  // 128 MB wait; three times the timeout passes on the server's clock.
  const from = await capture.cell('SELECT extract(epoch FROM clock_timestamp())');
  await vi.waitFor(
    async () => expect(Number(await capture.cell(`SELECT extract(epoch FROM clock_timestamp()) - ${from}`))).toBeGreaterThan(3),
    { timeout: 20_000, interval: 500 },
  );
  expect(arrayBuffers() - before).toBeLessThan(40_000_000);
  let rows = 0;
  for (let done = false; !done; )
    for (const event of await nextOf(reader)) {
      if (event.kind === 'change') rows++;
      done = event.kind === 'commit';
    }
  expect(rows).toBe(4000);
  expect(await capture.cell(`SELECT active_pid FROM pg_replication_slots WHERE slot_name = '${capture.slot}'`)).toBe(pid);
});

/** Bytes that are held by now: test files share a process, and what an earlier one left counts for nobody. */
function arrayBuffers(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}
