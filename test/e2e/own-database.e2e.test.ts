import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positionOf } from '@nanosync/core';
import { type PostgresServer, startPostgres } from '@nanosync/testkit';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compareTable } from '../compare/compare-table.ts';
import { duckdbEnd } from '../compare/duckdb-end.ts';
import { openSink } from '../compare/sink-table.ts';
import { connectSource } from '../compare/source-table.ts';
import { lsnNumber } from '../demo/progress.ts';
import { type NanosyncProcess, nanosync, startNanosync } from './nanosync-process.ts';

const PASSWORD = 'pl4nted-s3cret/@:';
const TABLES = ['public.orders', 'Odd Schema.Mixed Case', 'public.empty', 'public.only_keys', 'public.large', 'public.wide'];
const MIXED = 'Odd Schema.Mixed Case';

let root: string;
let server: PostgresServer;
let client: pg.Client;
/** Everything that was printed, to be searched for what must not be in it. */
let printed = '';
const running: NanosyncProcess[] = [];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'nanosync-own-'));
  server = await startPostgres();
  client = await connectSource(server.dsn());
  await client.query(sql('own-database.sql'));
  writePipelines('first.yaml', 'orders-pipeline', TABLES, 'shop.duckdb');
  writePipelines('second.yaml', 'later', ['public.later'], 'later.duckdb');
});

afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  await client.end();
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

const at = (name: string) => join(root, name);
const sql = (name: string) => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8');
const env = { PGPASSWORD: PASSWORD };

/** As in the README. */
function writePipelines(file: string, name: string, tables: readonly string[], duckdb: string): void {
  const text = `connections:
  - { name: prod, type: postgres, dsn: "postgres://sync:\${env:PGPASSWORD}@127.0.0.1:${server.port}/postgres" }
  - { name: warehouse-${name}, type: duckdb, properties: { path: ${JSON.stringify(at(duckdb))} } }
pipelines:
  - name: ${name}
    source: { connection: prod, tables: ${JSON.stringify(tables)} }
    sink: { connection: warehouse-${name} }
    snapshot: { concurrency: 4, target_rows_per_partition: 2000 }
`;
  writeFileSync(at(file), text);
}

async function run(...args: readonly string[]) {
  const ended = await nanosync([...args, ...(args[0] === 'validate' ? [] : ['--data-dir', at('data')])], env);
  printed += ended.out + ended.err;
  return ended;
}

function start(...args: readonly string[]): NanosyncProcess {
  const process = startNanosync(['--debug', 'start', ...args, '--data-dir', at('data')], env);
  void process.ended.then(({ out, err }) => {
    printed += out + err;
  });
  running.push(process);
  return process;
}

interface TableJson {
  readonly table: string;
  readonly state: string;
  readonly epoch: string;
  readonly watermark: string | null;
  readonly quarantined: number;
}

async function statusOf(pipeline: string) {
  const { out, status } = await run('status', pipeline, '--json');
  const { serving, pipelines } = JSON.parse(out) as { serving: boolean; pipelines: { healthy: boolean; tables: TableJson[] }[] };
  return { status, serving, healthy: pipelines[0]?.healthy, tables: pipelines[0]?.tables ?? [] };
}

/** Waits until every table is live and has everything that was committed by now. */
async function caughtUp(pipeline: string, different: ReadonlySet<string> = new Set()): Promise<readonly TableJson[]> {
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
  const target = positionOf(lsnNumber(rows[0]?.lsn ?? ''), 0n);
  let tables: readonly TableJson[] = [];
  const expected = pipeline === 'later' ? 1 : TABLES.length;
  await vi.waitFor(
    async () => {
      await client.query("SELECT pg_logical_emit_message(true, 'nanosync', $1)", [JSON.stringify({ kind: 'watermark', pipeline })]);
      ({ tables } = await statusOf(pipeline));
      const there = tables.filter(
        ({ state, watermark, epoch }) => state === 'live' && (watermark ?? '') >= target && !different.has(epoch),
      );
      expect(there.length).toBe(expected);
    },
    { timeout: 120_000, interval: 300 },
  );
  return tables;
}

/** Every row and column of both ends by SQL; rows that cannot be at the sink are named by the test. */
async function compare(duckdb: string, tables: readonly string[], findings: readonly string[] = []): Promise<void> {
  const sink = await openSink(at(duckdb));
  try {
    const found: string[] = [];
    for (const table of tables) found.push(...(await compareTable(client, duckdbEnd(sink), table)).findings);
    expect(found.sort()).toEqual([...findings].sort());
  } finally {
    sink.close();
  }
}

const QUARANTINED = [`${MIXED} (Id=3): missing at the sink`, `${MIXED} (Id=7): missing at the sink`];

/** What `tap` shows beside the running server. Its output has cells, so it is not among what is searched for them at the end. */
async function lookAtTheBus(): Promise<void> {
  const tap = (...args: readonly string[]) => nanosync(['tap', 'orders-pipeline', '--data-dir', at('data'), ...args], env);
  const { status, out, err } = await tap('--table', MIXED, '--limit', '0', '--json');
  expect({ status, err }).toEqual({ status: 0, err: '' });
  const entries = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly kind: string; readonly table: string; readonly reason?: string });
  expect(new Set(entries.map(({ kind }) => kind))).toEqual(new Set(['task', 'row', 'end', 'change', 'control', 'quarantined']));
  expect(new Set(entries.map(({ table }) => table))).toEqual(new Set([MIXED]));
  expect(entries.filter(({ kind }) => kind === 'quarantined').map(({ reason }) => reason)).toContain(
    'column price: a numeric that is no finite number',
  );
  expect(await tap('--table', 'ordrs')).toMatchObject({ status: 2, out: '', err: expect.stringContaining('Did you mean') });
}

test('a database of awkward tables is copied and followed, through kills, a second pipeline and a resnapshot', async () => {
  expect((await run('validate', '-f', at('first.yaml'), '--connect')).status).toBe(0);
  const first = start('-f', at('first.yaml'));
  await first.until(/partition":"5\/11/);
  await client.query('UPDATE public.orders SET "order" = \'while copied\' WHERE a % 7 = 0; UPDATE public.large SET n = n + 1');
  first.child.kill('SIGKILL');
  await first.ended;

  expect(await run('status')).toMatchObject({
    status: 2,
    err: expect.stringMatching(/^No server runs on .*; the last one, process \d+, is gone\./),
  });
  const second = start(); // Without a file: what is stored goes on.
  await caughtUp('orders-pipeline');
  expect(second.out()).toContain('pipeline resuming');
  expect(await run('start', '-f', at('first.yaml'))).toMatchObject({
    status: 2,
    err: expect.stringContaining('is already served by another nanosync'),
  });
  expect(await run('apply', '-f', at('second.yaml'))).toMatchObject({ status: 0, out: 'later: created\n' });
  await client.query(sql('own-database-changes.sql'));
  await caughtUp('later');
  const live = await caughtUp('orders-pipeline');
  expect(live.filter(({ quarantined }) => quarantined > 0)).toMatchObject([{ table: MIXED, quarantined: 2 }]);
  expect(await run('status')).toMatchObject({
    status: 1,
    out: expect.stringMatching(/NEEDS ATTENTION: 2 rows in quarantine\n {2}rows in quarantine are not at the sink/),
  });
  await lookAtTheBus();
  second.child.kill('SIGINT');
  expect((await second.ended).status).toBe(0);
  expect(second.out()).toMatch(
    /"table":"Odd Schema\.Mixed Case".*"reason":"column price: a numeric that is no finite number".*changes quarantined/,
  );
  await compare('shop.duckdb', TABLES, QUARANTINED);
  await compare('later.duckdb', ['public.later']);

  // What was corrected at the source is there after a resnapshot, which a kill does not stop.
  await client.query(`UPDATE "Odd Schema"."Mixed Case" SET price = 5 WHERE price = 'NaN'; DELETE FROM public.orders WHERE a % 3 = 0`);
  const third = start('--log-format', 'human');
  await third.until(/api listens/);
  expect(await run('pipeline', 'resnapshot', 'orders-pipeline')).toMatchObject({ status: 0 });
  await third.until(/snapshotting table=public\.orders partition=3\//);
  third.child.kill('SIGKILL');
  await third.ended;
  const fourth = start();
  const again = await caughtUp('orders-pipeline', new Set(live.map(({ epoch }) => epoch)));
  expect(again.every(({ quarantined }) => quarantined === 0)).toBe(true);
  expect(await run('status')).toMatchObject({ status: 0, out: expect.stringContaining('orders-pipeline  streaming, live\n') });
  const isSwitched = (table: string) =>
    `${third.out()}${fourth.out()}`.split('\n').some((line) => line.includes('table switched') && line.includes(table));
  await vi.waitFor(() => expect(TABLES.filter(isSwitched)).toEqual(TABLES), { timeout: 60_000 });
  fourth.child.kill('SIGTERM');
  expect((await fourth.ended).status).toBe(0);
  await compare('shop.duckdb', TABLES);
});

test('a warehouse that another process holds is named in status, and waited for', async () => {
  const held = await openSink(at('later.duckdb'), 'READ_WRITE');
  const process = start();
  const text = async () => (await run('status', 'later')).out;
  const named = /sink-writer tries again: .*later\.duckdb is open in another process \(pid \d+\)\. DuckDB lets one/;
  await vi.waitFor(async () => expect(await text()).toMatch(named), { timeout: 30_000, interval: 300 });
  await client.query("INSERT INTO public.later VALUES (3, 'three')");
  held.close();
  await caughtUp('later');
  await vi.waitFor(async () => expect(await text()).not.toContain('tries again'), { timeout: 30_000, interval: 300 });
  process.child.kill('SIGINT');
  expect((await process.ended).status).toBe(0);
  await compare('later.duckdb', ['public.later']);
});

test('neither passwords nor cell values are in anything that was printed, nor passwords in anything that was stored', () => {
  expect(printed).toContain('nanosync serving');
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), 'pl4nted']) expect(printed).not.toContain(secret);
  expect(printed).not.toMatch(/planted-cell|while copied|a,b|emoji/);
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) {
    const bytes = readFileSync(join(file.parentPath, file.name));
    expect(bytes.includes('pl4nted'), file.name).toBe(false);
    if (file.parentPath === at('data/state')) expect(bytes.includes('planted-cell'), file.name).toBe(false);
  }
  expect(files.some(({ name }) => name === 'state.db')).toBe(true);
});
