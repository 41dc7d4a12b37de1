import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomIds, systemClock } from '@nanosync/runtime';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { quiet } from './test-support.ts';
import { Warehouse } from './warehouse.ts';

/** What a small BigQuery answers to the next requests, and what it was asked. */
let answers: { readonly status: number; readonly body: unknown }[];
let asked: { readonly line: string; readonly body: string }[];
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const path = (request.url ?? '').replace(/[?&]prettyPrint=false$/, '');
    asked.push({ line: `${request.method} ${path}`, body: Buffer.concat(chunks).toString() });
    const { status, body } = answers.shift() ?? { status: 500, body: {} };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
});

let warehouse: Warehouse;
beforeEach(async () => {
  answers = [];
  asked = [];
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  warehouse = new Warehouse({ project: 'p', dataset: 'd', endpoint, log: quiet, clock: systemClock(), ids: randomIds() });
});
afterEach(async () => {
  warehouse[Symbol.dispose]();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('a dataset that deletes its tables by itself is refused, with the command that ends it', async () => {
  answers = [{ status: 200, body: { location: 'EU', defaultTableExpirationMs: '5184000000' } }];
  await expect(warehouse.jobs()).rejects.toMatchObject({
    kind: 'prerequisite',
    message: 'the dataset d deletes its tables after 60 days.',
    hint: 'Let it keep them: bq update --default_table_expiration 0 p:d',
  });
});

test('jobs run where the dataset is', async () => {
  const job = { jobReference: { jobId: 'j', location: 'EU' }, status: { state: 'DONE' }, configuration: { query: {} } };
  const running = { ...job, status: { state: 'RUNNING' } };
  answers = [
    { status: 200, body: { location: 'EU' } },
    { status: 200, body: running },
    { status: 200, body: { jobComplete: false } },
    { status: 200, body: running },
    { status: 200, body: { jobComplete: true } },
    { status: 200, body: job },
  ];
  await (await warehouse.jobs()).run('j', 'SELECT 1');
  expect(asked.map(({ line }) => line)).toEqual([
    'GET /bigquery/v2/projects/p/datasets/d',
    'POST /bigquery/v2/projects/p/jobs',
    'GET /bigquery/v2/projects/p/queries/j?location=EU&maxResults=0&timeoutMs=10000',
    'GET /bigquery/v2/projects/p/jobs/j?location=EU',
    'GET /bigquery/v2/projects/p/queries/j?location=EU&maxResults=0&timeoutMs=10000',
    'GET /bigquery/v2/projects/p/jobs/j?location=EU',
  ]);
  expect(JSON.parse(asked[1]?.body ?? '')).toEqual({
    jobReference: { projectId: 'p', jobId: 'j', location: 'EU' },
    configuration: { query: { query: 'SELECT 1', useLegacySql: false, useQueryCache: false } },
  });
});

test('a table is made with key, clustering, end of life and letters that differ in case', async () => {
  answers = [{ status: 409, body: { error: { code: 409, errors: [{ reason: 'duplicate', message: 'Already Exists' }] } } }];
  await warehouse.create('t', [{ name: 'id', type: 'INT64', mode: 'REQUIRED' }], {
    description: 'what',
    clustering: ['id'],
    primaryKey: ['id'],
    expiresInMs: 1000,
  });
  const made = JSON.parse(asked[0]?.body ?? '') as { readonly expirationTime: string };
  expect(made).toEqual({
    tableReference: { projectId: 'p', datasetId: 'd', tableId: 't' },
    schema: { fields: [{ name: 'id', type: 'INT64', mode: 'REQUIRED' }] },
    defaultCollation: '',
    description: 'what',
    clustering: { fields: ['id'] },
    tableConstraints: { primaryKey: { columns: ['id'] } },
    expirationTime: expect.stringMatching(/^\d{13}$/),
  });
});

test('what passes is asked again, what does not is not', async () => {
  const refusal = (status: number, reason: string) => ({
    status,
    body: { error: { code: status, errors: [{ reason, message: reason }] } },
  });
  answers = [refusal(503, 'backendError'), refusal(403, 'rateLimitExceeded'), { status: 200, body: { type: 'TABLE' } }];
  expect(await warehouse.describe('t')).toEqual({ type: 'TABLE' });
  answers = [refusal(403, 'accessDenied'), { status: 200, body: {} }];
  await expect(warehouse.describe('t')).rejects.toMatchObject({ status: 403, reason: 'accessDenied' });
  expect(asked).toHaveLength(4);
});
