import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterStack } from '@nanosync/testkit';
import { Client } from 'pg';
import { expect, it, vi } from 'vitest';
import { queryPages } from '../compare/bigquery-rest.ts';
import { nanosync, startNanosync } from '../e2e/nanosync-process.ts';

const SOON = { timeout: 150_000, interval: 500 };

it('queries write BigQuery in both ways, and go on after kill -9 in the middle of a run', { timeout: 400_000 }, async () => {
  const stack = await clusterStack('postgres', 'bigquery');
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-query-'));
  const name = `q${randomUUID().slice(0, 8)}`;
  const dataset = `test_${name}`;
  const { url, project } = stack.bigquery;
  const rest = `${url}/bigquery/v2/projects/${project}/datasets`;
  const made = await fetch(rest, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ datasetReference: { projectId: project, datasetId: dataset } }),
  });
  expect(made.ok).toBe(true);
  const admin = new Client({ connectionString: stack.postgres.dsn });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  const source = new URL(stack.postgres.dsn);
  source.pathname = `/${name}`;
  const client = new Client({ connectionString: source.href });
  await client.connect();
  await client.query('CREATE TABLE orders (id int PRIMARY KEY, day date, total numeric(10,2))');
  await client.query("INSERT INTO orders SELECT g, '2026-01-01'::date + g % 5, g FROM generate_series(1, 100) g");
  const file = join(folder, 'pipelines.yaml');
  const pipeline = (table: string, query: string, more = '') => `  - name: ${table}
    replication_type: query
    source: { connection: shop, query: "${query}" }
    sink: { connection: warehouse, table: r.${table} }
    every: 1h
${more}`;
  writeFileSync(
    file,
    `connections:
  - { name: shop, type: postgres, dsn: "${source.href}" }
  - { name: warehouse, type: bigquery, properties: { project: ${project}, dataset: ${dataset}, endpoint: "${url}", flush_interval: "0" } }
pipelines:
${pipeline('whole', 'SELECT id % 2 AS half, id FROM orders')}${pipeline('days', 'SELECT day, sum(total)::numeric(12,2) AS total FROM orders GROUP BY day', '    key: [day]\n')}`,
  );
  const at = ['--data-dir', join(folder, 'data')];
  const status = async (pipeline: string) => JSON.parse((await nanosync(['status', pipeline, '--json', ...at])).out).pipelines[0];
  const rows = async (sql: string) => {
    const all: (readonly (string | null)[])[] = [];
    for await (const page of queryPages({ url, project }, sql)) all.push(...page);
    return all;
  };
  const ended = (pipeline: string, sinceMs: number) =>
    vi.waitUntil(async () => {
      const { query } = await status(pipeline);
      return query.last !== null && query.last.failure === null && query.last.startedMs >= sinceMs;
    }, SOON);

  const first = startNanosync(['start', '-f', file, ...at, '--log-format', 'human'], { NANOSYNC_FAILPOINT: 'rows-staged' });
  expect((await first.ended).status).toBeNull();
  const second = startNanosync(['start', ...at, '--log-format', 'human']);
  await second.until(/serving/);
  await ended('whole', 0);
  await ended('days', 0);
  expect(await rows(`SELECT COUNT(*), COUNT(DISTINCT id), SUM(half) FROM \`${dataset}.r_whole\``)).toEqual([['100', '100', '50']]);
  const days = () => rows(`SELECT CAST(day AS STRING), CAST(total AS FLOAT64) FROM \`${dataset}.r_days\` ORDER BY day`);
  const before = await days();
  expect(before.map(([day]) => day)).toEqual(['2026-01-01', '2026-01-02', '2026-01-03', '2026-01-04', '2026-01-05']);

  await client.query("DELETE FROM orders WHERE day < '2026-01-05'");
  await client.query("INSERT INTO orders VALUES (1000, '2026-01-06', 7), (1001, '2026-01-05', 1)");
  const sinceMs = (await status('days')).query.last.endedMs;
  for (const pipeline of ['whole', 'days']) expect((await nanosync(['pipeline', 'run', pipeline, ...at])).status).toBe(0);
  await ended('whole', sinceMs);
  await ended('days', sinceMs);
  expect(await rows(`SELECT COUNT(*), COUNT(DISTINCT id) FROM \`${dataset}.r_whole\``)).toEqual([['22', '22']]);
  const after = await days();
  expect(after.slice(0, 4)).toEqual(before.slice(0, 4));
  expect(after.slice(4).map(([day, total]) => [day, Number(total)])).toEqual([
    ['2026-01-05', Number(before[4]?.[1]) + 1],
    ['2026-01-06', 7],
  ]);
  second.child.kill('SIGTERM');
  expect(await second.ended).toMatchObject({ status: 0 });
  await client.end();
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
  await admin.end();
  await fetch(`${rest}/${dataset}?deleteContents=true`, { method: 'DELETE' });
  rmSync(folder, { recursive: true });
});
