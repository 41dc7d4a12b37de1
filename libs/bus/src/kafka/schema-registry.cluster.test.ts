import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChangeCodec, describeError } from '@nanosync/core';
import { type Certificates, clusterStack, makeCertificates, ORDERS, startAuthProxy } from '@nanosync/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openSchemaRegistry } from './schema-registry.ts';

let url: string;
let subject: string;

beforeAll(async () => {
  url = (await clusterStack('registry')).registry.url;
});
beforeEach(() => {
  subject = `registry.${randomBytes(6).toString('hex')}-value`;
});

const record = (...fields: readonly object[]) => JSON.stringify({ type: 'record', name: 'R', namespace: 'nanosync.test', fields });
const TEXT = { name: 'a', type: 'string' };

async function level(): Promise<unknown> {
  return ((await (await fetch(`${url}/config/${subject}`)).json()) as { compatibilityLevel?: string }).compatibilityLevel;
}

test('the schema of change events comes back whole, with what core decodes by', async () => {
  const codec = new ChangeCodec(ORDERS);
  const id = await openSchemaRegistry({ url }).register(subject, codec.avro);
  const text = await openSchemaRegistry({ url: `${url}/` }).schema(id);
  expect(JSON.parse(text)).toEqual(JSON.parse(codec.avro));
  expect(ChangeCodec.fromAvro(text).schema).toEqual(ORDERS);
});

test('a subject is made BACKWARD compatible; a schema that old readers’ messages do not fit is refused with the command that allows it', async () => {
  const registry = openSchemaRegistry({ url });
  const first = await registry.register(subject, record(TEXT));
  expect(await level()).toBe('BACKWARD');
  expect(await registry.register(subject, record(TEXT, { name: 'b', type: 'string', default: '' }))).not.toBe(first);
  const unfit = record({ name: 'a', type: 'long' });
  const refused = await registry.register(subject, unfit).catch((error: unknown) => error);
  expect(refused).toMatchObject({ kind: 'prerequisite' });
  const command = /curl -X PUT .* -d '(.*)' (\S+)$/.exec(describeError(refused));
  expect(command).not.toBeNull();
  const allowed = await fetch(command?.[2] as string, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: command?.[1] as string,
  });
  expect(allowed.status).toBe(200);
  expect(await registry.register(subject, unfit)).toBeGreaterThan(first);
  expect(await level()).toBe('NONE');
  expect(await openSchemaRegistry({ url }).register(subject, record(TEXT))).toBe(first);
});

test('an address that is not the one of Confluent’s API is named with its cure, at the first question', async () => {
  const { origin } = new URL(url);
  for (const wrong of [`${origin}/wrong`, origin, `${origin}/apis/registry/v3`]) {
    const registry = openSchemaRegistry({ url: wrong });
    for (const asking of [registry.schema(1), registry.register(subject, record(TEXT))]) {
      const refused = await asking.catch((error: unknown) => error);
      expect(refused).toMatchObject({ kind: 'prerequisite' });
      expect(describeError(refused)).toContain('/apis/ccompat/v7');
    }
  }
});

test('processes that register one new schema at the same time all get its id', async () => {
  for (let round = 0; round < 10; round++) {
    const name = `registry.${randomBytes(6).toString('hex')}-value`;
    const processes = Array.from({ length: 6 }, () => openSchemaRegistry({ url }));
    const ids = await Promise.all(processes.map((registry) => registry.register(name, record({ ...TEXT, doc: name }))));
    expect(new Set(ids).size, ids.join()).toBe(1);
  }
});

test('what was answered once is not asked again', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.setHeader('content-type', 'application/vnd.schemaregistry.v1+json');
    response.end(JSON.stringify({ schema: '"string"' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const registry = openSchemaRegistry({ url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` });
  expect(await Promise.all([registry.schema(1), registry.schema(1)])).toEqual(['"string"', '"string"']);
  expect(await registry.schema(1)).toBe('"string"');
  expect(asked).toBe(1);
  server.closeAllConnections();
  server.close();
});

test('a registry that is away is unavailable, and asked again the next time', async () => {
  const registry = openSchemaRegistry({ url: 'http://127.0.0.1:1' });
  for (let times = 0; times < 2; times++) {
    await expect(registry.schema(1)).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('127.0.0.1:1') });
    await expect(registry.register(subject, record(TEXT))).rejects.toMatchObject({ kind: 'unavailable' });
  }
});

describe('behind a password and TLS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-registry-'));
  let tls: Certificates;
  beforeAll(async () => {
    tls = await makeCertificates(directory);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('registers and reads for those who know it', async () => {
    await using proxy = await startAuthProxy({ upstream: url, username: 'u', password: 'p4ss', tls });
    const ca = readFileSync(tls.ca, 'utf8');
    const registry = openSchemaRegistry({ url: proxy.url, username: 'u', password: 'p4ss', ca });
    const id = await registry.register(subject, record(TEXT));
    expect(JSON.parse(await registry.schema(id))).toEqual(JSON.parse(record(TEXT)));
    for (const login of [{}, { username: 'u', password: 'wr0ng' }]) {
      const other = openSchemaRegistry({ url: proxy.url, ca, ...login });
      const failures = [other.schema(id), other.register(subject, record(TEXT))].map((asked) => asked.catch((error: unknown) => error));
      for (const failure of await Promise.all(failures)) {
        expect(failure).toMatchObject({ kind: 'prerequisite' });
        expect(describeError(failure)).not.toContain('wr0ng');
      }
    }
    await expect(openSchemaRegistry({ url: proxy.url }).schema(id)).rejects.toMatchObject({
      kind: 'prerequisite',
      message: expect.stringMatching(/secure/),
    });
  });
});
