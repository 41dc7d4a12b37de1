import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipelineStatus } from '@nanosync/runtime';
import { openRedisState } from '@nanosync/state/redis';
import { clusterStack, freePort } from '@nanosync/testkit';
import { Client } from 'pg';
import { expect, it, vi } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { nanosync, startNanosync } from '../e2e/nanosync-process.ts';

const SOON = { timeout: 90_000, interval: 200 };

it('start --config runs all in one process on Kafka, registry and Redis, and goes on after kill -9', { timeout: 300_000 }, async () => {
  const stack = await clusterStack('kafka', 'registry', 'redis', 'postgres');
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-start-'));
  const name = `s${randomUUID().slice(0, 8)}`;
  const admin = new Client({ connectionString: stack.postgres.dsn });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  const url = new URL(stack.postgres.dsn);
  url.pathname = `/${name}`;
  const client = new Client({ connectionString: url.href });
  await client.connect();
  await client.query('CREATE TABLE orders (id int PRIMARY KEY, note text)');
  await client.query("INSERT INTO orders SELECT g, 'note ' || g FROM generate_series(1, 3000) g");
  const config = join(folder, 'server.yaml');
  writeFileSync(
    config,
    `bus:
  kafka: { brokers: ${JSON.stringify(stack.kafka.brokers)}, topic_prefix: ${name}, replication_factor: 1 }
  registry: { url: "${stack.registry.url}" }
state: { redis: { url: "${stack.redis.url}", key_prefix: ${name} } }
api: { listen: "127.0.0.1:${await freePort()}" }
`,
  );
  const pipelines = join(folder, 'pipelines.yaml');
  writeFileSync(
    pipelines,
    `connections:
  - { name: shop, type: postgres, dsn: "\${env:SHOP}" }
  - { name: warehouse, type: duckdb, properties: { path: ./shop.duckdb } }
pipelines:
  - name: ${name}
    source: { connection: shop, tables: [public.orders] }
    sink: { connection: warehouse }
    snapshot: { target_rows_per_partition: 500 }
`,
  );
  const env = { SHOP: url.href };
  const status = async () => JSON.parse((await nanosync(['status', '--json', '--config', config], env)).out).pipelines[0];

  const first = startNanosync(['start', '-f', pipelines, '--config', config], { ...env, NANOSYNC_FAILPOINT: 'partition-read-stored:3' });
  expect((await first.ended).status).toBeNull();
  await using state = await openRedisState({ url: stack.redis.url, keyPrefix: name });
  expect(await pipelineStatus(state, name)).toMatchObject({ name, phase: 'snapshotting' });
  await client.query("UPDATE orders SET note = 'changed' WHERE id % 10 = 0");

  const second = startNanosync(['start', '--config', config, '--log-format', 'human'], env);
  await second.until(/INF table live table=public\.orders/);
  await client.query('DELETE FROM orders WHERE id <= 100');
  await client.query("INSERT INTO orders VALUES (5000, 'last')");
  // 290 updates are left of the 300 by the deletes; which of them were applied as changes depends on the copy.
  await vi.waitUntil(async () => (await status()).tables[0].waitingChanges === 0 && (await status()).changesApplied >= 101, SOON);
  expect(await status()).toMatchObject({ phase: 'streaming', healthy: true, quarantined: 0, defects: 0 });
  second.child.kill('SIGTERM');
  expect(await second.ended).toMatchObject({ status: 0, err: '' });

  const sink = await openSink(join(folder, 'shop.duckdb'));
  const [found] = (
    await sink.connection.runAndReadAll("SELECT count(*), count(*) FILTER (note = 'changed'), max(id) FROM public.orders")
  ).getRows();
  sink.close();
  expect(found?.map(Number)).toEqual([2901, 290, 5000]);
  await client.end();
  await admin.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${name}'`);
  await admin.end();
  rmSync(folder, { recursive: true });
});
