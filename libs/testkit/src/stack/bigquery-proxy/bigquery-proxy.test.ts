import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BigQueryProxy, startBigQueryProxy } from './bigquery-proxy.ts';
import { controlProxy } from './control.ts';
import { readAll } from './upstream.ts';

/** An emulator as forgetful as the real one: it runs a job as often as it is told to. */
interface FakeEmulator {
  readonly url: string;
  /** What it was asked, in order, as `METHOD path`. */
  readonly asked: string[];
  /** Ids of the jobs it knows. */
  readonly jobs: Set<string>;
  /** How it answers an insert: its status, or that the connection breaks after the job was made. */
  insertAnswer: number | 'break';
  server: Server;
}

const PATH = '/bigquery/v2/projects/p/jobs';
const UPLOAD = `/upload${PATH}`;
let emulator: FakeEmulator;
let proxy: BigQueryProxy;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nanosync-proxy-'));
  emulator = await startFake();
  proxy = await startBigQueryProxy({ upstream: emulator.url, memoryFile: join(folder, 'jobs') });
});

afterEach(async () => {
  await proxy.close();
  emulator.server.closeAllConnections();
  await new Promise((resolve) => emulator.server.close(resolve));
  rmSync(folder, { recursive: true });
});

describe('a job id', () => {
  test('is taken once, also by two that come together, and the job can still be looked at', async () => {
    const statuses = await Promise.all([insert('a'), insert('a'), insert('a')].map(async (reply) => (await reply).status));
    expect(statuses.sort()).toEqual([200, 409, 409]);
    const refusal = await insert('a');
    expect(await refusal.json()).toMatchObject({ error: { code: 409, errors: [{ reason: 'duplicate' }] } });
    expect(inserts()).toBe(1);
    expect(await (await get('a')).json()).toMatchObject({ jobReference: { jobId: 'a' }, status: { state: 'DONE' } });
  });

  test('is another one in another project or location', async () => {
    expect((await insert('a')).status).toBe(200);
    expect((await insert('a', { location: 'EU' })).status).toBe(200);
    expect((await insert('a', { location: 'us' })).status).toBe(409);
  });

  test('is not used up by a request that the service refused', async () => {
    emulator.insertAnswer = 400;
    expect((await insert('a')).status).toBe(400);
    emulator.insertAnswer = 200;
    expect((await insert('a')).status).toBe(200);
  });

  test('is asked for where the emulator gave no answer', async () => {
    emulator.insertAnswer = 'break';
    await expect(insert('a')).rejects.toThrow();
    expect((await insert('a')).status).toBe(409);
    await expect(insert('b')).rejects.toThrow();
    emulator.jobs.delete('b');
    emulator.insertAnswer = 200;
    expect((await insert('b')).status).toBe(200);
  });

  test('is remembered when proxy and emulator were restarted', async () => {
    await insert('a');
    emulator.jobs.clear();
    await proxy.close();
    proxy = await startBigQueryProxy({ upstream: emulator.url, memoryFile: join(folder, 'jobs') });
    expect((await insert('a')).status).toBe(409);
    expect(await (await get('a')).json()).toMatchObject({ jobReference: { jobId: 'a' }, status: { state: 'DONE' } });
    expect(await (await fetch(`${proxy.url}/bigquery/v2/projects/p/queries/a`)).json()).toMatchObject({
      jobComplete: true,
      numDmlAffectedRows: '3',
    });
    expect((await get('never')).status).toBe(404);
  });
});

describe('uploads', () => {
  test('of one request are jobs under their own id', async () => {
    const first = await multipart('m');
    expect([first.status, ((await first.json()) as { jobReference: unknown }).jobReference]).toEqual([
      200,
      { projectId: 'p', location: 'US', jobId: 'm' },
    ]);
    expect((await multipart('m')).status).toBe(409);
    expect(await (await get('m')).json()).toMatchObject({ jobReference: { jobId: 'm' } });
  });

  test('of many requests make their job with the last bytes', async () => {
    const place = await startUpload('r');
    expect(new URL(place).origin).toBe(proxy.url);
    expect((await put(place, 'bytes 0-3/8')).status).toBe(308);
    const done = await put(place, 'bytes 4-7/8');
    expect([done.status, await done.json()]).toEqual([200, expect.objectContaining({ id: 'p:US.r' })]);
    const again = await put(`${place}&prettyPrint=false`, 'bytes 4-7/8');
    expect([again.status, await again.json()]).toEqual([200, expect.objectContaining({ id: 'p:US.r' })]);
    expect((await put(await startUpload('r'), 'bytes 0-7/8')).status).toBe(409);
    expect(emulator.asked.filter((line) => line.startsWith('PUT'))).toHaveLength(2);
  });
});

describe('a planned fault', () => {
  test('loses the reply of the n-th matching request after it was passed on', async () => {
    proxy.faults.add({ match: { kind: 'insert', json: 'MERGE' }, action: { do: 'loseReply' }, skip: 1 });
    expect((await insert('a', {}, 'MERGE 1')).status).toBe(200);
    expect((await insert('b', {}, 'SELECT 1')).status).toBe(200);
    await expect(insert('c', {}, 'MERGE 2')).rejects.toThrow();
    expect(emulator.jobs).toContain('c');
    expect((await insert('c', {}, 'MERGE 2')).status).toBe(409);
    expect(proxy.requests().map(({ jobId, outcome }) => [jobId, outcome])).toEqual([
      ['a', 200],
      ['b', 200],
      ['c', 'lost'],
      ['c', 409],
    ]);
  });

  test('loses a request before it is passed on', async () => {
    proxy.faults.add({ match: { jobId: '^a$' }, action: { do: 'loseRequest' }, times: 2 });
    await expect(insert('a')).rejects.toThrow();
    await expect(insert('a')).rejects.toThrow();
    expect(inserts()).toBe(0);
    expect((await insert('a')).status).toBe(200);
  });

  test.each([
    ['quotaExceeded', 403],
    ['rateLimitExceeded', 403],
    ['concurrentUpdate', 400],
    ['backendError', 503],
  ] as const)('answers %s', async (error, status) => {
    proxy.faults.add({ match: { kind: 'insert' }, action: { do: 'answer', error } });
    const reply = await insert('a');
    expect(reply.status).toBe(status);
    const { error: body } = (await reply.json()) as { error: { code: number; message: string } };
    expect([body.code, error === 'concurrentUpdate' && !body.message.startsWith('Could not serialize access')]).toEqual([status, false]);
    expect((await insert('a')).status).toBe(200);
  });

  test('lets a job fail, whose id is then used up', async () => {
    proxy.faults.add({ match: { jobId: 'a' }, action: { do: 'failJob', error: 'concurrentUpdate' } });
    const failed = { status: { state: 'DONE', errorResult: { message: expect.stringContaining('Could not serialize access') } } };
    expect(await (await insert('a')).json()).toMatchObject(failed);
    expect(await (await get('a')).json()).toMatchObject(failed);
    expect((await insert('a')).status).toBe(409);
    expect((await fetch(`${proxy.url}/bigquery/v2/projects/p/queries/a`)).status).toBe(400);
    expect(inserts()).toBe(0);
  });

  test('holds a request until it is released, also when its sender has gone', async () => {
    const id = proxy.faults.add({ match: { jobId: 'a' }, action: { do: 'holdRequest' } });
    const sender = new AbortController();
    const sent = insert('a', {}, '', sender.signal);
    await proxy.faults.hit(id);
    sender.abort();
    await expect(sent).rejects.toThrow();
    expect(inserts()).toBe(0);
    const passed = new Promise<void>((resolve) => emulator.server.once('request', () => resolve()));
    proxy.faults.release(id);
    await passed;
    expect((await insert('a')).status).toBe(409);
  });

  test('lets a job run in the background', async () => {
    const id = proxy.faults.add({ match: { jobId: 'a' }, action: { do: 'background', hold: true } });
    const running = { jobReference: { jobId: 'a' }, status: { state: 'RUNNING' } };
    expect(await (await insert('a')).json()).toMatchObject(running);
    expect(await (await get('a')).json()).toMatchObject(running);
    const results = `${proxy.url}/bigquery/v2/projects/p/queries/a?timeoutMs=`;
    expect(await (await fetch(`${results}1`)).json()).toMatchObject({ jobComplete: false });
    const waiting = fetch(`${results}10000`);
    proxy.faults.release(id);
    expect(await (await waiting).json()).toMatchObject({ jobComplete: true });
    expect(await (await get('a')).json()).toMatchObject({ status: { state: 'DONE' } });
  });

  test('is planned, seen and taken back from another process', async () => {
    const control = controlProxy(proxy.url);
    const id = await control.add({ match: { kind: 'insert' }, action: { do: 'loseReply' }, times: 9 });
    const hit = control.hit(id, 2);
    await expect(insert('a')).rejects.toThrow();
    await expect(insert('b')).rejects.toThrow();
    await hit;
    expect(await control.list()).toMatchObject([{ id, seen: 2, hits: 2 }]);
    await control.remove();
    expect((await insert('c')).status).toBe(200);
    expect(await control.requests()).toMatchObject([{ outcome: 'lost' }, { outcome: 'lost' }, { outcome: 200 }]);
    await expect(control.release(99)).rejects.toThrow('no fault 99');
    await expect(control.add({ match: { json: '(' }, action: { do: 'loseReply' } })).rejects.toThrow();
  });
});

test('a query that is repeated under its request id runs once', async () => {
  const ask = () => fetch(`${proxy.url}/bigquery/v2/projects/p/queries`, { method: 'POST', body: '{"query":"SELECT 1","requestId":"q"}' });
  expect((await ask()).status).toBe(200);
  expect((await ask()).status).toBe(200);
  expect(emulator.asked).toHaveLength(1);
});

test('other requests pass as they are, and an emulator that is away is a broken connection', async () => {
  expect(await (await fetch(`${proxy.url}/bigquery/v2/projects/p/datasets?a=b`)).json()).toEqual({
    path: '/bigquery/v2/projects/p/datasets?a=b',
  });
  emulator.server.closeAllConnections();
  await new Promise((resolve) => emulator.server.close(resolve));
  await expect(fetch(`${proxy.url}/bigquery/v2/projects/p/datasets`)).rejects.toThrow();
});

const inserts = () => emulator.asked.filter((line) => line.startsWith('POST')).length;

const jobOf = (jobId: string, more: object, query: string) =>
  JSON.stringify({ jobReference: { projectId: 'p', jobId, ...more }, configuration: { query: { query } } });

function insert(jobId: string, more: object = {}, query = 'SELECT 1', signal?: AbortSignal): Promise<Response> {
  const body = jobOf(jobId, more, query);
  return fetch(`${proxy.url}${PATH}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body, ...(signal && { signal }) });
}

function get(jobId: string): Promise<Response> {
  return fetch(`${proxy.url}${PATH}/${jobId}`);
}

function multipart(jobId: string): Promise<Response> {
  const body = `--x\r\nContent-Type: application/json\r\n\r\n${jobOf(jobId, {}, '')}\r\n--x\r\n\r\nbytes\r\n--x--`;
  return fetch(`${proxy.url}${UPLOAD}?uploadType=multipart`, {
    method: 'POST',
    headers: { 'content-type': 'multipart/related; boundary="x"' },
    body,
  });
}

async function startUpload(jobId: string): Promise<string> {
  const reply = await fetch(`${proxy.url}${UPLOAD}?uploadType=resumable`, { method: 'POST', body: jobOf(jobId, {}, '') });
  return reply.headers.get('location') ?? '';
}

function put(place: string, range: string): Promise<Response> {
  return fetch(place, { method: 'PUT', headers: { 'content-range': range }, body: '1234' });
}

async function startFake(): Promise<FakeEmulator> {
  const fake: Omit<FakeEmulator, 'url' | 'server'> = { asked: [], jobs: new Set(), insertAnswer: 200 };
  const server = createServer(async (request, response) => {
    const { method = '', url: path = '' } = request;
    const body = (await readAll(request)).toString();
    fake.asked.push(`${method} ${path}`);
    const say = (status: number, value: unknown) => response.writeHead(status).end(JSON.stringify(value));
    const job = (jobId: string) => ({
      jobReference: { jobId },
      status: { state: 'DONE' },
      statistics: { query: { statementType: 'MERGE', numDmlAffectedRows: '3' } },
    });
    const made = (jobId: string) => {
      fake.jobs.add(jobId);
      return emulator.insertAnswer === 'break' ? response.destroy() : say(emulator.insertAnswer, job(jobId));
    };
    const asked = /\/(jobs|queries)\/([^?]+)/.exec(path);
    if (path.includes('uploadType=resumable')) {
      if (method === 'POST') return response.writeHead(200, { location: `http://emulator:1${path}&upload_id=${fake.asked.length}` }).end();
      return request.headers['content-range'] === 'bytes 0-3/8' ? say(308, {}) : made('bqemu_1');
    }
    if (path.startsWith('/upload')) return made('bqemu_2');
    if (method === 'POST' && path === PATH) return made((JSON.parse(body) as { jobReference: { jobId: string } }).jobReference.jobId);
    if (asked !== null && !fake.jobs.has(asked[2] as string)) return say(404, { error: { code: 404 } });
    return say(200, asked === null ? { path } : asked[1] === 'jobs' ? job(asked[2] as string) : { jobComplete: true });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(fake, { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
