import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { clusterStack, freePort, type PostgresServer, type StackAddresses, startPostgres } from '@nanosync/testkit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ComposeFile, readComposeFile } from './compose-file.ts';
import { asInTheImage, buildImage, type ImageProcess, outcome, ROOT } from './image.ts';

/** As `docker compose up --scale snapshot-worker=3 --scale sink-writer=2`. */
const SCALE = { planner: 1, 'snapshot-worker': 3, 'cdc-capture': 1, 'sink-writer': 2 } as const;

/** Fewer than the demo has. */
const ORDERS = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'nanosync-services-'));
const DATASET = basename(folder).replaceAll('-', '_');
const running: {
  readonly name: string;
  readonly health: Readonly<Record<string, string>>;
  readonly child: ImageProcess;
  readonly ended: Promise<unknown>;
}[] = [];
let stack: Pick<StackAddresses, 'kafka' | 'registry' | 'redis' | 'bigquery'>;
let postgres: PostgresServer;
let compose: ComposeFile;
let image: string;

beforeAll(async () => {
  compose = await readComposeFile(join(ROOT, 'docker-compose.yml'));
  stack = await clusterStack('kafka', 'registry', 'redis', 'bigquery');
  postgres = await startPostgres();
  image = buildImage(folder);
  mkdirSync(join(folder, 'etc'));
  writeFileSync(join(folder, 'etc/server.yaml'), `${serverFile()}api: { listen: "127.0.0.1:${await freePort()}" }\n`);
  writeFileSync(join(folder, 'etc/pipelines.yaml'), pipelinesFile());
  await loadShop();
  await bigquery('datasets', { datasetReference: { projectId: stack.bigquery.project, datasetId: DATASET } });
}, 300_000);

afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  await Promise.all(running.map(({ ended }) => ended));
  await postgres?.stop();
  rmSync(folder, { recursive: true });
});

test('the commands of the compose file, several of each, copy the demo shop into BigQuery and end when told to', {
  timeout: 400_000,
}, async () => {
  for (const [name, count] of Object.entries(SCALE)) for (let at = 0; at < count; at++) begin(name, at);
  await expect
    .poll(() => nanosync('apply', '-f', join(folder, 'etc/pipelines.yaml')), { timeout: 60_000, interval: 1_000 })
    .toMatchObject({ code: 0 });
  await expect
    .poll(() => nanosync('status'), { timeout: 240_000, interval: 1_000 })
    .toMatchObject({ code: 0, output: expect.stringContaining('streaming, live') });
  expect([await rowsAt('public_customers'), await rowsAt('public_orders')]).toEqual([10_000, ORDERS]);
  for (const { name, health } of running)
    expect([name, await outcome(asInTheImage(image, ['health'], health))]).toEqual([name, expect.objectContaining({ code: 0 })]);
  for (const { child } of running) child.kill('SIGTERM');
  for (const { name, ended } of running) expect([name, await ended]).toEqual([name, expect.objectContaining({ code: 0 })]);
});

/** Starts what one container would run. */
function begin(name: string, at: number): void {
  const command = compose.services[name]?.command?.map((word) => word.replace('/etc/nanosync', join(folder, 'etc'))) ?? [];
  const home = mkdtempSync(join(folder, `${name}-${at}-`));
  chmodSync(home, 0o777);
  const health = { NANOSYNC_HEALTH_FILE: join(home, 'health') };
  const child = asInTheImage(image, command, { ...environment(), ...health });
  running.push({ name: `${name} ${at}`, health, child, ended: outcome(child) });
}

/** As `docker compose exec planner nanosync ...`. */
function nanosync(...args: readonly string[]): ReturnType<typeof outcome> {
  return outcome(asInTheImage(image, [...args, '--config', join(folder, 'etc/server.yaml')], environment()));
}

/** What the compose file hands over from its own environment. */
function environment(): Readonly<Record<string, string>> {
  return { SHOP_PASSWORD: postgres.password, BIGQUERY_PROJECT: stack.bigquery.project };
}

/** The deployment's file with the addresses of here, and with names of its own since others use these services too. */
function serverFile(): string {
  const mine = basename(folder);
  return replaced(readFileSync(join(ROOT, 'deploy/server.yaml'), 'utf8'), [
    ['"kafka:9092"', JSON.stringify(stack.kafka.brokers[0])],
    [':9464', '127.0.0.1:0'],
    ['replication_factor: 1', `topic_prefix: ${mine}\n    replication_factor: 1`],
    ['http://registry:8080/apis/ccompat/v7', stack.registry.url],
    ['"redis://redis:6379"', `${JSON.stringify(stack.redis.url)}, key_prefix: ${mine}`],
  ]);
}

function pipelinesFile(): string {
  return replaced(readFileSync(join(ROOT, 'deploy/pipelines.yaml'), 'utf8'), [
    ['postgres:5432/shop', `${postgres.host}:${postgres.port}/postgres`],
    ['dataset: shop', `dataset: ${DATASET}`],
    ['key_file: /run/secrets/google-credentials', `endpoint: ${JSON.stringify(stack.bigquery.url)}`],
  ]);
}

function replaced(text: string, pairs: readonly (readonly [string, string])[]): string {
  for (const [old] of pairs) if (!text.includes(old)) throw new Error(`the file has no ${old}`);
  return pairs.reduce((all, [old, replacement]) => all.replace(old, replacement), text);
}

async function loadShop(): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.dsn() });
  await client.connect();
  const shop = readFileSync(join(ROOT, 'deploy/demo/shop.sql'), 'utf8');
  await client.query(replaced(shop, [['generate_series(1, 200000)', `generate_series(1, ${ORDERS})`]]));
  await client.end();
}

async function bigquery(path: string, body: unknown): Promise<unknown> {
  const { url, project } = stack.bigquery;
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(`${url}/bigquery/v2/projects/${project}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}

async function rowsAt(table: string): Promise<number> {
  const query = `SELECT COUNT(*), COUNT(DISTINCT id) FROM ${DATASET}.${table}`;
  const { rows } = (await bigquery('queries', { query, useLegacySql: false })) as { rows: { f: { v: string }[] }[] };
  const [all, distinct] = rows[0]?.f.map(({ v }) => Number(v)) ?? [];
  if (all !== distinct) throw new Error(`${table} has ${all} rows and ${distinct} keys`);
  return all ?? 0;
}
