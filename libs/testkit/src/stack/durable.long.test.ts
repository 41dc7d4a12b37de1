import { mkdtempSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { startBigQuery } from './bigquery.ts';
import { startRedis } from './redis.ts';
import { startRegistry } from './registry.ts';
import { removeStack } from './stack.ts';

const directory = mkdtempSync(join(tmpdir(), 'nanosync-durable-'));
const JSON_TYPE = { 'content-type': 'application/json' };
afterAll(() => removeStack(directory));

test('the registry has what it acknowledged right before kill -9', { timeout: 300_000 }, async () => {
  await using registry = await startRegistry({ directory: join(directory, 'registry') });
  const { url } = registry.address;
  const body = JSON.stringify({ schema: '"string"' });
  const reply = await fetch(`${url}/subjects/a-value/versions`, { method: 'POST', headers: JSON_TYPE, body });
  const { id } = (await reply.json()) as { id: number };
  await registry.kill();
  await registry.start();
  expect(await (await fetch(`${url}/schemas/ids/${id}`)).json()).toMatchObject({ schema: '"string"' });
});

test('so has Redis', { timeout: 300_000 }, async () => {
  await using redis = await startRedis({ directory: join(directory, 'redis') });
  const { port } = redis.address;
  expect(await say(port, 'SET key value\r\n')).toBe('+OK\r\n');
  await redis.kill();
  await redis.start();
  expect(await say(port, 'GET key\r\n')).toBe('$5\r\nvalue\r\n');
});

test('so has the BigQuery emulator, and jobs are known and not done again after it', { timeout: 300_000 }, async () => {
  await using bigquery = await startBigQuery({ directory: join(directory, 'bigquery') });
  const { url, project } = bigquery.address;
  const root = `${url}/bigquery/v2/projects/${project}`;
  const post = async (path: string, body: string, type = 'application/json') =>
    (await fetch(path, { method: 'POST', headers: { 'content-type': type }, body })).status;
  expect(await post(`${root}/datasets`, JSON.stringify({ datasetReference: { projectId: project, datasetId: 'd' } }))).toBe(200);
  const load = JSON.stringify({
    jobReference: { projectId: project, jobId: 'load-1' },
    configuration: {
      load: {
        sourceFormat: 'NEWLINE_DELIMITED_JSON',
        schema: { fields: [{ name: 'a', type: 'INTEGER' }] },
        destinationTable: { projectId: project, datasetId: 'd', tableId: 't' },
      },
    },
  });
  const upload = `--x\r\nContent-Type: application/json\r\n\r\n${load}\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n{"a":1}\n{"a":2}\n\r\n--x--`;
  const loading = () =>
    post(`${url}/upload/bigquery/v2/projects/${project}/jobs?uploadType=multipart`, upload, 'multipart/related; boundary=x');
  expect(await loading()).toBe(200);
  await bigquery.kill();
  await bigquery.start();
  expect(await loading()).toBe(409);
  expect(await (await fetch(`${root}/jobs/load-1`)).json()).toMatchObject({ jobReference: { jobId: 'load-1' }, status: { state: 'DONE' } });
  const query = JSON.stringify({ query: 'SELECT COUNT(*) FROM d.t', useLegacySql: false });
  const counted = await fetch(`${root}/queries`, { method: 'POST', headers: JSON_TYPE, body: query });
  expect(await counted.json()).toMatchObject({ rows: [{ f: [{ v: '2' }] }] });
});

async function say(port: number, words: string): Promise<string> {
  const socket = connect(port, '127.0.0.1', () => socket.write(words));
  return new Promise<string>((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    socket.once('error', reject);
  }).finally(() => socket.destroy());
}
