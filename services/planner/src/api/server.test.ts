import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiErrorBody, Route } from '@nanosync/api';
import { apiClient, openApiDocument, ROUTES } from '@nanosync/api';
import type { LeftTable } from '@nanosync/core';
import { PipelineError, stateKeys } from '@nanosync/core';
import { makeCertificates } from '@nanosync/testkit';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ApiHarness } from './testing/api-harness.ts';
import { DEFINITION, startApi, TOKEN } from './testing/api-harness.ts';

let api: ApiHarness;
beforeEach(async () => {
  api = await startApi();
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

interface Raw {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A request as any program may send it. */
function send(url: string, { method = 'GET', path = '/v1/pipelines', headers = {}, body }: Raw = {}) {
  return new Promise<{ status: number | undefined; text: string; error: ApiErrorBody; headers: NodeJS.Dict<string | string[]> }>(
    (resolve, reject) => {
      const sending = request(
        `${url}${path}`,
        { method, headers: { authorization: `Bearer ${TOKEN}`, ...headers }, agent: false },
        (response) => {
          let text = '';
          response.on('data', (chunk) => (text += chunk));
          response.on('end', () => {
            let error = {} as ApiErrorBody;
            try {
              error = JSON.parse(text) as ApiErrorBody;
            } catch {}
            resolve({ status: response.statusCode, text, error, headers: response.headers });
          });
        },
      );
      sending.on('error', reject);
      sending.end(body);
    },
  );
}

const JSON_TYPE = { 'content-type': 'application/json' };

describe('who may ask', () => {
  it('needs the token, whole, and says how', async () => {
    for (const authorization of ['', 'Bearer', 'Bearer x', `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(0, -1)}`, `Basic ${TOKEN}`]) {
      const { status, error, headers } = await send(api.url, { headers: { authorization } });
      expect([status, error.code]).toEqual([401, 'unauthorized']);
      expect(headers['www-authenticate']).toBe('Bearer');
    }
    await expect(api.as('another').call('status', {})).rejects.toThrow(`${api.url} refuses the token.`);
    await expect(api.as(undefined).call('status', {})).rejects.toThrow('refuses a command without a token.');
    expect(await api.client.call('status', {})).toEqual({ serving: true, pipelines: [] });
  });

  it('is asked before the body is read', async () => {
    const { status } = await send(api.url, {
      method: 'POST',
      path: '/v1/apply',
      headers: { ...JSON_TYPE, authorization: 'no' },
      body: '{',
    });
    expect(status).toBe(401);
  });

  it('is no page of a browser, whatever name it gave to this machine', async () => {
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '192.168.0.1'])
      expect([host, (await send(api.url, { headers: { host } })).status]).toEqual([host, 421]);
    for (const host of ['localhost:1', '127.0.0.1', '[::1]:7667'])
      expect([host, (await send(api.url, { headers: { host } })).status]).toEqual([host, 200]);
    expect((await send(api.url, { headers: { origin: 'http://127.0.0.1' } })).error.code).toBe('wrong-host');
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const sent = await send(api.url, {
        method: 'POST',
        path: '/v1/pipelines/shop/delete',
        headers: { 'content-type': type },
        body: '{}',
      });
      expect([type, sent.status, sent.error.code]).toEqual([type, 400, 'config']);
    }
  });

  it('means this deployment, where it took the address from a server file', async () => {
    await using mine = await startApi({ deployment: 'mine' });
    const as = (deployment: string | undefined) => apiClient({ url: mine.url, token: TOKEN, ca: undefined, deployment, absentCure: '' });
    expect(await as('mine').call('status', {})).toMatchObject({ serving: true });
    expect(await as(undefined).call('status', {})).toMatchObject({ serving: true });
    await expect(as('another').call('status', {})).rejects.toThrow('belongs to another deployment');
  });

  it('may not be anybody beyond this machine', async () => {
    await expect(startApi({ listen: { host: '0.0.0.0', port: 0 }, token: undefined })).rejects.toThrow('without a token');
    await using far = await startApi({ listen: { host: '0.0.0.0', port: 0 } });
    expect((await send(far.url, { headers: { host: 'nanosync.example', authorization: 'x' } })).status).toBe(401);
    expect((await send(far.url, { headers: { host: 'nanosync.example' } })).status).toBe(200);
    await using near = await startApi({ token: undefined });
    expect((await send(near.url)).status).toBe(200);
  });

  it('has a limit for each address, which counts those who guess', async () => {
    await using busy = await startApi({ requestsAMinute: 3 });
    const statuses: (number | undefined)[] = [];
    for (let count = 0; count < 5; count++) statuses.push((await send(busy.url, { headers: { authorization: 'Bearer guess' } })).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await send(busy.url)).error).toMatchObject({ code: 'too-many-requests', cure: expect.stringContaining('Wait') });
  });
});

describe('TLS', () => {
  it('is spoken where there is a certificate, and what does not fit is said', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nanosync-api-'));
    try {
      const files = await makeCertificates(folder);
      const [cert, key, ca] = [files.cert, files.key, files.ca].map((file) => readFileSync(file, 'utf8')) as [string, string, string];
      await using secure = await startApi({ tls: { cert, key } });
      expect(secure.url).toMatch(/^https:/);
      expect(await secure.as(TOKEN, ca).call('status', {})).toMatchObject({ serving: true });
      await expect(secure.as(TOKEN).call('status', {})).rejects.toThrow(/The certificate of .* is not trusted \([A-Z_]+\)/);
      const plain = apiClient({ url: secure.url.replace('https', 'http'), token: TOKEN, ca: undefined, absentCure: '' });
      await expect(plain.call('status', {})).rejects.toThrow(/broke before the answer|no nanosync/);
      const wrong = apiClient({ url: api.url.replace('http', 'https'), token: TOKEN, ca, absentCure: '' });
      await expect(wrong.call('status', {})).rejects.toThrow('does not speak TLS');
      await expect(startApi({ tls: { cert, key: 'x' } })).rejects.toThrow('no certificate with its key');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('what cannot be meant', () => {
  const post = (path: string, body: string) => send(api.url, { method: 'POST', path, headers: JSON_TYPE, body });
  const applied = (change: object) => post('/v1/apply', JSON.stringify({ definitions: [{ ...DEFINITION, ...change }] }));

  it('is refused with its place and nothing of what was sent', async () => {
    expect((await post('/v1/apply', '{"definitions": [planted-secret')).error).toEqual({
      code: 'config',
      message: 'The request cannot be read.',
      cure: 'Send JSON, as /v1/openapi.json says.',
    });
    expect((await applied({ name: 'Planted Name' })).error.message).toBe('body.definitions[0].name: cannot be a pipeline name');
    expect((await applied({ snapshot: { ...DEFINITION.snapshot, concurrency: 0 } })).error.message).toBe(
      'body.definitions[0].snapshot.concurrency: must be at least 1',
    );
    const misspelt = await applied({ sorce: 'planted' });
    expect([misspelt.status, misspelt.error.message]).toEqual([400, 'body.definitions[0]: Unrecognized key: "sorce"']);
    expect((await post('/v1/pipelines/shop/pause', '{"part": "head"}')).error.message).toContain('body.part:');
    expect((await send(api.url, { path: '/v1/pipelines/shop/tap?colour=red' })).error.message).toContain('query: Unrecognized key');
    expect((await send(api.url, { path: '/v1/pipelines/%zz' })).status).toBe(400);
  });

  it('is found nowhere, or is too large', async () => {
    expect((await send(api.url, { path: '/v1/nothing?planted-secret' })).error).toMatchObject({
      code: 'not-found',
      message: 'There is no such route.',
    });
    expect((await send(api.url, { method: 'DELETE' })).status).toBe(404);
    await api.store(DEFINITION);
    const near = (await send(api.url, { path: '/v1/pipelines/shp' })).error;
    expect(near).toEqual({ code: 'not-found', message: 'there is no pipeline "shp".', cure: 'Did you mean shop?' });
    await expect(api.client.call('pause', { params: { name: 'shp' }, body: {} })).rejects.toThrow('there is no pipeline "shp".');
    const large = await post('/v1/apply', JSON.stringify({ definitions: 'x'.repeat(5_000_000) }));
    expect([large.status, large.error.code]).toEqual([413, 'too-large']);
  });
});

describe('commands', () => {
  it('plan, apply once however often, and say what is there', async () => {
    const body = { definitions: [DEFINITION] };
    expect(await api.client.call('apply', { body: { ...body, dryRun: true } })).toEqual({
      applied: false,
      pipelines: [{ name: 'shop', outcome: 'created', edits: [] }],
    });
    expect(await api.ctx.state.list('')).toEqual([]);
    expect(await api.client.call('apply', { body })).toMatchObject({ applied: true, pipelines: [{ outcome: 'created' }] });
    expect(await api.client.call('apply', { body })).toMatchObject({ applied: true, pipelines: [{ outcome: 'unchanged' }] });
    expect((await api.client.call('pipeline', { params: { name: 'shop' } })).pipelines[0]).toMatchObject({
      name: 'shop',
      phase: 'created',
    });
  });

  it('say before they act with which rows of a deleted pipeline one begins, and again when it did', async () => {
    const left = { table: 'public.orders', pipeline: 'old', schema: {}, followedTo: null };
    await using over = await startApi({ sink: { left: async () => [left as unknown as LeftTable] } });
    const body = { definitions: [{ ...DEFINITION, replicationType: 'cdc' as const }] };
    for (const dryRun of [true, false])
      expect(await over.client.call('apply', { body: { ...body, dryRun, check: !dryRun } })).toMatchObject({
        applied: !dryRun,
        pipelines: [{ outcome: 'created', edits: [{ part: 'source.tables', effect: expect.stringContaining('pipeline old left') }] }],
      });
    expect((await over.client.call('apply', { body })).pipelines).toEqual([{ name: 'shop', outcome: 'unchanged', edits: [] }]);
  });

  it('are asked once however often', async () => {
    await api.store(DEFINITION);
    const params = { name: 'shop' };
    expect(await api.client.call('pause', { params, body: {} })).toMatchObject({ pipeline: 'shop', changed: true });
    expect(await api.client.call('pause', { params, body: {} })).toMatchObject({ changed: false });
    expect(await api.client.call('pause', { params, body: { part: 'sink' } })).toMatchObject({ changed: true });
    expect(await api.client.call('resume', { params, body: {} })).toMatchObject({ changed: true });
    expect(await api.client.call('resnapshot', { params, body: {} })).toMatchObject({ changed: true });
    await expect(api.client.call('resnapshot', { params, body: { table: 'public.x' } })).rejects.toThrow('has no table public.x');
    expect(await api.client.call('delete', { params, body: {} })).toMatchObject({ changed: true });
    expect((await api.ctx.state.get(stateKeys.pipeline('shop')))?.value).toMatchObject({
      request: 'resnapshot',
      intent: { run: 'running', sink: 'paused', deletion: { dropTables: false } },
    });
  });

  it('read the bus no longer than the client that follows is there', async () => {
    await api.store(DEFINITION);
    const { bus, topics } = api.ctx;
    await bus.ensureTopic(topics.tasks, 1);
    let open = 0;
    const reader = bus.reader.bind(bus);
    bus.reader = async (...place) => {
      const opened = await reader(...place);
      open++;
      return {
        read: (options) => opened.read(options),
        [Symbol.asyncDispose]: async () => {
          open--;
          await opened[Symbol.asyncDispose]();
        },
      };
    };
    const leaving = new AbortController();
    const lines = api.client.stream('tap', { params: { name: 'shop' }, query: { follow: 'true' } }, leaving.signal);
    const next = lines.next();
    await vi.waitFor(() => expect(open).toBe(1), { timeout: 10_000 });
    leaving.abort();
    expect((await next).done).toBe(true);
    await vi.waitFor(() => expect(open).toBe(0), { timeout: 10_000 });
  });

  it('are read by so many at once, and by the next one when one of them is gone', async () => {
    await using busy = await startApi({ streams: 1 });
    const { bus, topics } = busy.ctx;
    await bus.ensureTopic(topics.logs, 1);
    await using producer = await bus.producer();
    const value = Buffer.from(JSON.stringify({ level: 'info', msg: 'kept', fields: {}, bound: {} }));
    await producer.send(topics.logs, 0, [{ key: new Uint8Array(), value }]);
    const follow = () => busy.client.stream('logs', { query: { follow: 'true' } }, new AbortController().signal);
    const first = follow();
    expect((await first.next()).value).toMatchObject({ msg: 'kept' });
    await expect(follow().next()).rejects.toMatchObject({
      code: 'too-many-requests',
      message: 'The server answers 1 that read its lines already (tap, logs, verify).',
      hint: 'End one of them, and ask again.',
    });
    expect((await send(busy.url)).status).toBe(200); // Other routes answer.
    await first.return(undefined);
    await vi.waitFor(async () => {
      const next = follow();
      expect((await next.next()).value).toMatchObject({ msg: 'kept' });
      await next.return(undefined);
    });
  });

  it('end with their server, as do those who follow', async () => {
    await api.store(DEFINITION);
    const headers = { authorization: `Bearer ${TOKEN}` };
    const response = await new Promise<IncomingMessage>((resolve) => {
      request(`${api.url}/v1/pipelines/shop/tap?follow=true`, { headers, agent: false }, resolve).end();
    });
    const ended = new Promise((resolve) => response.resume().on('end', resolve));
    await api[Symbol.asyncDispose]();
    await ended;
    await expect(api.client.call('status', {})).rejects.toMatchObject({
      message: `No server answers at ${api.url} (ECONNREFUSED).`,
      hint: 'Start it.',
    });
  });
});

describe('secrets', () => {
  it('are in no answer and in no line of the log, whatever fails', async () => {
    const failing = {
      check: () => Promise.reject(new PipelineError('config', 'no entry for postgres://app:planted-dsn-password@db/shop, planted-secret')),
    };
    await using bad = await startApi({ source: failing });
    await using broken = await startApi({ source: { check: () => Promise.reject(new TypeError('planted-secret is no function')) } });
    await using good = await startApi();
    const seen: string[] = [];
    for (const { url, store, log } of [bad, broken, good]) {
      const body = JSON.stringify({ definitions: [DEFINITION] });
      seen.push((await send(url, { method: 'POST', path: '/v1/apply', headers: JSON_TYPE, body })).text);
      seen.push((await send(url, { method: 'POST', path: '/v1/apply', headers: JSON_TYPE, body: body.replace('"shop"', '7') })).text);
      if (url !== good.url) await store(DEFINITION);
      for (const path of Object.values<Route>(ROUTES).map((route) => route.path.replace('{name}', 'shop')))
        for (const method of ['GET', 'POST']) seen.push((await send(url, { method, path, headers: JSON_TYPE, body: '{}' })).text);
      seen.push(...log);
    }
    expect(seen.join()).toContain('no entry for postgres://app:***@db/shop');
    expect(seen.join()).toContain('"code":"defect","message":"The server met an error that it did not foresee."');
    for (const secret of ['planted-dsn-password', 'planted-key', 'planted-secret', TOKEN]) expect(seen.join('\n')).not.toContain(secret);
    expect(seen.join('\n')).not.toMatch(/\bat .*\.ts:\d+/);
  });
});

describe('the OpenAPI document', () => {
  it('is one, and has every route', async () => {
    const document = openApiDocument('9.9.9');
    expect(await new Validator().validate(document)).toMatchObject({ valid: true });
    const paths = document.paths as Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
    const listed = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(listed.sort()).toEqual(Object.keys(ROUTES).sort());
    expect(JSON.parse((await send(api.url, { path: '/v1/openapi.json' })).text)).toEqual(document);
  });
});
